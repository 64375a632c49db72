//! The wires between the machines. Faults overlap: a link is whole again only when the last one has let go of it.

use madsim::{net::NetSim, task::NodeId, time::Duration};
use std::{cell::RefCell, collections::BTreeMap, ops::Range, sync::Arc};

/// One direction of one link: from, to.
pub type Link = (NodeId, NodeId);

/// How long a message takes when nothing is wrong.
const USUAL: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(10);

/// The network.
pub struct Network {
    simulated: Arc<NetSim>,
    /// How many faults hold each link that is cut.
    cut: RefCell<BTreeMap<Link, u32>>,
}

impl Network {
    /// The current simulation's.
    pub fn new() -> Self {
        Self { simulated: NetSim::current(), cut: RefCell::default() }
    }

    /// Cuts one direction of a link. What is sent meanwhile arrives late, as with TCP; connections are refused.
    pub fn cut(&self, link: Link) {
        *self.cut.borrow_mut().entry(link).or_insert(0) += 1;
        self.simulated.clog_link(link.0, link.1);
    }

    /// Takes one cut back.
    pub fn mend(&self, link: Link) {
        let mut cut = self.cut.borrow_mut();
        let Some(holders) = cut.get_mut(&link) else { return };
        *holders -= 1;
        if *holders == 0 {
            cut.remove(&link);
            self.simulated.unclog_link(link.0, link.1);
        }
    }

    /// Everything as it should be.
    pub fn heal(&self) {
        for (link, _) in std::mem::take(&mut *self.cut.borrow_mut()) {
            self.simulated.unclog_link(link.0, link.1);
        }
        self.usual();
    }

    /// Messages take this long from now on, and this part of them is lost: TCP sends those again after a while, but
    /// a connection that is being made is refused. Messages of one connection stay in order, others overtake.
    pub fn disturb(&self, latency: Range<Duration>, lost: f64) {
        self.simulated.update_config(|config| {
            config.send_latency = latency;
            config.packet_loss_rate = lost;
        });
    }

    /// Delays and losses as they are without a fault.
    pub fn usual(&self) {
        self.disturb(USUAL, 0.0);
    }
}
