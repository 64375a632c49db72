//! Which of a service's workers gets a request.
//!
//! First the rank: live ones, and only when none of them is left the suspect ones; in either, a worker of weight 0
//! only when the others have been tried. Within a rank the score decides, in points, as in the original:
//!
//! | points | for |
//! |---|---|
//! | +30, +20, +10 | tier 1, 2, 3 |
//! | +100 | it has the model in memory that the request names in `X-Model` |
//! | +50 | it says that it is best at this service, or at that model |
//! | -30 x load | how busy it says it is, 0 to 1 |
//! | -20 x GPU use | tier 1 only |
//! | -5 x requests x 100 / weight | those that this core has given it and that are not done, or those that it says it works on, whichever is more |
//!
//! The original added a random 0 to 5, so that near scores took turns. Here all within [`NEAR`] of the best are
//! equals: the one with the fewest requests for its weight is taken, and among those that are equal in that too,
//! chance decides by weight. So a choice is even where nothing speaks for one of them, and a burst spreads itself:
//! what was given to a worker counts against it at once, long before its next heartbeat.
//!
//! Looking at ten thousand workers for each request would cost more than forwarding it. Beyond [`LOOKED_AT`] a
//! choice is made among a random part. Half of it are those that have the wanted model, where one is named; of what is
//! left, half are those whose standing is the best and half the rest. What one part does not fill, another one takes.

use http::{HeaderMap, HeaderName};
use quorate_model::{Address, Load, ServiceName, ServiceOffer, Status, Tier, Worker};
use quorate_state::service::Endpoint;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

/// Which model a request is for, where it says so.
pub const MODEL: HeaderName = HeaderName::from_static("x-model");
/// Hundredths of a point.
const POINT: i64 = 100;
/// Scores that are no further below the best are as good.
pub const NEAR: i64 = 5 * POINT;
/// How many workers a request looks at, at most.
pub const LOOKED_AT: usize = 64;

/// The model that a request names.
pub fn wanted_model(headers: &HeaderMap) -> Option<&str> {
    headers.get(MODEL)?.to_str().ok().map(str::trim).filter(|model| !model.is_empty())
}

/// Where a worker is reached for a service: at the service's own URL, else at its tunnel, else where it registered.
pub fn address(endpoint: &Endpoint) -> &Address {
    let registration = &endpoint.worker().registration;
    let tunnel = registration.extras().tunnel.as_ref();
    endpoint.offer().url.as_ref().or(tunnel).unwrap_or(&registration.address)
}

/// Whose turn it is before whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Heartbeats arrive.
    Live,
    /// The same, and it shall get nothing while others serve.
    LiveReserve,
    /// Its heartbeats are late.
    Suspect,
    /// Both.
    SuspectReserve,
}

impl Rank {
    /// Of a worker, for one of its services; `None`: it takes no requests for it.
    pub fn of(worker: &Worker, offer: &ServiceOffer, load: Option<&Load>) -> Option<Self> {
        if !worker.serves_now(offer, load) {
            return None;
        }
        match (worker.status(), worker.weight()) {
            (Status::Live, 1..) => Some(Self::Live),
            (Status::Live, 0) => Some(Self::LiveReserve),
            (Status::Suspect, 1..) => Some(Self::Suspect),
            (Status::Suspect, 0) => Some(Self::SuspectReserve),
            (Status::Expired | Status::Departed, _) => None,
        }
    }

    /// Whether its heartbeats arrive.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::LiveReserve)
    }
}

/// A worker that may get a request, with what of its score no request changes.
#[derive(Clone, Debug)]
pub struct Candidate<T> {
    /// Whose turn it is first.
    pub rank: Rank,
    /// Who it is, to whoever asks.
    pub who: T,
    standing: i64,
    weight: u32,
    load: Option<Arc<Load>>,
}

impl Candidate<()> {
    /// Of a worker, for one of its services; `None`: it takes no requests for it.
    pub fn of(worker: &Worker, offer: &ServiceOffer, load: Option<&Arc<Load>>) -> Option<Self> {
        let rank = Rank::of(worker, offer, load.map(|load| &**load))?;
        let tier = Tier::of(&worker.registration.capabilities);
        Some(Self::new(rank, worker.weight(), standing(tier, &offer.name, load.map(|load| &**load)), load))
    }

    fn new(rank: Rank, weight: u32, standing: i64, load: Option<&Arc<Load>>) -> Self {
        // In reserve all are alike.
        let weight = if weight == 0 { 100 } else { weight };
        Self { rank, who: (), standing, weight, load: load.cloned() }
    }

    /// The same, by a name of the caller's.
    pub fn named<T>(self, who: T) -> Candidate<T> {
        let Self { rank, who: (), standing, weight, load } = self;
        Candidate { rank, who, standing, weight, load }
    }
}

/// The part of the score that lasts until the next heartbeat, without the requests.
fn standing(tier: Tier, service: &ServiceName, load: Option<&Load>) -> i64 {
    let base = match tier {
        Tier::Gpu => 30 * POINT,
        Tier::Cpu => 20 * POINT,
        Tier::Storage => 10 * POINT,
    };
    let Some(load) = load else { return base };
    let gpu = if tier == Tier::Gpu { i64::from(load.gpu.get()) } else { 0 };
    let best_at_it = load.specialization.as_deref() == Some(service.as_str());
    base - 30 * POINT * i64::from(load.load.get()) / 1_000 - 20 * POINT * gpu / 1_000
        + if best_at_it { 50 * POINT } else { 0 }
}

impl<T> Candidate<T> {
    /// Requests in hundredths, as they weigh on a worker of this weight.
    fn burden(&self, requests: u32) -> i64 {
        i64::from(requests) * 10_000 / i64::from(self.weight)
    }

    fn score(&self, outstanding: u32, model: Option<&str>) -> i64 {
        let said = self.load.as_ref().map_or(0, |load| load.active);
        self.standing + self.bonus(model) - 5 * POINT * self.burden(outstanding.max(said)) / 100
    }

    fn bonus(&self, model: Option<&str>) -> i64 {
        let (Some(model), Some(load)) = (model, &self.load) else { return 0 };
        let has = if load.has_model(model) { 100 * POINT } else { 0 };
        let best_at_it = if load.specialization.as_deref() == Some(model) { 50 * POINT } else { 0 };
        has + best_at_it
    }
}

/// All candidates of a service, ready for one choice after the other.
#[derive(Clone, Debug)]
pub struct Candidates<T> {
    /// By rank, then by standing, the best first.
    sorted: Vec<Candidate<T>>,
    ranks: Vec<Ranked>,
    /// Where those are that have a model, or are best at it, in ascending order. Made for the first request that names
    /// one where not all are looked at.
    by_model: OnceLock<BTreeMap<Box<str>, Vec<usize>>>,
}

/// The candidates of one rank.
#[derive(Clone, Debug)]
struct Ranked {
    all: Range<usize>,
    /// Of those, the ones that stand near the best.
    top: usize,
}

/// What a choice looks at besides the candidates.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Randomness of the request's own.
    pub entropy: u64,
    /// The model that it names.
    pub model: Option<&'a str>,
}

/// One that is looked at.
#[derive(Clone, Copy, Default)]
struct Seen {
    at: usize,
    score: i64,
    burden: i64,
}

impl<T> Candidates<T> {
    /// Sorts them.
    pub fn new(mut candidates: Vec<Candidate<T>>) -> Self {
        // Stable: those that are equal stay in the caller's order, so that a simulated run repeats.
        candidates.sort_by_key(|candidate| (candidate.rank, -candidate.standing));
        let mut ranks: Vec<Ranked> = Vec::new();
        let mut from = 0;
        for group in candidates.chunk_by(|a, b| a.rank == b.rank) {
            let best = group.first().map_or(0, |candidate| candidate.standing);
            let top = group.partition_point(|candidate| candidate.standing >= best - NEAR);
            ranks.push(Ranked { all: from..from + group.len(), top: from + top });
            from += group.len();
        }
        Self { sorted: candidates, ranks, by_model: OnceLock::new() }
    }

    /// In the order of rank.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate<T>> {
        self.sorted.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether nobody takes requests.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Who gets the request. `None`: all have been tried.
    pub fn pick(
        &self,
        ask: Ask<'_>,
        outstanding: impl Fn(&T) -> u32,
        tried: impl Fn(&T) -> bool,
    ) -> Option<&Candidate<T>> {
        self.ranks.iter().find_map(|ranked| {
            let mut chance = ask.entropy;
            let mut seen = [Seen::default(); LOOKED_AT];
            let count = self.look(ranked, ask.model, (&mut chance, &mut seen), |at| {
                let candidate = &self.sorted[at];
                if tried(&candidate.who) {
                    return None;
                }
                let requests = outstanding(&candidate.who);
                Some(Seen {
                    at,
                    score: candidate.score(requests, ask.model),
                    burden: candidate.burden(requests),
                })
            });
            Some(&self.sorted[self.choose(&seen[..count], next_random(&mut chance))?])
        })
    }

    /// Fills `seen` with those of a rank that a request looks at, and says how many.
    fn look(
        &self,
        ranked: &Ranked,
        model: Option<&str>,
        (chance, seen): (&mut u64, &mut [Seen; LOOKED_AT]),
        mut look_at: impl FnMut(usize) -> Option<Seen>,
    ) -> usize {
        let mut count = 0;
        let mut note = |at: usize| {
            if let (Some(found), Some(place)) = (look_at(at), seen.get_mut(count)) {
                *place = found;
                count += 1;
            }
        };
        let Ranked { all, top } = ranked;
        if all.len() <= LOOKED_AT {
            all.clone().for_each(&mut note);
            return count;
        }
        let fit = model.map_or(&[][..], |model| self.with_model(model, all));
        let for_fit = fit.len().min(LOOKED_AT / 2);
        draw(fit.len(), for_fit, chance, |nth| note(fit[nth]));
        // Those that were all looked at are not counted twice.
        let fit = if fit.len() == for_fit { fit } else { &[] };
        let mut note_other = |at: usize| {
            if fit.binary_search(&at).is_err() {
                note(at);
            }
        };
        let (tops, rest) = (top - all.start, all.end - top);
        let left = LOOKED_AT - for_fit;
        let for_tops = tops.min(left - rest.min(left / 2));
        draw(tops, for_tops, chance, |nth| note_other(all.start + nth));
        draw(rest, rest.min(left - for_tops), chance, |nth| note_other(top + nth));
        count
    }

    /// Where in `range` those are that have a model, or are best at it.
    fn with_model(&self, model: &str, range: &Range<usize>) -> &[usize] {
        let known = self.by_model.get_or_init(|| by_model(&self.sorted)).get(model);
        let known = known.map_or(&[][..], |places| places);
        let before = |end: usize| known.partition_point(|at| *at < end);
        &known[before(range.start)..before(range.end)]
    }

    fn choose(&self, seen: &[Seen], chance: u64) -> Option<usize> {
        let best = seen.iter().map(|seen| seen.score).max()?;
        let near = || seen.iter().filter(move |seen| seen.score >= best - NEAR);
        let least = near().map(|seen| seen.burden).min()?;
        let equals = || near().filter(move |seen| seen.burden == least);
        let weight = |seen: &Seen| self.sorted[seen.at].weight as usize;
        let mut draw = below(chance, equals().map(weight).sum());
        for seen in equals() {
            match draw.checked_sub(weight(seen)) {
                Some(left) => draw = left,
                None => return Some(seen.at),
            }
        }
        None
    }
}

fn by_model<T>(candidates: &[Candidate<T>]) -> BTreeMap<Box<str>, Vec<usize>> {
    let mut by_model = BTreeMap::<Box<str>, Vec<usize>>::new();
    for (at, load) in candidates.iter().enumerate().filter_map(|(at, c)| Some((at, c.load.as_ref()?))) {
        let best_at = load.specialization.iter().filter(|name| !load.has_model(name));
        for model in load.models.iter().chain(best_at) {
            match by_model.get_mut(model) {
                Some(places) => places.push(at),
                None => _ = by_model.insert(model.clone(), vec![at]),
            }
        }
    }
    by_model
}

/// `count` of the first `of` numbers: all of them, or random ones, of which some may come twice.
fn draw(of: usize, count: usize, chance: &mut u64, mut note: impl FnMut(usize)) {
    if count >= of {
        (0..of).for_each(note);
    } else {
        (0..count).for_each(|_| note(below(next_random(chance), of)));
    }
}

/// A number below `bound`, by the high half of a random one: no division.
pub(crate) fn below(random: u64, bound: usize) -> usize {
    (((random >> 32) * bound as u64) >> 32) as usize
}

/// splitmix64: good enough to spread requests that don't care, and repeatable in simulation.
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
