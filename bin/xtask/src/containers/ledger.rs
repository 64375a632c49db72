//! What clients saw, with the time of each: what failed, what was acknowledged, in which phase.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock::now;

/// How long all writers may wait for an acknowledgement in any phase.
///
/// After kill -9 that is an election: some seconds where nothing else runs. On two cores that also build, probe and
/// log, a vote that comes too late costs a second round, and a node may answer only after its own limit of 5 s. What
/// lasts longer than this was not an election but a cluster that stood still.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Routed to a worker.
    Request,
    /// A registration or a heartbeat.
    Write,
}

/// Something that did not succeed at its only try.
#[derive(Clone, Debug)]
pub struct Miss {
    /// When it was sent.
    pub at: Instant,
    /// When it had failed.
    pub until: Instant,
    pub node: String,
    pub kind: Kind,
    pub why: String,
}

/// A registration that the cluster answered for.
#[derive(Clone, Debug)]
pub struct Ack {
    pub worker: String,
    pub epoch: u64,
    /// When the answer came.
    pub at: Instant,
}

/// Failures that a phase allows.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    Nothing,
    /// Whatever goes to this node, and writes through any, which wait for an election or are refused.
    /// Requests through the others never fail.
    Around(&'static str),
    /// Writes to this node only.
    WritesTo(&'static [&'static str]),
}

impl Allowed {
    fn permits(self, miss: &Miss) -> bool {
        match self {
            Self::Nothing => false,
            Self::Around(node) => miss.node == node || miss.kind == Kind::Write,
            Self::WritesTo(nodes) => miss.kind == Kind::Write && nodes.contains(&miss.node.as_str()),
        }
    }
}

/// A stretch of the test.
#[derive(Clone, Debug)]
pub struct Phase {
    pub name: &'static str,
    pub allowed: Allowed,
    from: Instant,
    to: Instant,
    requests: u64,
    writes: u64,
}

/// Everything that clients saw.
#[derive(Default)]
pub struct Ledger {
    requests: AtomicU64,
    writes: AtomicU64,
    misses: Mutex<Vec<Miss>>,
    acks: Mutex<Vec<Ack>>,
    phases: Mutex<Vec<Phase>>,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// One that succeeded.
    pub fn succeeded(&self, kind: Kind) {
        self.counter(kind).fetch_add(1, Ordering::Relaxed);
    }

    /// One that did not.
    pub fn missed(&self, miss: Miss) {
        self.counter(miss.kind).fetch_add(1, Ordering::Relaxed);
        open(&self.misses).push(miss);
    }

    pub fn acknowledged(&self, ack: Ack) {
        self.succeeded(Kind::Write);
        open(&self.acks).push(ack);
    }

    fn counter(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Request => &self.requests,
            Kind::Write => &self.writes,
        }
    }

    pub fn acks(&self) -> Vec<Ack> {
        open(&self.acks).clone()
    }

    /// Runs a stretch of the test under its name.
    pub fn phase<T, E>(
        &self,
        name: &'static str,
        allowed: Allowed,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let (from, before) = (now(), self.counts());
        let result = work();
        let (to, after) = (now(), self.counts());
        let phase =
            Phase { name, allowed, from, to, requests: after.0 - before.0, writes: after.1 - before.1 };
        eprintln!("containers: {}", self.line(&phase));
        open(&self.phases).push(phase);
        result
    }

    fn counts(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed))
    }

    fn misses_in(&self, phase: &Phase) -> Vec<Miss> {
        let within = |miss: &&Miss| phase.from <= miss.at && miss.at < phase.to;
        open(&self.misses).iter().filter(within).cloned().collect()
    }

    /// The longest time in a phase without an acknowledgement.
    fn longest_pause(&self, phase: &Phase) -> Duration {
        let acks = open(&self.acks);
        let within = acks.iter().map(|ack| ack.at).filter(|at| phase.from < *at && *at < phase.to);
        let times: Vec<_> = std::iter::once(phase.from).chain(within).chain([phase.to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn line(&self, phase: &Phase) -> String {
        let misses = self.misses_in(phase);
        let of = |kind: Kind| misses.iter().filter(|miss| miss.kind == kind).count();
        format!(
            "{:<34} {:>6.1} s {:>7} requests {:>4} failed {:>6} writes {:>4} failed, longest pause {:>5} ms",
            phase.name,
            (phase.to - phase.from).as_secs_f64(),
            phase.requests,
            of(Kind::Request),
            phase.writes,
            of(Kind::Write),
            self.longest_pause(phase).as_millis(),
        )
    }

    /// One line for each phase.
    pub fn table(&self) -> String {
        let phases = open(&self.phases).clone();
        phases.iter().fold(String::new(), |mut table, phase| {
            writeln!(table, "{}", self.line(phase)).expect("a String takes everything");
            table
        })
    }

    /// What must not have been, each with its phase: failures and long pauses.
    pub fn forbidden(&self) -> Vec<String> {
        [self.failures(), self.pauses()].concat()
    }

    /// Phases in which nobody could write for too long.
    fn pauses(&self) -> Vec<String> {
        let phases = open(&self.phases).clone();
        let pauses = phases.iter().map(|phase| (phase.name, self.longest_pause(phase)));
        let long = pauses.filter(|(_, pause)| *pause > PAUSE_MAX);
        let told = |(name, pause)| format!("{name}: no write for {pause:.1?}; allowed: {PAUSE_MAX:?}");
        long.map(told).collect()
    }

    /// What failed and must not have. A failure outside of all phases is one too.
    fn failures(&self) -> Vec<String> {
        let phases = open(&self.phases).clone();
        let misses = open(&self.misses).clone();
        let told = misses.iter().filter_map(|miss| {
            // One that was under way when a fault came is of two phases.
            let mut of = phases.iter().filter(|phase| phase.from <= miss.until && miss.at < phase.to);
            if of.clone().any(|phase| phase.allowed.permits(miss)) {
                return None;
            }
            let name = of.next().map_or("between phases", |phase| phase.name);
            Some(format!("{name}: {:?} through {}: {}", miss.kind, miss.node, miss.why))
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(node: &str, kind: Kind) -> Miss {
        Miss { at: now(), until: now(), node: node.to_owned(), kind, why: "refused".to_owned() }
    }

    fn after(allowed: Allowed, misses: &[Miss]) -> Vec<String> {
        let ledger = Ledger::default();
        let work = || {
            for miss in misses {
                ledger.missed(Miss { at: now(), until: now(), ..miss.clone() });
            }
            Ok::<_, ()>(())
        };
        ledger.phase("phase", allowed, work).expect("it can't fail");
        ledger.forbidden()
    }

    #[test]
    fn a_single_failed_request_is_told_where_none_is_allowed() {
        let told = after(Allowed::Nothing, &[miss("n1", Kind::Request)]);
        assert_eq!(told, ["phase: Request through n1: refused"]);
        assert_eq!(after(Allowed::Nothing, &[miss("n1", Kind::Write)]).len(), 1);
    }

    #[test]
    fn around_a_dead_node_requests_through_the_others_still_may_not_fail() {
        let all = [miss("n2", Kind::Request), miss("n1", Kind::Write), miss("n1", Kind::Request)];
        assert_eq!(after(Allowed::Around("n2"), &all), ["phase: Request through n1: refused"]);
    }

    #[test]
    fn what_was_under_way_when_a_node_died_failed_with_it() {
        let ledger = Ledger::default();
        let at = now();
        ledger.phase("calm", Allowed::Nothing, || Ok::<_, ()>(())).expect("it can't fail");
        let work = || {
            for node in ["n1", "n2"] {
                let (node, why) = (node.to_owned(), "reset".to_owned());
                ledger.missed(Miss { at, until: now(), node, kind: Kind::Request, why });
            }
            Ok::<_, ()>(())
        };
        ledger.phase("kill", Allowed::Around("n2"), work).expect("it can't fail");
        assert_eq!(ledger.forbidden(), ["calm: Request through n1: reset"]);
    }

    #[test]
    fn a_failure_between_phases_is_told_too() {
        let ledger = Ledger::default();
        ledger.missed(miss("n1", Kind::Write));
        assert_eq!(ledger.forbidden(), ["between phases: Write through n1: refused"]);
    }

    #[test]
    fn a_pause_is_measured_from_the_beginning_of_a_phase_to_its_end() {
        let ledger = Ledger::default();
        let from = now();
        let at = |ms: u64| from + Duration::from_millis(ms);
        for ms in [100, 130, 900] {
            ledger.acknowledged(Ack { worker: "w".to_owned(), epoch: 1, at: at(ms) });
        }
        let phase = |to: u64| Phase {
            name: "p",
            allowed: Allowed::Nothing,
            from,
            to: at(to),
            requests: 0,
            writes: 0,
        };
        assert_eq!(ledger.longest_pause(&phase(1_000)).as_millis(), 770);
        assert_eq!(ledger.longest_pause(&phase(3_000)).as_millis(), 2_100);
    }

    #[test]
    fn a_phase_in_which_nobody_could_write_for_long_is_told() {
        let ledger = Ledger::default();
        let from = now();
        let at = |s: u64| from + Duration::from_secs(s);
        for s in [1, 16, 57] {
            ledger.acknowledged(Ack { worker: "w".to_owned(), epoch: 1, at: at(s) });
        }
        let allowed = Allowed::Around("n2");
        for (name, from, to) in [("roll", at(0), at(16)), ("kill", at(16), at(57))] {
            open(&ledger.phases).push(Phase { name, allowed, from, to, requests: 0, writes: 0 });
        }
        assert_eq!(ledger.forbidden(), ["kill: no write for 41.0s; allowed: 15s"]);
    }
}
