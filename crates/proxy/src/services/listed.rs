//! The workers of one version of a service, as a choice wants them.

use super::Entrant;
use crate::{
    deadline::now_ms,
    destination::Workers,
    resilience::{Book, Rules},
};
use quorate_model::Verdict;
use quorate_routing::{
    balance::{self, Member, Mode, Table, key},
    pick::{Candidate, Candidates, Rank, address},
};
use quorate_state::{Loads, ServiceView, service::Endpoint};
use std::sync::Arc;

/// A worker of the service, and what may be chosen of it.
pub(super) type Listed<'s> = (&'s Endpoint, Entrant);

/// The workers that may be chosen, with their records on this core.
pub(super) fn entrants<'s>(
    service: &'s ServiceView,
    workers: &mut Workers,
    (rules, book, now): (&Rules, &Book, u32),
) -> Vec<Listed<'s>> {
    let conducts = if rules.watch_workers() {
        book.conducts(service.endpoints().map(|endpoint| endpoint.worker()), now_ms(now))
    } else {
        Vec::new()
    };
    let entrant = |(nth, endpoint): (usize, &'s Endpoint)| {
        let address = address(endpoint);
        // Those that take no requests get no seat.
        let seat = endpoint
            .worker()
            .serves(endpoint.offer())
            .then(|| workers.seat(endpoint.worker().id(), address, rules.protocol(address)))?;
        Some((endpoint, Entrant { seat, conduct: conducts.get(nth).cloned() }))
    };
    let wanted = service.endpoints().enumerate().filter(|(_, endpoint)| rules.wants(endpoint.offer()));
    wanted.filter_map(entrant).collect()
}

/// For the choice by score. Those that the checks find unwell are left out, unless nearly all are.
pub(super) fn candidates(entrants: &[Listed<'_>], loads: &Loads, panic_percent: u8) -> Candidates<Entrant> {
    let well = entrants.iter().filter(|(endpoint, _)| !endpoint.is_ailing()).count();
    let mode = Mode::of(well, entrants.len(), panic_percent);
    let candidates = entrants.iter().filter_map(|(endpoint, entrant)| {
        if endpoint.is_ailing() && mode == Mode::Calm {
            return None;
        }
        let worker = endpoint.worker();
        let candidate = Candidate::of(worker, endpoint.offer(), loads.of(worker.id().as_str()))?;
        Some(candidate.named(entrant.clone()))
    });
    Candidates::new(candidates.collect())
}

/// For the choice by a strategy. The same as before, if nobody came, went or changed: what workers say of their load
/// changes all the time, and a table of keys takes a millisecond to make.
pub(super) fn table(
    members: Vec<Member<Entrant>>,
    options: balance::Options,
    known: Option<&Arc<Table<Entrant>>>,
) -> Arc<Table<Entrant>> {
    match known {
        Some(known) if *known.options() == options && known.members() == members => known.clone(),
        Some(_) | None => Arc::new(Table::new(members, options)),
    }
}

/// The same, as a table wants them.
pub(super) fn members(entrants: &[Listed<'_>], loads: &Loads) -> Vec<Member<Entrant>> {
    let members = entrants.iter().filter_map(|(endpoint, entrant)| {
        let worker = endpoint.worker();
        let load = loads.of(worker.id().as_str()).map(|load| &**load);
        Some(Member {
            rank: Rank::of(worker, endpoint.offer(), load)?,
            who: entrant.clone(),
            id: key::hash(worker.id().as_str().as_bytes()),
            weight: worker.weight(),
            zone: worker.registration.labels.get("zone").map(|zone| key::hash(zone.as_bytes())),
            verdict: if endpoint.is_ailing() { Verdict::Unhealthy } else { Verdict::Healthy },
            since_ms: entrant.conduct.as_ref().and_then(|conduct| conduct.since_ms),
        })
    });
    members.collect()
}
