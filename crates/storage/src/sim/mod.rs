//! A disk for the simulator, with every fault that a disk can have.
//!
//! It keeps three pictures: what is durable, what was written since (in order), and what a running node sees. A
//! crash throws away what the chosen mode says and makes the rest durable. Handles die with their boot: a task of
//! a killed node that still runs can't touch the platters of the next one.

mod boot;

pub use boot::SimBoot;

use crate::{
    OpenError,
    disk::{check_owner, new_identity},
    engine::{Batch, Op},
};
use quorate_codec::Identity;
use quorate_model::NodeName;
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a power cut does to writes that were not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// All are lost.
    LoseAll,
    /// The first so many survive.
    KeepPrefix(usize),
    /// As before, and the next batch is carried out half: a disk that breaks the engine's first promise. What
    /// runs on it must notice or be unharmed.
    TornBatch(usize),
}

/// What became of unflushed batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// So many survived.
    pub kept: usize,
    /// So many are gone.
    pub lost: usize,
}

/// What happened on a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimStats {
    /// Batches written.
    pub writes: u64,
    /// Flushes that reported success.
    pub flushes: u64,
    /// Batches lost in crashes.
    pub lost: u64,
    /// Snapshot files saved.
    pub snapshots: u64,
}

#[derive(Default)]
struct State {
    identity: Option<Identity>,
    durable: Content,
    pending: Vec<Batch>,
    visible: Content,
    /// Snapshot files: on the platter, and as the running node sees them.
    files_durable: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
    mark_durable: Option<Vec<u8>>,
    mark: Option<Vec<u8>>,
    /// Which boot may use the disk.
    epoch: u64,
    /// Why this boot's handles are useless from now on.
    poisoned: bool,
    fail_flush: bool,
    lying_fsync: bool,
    full: bool,
    latency: (Duration, Duration),
    stats: SimStats,
}

/// The platters: they outlive the node. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

fn carry_out(content: &mut Content, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(key, value) => {
                content.insert(key.clone(), value.clone());
            }
            Op::Delete(key) => {
                content.remove(key);
            }
        }
    }
}

impl SimDisk {
    /// An empty disk without latency or faults.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Boots a node on it: handles of earlier boots are dead from now on. What a killed process wrote and did not
    /// flush is made durable first, as the real engine does when it opens: nothing may be read that a power cut
    /// could still take away.
    pub fn open(&self, name: &NodeName) -> Result<SimBoot, OpenError> {
        let mut state = self.state();
        match &state.identity {
            Some(identity) => check_owner(identity, name, Path::new("(simulated)"))?,
            None => state.identity = Some(new_identity(name)),
        }
        state.epoch += 1;
        state.poisoned = false;
        if !state.lying_fsync && !state.fail_flush {
            let pending = std::mem::take(&mut state.pending);
            pending.iter().for_each(|batch| carry_out(&mut state.durable, &batch.ops));
        }
        Ok(SimBoot::new(self.clone(), state.epoch))
    }

    /// Cuts the power. Call it right after the node's tasks were killed.
    pub fn crash(&self, mode: CrashMode) -> Crash {
        let mut state = self.state();
        state.epoch += 1;
        let pending = std::mem::take(&mut state.pending);
        let (keep, torn) = match mode {
            CrashMode::LoseAll => (0, false),
            CrashMode::KeepPrefix(n) => (n.min(pending.len()), false),
            CrashMode::TornBatch(n) => (n.min(pending.len()), true),
        };
        let (kept, lost) = pending.split_at(keep);
        kept.iter().for_each(|batch| carry_out(&mut state.durable, &batch.ops));
        if let (true, Some(half)) = (torn, lost.first()) {
            carry_out(&mut state.durable, &half.ops[..half.ops.len() / 2]);
        }
        state.visible = state.durable.clone();
        state.files = state.files_durable.clone();
        if mode == CrashMode::LoseAll {
            state.mark = state.mark_durable.clone();
        } else {
            state.mark_durable = state.mark.clone();
        }
        state.stats.lost += lost.len() as u64;
        Crash { kept: keep, lost: lost.len() }
    }

    /// Takes everything away: a new, empty disk in the same machine.
    pub fn wipe(&self) {
        let mut state = self.state();
        let State { epoch, lying_fsync, latency, stats, .. } = *state;
        *state = State { epoch: epoch + 1, lying_fsync, latency, stats, ..State::default() };
    }

    /// Who lives on it; `None`: nobody yet.
    pub fn identity(&self) -> Option<Identity> {
        self.state().identity.clone()
    }

    /// Flushes fail from now on (and stay failed for the running boot).
    pub fn set_fail_flush(&self, fail: bool) {
        self.state().fail_flush = fail;
    }

    /// Flushes and file saves report success and do nothing: what a bad disk or a missing fsync looks like.
    pub fn set_lying_fsync(&self, lie: bool) {
        self.state().lying_fsync = lie;
    }

    /// Writes fail for want of room.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.state().full
    }

    /// A flush takes between `min` and `max`.
    pub fn set_latency(&self, min: Duration, max: Duration) {
        self.state().latency = (min, max.max(min));
    }

    /// Flips one bit of one durable value or file; `choice` chooses. Says which; `None` if there is nothing.
    pub fn flip_bit(&self, choice: u64) -> Option<String> {
        let mut state = self.state();
        let state = &mut *state;
        let count = (state.durable.len() + state.files_durable.len()) as u64;
        let nth = usize::try_from(choice.checked_rem(count)?).ok()?;
        if let Some((key, value)) = state.durable.iter_mut().nth(nth) {
            flip(value, choice / count);
            state.visible.insert(key.clone(), value.clone());
            return Some(format!("value of {key:?}"));
        }
        let (name, bytes) = state.files_durable.iter_mut().nth(nth - state.durable.len())?;
        flip(bytes, choice / count);
        state.files.insert(name.clone(), bytes.clone());
        Some(format!("snapshot {name}"))
    }

    /// What happened so far.
    pub fn stats(&self) -> SimStats {
        self.state().stats
    }
}

fn flip(bytes: &mut [u8], choice: u64) {
    let bits = bytes.len() as u64 * 8;
    if let Some(bit) = choice.checked_rem(bits)
        && let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at))
    {
        *byte ^= 1 << (bit % 8);
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
}
