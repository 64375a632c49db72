//! What the fake knows about workers besides the state: what is in flight, and who is down.

use super::{Fake, node};
use quorate_management::{InFlightAt, Look, Reason};
use quorate_model::{Epoch, LogIndex, WorkerId};

impl Fake {
    /// What a look at any worker comes to from now on.
    pub fn find(&self, look: Look) {
        self.inner.lock().expect("no panic").look = Ok(look);
    }

    /// Nobody looks at a worker from now on, and why.
    pub fn refuse_looks(&self, reason: Reason) {
        self.inner.lock().expect("no panic").look = Err(reason);
    }

    /// Who was looked at, and in which life.
    pub fn looked_at(&self) -> Vec<(WorkerId, Epoch)> {
        self.inner.lock().expect("no panic").looked_at.clone()
    }
}

/// Three requests of the worker `busy` here, none at n2; n3 does not answer where it is about `busy` or `unsure`.
pub fn in_flight(worker: &WorkerId, index: LogIndex) -> Vec<InFlightAt> {
    let at = |name: &str, applied, in_flight| InFlightAt { node: node(name), applied, in_flight };
    let here = u64::from(worker.as_str() == "busy") * 3;
    let unsure = matches!(worker.as_str(), "busy" | "unsure");
    let silent = || at("n3", None, Err("it does not answer".into()));
    vec![
        at("n1", Some(index), Ok(here)),
        at("n2", Some(index), Ok(0)),
        if unsure { silent() } else { at("n3", Some(index), Ok(0)) },
    ]
}
