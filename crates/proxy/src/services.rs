//! The candidates of each service that this core is asked for.
//!
//! They are made anew when the service has changed, or what workers say about their load, and not for each request:
//! a choice then only looks at numbers.
//!
//! Where very many workers offer one service and all of them register anew, it changes with nearly each request; making
//! its candidates anew each time would cost more than all else. So those of a large service may be up to a tick old,
//! but for who is picked: the worker gets the request only if on the newest View it still is one of those whose turn it
//! is first, at the same address. A node that has applied a drain therefore gives the drained worker nothing more.

use crate::{
    destination::{Outstanding, Registered, Seat, Workers},
    pool::Protocol,
};
use quorate_model::{LogIndex, ServiceName};
use quorate_routing::{
    pick::{Ask, Candidate, Candidates, LOOKED_AT, Rank, address},
    retry::Others,
};
use quorate_rt::published::{Published, Reader};
use quorate_state::{Loads, ServiceView, View};
use quorate_telemetry::{CoreCounters, ServiceCounters};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Most services that an answer lists. The rest is left out.
const LISTED_MAX: usize = 100;

/// One core's services.
pub(crate) struct Services {
    loads: Reader<Loads>,
    cached: Registered<ServiceName, Arc<Choice>>,
    counters: Arc<CoreCounters>,
    /// What [`Self::available`] found, and on which View.
    available: (LogIndex, Arc<[ServiceName]>),
}

/// A service's workers, as one version of the service and of the loads has them.
pub(crate) struct Choice {
    service: Arc<ServiceView>,
    loads: Arc<Loads>,
    candidates: Candidates<Seat>,
    /// In which tick it was made.
    made: u32,
    /// The service's counters on this core.
    pub counters: Arc<ServiceCounters>,
    used: AtomicU32,
}

/// Who is left when some have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub count: usize,
    pub others: Others,
}

impl Services {
    pub fn new(loads: &Arc<Published<Loads>>, counters: Arc<CoreCounters>) -> Self {
        let available = (LogIndex(0), Arc::from([]));
        Self { loads: loads.reader(), cached: HashMap::default(), counters, available }
    }

    /// A service's workers for one request. Whoever is picked of them for it gets requests on this version of the
    /// service.
    pub fn choice_for(
        &mut self,
        service: &Arc<ServiceView>,
        workers: &mut Workers,
        now: u32,
        (ask, tried): (Ask<'_>, &[Arc<Outstanding>]),
    ) -> Arc<Choice> {
        let recent = self.cached.get(service.name().as_str());
        if let Some(recent) = recent
            && !Arc::ptr_eq(&recent.service, service)
            && recent.made == now
            && recent.candidates.len() > LOOKED_AT
        {
            let loads = self.loads.load();
            // What is picked is the same each time for the same request.
            if recent.pick(ask, tried).is_some_and(|seat| is_first(seat, service, loads)) {
                return recent.clone();
            }
        }
        self.choice(service, workers, now)
    }

    /// A service's workers, up to date.
    pub fn choice(&mut self, service: &Arc<ServiceView>, workers: &mut Workers, now: u32) -> Arc<Choice> {
        let loads = self.loads.load();
        let name = service.name();
        let known = self.cached.get(name.as_str());
        if let Some(choice) = known
            && Arc::ptr_eq(&choice.service, service)
            && Arc::ptr_eq(&choice.loads, loads)
        {
            choice.used.store(now, Ordering::Relaxed);
            return choice.clone();
        }
        let counters = known.map(|known| known.counters.clone());
        let choice = Arc::new(Choice {
            candidates: candidates(service, loads, workers),
            service: service.clone(),
            loads: loads.clone(),
            made: now,
            counters: counters.unwrap_or_else(|| self.counters.service(name.as_str())),
            used: AtomicU32::new(now),
        });
        self.cached.insert(name.clone(), choice.clone());
        choice
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
        self.cached.retain(|_, choice| is_used(choice));
    }
}

fn candidates(service: &ServiceView, loads: &Loads, workers: &mut Workers) -> Candidates<Seat> {
    let candidates = service.endpoints().filter_map(|endpoint| {
        let worker = endpoint.worker();
        let candidate = Candidate::of(worker, endpoint.offer(), loads.of(worker.id().as_str()))?;
        let address = address(endpoint);
        Some(candidate.named(workers.seat(worker.id(), address, Protocol::of(address))))
    });
    Candidates::new(candidates.collect())
}

/// Whether a worker is still one of those whose turn it is first, at the same address.
fn is_first(seat: &Seat, service: &ServiceView, loads: &Loads) -> bool {
    let id = seat.outstanding.worker.as_str();
    service.endpoint(id).is_some_and(|endpoint| {
        let load = loads.of(id).map(|load| &**load);
        Rank::of(endpoint.worker(), endpoint.offer(), load) == Some(Rank::Live)
            && *address(endpoint) == seat.endpoint.address
    })
}

impl Choice {
    /// The best of those that have not been tried.
    pub fn pick(&self, ask: Ask<'_>, tried: &[Arc<Outstanding>]) -> Option<&Seat> {
        let picked = self.candidates.pick(ask, |seat| seat.outstanding.count(), |seat| is_tried(seat, tried));
        picked.map(|candidate| &candidate.who)
    }

    /// Who has not been tried.
    pub fn left(&self, tried: &[Arc<Outstanding>]) -> Option<Left> {
        let mut left = self.candidates.iter().filter(|candidate| !is_tried(&candidate.who, tried));
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
