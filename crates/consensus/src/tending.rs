//! What runs beside Raft for as long as a node does.

use crate::{Consensus, candidacy, gateway, housekeeping, levels, loads, openings, ramps, sessions};
use quorate_rt::shutdown;

impl Consensus {
    /// What a node does by itself, now and then.
    pub(crate) fn tend(&self, turning: sessions::Turning, stopped: &shutdown::Shutdown) {
        quorate_rt::spawn(housekeeping::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(candidacy::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(levels::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(gateway::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(sessions::run(self.clone(), turning, stopped.clone()));
    }

    /// What nodes tell each other outside of the log.
    pub(crate) fn tell_peers(&self, stopped: &shutdown::Shutdown) {
        quorate_rt::spawn(loads::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(openings::run(self.clone(), stopped.clone()));
        quorate_rt::spawn(ramps::run(self.clone(), stopped.clone()));
    }
}
