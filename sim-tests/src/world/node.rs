//! One simulated machine with a router node on it.

use super::Planted;
use crate::trace;
use madsim::{runtime::Handle, task::NodeId, time::Duration};
use quorate_model::NodeName;
use quorate_node::{
    Node, Platform, Secret,
    config::{Config, Sources},
    readiness::Phase,
};
use quorate_state::View;
use quorate_storage::{CrashMode, SimDisk, sim::Crash};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
};

/// What the machine's process shows to the tests; `None` while it is off.
type Showcase = Arc<Mutex<Option<Arc<Node>>>>;

/// A machine.
pub struct Machine {
    number: usize,
    id: NodeId,
    handle: Handle,
    disk: SimDisk,
    showcase: Showcase,
    life: Cell<u32>,
    on: Rc<RefCell<bool>>,
}

/// The machine's address.
pub fn ip(number: usize) -> String {
    format!("10.0.0.{number}")
}

fn config(number: usize, nodes: usize) -> Config {
    let name = |n: usize| NodeName::parse(&format!("n{n}")).expect("a short name");
    let socket = |port: u16| format!("{}:{port}", ip(number)).parse().expect("an address");
    let peers: BTreeMap<_, _> = (1..=nodes).map(|n| (name(n), format!("{}:7070", ip(n)))).collect();
    let defaults = Config::load(&Sources::default()).expect("the defaults are valid");
    Config {
        node_name: name(number),
        routing: socket(8080),
        management: socket(9090),
        peer: socket(7070),
        peers,
        drain_limit: Duration::from_secs(2),
        snapshot_every: 10_000,
        ..defaults
    }
}

impl Machine {
    /// A new machine, switched on.
    pub fn new(handle: &Handle, number: usize, nodes: usize) -> Self {
        let (disk, showcase) = (SimDisk::new(), Showcase::default());
        disk.set_latency(Duration::from_millis(1), Duration::from_millis(8));
        disk.set_lying_fsync(super::planted() == Planted::LyingFsync);
        let (boots, shown) = (disk.clone(), showcase.clone());
        let node = handle
            .create_node()
            .name(format!("n{number}"))
            .ip(ip(number).parse().expect("an address"))
            .init(move || boot(boots.clone(), config(number, nodes), shown.clone()))
            .build();
        let on = Rc::new(RefCell::new(true));
        Self { number, id: node.id(), handle: handle.clone(), disk, showcase, life: Cell::new(1), on }
    }

    /// Its simulated id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node's name.
    pub fn name(&self) -> String {
        format!("n{}", self.number)
    }

    /// How often it was switched on.
    pub fn life(&self) -> u32 {
        self.life.get()
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        *self.on.borrow()
    }

    fn node(&self) -> Option<Arc<Node>> {
        self.showcase.lock().expect("no panic while held").clone()
    }

    /// What its node routes by; `None` while it is off or starting.
    pub fn view(&self) -> Option<Arc<View>> {
        self.node().map(|node| node.view().get())
    }

    /// Whether its node is ready.
    pub fn serves(&self) -> bool {
        self.node().is_some_and(|node| node.readiness().phase() == Phase::Serving)
    }

    /// The term in which its node takes itself for the leader.
    pub fn leads_in(&self) -> Option<u64> {
        let node = self.node()?;
        node.consensus().is_leader().then(|| node.consensus().metrics().current_term)
    }

    pub(super) fn power_off(&self, mode: CrashMode) -> Crash {
        self.handle.kill(self.id);
        *self.on.borrow_mut() = false;
        let crash = self.disk.crash(mode);
        *self.showcase.lock().expect("no panic while held") = None;
        crash
    }

    pub(super) fn power_on(&self) {
        self.life.set(self.life.get() + 1);
        *self.on.borrow_mut() = true;
        self.handle.restart(self.id);
    }
}

/// The same on every machine, so that the proof is part of every run.
fn secret() -> Secret {
    Secret::new(b"what all simulated nodes know, and nobody else").expect("long enough")
}

async fn boot(disk: SimDisk, config: Config, showcase: Showcase) {
    let name = config.node_name.clone();
    let disk = match disk.open(&name) {
        Ok(disk) => Arc::new(disk),
        Err(e) => return trace::event(|| format!("{name} does not open its disk: {e}")),
    };
    match Node::start(config, Platform { disk, partition_source: None, secret: Some(secret()) }).await {
        Ok(node) => {
            trace::event(|| format!("{name} listens"));
            let node = Arc::new(node);
            *showcase.lock().expect("no panic while held") = Some(node.clone());
            let why = node.failed().await;
            trace::event(|| format!("{name} has stopped: {why}"));
        }
        Err(e) => trace::event(|| format!("{name} does not start: {e}")),
    }
}
