//! One simulated machine with a router node on it.

use super::{Roll, ending::end_in_order, now_ms};
use crate::{
    planted::{Planted, planted},
    trace,
};
use madsim::{runtime::Handle, task::NodeId, time::Duration};
use quorate_model::{NodeName, Position};
use quorate_node::{
    Node, Platform, Secret,
    config::{Config, Gateway, GatewayListener, Sources},
    readiness::Phase,
};
use quorate_state::{Forgotten, Since, View};
use quorate_storage::{CrashMode, SimDisk};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// A process that ended by itself is started again after this long, as any supervisor does.
const RESTART_AFTER_MS: u128 = 1_000;

/// What a process said this long ago still holds.
const FRESH_MS: u128 = 30;

/// How long a session of the gateway outlives its socket.
pub const RESUME_WINDOW: Duration = Duration::from_secs(10);
/// Deliveries that its client need not have acknowledged.
const REPLAY_MESSAGES: usize = 16;

/// What the machine's process shows to the tests.
#[derive(Clone, Default)]
struct Showcase(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    /// `None` while it is off or starting.
    node: Option<Arc<Node>>,
    /// When it said last whether it speaks for a quorum, and what it said. By its own clock: an outsider's would
    /// count wrongly.
    speaks: Option<(u128, bool)>,
    /// Why it refused to start, if it needs an operator.
    refused: Option<String>,
    /// Given once it is to end in order.
    leave: Arc<Notify>,
}

impl Showcase {
    fn with<T>(&self, work: impl FnOnce(&mut Shown) -> T) -> T {
        work(&mut self.0.lock().expect("no panic while held"))
    }
}

/// Whether a machine's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// Until somebody switches it on.
    Off,
    /// Its process ended by itself at this simulated millisecond.
    Ended(u128),
}

/// A machine.
pub struct Machine {
    number: usize,
    id: NodeId,
    handle: Handle,
    disk: SimDisk,
    showcase: Showcase,
    /// Its `--peers`: written when it is installed, and anew with each new disk.
    peers: Arc<Mutex<BTreeSet<usize>>>,
    roll: Roll,
    life: Cell<u32>,
    power: Cell<Power>,
    paused: Cell<bool>,
    /// Its disk broke a promise on purpose: it may refuse to start, and then gets an empty one.
    broken: Cell<bool>,
}

/// The machine's address.
pub fn ip(number: usize) -> String {
    format!("10.0.0.{number}")
}

/// What an operator writes on machine `number`: itself, and the members of today.
fn peers(number: usize, roll: &Roll) -> BTreeSet<usize> {
    roll.members().into_iter().map(|i| i + 1).chain([number]).collect()
}

fn config(number: usize, peers: &BTreeSet<usize>) -> Config {
    let name = |n: usize| NodeName::parse(&format!("n{n}")).expect("a short name");
    let socket = |port: u16| format!("{}:{port}", ip(number)).parse().expect("an address");
    let peers: BTreeMap<_, _> = peers.iter().map(|n| (name(*n), format!("{}:7070", ip(*n)))).collect();
    let defaults = Config::load(&Sources::default()).expect("the defaults are valid");
    let mut gateway = Gateway { listen: GatewayListener::At(socket(8082)), ..defaults.gateway };
    // So short and so small that each run of some minutes sees the end of both.
    gateway.settings.extension.window = RESUME_WINDOW;
    gateway.settings.extension.replay.messages = REPLAY_MESSAGES;
    Config {
        node_name: name(number),
        routing: socket(8080),
        management: socket(9090),
        peer: socket(7070),
        gateway,
        peers,
        drain_delay: Duration::ZERO,
        drain_limit: Duration::from_secs(2),
        // So early that each run takes, sends and restarts from some: otherwise no fault would ever meet one.
        snapshot_entries: 40,
        ..defaults
    }
}

impl Machine {
    /// The new machine `i` (from 0), switched on. It knows itself and the members of today.
    pub fn new(handle: &Handle, i: usize, roll: &Roll) -> Self {
        let (number, disk, showcase) = (i + 1, SimDisk::new(), Showcase::default());
        let peers = Arc::new(Mutex::new(peers(number, roll)));
        disk.set_latency(super::DISK_LATENCY.0, super::DISK_LATENCY.1);
        disk.set_lying_fsync(planted() == Planted::LyingFsync);
        let (boots, shown, book) = (disk.clone(), showcase.clone(), Arc::clone(&peers));
        let config = move || config(number, &book.lock().expect("no panic while held"));
        let node = handle
            .create_node()
            .name(format!("n{number}"))
            .ip(ip(number).parse().expect("an address"))
            .init(move || boot(boots.clone(), config(), shown.clone()))
            .build();
        Self {
            number,
            id: node.id(),
            handle: handle.clone(),
            disk,
            showcase,
            peers,
            roll: roll.clone(),
            life: Cell::new(1),
            power: Cell::new(Power::On),
            paused: Cell::new(false),
            broken: Cell::new(false),
        }
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

    /// Whether its process runs, or stands still.
    pub fn is_on(&self) -> bool {
        self.power.get() == Power::On
    }

    /// Whether it is not known yet what its node makes of a disk that broke a promise.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Its disk.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Its node; `None` while it is off or starting.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.showcase.with(|shown| shown.node.clone())
    }

    /// What its node routes by; `None` while it is off or starting.
    pub fn view(&self) -> Option<Arc<View>> {
        self.node().map(|node| node.view().get())
    }

    /// What its node tells a watcher that has heard everything up to `position`; `None` while it is off or starting.
    pub fn changes_after(&self, position: Position) -> Option<Result<Since, Forgotten>> {
        self.node().map(|node| node.consensus().changes_after(position, usize::MAX))
    }

    /// Whether its node is ready.
    pub fn serves(&self) -> bool {
        self.node().is_some_and(|node| node.readiness().phase() == Phase::Serving)
    }

    /// Whether its node knows that it was removed. One that never was a member has nothing to know.
    pub fn knows_that_it_is_out(&self) -> bool {
        self.node().is_some_and(|n| n.consensus().is_removed() || n.view().get().cluster().is_none())
    }

    /// The term in which its node takes itself for the leader.
    pub fn leads_in(&self) -> Option<u64> {
        let node = self.node()?;
        node.consensus().is_leader().then(|| node.consensus().metrics().current_term)
    }

    /// Whether its node leads and has heard a quorum of late.
    pub fn speaks_for_quorum(&self) -> bool {
        // One that stands still says nothing.
        let said = self.showcase.with(|shown| shown.speaks);
        said.is_some_and(|(at_ms, speaks)| speaks && at_ms + FRESH_MS >= now_ms())
    }

    /// The ids that its node takes for the voters, once a change of them is over; else none.
    pub fn voters(&self) -> BTreeSet<u64> {
        let Some(node) = self.node() else { return BTreeSet::new() };
        let metrics = node.consensus().metrics();
        let membership = metrics.membership_config.membership();
        if membership.get_joint_config().len() == 1 {
            membership.voter_ids().collect()
        } else {
            BTreeSet::new()
        }
    }

    /// Sets how fast its clock counts (parts per million more than real) and how far its wall clock is off.
    pub fn set_clock(&self, ppm: i64, offset_ms: i64) {
        trace::event(|| format!("n{}: clock rate {ppm:+} ppm, wall clock {offset_ms:+} ms", self.number));
        quorate_rt::clock_skew::set(self.id, ppm, offset_ms);
    }

    /// Stands still until [`Machine::resume`]; the world goes on.
    pub fn pause(&self) {
        trace::event(|| format!("n{} stands still", self.number));
        self.paused.set(true);
        self.handle.pause(self.id);
    }

    /// Goes on, late.
    pub fn resume(&self) {
        if self.paused.replace(false) {
            trace::event(|| format!("n{} goes on", self.number));
            self.handle.resume(self.id);
        }
    }

    /// Asks its process to end in order, as SIGTERM does. Its supervisor starts it again. False: there is none to ask.
    pub fn leave(&self) -> bool {
        let node = self.showcase.with(|shown| shown.node.take());
        if node.is_some() {
            trace::event(|| format!("n{} is asked to end", self.number));
            self.showcase.with(|shown| shown.leave.notify_one());
        }
        node.is_some()
    }

    /// Kills the process; the disk keeps what was written, synced or not.
    pub fn kill(&self) {
        trace::event(|| format!("n{} is killed", self.number));
        self.end(Power::Off);
    }

    /// Cuts the power: the process is gone, and so is what its disk had not synced.
    pub fn power_off(&self, mode: CrashMode) {
        self.end(Power::Off);
        let crash = self.disk.crash(mode);
        self.broken.set(self.broken.get() || matches!(mode, CrashMode::TornBatch(_)));
        trace::event(|| format!("n{} loses power: {mode:?}, {crash:?}", self.number));
    }

    /// Gives it an empty disk, while it is off.
    pub fn wipe(&self) {
        trace::event(|| format!("n{} gets an empty disk", self.number));
        self.end(Power::Off);
        self.broken.set(false);
        self.disk.wipe();
        *self.peers.lock().expect("no panic while held") = peers(self.number, &self.roll);
    }

    fn end(&self, power: Power) {
        self.paused.set(false);
        // Also when it has ended by itself: only a kill frees its sockets.
        self.handle.kill(self.id);
        self.power.set(power);
        self.showcase.with(|shown| *shown = Shown::default());
    }

    /// Starts its process again, unless it runs.
    pub fn power_on(&self) {
        if self.is_on() {
            return;
        }
        trace::event(|| format!("n{} starts", self.number));
        self.end(Power::On);
        self.life.set(self.life.get() + 1);
        self.handle.restart(self.id);
    }

    /// What its supervisor and its operator do: start a process that has ended, replace a disk that is broken. An
    /// error: it refused to start, and no fault explains why.
    pub(super) fn supervise(&self) -> Result<(), String> {
        match self.power.get() {
            Power::Off => Ok(()),
            Power::On if !self.handle.is_exit(self.id) => {
                if self.node().is_some() {
                    self.broken.set(false);
                }
                Ok(())
            }
            Power::On => {
                let refused = self.showcase.with(|shown| shown.refused.clone());
                self.end(Power::Ended(now_ms()));
                match refused {
                    Some(why) if self.broken.get() => {
                        trace::event(|| format!("n{} refuses its torn disk: {why}", self.number));
                        self.wipe();
                        self.power.set(Power::Ended(now_ms()));
                        Ok(())
                    }
                    Some(why) => Err(format!("n{} refuses to start: {why}", self.number)),
                    None => Ok(()),
                }
            }
            Power::Ended(at) => {
                if now_ms() >= at + RESTART_AFTER_MS {
                    self.power_on();
                }
                Ok(())
            }
        }
    }
}

/// A run that is over leaves nothing behind: what its nodes hold points in circles, and thousands of runs share a
/// process.
impl Drop for Machine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end(Power::Off);
        }
    }
}

/// The same on every machine, so that the proof is part of every run.
fn secret() -> Secret {
    Secret::new(b"what all simulated nodes know, and nobody else").expect("long enough")
}

async fn boot(disk: SimDisk, config: Config, showcase: Showcase) {
    let name = config.node_name.clone();
    let opened = match disk.open(&name) {
        Ok(opened) => Arc::new(opened),
        Err(e) => return showcase.with(|shown| shown.refused = Some(e.to_string())),
    };
    match Node::start(
        config,
        Platform { disk: opened, partition_source: None, secret: Some(secret()), detour: None },
    )
    .await
    {
        Ok(node) => {
            trace::event(|| format!("{name} listens"));
            let node = Arc::new(node);
            showcase.with(|shown| shown.node = Some(node.clone()));
            let telling = quorate_rt::spawn(say_whether_it_leads(node.clone(), showcase.clone()));
            let leave = showcase.with(|shown| shown.leave.clone());
            let failed = tokio::select! {
                biased;
                why = node.failed() => Some(why),
                () = leave.notified() => None,
            };
            let Some(why) = failed else {
                telling.abort();
                end_in_order(node).await;
                return trace::event(|| format!("{name} has ended in order"));
            };
            trace::event(|| format!("{name} has stopped: {why}"));
        }
        Err(e) => {
            trace::event(|| format!("{name} does not start: {e}"));
            if e.is_refusal() {
                showcase.with(|shown| shown.refused = Some(e.to_string()));
            }
        }
    }
}

async fn say_whether_it_leads(node: Arc<Node>, showcase: Showcase) {
    loop {
        let speaks = node.consensus().speaks_for_quorum();
        showcase.with(|shown| shown.speaks = Some((now_ms(), speaks)));
        madsim::time::sleep(Duration::from_millis(10)).await;
    }
}
