//! The candidates of each service that this core is asked for.
//!
//! They are made anew when the service has changed, or what workers say about their load, and not for each request:
//! a choice then only looks at numbers.
//!
//! Where very many workers offer one service and all of them register anew, it changes with nearly each request; making
//! its candidates anew each time would cost more than all else. So those of a large service may be up to a tick old,
//! but for who is picked: the worker gets the request only if on the newest View it still is one of those whose turn it
//! is first, at the same address. A node that has applied a drain therefore gives the drained worker nothing more.

mod busy;
mod listed;
mod observed;

pub(crate) use busy::Busy;

use crate::{
    deadline::now_ms,
    destination::{Outstanding, Registered, Seat, Workers},
    resilience::{Book, Breakers, Care, Conduct, Here, KeptManner, Manner, Rules, Told, key_of},
};
use listed::{candidates, entrants, members, table};
use quorate_model::{LogIndex, ServiceName};
use quorate_routing::{
    RequestHead,
    balance::{self, Mode, Standing, State, Table},
    pick::{Ask, Candidates, LOOKED_AT, Rank, address, next_random},
    retry::Others,
};
use quorate_rt::published::{Published, Reader};
use quorate_state::{Loads, ServiceView, View};
use quorate_telemetry::{CoreCounters, ServiceCounters};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Most services that an answer lists. The rest is left out.
const LISTED_MAX: usize = 100;

/// One core's services.
pub(crate) struct Services {
    loads: Reader<Loads>,
    breakers: Breakers,
    told: Told,
    cached: Registered<ServiceName, Known>,
    counters: Arc<CoreCounters>,
    /// What [`Self::available`] found, and on which View.
    available: (LogIndex, Arc<[ServiceName]>),
    here: Here,
    /// Randomness, for what begins somewhere.
    seed: u64,
}

/// What a core keeps of a service, however its workers are chosen.
struct Known {
    book: Arc<Book>,
    counters: Arc<ServiceCounters>,
    /// One for each manner that somebody wants: few, since routes that want the same share one.
    choices: Vec<Arc<Choice>>,
}

/// A service's workers, as one version of the service and of the loads has them, for those who want them chosen in one
/// manner.
pub(crate) struct Choice {
    manner: KeptManner,
    service: Arc<ServiceView>,
    loads: Arc<Loads>,
    candidates: Candidates<Entrant>,
    /// Where a policy names a strategy.
    table: Option<Arc<Table<Entrant>>>,
    /// Its rotation.
    turns: Arc<Mutex<State>>,
    rules: Arc<Rules>,
    book: Arc<Book>,
    /// In which tick it was made.
    made: u32,
    /// The service's counters on this core.
    pub counters: Arc<ServiceCounters>,
    used: AtomicU32,
}

/// A worker that may be chosen.
#[derive(Clone)]
pub(crate) struct Entrant {
    pub seat: Seat,
    /// How it has behaved, where the service's policy wants to know.
    conduct: Option<Arc<Conduct>>,
}

/// The same worker at the same address, in the same life.
impl PartialEq for Entrant {
    fn eq(&self, other: &Self) -> bool {
        let of = |entrant: &Self| {
            let Seat { outstanding, endpoint } = &entrant.seat;
            let conduct = entrant.conduct.as_ref().map(Arc::as_ptr);
            (Arc::as_ptr(outstanding), Arc::as_ptr(endpoint), conduct)
        };
        of(self) == of(other)
    }
}

/// A request that wants a worker.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub ask: Ask<'a>,
    pub head: &'a RequestHead<'a>,
    pub manner: Manner<'a>,
    /// Who has failed it.
    pub tried: &'a [Arc<Outstanding>],
    /// The tick.
    pub now: u32,
}

/// Who is left when some have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub count: usize,
    pub others: Others,
}

impl Services {
    pub fn new(
        (loads, breakers): (&Arc<Published<Loads>>, &Breakers),
        counters: Arc<CoreCounters>,
        (here, seed): (Here, u64),
    ) -> Self {
        Self {
            loads: loads.reader(),
            breakers: breakers.clone(),
            told: Told::new(breakers),
            cached: HashMap::default(),
            counters,
            available: (LogIndex(0), Arc::from([])),
            here,
            seed,
        }
    }

    /// A service's workers for one request, and who is picked of them, who gets requests on this version of the service.
    pub fn choice_for(
        &mut self,
        service: &Arc<ServiceView>,
        workers: &mut Workers,
        wish: &Wish<'_>,
    ) -> (Arc<Choice>, Option<Entrant>) {
        let now = wish.now;
        let recent = recent(&self.cached, service, wish.manner);
        if let Some(recent) = recent
            && !Arc::ptr_eq(&recent.service, service)
            && recent.made == now
            && recent.candidates.len() > LOOKED_AT
            && policy_of(&recent.service) == policy_of(service)
        {
            let loads = self.loads.load();
            if let Some(entrant) = recent.pick(wish)
                && is_first(&entrant.seat, (service, &recent.rules), loads)
            {
                return (recent.clone(), Some(entrant.clone()));
            }
        }
        let choice = self.choice(service, workers, (wish.manner, now));
        let picked = choice.pick(wish).cloned();
        (choice, picked)
    }

    /// A service's workers, up to date.
    pub fn choice(
        &mut self,
        service: &Arc<ServiceView>,
        workers: &mut Workers,
        (manner, now): (Manner<'_>, u32),
    ) -> Arc<Choice> {
        let Self { loads, breakers, told, cached, counters, here, seed, .. } = self;
        let loads = loads.load();
        if let Some(choice) = recent(cached, service, manner)
            && Arc::ptr_eq(&choice.service, service)
            && Arc::ptr_eq(&choice.loads, loads)
        {
            choice.used.store(now, Ordering::Relaxed);
            return choice.clone();
        }
        let seed = next_random(seed);
        let known = cached.entry(service.name().clone()).or_insert_with(|| Known {
            book: {
                let opened = breakers.opened.clone();
                let teller = opened.map(|opened| (service.name().clone(), opened));
                Arc::new(Book::new(teller, counters.clone()))
            },
            counters: counters.service(service.name().as_str()),
            choices: Vec::new(),
        });
        let Known { book, counters, choices } = known;
        let standing = choices.iter().position(|choice| choice.manner.get() == manner);
        let last = standing.map(|nth| &choices[nth]);
        let policy = service.stored_policy().map(|stored| &stored.policy);
        let rules = Arc::new(Rules::of(policy, manner, here));
        let entrants = entrants(service, workers, (&rules, book, now));
        book.hear(&rules, told.of(service.name().as_str()), now_ms(now));
        let choice = Arc::new(Choice {
            manner: manner.kept(),
            candidates: candidates(&entrants, loads, rules.panic_percent),
            table: rules.balancing.map(|options| {
                table(members(&entrants, loads), options, last.and_then(|last| last.table.as_ref()))
            }),
            turns: last.map_or_else(|| Arc::new(Mutex::new(State::new(seed))), |last| last.turns.clone()),
            service: service.clone(),
            loads: loads.clone(),
            rules,
            book: book.clone(),
            made: now,
            counters: counters.clone(),
            used: AtomicU32::new(now),
        });
        match standing {
            Some(nth) => choices[nth] = choice.clone(),
            None => choices.push(choice.clone()),
        }
        choice
    }

    /// Takes up what others say of breakers, if there is something new.
    pub fn listen(&mut self, now: u32) {
        if self.told.look(now_ms(now)) {
            for (name, known) in &self.cached {
                // The breaker's rules are the policy's, in whichever manner a worker is chosen.
                if let Some(choice) = known.choices.first() {
                    known.book.hear(&choice.rules, self.told.of(name.as_str()), now_ms(now));
                }
            }
        }
    }

    /// The services that somebody takes requests for, by name; the first hundred of them.
    pub fn available(&mut self, view: &View) -> Arc<[ServiceName]> {
        if self.available.0 != view.index() {
            let served = view.services().filter(|service| service.serving_count() > 0);
            let names = served.map(|service| service.name().clone()).take(LISTED_MAX).collect();
            self.available = (view.index(), names);
        }
        self.available.1.clone()
    }

    /// Forgets services that nobody asks for.
    pub fn sweep(&mut self, now: u32, ticks_max: u32) {
        let is_used = |choice: &Choice| now.saturating_sub(choice.used.load(Ordering::Relaxed)) < ticks_max;
        self.cached.retain(|_, known| {
            known.choices.retain(|choice| is_used(choice));
            // What a policy says of ejections is the same in all manners.
            if let Some(choice) = known.choices.first() {
                known.book.compare(&choice.rules, now_ms(now));
            }
            !known.choices.is_empty()
        });
    }
}

/// The choice that was made last, which may be out of date.
fn recent<'c>(
    cached: &'c Registered<ServiceName, Known>,
    service: &ServiceView,
    manner: Manner<'_>,
) -> Option<&'c Arc<Choice>> {
    let known = cached.get(service.name().as_str())?;
    known.choices.iter().find(|choice| choice.manner.get() == manner)
}

/// Which version of it.
fn policy_of(service: &ServiceView) -> Option<LogIndex> {
    service.stored_policy().map(|stored| stored.changed)
}

/// Whether a worker is still one of those whose turn it is first, at the same address.
fn is_first(seat: &Seat, (service, rules): (&ServiceView, &Rules), loads: &Loads) -> bool {
    let id = seat.outstanding.worker.as_str();
    service.endpoint(id).filter(|endpoint| !endpoint.is_ailing()).is_some_and(|endpoint| {
        let load = loads.of(id).map(|load| &**load);
        rules.wants(endpoint.offer())
            && Rank::of(endpoint.worker(), endpoint.offer(), load) == Some(Rank::Live)
            && *address(endpoint) == seat.endpoint.address
    })
}

impl Choice {
    /// The best of those that have not been tried, and may be asked.
    pub fn pick(&self, wish: &Wish<'_>) -> Option<&Entrant> {
        let now_ms = now_ms(wish.now);
        let ejected = self.ejected(now_ms);
        let standing = |entrant: &Entrant| {
            let in_flight = entrant.seat.outstanding.count();
            match &entrant.conduct {
                _ if is_tried(&entrant.seat, wish.tried) => Standing::Out,
                Some(conduct) => conduct.standing(&self.rules, in_flight, now_ms),
                None => Standing::Open { in_flight },
            }
        };
        let Some(table) = &self.table else {
            let mode = self.mode_by_score(ejected);
            let is_out = |entrant: &Entrant| match (standing(entrant), mode) {
                (Standing::Open { .. }, _) | (Standing::Ejected { .. }, Mode::Panic) => false,
                (Standing::Out, _) | (Standing::Ejected { .. }, Mode::Calm) => true,
            };
            let in_flight = |entrant: &Entrant| entrant.seat.outstanding.count();
            return self.candidates.pick(wish.ask, in_flight, is_out).map(|candidate| &candidate.who);
        };
        let ask = balance::Ask {
            entropy: wish.ask.entropy,
            key: key_of(&self.rules, wish.head).unwrap_or(wish.ask.entropy),
            now_ms,
            mode: table.mode(ejected),
        };
        let latency =
            |entrant: &Entrant| entrant.conduct.as_ref().and_then(|conduct| conduct.latency(now_ms));
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        table.pick(&ask, &mut turns, standing, latency).map(|member| &member.who)
    }

    fn ejected(&self, now_ms: u64) -> usize {
        self.rules.outlier.map_or(0, |_| self.book.ejected(now_ms))
    }

    fn mode_by_score(&self, ejected: usize) -> Mode {
        let all = self.candidates.len();
        Mode::of(all.saturating_sub(ejected), all, self.rules.panic_percent)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.candidates.len()
    }

    /// A request goes to one of them.
    pub fn send_to(&self, entrant: &Entrant, now: u32) -> Care {
        Care::new(&self.rules, &self.book, entrant.conduct.as_ref(), now)
    }

    /// A request came, for the first time.
    pub fn count_request(&self, now: u32) {
        self.book.request(now_ms(now));
    }

    /// Who has not been tried.
    pub fn left(&self, tried: &[Arc<Outstanding>]) -> Option<Left> {
        let mut left = self.candidates.iter().filter(|candidate| !is_tried(&candidate.who.seat, tried));
        // In the order of rank: the live ones come first.
        let first = left.next()?;
        let others = if first.rank.is_live() { Others::Live } else { Others::SuspectOnly };
        Some(Left { count: 1 + left.count(), others })
    }
}

fn is_tried(seat: &Seat, tried: &[Arc<Outstanding>]) -> bool {
    tried.iter().any(|one| Arc::ptr_eq(one, &seat.outstanding))
}

#[cfg(test)]
mod tests;
