//! What goes on while faults strike: workers that come, beat and go, clients that change and read, and requests that
//! are routed. All through random nodes, with the retries of real clients; each try is an operation of its own, and
//! what was not answered stays of unknown outcome.

mod caller;
mod client;
mod operators;
mod traffic;
mod worker;

pub use caller::Caller;

use crate::{
    check::OpId,
    world::{World, now_ms},
};
use futures_util::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, TryStreamExt},
};
use madsim::rand::{Rng, thread_rng};
use std::cell::Cell;

/// Partitions of the default keyspace, as configured.
pub const PARTITIONS: i32 = 12;
/// Keyspaces that clients change and read.
pub const KEYSPACES: [&str; 3] = ["a", "b", "c"];
/// A node gives up on what it was asked within this time.
const UNDER_WAY_MS: u128 = 5_000;
const CLIENTS: u32 = 4;
const TRAFFIC: u32 = 2;

/// How the run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Faults strike, workers come and go.
    Storm,
    /// No faults; workers either live well or are gone for good.
    Calm,
    /// Everybody stops.
    Over,
}

/// All clients and workers of a run.
pub struct Workload<'a> {
    world: &'a World,
    phase: Cell<Phase>,
    operations: Cell<u64>,
    values: Cell<u64>,
    /// How long each worker lives without a heartbeat, in milliseconds.
    ttls: Vec<u64>,
    /// Workers that fall silent when the calm begins.
    silent: Vec<usize>,
    /// How many of the others have registered since.
    at_home: Cell<usize>,
    /// When the last of those was gone, and how many are.
    gone: Cell<(u128, usize)>,
    /// Workers that still do as they did in the storm.
    stormy: Cell<usize>,
    /// Whether operators decide about workers.
    operators: bool,
    /// Whether they have put everybody back.
    resumed: Cell<bool>,
    /// When a registration ended last whose outcome is not known.
    doubtful_ms: Cell<u128>,
}

impl<'a> Workload<'a> {
    /// For all workers of this world.
    pub fn new(world: &'a World) -> Self {
        let ttls =
            world.workers.iter().map(|_| [2_000, 3_000, 5_000][thread_rng().gen_range(0..3)]).collect();
        let silent = (0..world.workers.len()).filter(|_| thread_rng().gen_bool(0.25)).collect();
        Self {
            world,
            phase: Cell::new(Phase::Storm),
            operations: Cell::new(0),
            values: Cell::new(0),
            ttls,
            silent,
            at_home: Cell::new(0),
            gone: Cell::new((0, 0)),
            stormy: Cell::new(world.workers.len()),
            operators: true,
            resumed: Cell::new(false),
            doubtful_ms: Cell::new(0),
        }
    }

    /// The same where every worker lives that long without a heartbeat, in milliseconds, none falls silent by itself,
    /// and no operator touches it.
    pub fn with_ttl(world: &'a World, ttl_ms: u64) -> Self {
        let ttls = vec![ttl_ms; world.workers.len()];
        Self { ttls, silent: Vec::new(), operators: false, ..Self::new(world) }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Goes on to another phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Whether worker `n` (from 0) is gone for good once the calm has begun.
    pub fn is_silent(&self, n: usize) -> bool {
        self.silent.contains(&n)
    }

    fn comes_home(&self) {
        self.at_home.set(self.at_home.get() + 1);
    }

    /// Whether everybody who is not silent has registered since the calm began: until then a record may be that of a
    /// worker that crashed in the storm.
    pub fn all_are_home(&self) -> bool {
        self.at_home.get() + self.silent.len() == self.ttls.len()
    }

    fn is_gone(&self) {
        let (_, count) = self.gone.get();
        self.gone.set((now_ms(), count + 1));
    }

    fn has_resumed(&self) {
        self.resumed.set(true);
    }

    /// Whether no worker is out of service any more.
    pub fn all_are_in_service(&self) -> bool {
        self.resumed.get() || !self.operators
    }

    fn leaves_storm(&self) {
        self.stormy.set(self.stormy.get() - 1);
    }

    fn is_in_doubt(&self) {
        self.doubtful_ms.set(now_ms());
    }

    /// Whether no registration of the storm can be carried out any more. One that asks for the partitions of others
    /// would take them from whoever has come home before.
    fn may_come_home(&self) -> bool {
        let doubtful_ms = self.doubtful_ms.get();
        self.stormy.get() == 0 && (doubtful_ms == 0 || now_ms() >= doubtful_ms + UNDER_WAY_MS)
    }

    /// Whether the silent ones are gone for so long that nothing of theirs is under way any more.
    pub fn is_silence(&self) -> bool {
        let (last, count) = self.gone.get();
        count == self.silent.len() && now_ms() >= last + UNDER_WAY_MS
    }

    /// Runs everybody until [`Phase::Over`].
    pub async fn run(&self) -> Result<(), String> {
        let everybody: FuturesUnordered<LocalBoxFuture<'_, Result<(), String>>> = FuturesUnordered::new();
        for n in 0..self.world.workers.len() {
            everybody.push(Box::pin(worker::live(self, n)));
        }
        for _ in 0..CLIENTS {
            everybody.push(Box::pin(client::work(self)));
        }
        if self.operators {
            everybody.push(Box::pin(operators::decide(self)));
        }
        for _ in 0..TRAFFIC {
            everybody.push(Box::pin(traffic::send(self)));
        }
        everybody.try_collect().await
    }

    fn next_operation(&self) -> OpId {
        self.operations.set(self.operations.get() + 1);
        OpId(self.operations.get())
    }

    /// A partition count that nobody has written yet.
    fn next_value(&self) -> u64 {
        self.values.set(self.values.get() + 1);
        self.values.get()
    }
}
