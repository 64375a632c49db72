//! One choice among the members of a group.

use super::{Ask, Group, Level, Member, Mode, Standing, State, Strategy, Table, key, ramp};
use crate::pick::{below, next_random};

/// How often a member is drawn anew, because it is not there or too fresh, before all are asked.
const DRAWS_MAX: usize = 8;
/// How many members least-connections looks at.
const LOOKED_AT: usize = 64;
/// Latencies that differ by less than one part in so many are as good.
const NEAR: u64 = 4;

pub(super) struct Choice<'a, T, S, L> {
    pub table: &'a Table<T>,
    pub ask: &'a Ask,
    pub chance: u64,
    pub standing: S,
    pub latency: L,
}

/// A member that may be asked: where it is in the group, and what it has to do.
#[derive(Clone, Copy)]
struct Found {
    nth: usize,
    in_flight: u32,
}

impl<T, S, L> Choice<'_, T, S, L>
where
    S: Fn(&T) -> Standing,
    L: Fn(&T) -> Option<u32>,
{
    /// Where in the table.
    pub fn of_level(&mut self, level: &Level, state: &mut State) -> Option<usize> {
        let Level { near, far, stays } = level;
        let groups = if self.happens(*stays, ramp::WHOLE) { [near, far] } else { [far, near] };
        groups.into_iter().find_map(|group| self.of_group(group, state))
    }

    fn of_group(&mut self, group: &Group, state: &mut State) -> Option<usize> {
        if group.at.is_empty() {
            return None;
        }
        let nth = match self.table.options.strategy {
            Strategy::RoundRobin => self.next(group, state),
            Strategy::LeastConnections => self.least(group),
            Strategy::SourceIp | Strategy::ConsistentHash => self.owner(group),
            Strategy::PeakEwma => self.better_of_two(group),
        }?;
        Some(group.at[nth] as usize)
    }

    /// Round-robin.
    fn next(&self, group: &Group, state: &mut State) -> Option<usize> {
        let weight = |nth: usize| self.weight(group, nth);
        state.turns(group, weight).next(weight, |nth| self.look(group, nth).is_some())
    }

    /// The fewest requests for its weight; among equals chance decides by weight.
    fn least(&mut self, group: &Group) -> Option<usize> {
        let count = group.at.len();
        if count > LOOKED_AT {
            // By weight already, so a request counts for one whatever the weight of who has none.
            let mut drawn = [0; LOOKED_AT];
            drawn.fill_with(|| group.alias.draw(self.random()));
            if let Some(least) = self.least_of(group, drawn.into_iter()) {
                return Some(least);
            }
        }
        self.least_of(group, 0..count)
    }

    fn least_of(&mut self, group: &Group, among: impl Iterator<Item = usize>) -> Option<usize> {
        let is_drawn = group.at.len() > LOOKED_AT;
        // Who, its requests, its weight; and the weight of all that are equal to it.
        let mut best: Option<(usize, u64, u64)> = None;
        let mut equals = 0;
        for nth in among {
            let Some(found) = self.look(group, nth) else { continue };
            let (requests, weight) = (u64::from(found.in_flight), self.weight(group, nth).max(1));
            let share = if is_drawn { self.share(group, nth).into() } else { weight };
            let order = best.map(|(_, least, of)| {
                (u128::from(requests) * u128::from(of)).cmp(&(u128::from(least) * u128::from(weight)))
            });
            match order {
                Some(std::cmp::Ordering::Greater) => {}
                // As likely as its part of the weight of all equals so far.
                Some(std::cmp::Ordering::Equal) => {
                    equals += share;
                    if wide_below(self.random(), equals) < share {
                        best = Some((nth, requests, weight));
                    }
                }
                Some(std::cmp::Ordering::Less) | None => {
                    equals = share;
                    best = Some((nth, requests, weight));
                }
            }
        }
        best.map(|(nth, ..)| nth)
    }

    /// Who owns the key; if that one is not there, who owns the key's next hash. So the keys of one that is out spread
    /// over all others, and every node spreads them alike.
    fn owner(&self, group: &Group) -> Option<usize> {
        let maglev = group.maglev(&self.table.members);
        let mut key = self.ask.key;
        for _ in 0..DRAWS_MAX {
            let owner = maglev.owner(key);
            if self.look(group, owner).is_some() {
                return Some(owner);
            }
            key = next_random(&mut key);
        }
        let is_there = |nth: &usize| self.look(group, *nth).is_some();
        let rendezvous = |nth: &usize| {
            let id = self.member(group, *nth).id;
            key::hash(&[id.to_le_bytes(), self.ask.key.to_le_bytes()].concat())
        };
        (0..group.at.len()).filter(is_there).max_by_key(rendezvous)
    }

    /// The better of two that are drawn by weight.
    fn better_of_two(&mut self, group: &Group) -> Option<usize> {
        let Some(first) = self.first(group) else { return self.any(group) };
        let Some(second) = self.second(group, first) else { return Some(first.nth) };
        Some(if self.is_better(group, second, first) { second.nth } else { first.nth })
    }

    /// Fewer requests for its weight, each as long as it takes there. Latencies that are near each other are as good,
    /// so that between equals the draw decides, which went by weight: a hair's breadth would otherwise give all
    /// requests to one of two that are idle.
    fn is_better(&self, group: &Group, a: Found, b: Found) -> bool {
        let latency = |found: Found| (self.latency)(&self.member(group, found.nth).who);
        let weight = |found: Found| u128::from(self.weight(group, found.nth).max(1));
        let (of_a, of_b) = (weight(a), weight(b));
        let (us_a, us_b) = match (latency(a), latency(b)) {
            (Some(a), Some(b)) if u64::from(a.abs_diff(b)) * NEAR >= u64::from(a.max(b)) => (a, b),
            (Some(_), Some(_)) | (None, _) | (_, None) => {
                return u128::from(a.in_flight) * of_b < u128::from(b.in_flight) * of_a;
            }
        };
        // The weights were in the draw already; here they weigh only what each has. One request more than it has, or
        // an idle one would be the better one however slow it is.
        let cost = |us: u32, in_flight: u32, own: u128, other: u128| {
            u128::from(us) * (2 * own * other + u128::from(in_flight) * (own + other) * other)
        };
        cost(us_a, a.in_flight, of_a, of_b) < cost(us_b, b.in_flight, of_b, of_a)
    }

    /// Drawn by weight, as far as it has been started.
    fn first(&mut self, group: &Group) -> Option<Found> {
        let mut fresh = None;
        for _ in 0..DRAWS_MAX {
            let nth = group.alias.draw(self.random());
            let Some(found) = self.look(group, nth) else { continue };
            if self.happens(self.share(group, nth), ramp::WHOLE) {
                return Some(found);
            }
            fresh = Some(found);
        }
        fresh
    }

    /// Another one. A fresh one is idle, and would win: so it comes into it no more often than its share says, beside
    /// that of the first. Where all are fresh that is always.
    fn second(&mut self, group: &Group, first: Found) -> Option<Found> {
        let share = self.share(group, first.nth);
        for _ in 0..DRAWS_MAX {
            let nth = if group.at.len() == 2 { 1 - first.nth } else { group.alias.draw(self.random()) };
            if nth == first.nth {
                continue;
            }
            if let Some(found) = self.look(group, nth) {
                return Some(found).filter(|_| self.happens(self.share(group, nth), share));
            }
        }
        None
    }

    /// With a chance of `share` in `of`.
    fn happens(&mut self, share: u32, of: u32) -> bool {
        share >= of || (below(self.random(), of as usize) as u32) < share
    }

    /// Any that is there, from a random place on: for when nearly nobody is.
    fn any(&mut self, group: &Group) -> Option<usize> {
        let (count, from) = (group.at.len(), below(self.random(), group.at.len()));
        (from..from + count).map(|nth| nth % count).find(|nth| self.look(group, *nth).is_some())
    }

    fn look(&self, group: &Group, nth: usize) -> Option<Found> {
        match ((self.standing)(&self.member(group, nth).who), self.ask.mode) {
            (Standing::Open { in_flight }, _) | (Standing::Ejected { in_flight }, Mode::Panic) => {
                Some(Found { nth, in_flight })
            }
            (Standing::Out, _) | (Standing::Ejected { .. }, Mode::Calm) => None,
        }
    }

    /// In thousandths, as far as it has been started.
    fn weight(&self, group: &Group, nth: usize) -> u64 {
        self.member(group, nth).effective_weight(self.ask.now_ms, self.table.options.slow_start_ms)
    }

    fn share(&self, group: &Group, nth: usize) -> u32 {
        self.member(group, nth).share(self.ask.now_ms, self.table.options.slow_start_ms)
    }

    fn member(&self, group: &Group, nth: usize) -> &Member<T> {
        &self.table.members[group.at[nth] as usize]
    }

    fn random(&mut self) -> u64 {
        next_random(&mut self.chance)
    }
}

fn wide_below(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}
