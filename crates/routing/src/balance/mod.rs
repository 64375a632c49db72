//! Which endpoint gets a request, by the strategy that an operator has named.
//!
//! A choice narrows down in this order, and takes the next step only when nobody of the one before is left:
//!
//! 1. who has failed this request already, or may not be asked ([`Standing::Out`]), is out;
//! 2. those that are well; when so many are ejected that the rest would drown, all ([`Mode::Panic`]);
//! 3. [`Rank`]: live before suspect, and in either a worker of weight 0 only after the others;
//! 4. the own zone before the others, where that is wanted ([`zone`]);
//! 5. the [`Strategy`].
//!
//! | strategy | promises | a choice costs |
//! |---|---|---|
//! | [`Strategy::RoundRobin`] | turns in proportion to weight, evenly spread ([`turns`]) | O(log n) |
//! | [`Strategy::LeastConnections`] | the fewest requests for its weight: of all, or of 64 random ones where there are more | O(64) |
//! | [`Strategy::SourceIp`], [`Strategy::ConsistentHash`] | one endpoint per key on all nodes; when one of n goes, about 1/n of the keys move ([`maglev`]) | O(1) |
//! | [`Strategy::PeakEwma`] | the better of two random ones by requests and latency ([`ewma`]) | O(1) |
//!
//! Both hash strategies use one table; they differ in what is hashed, which is the caller's to do ([`key::hash`]).
//!
//! A [`Table`] is made of one version of a service and never changes; what a core learns ([`State`], latencies, who is
//! ejected) is apart from it. So a table can be shared, and what changes with each request is never copied.
//!
//! Of very many endpoints least-connections looks at 64 only: the least of 64 random ones is among the least
//! loaded 3 % nearly always, and a heap of all by requests would have to be moved with each answer too.

mod alias;
mod choose;
pub mod ewma;
pub mod key;
mod maglev;
pub mod ramp;
mod turns;
pub mod zone;

use crate::{pick::Rank, pick::next_random};
use alias::Alias;
use choose::Choice;
use maglev::{Claim, Maglev};
use quorate_model::Verdict;
use std::{collections::BTreeSet, sync::OnceLock};
use turns::Turns;

/// How an endpoint is chosen among equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests.
    LeastConnections,
    /// By the client's address.
    SourceIp,
    /// By a key of the request.
    ConsistentHash,
    /// The better of two random ones.
    #[default]
    PeakEwma,
}

impl Strategy {
    /// Whether a request's key decides.
    pub fn hashes(self) -> bool {
        match self {
            Self::SourceIp | Self::ConsistentHash => true,
            Self::RoundRobin | Self::LeastConnections | Self::PeakEwma => false,
        }
    }
}

/// How a table is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Among equals.
    pub strategy: Strategy,
    /// The own zone's hash, if it is preferred.
    pub zone: Option<u64>,
    /// How long a fresh endpoint's share grows; 0: it has all at once.
    pub slow_start_ms: u32,
    /// Fewer than so many of a hundred are well: panic. 0: never.
    pub panic_percent: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { strategy: Strategy::default(), zone: None, slow_start_ms: 0, panic_percent: PANIC_PERCENT }
    }
}

/// An endpoint that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<T> {
    /// Who, to the caller.
    pub who: T,
    /// The hash of its id: the same on every node.
    pub id: u64,
    /// Whose turn it is first.
    pub rank: Rank,
    /// Its share. 0 is for those in reserve, who share evenly.
    pub weight: u32,
    /// The hash of its zone, if it has one.
    pub zone: Option<u64>,
    /// What the active checks say.
    pub verdict: Verdict,
    /// When it began to take requests, if this node saw it.
    pub since_ms: Option<u64>,
}

impl<T> Member<T> {
    /// In reserve all are alike.
    fn weight(&self) -> u32 {
        if self.weight == 0 { 100 } else { self.weight }
    }

    /// Its weight now, in thousandths.
    fn effective_weight(&self, now_ms: u64, window_ms: u32) -> u64 {
        u64::from(self.weight()) * u64::from(self.share(now_ms, window_ms))
    }

    fn share(&self, now_ms: u64, window_ms: u32) -> u32 {
        self.since_ms.map_or(ramp::WHOLE, |since| ramp::share(now_ms.saturating_sub(since), window_ms))
    }
}

/// How a member stands in the eyes of the asking core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has had this request, or its breaker is open: never now.
    Out,
    /// Its answers were bad: only in a panic.
    Ejected {
        /// How many requests it has.
        in_flight: u32,
    },
    /// It may be asked.
    Open {
        /// How many requests it has.
        in_flight: u32,
    },
}

/// Whether ejections count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    #[default]
    Calm,
    /// Too many are ejected: more likely the judgement is wrong than all of them are, and what is left would drown.
    Panic,
}

/// Fewer than so many of a hundred are well: panic, where nobody says otherwise.
pub const PANIC_PERCENT: u8 = 50;

impl Mode {
    /// Where `well` of `all` are.
    pub fn of(well: usize, all: usize, panic_percent: u8) -> Self {
        if well * 100 < all * usize::from(panic_percent) { Self::Panic } else { Self::Calm }
    }
}

/// What a choice is made for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Randomness of the request's own.
    pub entropy: u64,
    /// The hash of its key. A request without one takes its entropy.
    pub key: u64,
    /// In milliseconds, on the core's clock.
    pub now_ms: u64,
    /// Whether ejections count.
    pub mode: Mode,
}

/// The endpoints of a service, ready for one choice after the other.
#[derive(Clone, Debug)]
pub struct Table<T> {
    options: Options,
    members: Vec<Member<T>>,
    /// Those that are well, by rank.
    well: Vec<Level>,
    /// All, by rank. Made for the first choice in a panic.
    all: OnceLock<Vec<Level>>,
    unwell: usize,
}

/// What one core adds to one table.
#[derive(Clone, Debug, Default)]
pub struct State {
    seed: u64,
    turns: Vec<Turns>,
}

impl State {
    /// `seed` is random: where the rotation begins.
    pub fn new(seed: u64) -> Self {
        Self { seed, turns: Vec::new() }
    }

    /// The rotation of a group; made anew where the table is another one.
    fn turns(&mut self, group: &Group, weight: impl Fn(usize) -> u64) -> &mut Turns {
        if self.turns.len() <= group.nth {
            self.turns.resize_with(group.nth + 1, Turns::default);
        }
        let turns = &mut self.turns[group.nth];
        if turns.len() != group.at.len() {
            *turns = Turns::new(group.at.len(), weight, next_random(&mut self.seed));
        }
        turns
    }
}

/// The members of one rank.
#[derive(Clone, Debug)]
struct Level {
    near: Group,
    far: Group,
    /// How many of a thousand requests go to those that are near.
    stays: u32,
}

/// Members among whom the strategy decides.
#[derive(Clone, Debug)]
struct Group {
    /// Its number among the table's.
    nth: usize,
    /// Which members.
    at: Vec<u32>,
    alias: Alias,
    maglev: OnceLock<Maglev>,
}

impl<T> Table<T> {
    /// Of all that take requests, in any order.
    pub fn new(members: Vec<Member<T>>, options: Options) -> Self {
        let unwell = members.iter().filter(|member| member.verdict == Verdict::Unhealthy).count();
        let well = levels(&members, &options, (0, |member| member.verdict == Verdict::Healthy));
        Self { options, members, well, all: OnceLock::new(), unwell }
    }

    /// In the caller's order.
    pub fn members(&self) -> &[Member<T>] {
        &self.members
    }

    /// How it is used.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many of the members the active checks find unwell.
    pub fn unwell(&self) -> usize {
        self.unwell
    }

    /// Whether too many are ejected, where the core itself has ejected `ejected` of those that the checks find well.
    pub fn mode(&self, ejected: usize) -> Mode {
        let well = self.members.len().saturating_sub(self.unwell + ejected);
        Mode::of(well, self.members.len(), self.options.panic_percent)
    }

    /// Who gets the request. `standing` and `latency` (in microseconds) are what the core knows of a member. `None`:
    /// nobody is left that may be asked.
    pub fn pick(
        &self,
        ask: &Ask,
        state: &mut State,
        standing: impl Fn(&T) -> Standing,
        latency: impl Fn(&T) -> Option<u32>,
    ) -> Option<&Member<T>> {
        let mut choice = Choice { table: self, ask, chance: ask.entropy, standing, latency };
        let levels = match ask.mode {
            Mode::Calm => &self.well,
            Mode::Panic => self.all.get_or_init(|| levels(&self.members, &self.options, (GROUPS, |_| true))),
        };
        levels.iter().find_map(|level| choice.of_level(level, state)).map(|at| &self.members[at])
    }
}

const RANKS: [Rank; 4] = [Rank::Live, Rank::LiveReserve, Rank::Suspect, Rank::SuspectReserve];
/// Two for each rank.
const GROUPS: usize = 2 * RANKS.len();

/// By rank, of those that `belongs` lets in; groups are numbered from `first` on.
fn levels<T>(
    members: &[Member<T>],
    options: &Options,
    (first, belongs): (usize, impl Fn(&Member<T>) -> bool),
) -> Vec<Level> {
    let zone = options.zone.filter(|_| !options.strategy.hashes());
    let is_near = |member: &Member<T>| zone.is_none_or(|zone| member.zone == Some(zone));
    let of_rank = |(nth, rank): (usize, &Rank)| {
        let of = |near: bool| {
            let is_in =
                |member: &Member<T>| member.rank == *rank && belongs(member) && is_near(member) == near;
            let at = (0..members.len()).filter(|at| is_in(&members[*at]));
            Group::new(first + 2 * nth + usize::from(near), members, at.map(|at| at as u32).collect())
        };
        let (near, far) = (of(true), of(false));
        let stays = if zone.is_some() { stays(members, &near) } else { ramp::WHOLE };
        Level { near, far, stays }
    };
    let levels = RANKS.iter().enumerate().map(of_rank);
    levels.filter(|level| !(level.near.at.is_empty() && level.far.at.is_empty())).collect()
}

fn stays<T>(members: &[Member<T>], near: &Group) -> u32 {
    let zones: BTreeSet<_> = members.iter().map(|member| member.zone).collect();
    let weight = |member: &Member<T>| u64::from(member.weight());
    let own = near.at.iter().map(|at| weight(&members[*at as usize])).sum();
    zone::share_that_stays(own, members.iter().map(weight).sum(), zones.len())
}

impl Group {
    fn new<T>(nth: usize, members: &[Member<T>], at: Vec<u32>) -> Self {
        let weights: Vec<u32> = at.iter().map(|at| members[*at as usize].weight()).collect();
        Self { nth, at, alias: Alias::new(&weights), maglev: OnceLock::new() }
    }

    fn maglev<T>(&self, members: &[Member<T>]) -> &Maglev {
        self.maglev.get_or_init(|| {
            let claim = |at: &u32| {
                let member = &members[*at as usize];
                Claim { id: member.id, weight: member.weight() }
            };
            Maglev::new(&self.at.iter().map(claim).collect::<Vec<_>>())
        })
    }
}

#[cfg(test)]
mod tests;
