//! What becomes of the requests that ramps lead somewhere: how many there are, and how many fail.
//!
//! Each core counts in a tally of its own, which nobody else writes; whoever wants to know adds them up. A request whose
//! route has no ramp that is watched pays for a look at an `Option`.
//!
//! A tally is of one step of one ramp. When the step is over, requests that are still under way go on counting in it,
//! and nobody reads it any more: what an older step's destinations did says nothing about the shares of now.

mod call;

pub(crate) use call::{CountedCall, is_failure};

use quorate_model::{ErrorsSeen, LogIndex, RampCounted, RampSubject, Ramping};
use quorate_rt::published::Published;
use quorate_state::View;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A step of a ramp.
type Step = (RampSubject, LogIndex, u16);

/// Of each step what each core has counted.
type Tallies = BTreeMap<Step, Vec<(usize, Arc<Tally>)>>;

/// The tallies of a node's cores.
#[derive(Clone)]
pub struct Ramps {
    view: Arc<Published<View>>,
    tallies: Arc<Mutex<Tallies>>,
    cores: Arc<AtomicUsize>,
}

/// One core's way to its tallies.
pub(crate) struct RampsOfCore {
    ramps: Ramps,
    core: usize,
}

/// What one core has counted of one step, destination by destination.
#[derive(Debug)]
pub(crate) struct Tally(Box<[Counts]>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
}

impl Ramps {
    pub(crate) fn new(view: Arc<Published<View>>) -> Self {
        Self { view, tallies: Arc::default(), cores: Arc::default() }
    }

    /// For one core more.
    pub(crate) fn add_core(&self) -> RampsOfCore {
        RampsOfCore { ramps: self.clone(), core: self.cores.fetch_add(1, Ordering::Relaxed) }
    }

    /// What was counted of the steps that stand and are watched, since each began. Others are forgotten.
    pub fn counted(&self) -> Vec<RampCounted> {
        let view = self.view.get();
        let mut tallies = self.tallies();
        tallies.retain(|step, _| stands(&view, step));
        let sum = |((subject, epoch, entered), tallies): (&Step, &Vec<(usize, Arc<Tally>)>)| RampCounted {
            subject: subject.clone(),
            epoch: *epoch,
            entered: *entered,
            seen: sum(tallies.iter().map(|(_, tally)| &**tally)),
        };
        tallies.iter().map(sum).collect()
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stands(view: &View, (subject, epoch, entered): &Step) -> bool {
    view.ramp(subject).is_some_and(|ramping| {
        ramping.watch.is_some() && (ramping.state.epoch, ramping.state.entered) == (*epoch, *entered)
    })
}

fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Vec<ErrorsSeen> {
    let mut all = BTreeMap::<u16, (u64, u64)>::new();
    for tally in tallies {
        for (nth, counts) in (0..).zip(&tally.0) {
            let (failures, requests) = all.entry(nth).or_default();
            // In this order: what fails in between is in both or only in the requests.
            *failures += counts.failures.load(Ordering::Acquire);
            *requests += counts.requests.load(Ordering::Acquire);
        }
    }
    let seen = all.into_iter().filter(|(_, (_, requests))| *requests > 0);
    seen.map(|(destination, (failures, requests))| ErrorsSeen { destination, failures, requests }).collect()
}

impl RampsOfCore {
    /// Where this core counts the requests of a ramp; `None`: nobody wants to know.
    pub fn tally(&self, ramping: &Ramping) -> Option<Arc<Tally>> {
        ramping.watch?;
        let step = (ramping.subject.clone(), ramping.state.epoch, ramping.state.entered);
        let mut tallies = self.ramps.tallies();
        let of_step = tallies.entry(step).or_default();
        if let Some((_, tally)) = of_step.iter().find(|(core, _)| *core == self.core) {
            return Some(tally.clone());
        }
        let tally = Arc::new(Tally::of(ramping.destinations.len()));
        of_step.push((self.core, tally.clone()));
        Some(tally)
    }
}

impl Tally {
    fn of(destinations: usize) -> Self {
        Self((0..destinations).map(|_| Counts::default()).collect())
    }

    /// A destination answered, or did not.
    pub fn count(&self, destination: usize, failed: bool) {
        let Some(counts) = self.0.get(destination) else { return };
        counts.requests.fetch_add(1, Ordering::Release);
        if failed {
            counts.failures.fetch_add(1, Ordering::Release);
        }
    }
}
