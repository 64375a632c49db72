//! What nodes have counted of the requests that ramps lead somewhere. Pure: the time is an argument.
//!
//! A node counts since a step began, and tells what of it is within the ramp's window: it keeps some of its own sums of
//! earlier, and takes the one off that is as old as the window. It tells all of it each time, so what is lost is told
//! again a second later, and whoever leads has it.

use crate::lease::Millis;
use quorate_model::{ErrorsSeen, LogIndex, NodeId, RampCounted, RampSubject};
use std::collections::{BTreeMap, VecDeque};

/// How many sums a window is made of.
const SUMS: Millis = 20;
/// The word of a node that has told nothing for so long counts no more.
const KEPT: Millis = 10_000;
/// Most steps that one node's word may be about. More: the rest is not heard.
pub(crate) const TOLD_MAX: usize = 10_000;

/// A step of a ramp.
pub(crate) type Step = (RampSubject, LogIndex, u16);

/// Failures and requests, by destination.
type Sums = BTreeMap<u16, (u64, u64)>;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct RampTable {
    own: BTreeMap<Step, History>,
    told: BTreeMap<NodeId, (Millis, Vec<RampCounted>)>,
}

/// One node's sums of one step.
#[derive(Debug)]
struct History {
    /// The first one is what is taken off: it is as old as the window, or from the beginning.
    earlier: VecDeque<(Millis, Sums)>,
    now: Sums,
}

impl RampTable {
    /// What this node has counted since each step began; what is not in it is over. `window` says how long that of a
    /// ramp is.
    pub fn count(
        &mut self,
        counted: Vec<RampCounted>,
        window: impl Fn(&RampSubject) -> Option<Millis>,
        now: Millis,
    ) {
        let mut before = std::mem::take(&mut self.own);
        for one in counted {
            let Some(window) = window(&one.subject) else { continue };
            let step = (one.subject, one.epoch, one.entered);
            let mut history = before.remove(&step).unwrap_or_else(|| History::new(now));
            history.add(sums(&one.seen), (window, now));
            self.own.insert(step, history);
        }
    }

    /// Whether this node counts nothing.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// What this node tells.
    pub fn own(&self) -> Vec<RampCounted> {
        let told = self.own.iter().map(|((subject, epoch, entered), history)| RampCounted {
            subject: subject.clone(),
            epoch: *epoch,
            entered: *entered,
            seen: seen(history.within()),
        });
        told.filter(|one| !one.seen.is_empty()).take(TOLD_MAX).collect()
    }

    /// What another node tells, in the place of what it told before.
    pub fn learn(&mut self, node: NodeId, mut counted: Vec<RampCounted>, now: Millis) {
        counted.truncate(TOLD_MAX);
        self.told.retain(|_, (at, _)| now.saturating_sub(*at) < KEPT);
        self.told.insert(node, (now, counted));
    }

    /// All nodes together.
    pub fn total(&mut self, now: Millis) -> BTreeMap<Step, Vec<ErrorsSeen>> {
        self.told.retain(|_, (at, _)| now.saturating_sub(*at) < KEPT);
        let own = self.own.iter().map(|(step, history)| (step.clone(), history.within()));
        let told = self.told.values().flat_map(|(_, counted)| counted);
        let told = told.map(|one| ((one.subject.clone(), one.epoch, one.entered), sums(&one.seen)));
        let mut all = BTreeMap::<Step, Sums>::new();
        for (step, sums) in own.chain(told) {
            let of_step = all.entry(step).or_default();
            for (destination, (failures, requests)) in sums {
                let sum = of_step.entry(destination).or_default();
                *sum = (sum.0.saturating_add(failures), sum.1.saturating_add(requests));
            }
        }
        all.into_iter().map(|(step, sums)| (step, seen(sums))).collect()
    }
}

impl History {
    fn new(now: Millis) -> Self {
        Self { earlier: [(now, Sums::new())].into(), now: Sums::new() }
    }

    fn add(&mut self, sums: Sums, (window, now): (Millis, Millis)) {
        if self.earlier.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= window / SUMS) {
            self.earlier.push_back((now, sums.clone()));
        }
        // The newest that is as old as the window, and those after it.
        while self.earlier.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= window) {
            self.earlier.pop_front();
        }
        self.now = sums;
    }

    fn within(&self) -> Sums {
        let before = self.earlier.front().map(|(_, sums)| sums);
        let of =
            |destination: &u16| before.and_then(|sums| sums.get(destination)).copied().unwrap_or_default();
        let left = self.now.iter().map(|(destination, (failures, requests))| {
            let before = of(destination);
            (*destination, (failures.saturating_sub(before.0), requests.saturating_sub(before.1)))
        });
        left.filter(|(_, (_, requests))| *requests > 0).collect()
    }
}

fn sums(seen: &[ErrorsSeen]) -> Sums {
    seen.iter().map(|one| (one.destination, (one.failures, one.requests))).collect()
}

fn seen(sums: Sums) -> Vec<ErrorsSeen> {
    let one = |(destination, (failures, requests))| ErrorsSeen { destination, failures, requests };
    sums.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::RouteName;

    const WINDOW: Millis = 60_000;

    fn subject() -> RampSubject {
        RampSubject::Route(RouteName::parse("r").expect("valid"))
    }

    fn counted(entered: u16, failures: u64, requests: u64) -> Vec<RampCounted> {
        let seen = vec![ErrorsSeen { destination: 1, failures, requests }];
        vec![RampCounted { subject: subject(), epoch: LogIndex(5), entered, seen }]
    }

    fn count(table: &mut RampTable, (failures, requests): (u64, u64), at: Millis) {
        table.count(counted(1, failures, requests), |_| Some(WINDOW), at);
    }

    /// Failures and requests of step 1.
    fn total(table: &mut RampTable, at: Millis) -> Option<(u64, u64)> {
        let total = table.total(at);
        let seen = total.get(&(subject(), LogIndex(5), 1))?.first()?;
        Some((seen.failures, seen.requests))
    }

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let mut table = RampTable::default();
        (0..=60).for_each(|second| count(&mut table, (second, 10 * second), second as Millis * 1_000));
        assert_eq!(total(&mut table, 60_000), Some((60, 600)), "all of it is within");
        (61..=200).for_each(|second| count(&mut table, (60, 10 * second), second as Millis * 1_000));
        let (failures, requests) = total(&mut table, 200_000).expect("there are requests");
        assert_eq!(failures, 0, "the last one was more than a minute ago");
        assert!((600..=630).contains(&requests), "{requests} of a window and one sum more at most");
        assert!(table.own.values().all(|history| history.earlier.len() <= 22), "{table:?}");
    }

    #[test]
    fn nodes_are_added_up_and_the_silent_ones_left_out() {
        let mut table = RampTable::default();
        count(&mut table, (1, 10), 0);
        table.learn(NodeId(2), counted(1, 2, 20), 0);
        table.learn(NodeId(2), counted(1, 3, 30), 1_000);
        table.learn(NodeId(3), counted(1, 0, 5), 6_000);
        assert_eq!(
            total(&mut table, 6_000),
            Some((4, 45)),
            "what is told again takes the place of the word before"
        );
        assert_eq!(total(&mut table, 11_000), Some((1, 15)), "one has fallen silent");
    }

    #[test]
    fn another_step_begins_with_nothing() {
        let mut table = RampTable::default();
        count(&mut table, (9, 90), 0);
        table.count(counted(2, 0, 3), |_| Some(WINDOW), 1_000);
        assert_eq!(total(&mut table, 1_000), None);
        assert_eq!(table.own().len(), 1);
        table.count(counted(2, 0, 3), |_| None, 2_000);
        assert!(table.own().is_empty(), "nobody watches it any more");
    }
}
