//! A simulated cluster: real nodes on simulated machines, with disks that outlive them, workers that answer, and
//! clients that speak HTTP to any node.

pub mod client;
mod node;
mod worker;

pub use node::Machine;

use crate::{check::agreement::Agreement, trace};
use madsim::{
    net::NetSim,
    rand::{Rng, thread_rng},
    runtime::Handle,
    time::{Duration, TimeHandle, sleep},
};
use quorate_storage::CrashMode;
use std::{cell::Cell, sync::Arc};

/// A bug that is put in on purpose: the checks must notice it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// Disks report writes as durable that are not.
    LyingFsync,
    /// Reads that should be linearizable are not.
    StaleReads,
}

impl Planted {
    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "lying-fsync" => Some(Self::LyingFsync),
            "stale-reads" => Some(Self::StaleReads),
            _ => None,
        }
    }
}

// One thread is one run.
thread_local! { static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) }; }

/// Plants a bug in this thread's run.
pub fn plant(planted: Planted) {
    PLANTED.with(|p| p.set(planted));
}

/// The bug of this thread's run.
pub fn planted() -> Planted {
    PLANTED.with(Cell::get)
}

/// The whole simulated world.
pub struct World {
    /// The router nodes.
    pub machines: Vec<Machine>,
    /// Where clients run.
    pub clients: madsim::runtime::NodeHandle,
    net: Arc<NetSim>,
    cut: Vec<(usize, usize)>,
    agreement: Agreement,
    /// Writes that were acknowledged: worker id and epoch.
    pub acknowledged: Vec<(String, u64)>,
}

/// Simulated time since the beginning, in milliseconds.
pub fn now_ms() -> u128 {
    TimeHandle::current().elapsed().as_millis()
}

impl World {
    /// `nodes` machines, started, and three workers.
    pub fn new(nodes: usize) -> Self {
        let handle = Handle::current();
        let machines: Vec<_> = (1..=nodes).map(|i| Machine::new(&handle, i, nodes)).collect();
        let clients = handle.create_node().name("clients").ip([10, 0, 1, 1].into()).build();
        worker::start(&handle, 3);
        Self {
            machines,
            clients,
            net: NetSim::current(),
            cut: Vec::new(),
            agreement: Agreement::default(),
            acknowledged: Vec::new(),
        }
    }

    /// Lets time pass, looking at every node's state all the while.
    pub async fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = TimeHandle::current().elapsed() + time;
        while TimeHandle::current().elapsed() < end {
            sleep(Duration::from_millis(25)).await;
            self.look()?;
        }
        Ok(())
    }

    /// Waits until `condition` holds for the machines, looking all the while.
    pub async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&[Machine]) -> bool,
    ) -> Result<(), String> {
        let end = TimeHandle::current().elapsed() + limit;
        while !condition(&self.machines) {
            if TimeHandle::current().elapsed() > end {
                return Err(format!("not within {limit:?}: {what}"));
            }
            self.pass(Duration::from_millis(25)).await?;
        }
        trace::event(|| format!("now true: {what}"));
        Ok(())
    }

    /// Checks the invariants on every running node.
    pub fn look(&mut self) -> Result<(), String> {
        for machine in &self.machines {
            if let Some(view) = machine.view() {
                self.agreement.look(&machine.name(), machine.life(), &view)?;
            }
        }
        Ok(())
    }

    /// Cuts the power of machine `i`: its process is gone, and so is what its disk had not synced.
    pub fn power_off(&mut self, i: usize, mode: CrashMode) {
        let crash = self.machines[i].power_off(mode);
        trace::event(|| format!("n{} loses power: {crash:?}", i + 1));
    }

    /// Starts machine `i` again.
    pub fn power_on(&mut self, i: usize) {
        trace::event(|| format!("n{} starts", i + 1));
        self.machines[i].power_on();
    }

    /// Cuts machine `i` off from all others, both ways.
    pub fn isolate(&mut self, i: usize) {
        trace::event(|| format!("n{} is cut off", i + 1));
        for other in (0..self.machines.len()).filter(|other| *other != i) {
            self.cut_link(i, other);
            self.cut_link(other, i);
        }
    }

    /// Cuts one direction of one link.
    pub fn cut_link(&mut self, from: usize, to: usize) {
        self.net.clog_link(self.machines[from].id(), self.machines[to].id());
        self.cut.push((from, to));
    }

    /// Repairs the network.
    pub fn heal(&mut self) {
        trace::event(|| "the network is whole".into());
        for (from, to) in std::mem::take(&mut self.cut) {
            self.net.unclog_link(self.machines[from].id(), self.machines[to].id());
        }
    }

    /// Starts what is off, repairs what is cut, and waits until all nodes agree on everything.
    pub async fn settle(&mut self) -> Result<(), String> {
        self.heal();
        for i in 0..self.machines.len() {
            if !self.machines[i].is_on() {
                self.power_on(i);
            }
        }
        self.until("one leader, all nodes serve", Duration::from_secs(60), |machines| {
            machines.iter().all(Machine::serves)
                && machines.iter().filter(|m| m.leads_in().is_some()).count() == 1
        })
        .await?;
        // Linearizable reads on every node: whatever was acknowledged is now in every View.
        for i in 0..self.machines.len() {
            client::barrier(self, i).await?;
        }
        self.look()?;
        self.nothing_acknowledged_is_lost()
    }

    fn nothing_acknowledged_is_lost(&self) -> Result<(), String> {
        for machine in &self.machines {
            let view = machine.view().ok_or("a node is off")?;
            for (id, epoch) in &self.acknowledged {
                let held = view.worker(id).map_or(0, |w| w.epoch.0);
                if held < *epoch {
                    return Err(format!(
                        "{}: {id} was acknowledged at epoch {epoch}, it is at {held}",
                        machine.name()
                    ));
                }
            }
        }
        trace::event(|| format!("all {} acknowledged writes are there", self.acknowledged.len()));
        Ok(())
    }

    /// The machine that leads in the latest term.
    pub fn leader(&self) -> Option<usize> {
        let terms = self.machines.iter().enumerate().filter_map(|(i, m)| Some((m.leads_in()?, i)));
        terms.max().map(|(_, i)| i)
    }

    /// A random machine.
    pub fn any(&self) -> usize {
        thread_rng().gen_range(0..self.machines.len())
    }
}
