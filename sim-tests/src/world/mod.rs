//! A simulated cluster: real nodes on simulated machines, with disks that outlive them, workers that answer, and
//! clients that speak HTTP to any node.

pub mod arrivals;
pub mod client;
mod ending;
pub mod line;
mod members;
mod network;
mod node;
pub mod socket;
pub mod worker;

pub use members::{Errand, Roll, spares};
pub use network::Network;
pub use node::{Machine, RESUME_WINDOW, ip};

use crate::{
    check::{Look, Oracle},
    trace,
};
use madsim::{
    runtime::Handle,
    time::{Duration, TimeHandle, sleep},
};
use quorate_storage::CrashMode;
use std::cell::RefCell;

/// How long a sync takes when nothing is wrong, at least and at most.
pub const DISK_LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(8));

/// The whole simulated world.
pub struct World {
    /// The router nodes, and those that wait to be one.
    pub machines: Vec<Machine>,
    /// Which of them belong to the cluster, as its operator means it.
    pub roll: Roll,
    /// Whether machines join and leave in this run.
    pub is_changing: bool,
    /// Where clients run.
    pub clients: madsim::runtime::NodeHandle,
    /// The simulated workers' machines.
    pub workers: Vec<worker::Worker>,
    /// Which requests reached them.
    pub arrivals: arrivals::Arrivals,
    /// The wires.
    pub network: Network,
    /// Whoever knows what must hold.
    pub oracle: RefCell<Oracle>,
    /// Registrations by the focused scenarios that were acknowledged: worker id and epoch.
    pub acknowledged: RefCell<Vec<(String, u64)>>,
}

/// Simulated time since the beginning, in milliseconds.
pub fn now_ms() -> u128 {
    TimeHandle::current().elapsed().as_millis()
}

impl World {
    /// `nodes` machines, started, and `workers` workers. Nobody joins or leaves.
    pub fn new(nodes: usize, workers: usize) -> Self {
        Self::with_spares(nodes, None, workers)
    }

    /// The same with machines that wait for somebody to let them join; `None`: nobody joins or leaves.
    pub fn with_spares(nodes: usize, spares: Option<usize>, workers: usize) -> Self {
        let handle = Handle::current();
        let roll = Roll::new(nodes);
        let all = nodes + spares.unwrap_or(0);
        let machines: Vec<_> = (0..all).map(|i| Machine::new(&handle, i, &roll)).collect();
        let clients = handle.create_node().name("clients").ip([10, 0, 1, 1].into()).build();
        let arrivals = arrivals::Arrivals::default();
        let workers = (1..=workers).map(|number| worker::Worker::new(&handle, number, &arrivals)).collect();
        Self {
            machines,
            roll,
            is_changing: spares.is_some(),
            clients,
            workers,
            arrivals,
            network: Network::new(),
            oracle: RefCell::default(),
            acknowledged: RefCell::default(),
        }
    }

    /// Lets time pass, looking at every node's state all the while.
    pub async fn pass(&self, time: Duration) -> Result<(), String> {
        let end = TimeHandle::current().elapsed() + time;
        while TimeHandle::current().elapsed() < end {
            sleep(Duration::from_millis(25)).await;
            self.look()?;
        }
        Ok(())
    }

    /// Waits until `condition` holds for the members, looking all the while.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&[&Machine]) -> bool,
    ) -> Result<(), String> {
        let end = TimeHandle::current().elapsed() + limit;
        while !condition(&self.members()) {
            if TimeHandle::current().elapsed() > end {
                return Err(format!("not within {limit:?}: {what}"));
            }
            self.pass(Duration::from_millis(25)).await?;
        }
        trace::event(|| format!("now true: {what}"));
        Ok(())
    }

    /// Looks after every machine, and checks the invariants on every running node.
    pub fn look(&self) -> Result<(), String> {
        let mut oracle = self.oracle.borrow_mut();
        for machine in &self.machines {
            machine.supervise()?;
            if let Some(view) = machine.view() {
                let name = machine.name();
                oracle.looked(&Look {
                    node: &name,
                    life: machine.life(),
                    view: &view,
                    leads_in: machine.leads_in(),
                    raft_id: machine.disk().identity().map_or(0, |identity| identity.id.0),
                    speaks_for_quorum: machine.speaks_for_quorum(),
                    at_ms: now_ms(),
                })?;
                let after = oracle.told_upto(&name, machine.life());
                if let Some(told) = machine.changes_after(after) {
                    oracle.told(&name, machine.life(), told)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts the power of machine `i`.
    pub fn power_off(&self, i: usize, mode: CrashMode) {
        self.machines[i].power_off(mode);
    }

    /// Starts machine `i` again.
    pub fn power_on(&self, i: usize) {
        self.machines[i].power_on();
    }

    /// The leader loses its power and comes back; another one leads.
    pub async fn replace_leader(&self) -> Result<(), String> {
        let Some(leader) = self.leader() else { return Ok(()) };
        self.power_off(leader, CrashMode::LoseAll);
        let someone_leads = |machines: &[&Machine]| machines.iter().any(|m| m.speaks_for_quorum());
        self.until("another one leads", Duration::from_secs(20), someone_leads).await?;
        self.power_on(leader);
        Ok(())
    }

    /// Cuts machine `i` off from all others, both ways.
    pub fn isolate(&self, i: usize) {
        trace::event(|| format!("n{} is cut off", i + 1));
        for other in (0..self.machines.len()).filter(|other| *other != i) {
            self.cut_link(i, other);
            self.cut_link(other, i);
        }
    }

    /// Cuts one direction of one link.
    pub fn cut_link(&self, from: usize, to: usize) {
        self.network.cut((self.machines[from].id(), self.machines[to].id()));
    }

    /// Takes one cut of one direction back.
    pub fn mend_link(&self, from: usize, to: usize) {
        self.network.mend((self.machines[from].id(), self.machines[to].id()));
    }

    /// Ends all faults: everything runs, connected and with its usual speed.
    pub fn all_clear(&self) {
        self.heal();
        for machine in &self.machines {
            machine.disk().set_full(false);
            machine.disk().set_latency(DISK_LATENCY.0, DISK_LATENCY.1);
            machine.set_clock(0, 0);
            machine.resume();
            machine.power_on();
        }
    }

    /// Repairs the network.
    pub fn heal(&self) {
        trace::event(|| "the network is whole".into());
        self.network.heal();
    }

    /// Starts what is off, repairs what is cut, and waits until all members agree on everything.
    pub async fn settle(&self) -> Result<(), String> {
        self.heal();
        for machine in &self.machines {
            machine.resume();
            machine.power_on();
        }
        self.until("one leader, all nodes serve", Duration::from_secs(60), |machines| {
            machines.iter().all(|m| m.serves())
                && machines.iter().filter(|m| m.leads_in().is_some()).count() == 1
        })
        .await?;
        // Linearizable reads on every node: whatever was acknowledged is now in every View.
        for i in self.member_numbers() {
            client::barrier(self, i).await?;
        }
        self.look()?;
        self.nothing_acknowledged_is_lost()
    }

    fn nothing_acknowledged_is_lost(&self) -> Result<(), String> {
        for machine in self.members() {
            let view = machine.view().ok_or("a node is off")?;
            for (id, epoch) in self.acknowledged.borrow().iter() {
                let held = view.worker(id).map_or(0, |w| w.epoch.0);
                if held < *epoch {
                    return Err(format!(
                        "{}: {id} was acknowledged at epoch {epoch}, it is at {held}",
                        machine.name()
                    ));
                }
            }
        }
        trace::event(|| format!("all {} acknowledged writes are there", self.acknowledged.borrow().len()));
        Ok(())
    }

    /// The machine that leads in the latest term.
    pub fn leader(&self) -> Option<usize> {
        let terms = self.machines.iter().enumerate().filter_map(|(i, m)| Some((m.leads_in()?, i)));
        terms.max().map(|(_, i)| i)
    }

    /// Where the log stands: the largest index that a node has applied.
    pub fn log_index(&self) -> Result<u64, String> {
        let machines = self.members();
        let indexes = machines.iter().filter_map(|machine| Some(machine.view()?.index().0));
        indexes.max().ok_or_else(|| "no node serves".into())
    }
}
