//! What each strategy promises, measured on fixed seeds: each test has one course only, and its margins are several
//! deviations wide, so that another hash or another order of draws would not break it.

use super::*;
use crate::pick::next_random;
use std::{cell::RefCell, collections::BTreeMap};

mod hashing;
mod order;
mod shares;

type Who = u32;

/// Member `w<nth>`: live, well, of weight 100, without a zone, and there for long.
fn member(nth: Who) -> Member<Who> {
    Member {
        who: nth,
        id: key::hash(format!("w{nth}").as_bytes()),
        rank: Rank::Live,
        weight: 100,
        zone: None,
        verdict: Verdict::Healthy,
        since_ms: None,
    }
}

fn options(strategy: Strategy) -> Options {
    Options { strategy, ..Options::default() }
}

const ALL: [Strategy; 5] = [
    Strategy::RoundRobin,
    Strategy::LeastConnections,
    Strategy::SourceIp,
    Strategy::ConsistentHash,
    Strategy::PeakEwma,
];

/// A core at work: what it has given to whom, and how fast each is.
struct Core {
    table: Table<Who>,
    state: State,
    chance: u64,
    now_ms: u64,
    mode: Mode,
    in_flight: RefCell<BTreeMap<Who, u32>>,
    latency: BTreeMap<Who, u32>,
    out: Vec<Who>,
    ejected: Vec<Who>,
}

impl Core {
    fn new(members: Vec<Member<Who>>, options: Options) -> Self {
        Self {
            table: Table::new(members, options),
            state: State::new(5),
            chance: 11,
            now_ms: 1_000_000,
            mode: Mode::Calm,
            in_flight: RefCell::default(),
            latency: BTreeMap::new(),
            out: Vec::new(),
            ejected: Vec::new(),
        }
    }

    fn even(count: u32, strategy: Strategy) -> Self {
        Self::new((0..count).map(member).collect(), options(strategy))
    }

    /// One request, by a random key.
    fn pick(&mut self) -> Option<Who> {
        let key = next_random(&mut self.chance);
        self.pick_by(key)
    }

    fn pick_by(&mut self, key: u64) -> Option<Who> {
        let ask = Ask { entropy: next_random(&mut self.chance), key, now_ms: self.now_ms, mode: self.mode };
        let standing = |who: &Who| {
            let in_flight = self.in_flight.borrow().get(who).copied().unwrap_or(0);
            if self.out.contains(who) {
                Standing::Out
            } else if self.ejected.contains(who) {
                Standing::Ejected { in_flight }
            } else {
                Standing::Open { in_flight }
            }
        };
        let latency = |who: &Who| self.latency.get(who).copied();
        self.table.pick(&ask, &mut self.state, standing, latency).map(|member| member.who)
    }

    /// One request that is not done.
    fn give(&mut self) -> Who {
        let who = self.pick().expect("somebody");
        *self.in_flight.get_mut().entry(who).or_default() += 1;
        who
    }

    /// How many of `count` requests each gets that are done before the next one comes.
    fn shares(&mut self, count: u32) -> BTreeMap<Who, u32> {
        let mut shares = BTreeMap::new();
        for _ in 0..count {
            *shares.entry(self.pick().expect("somebody")).or_default() += 1;
        }
        shares
    }

    /// How many each has after `count` requests that are not done.
    fn burst(&mut self, count: u32) -> BTreeMap<Who, u32> {
        (0..count).for_each(|_| _ = self.give());
        self.in_flight.borrow().clone()
    }
}

/// Whether a count is what was expected, to within `percent` of it.
fn near(count: u32, expected: u32, percent: u32) -> bool {
    u64::from(count.abs_diff(expected)) * 100 <= u64::from(expected) * u64::from(percent)
}
