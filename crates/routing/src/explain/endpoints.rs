//! Who may get a request, and why others do not.

use crate::{
    balance::{Mode, PANIC_PERCENT},
    pick::{Rank, address},
};
use quorate_model::{Address, Duty, Status, Worker};
use quorate_state::{Loads, ServiceView, service::Endpoint};

/// Most endpoints that are told of.
const TOLD_MAX: usize = 100;

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFacts {
    /// The worker; `None`: an address that a route names.
    pub worker: Option<String>,
    /// Where it is reached.
    pub address: String,
    /// Whose turn it is before whose; `None`: it gets no requests.
    pub rank: Option<Rank>,
    /// Why: `live`, `suspect`, `expired`, `departed`, `draining`, `offline`, `ejected` (by health checks), `unhealthy`
    /// (by its own word), `static`, or `not_held`: a tunnel that nobody holds.
    pub status: &'static str,
}

/// The workers of a service.
#[derive(Default)]
pub(super) struct Offering {
    /// The first in rank first.
    pub told: Vec<EndpointFacts>,
    /// How many more there are.
    pub left_out: usize,
    /// How many get requests.
    pub serving: usize,
    /// How many health checks have ejected that would get requests.
    pub ejected: usize,
    /// So many are ejected that these get requests too.
    pub is_panic: bool,
}

/// Those that offer the version, where one is named; else those that the policy names, or all.
pub(super) fn of_service(service: &ServiceView, version: Option<&str>, loads: &Loads) -> Offering {
    let is_asked = |one: &&Endpoint| match version {
        Some(version) => *one.offer().version == *version,
        None => service.is_asked_by_default(one),
    };
    let endpoints: Vec<_> = service.endpoints().filter(is_asked).collect();
    let ranked = |endpoint: &Endpoint| {
        let worker = endpoint.worker();
        Rank::of(worker, endpoint.offer(), loads.of(worker.id().as_str()).map(|load| &**load))
    };
    let is_panic = mode((service, version), &endpoints, ranked) == Mode::Panic;
    let fact = |endpoint: &Endpoint| {
        let rank = ranked(endpoint);
        EndpointFacts {
            worker: Some(endpoint.worker().id().to_string()),
            address: address(endpoint).to_string(),
            rank: rank.filter(|_| is_panic || !endpoint.is_ailing()),
            status: status(endpoint.worker(), (endpoint.is_ailing(), rank)),
        }
    };
    let mut told: Vec<_> = endpoints.iter().map(|one| fact(one)).collect();
    // Stable: of one rank by id.
    told.sort_by_key(|one| (one.rank.is_none(), one.rank));
    let serving = told.iter().filter(|one| one.rank.is_some()).count();
    let left_out = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    let ejected = endpoints.iter().filter(|one| one.is_ailing() && ranked(one).is_some()).count();
    Offering { told, left_out, serving, ejected, is_panic: is_panic && ejected > 0 }
}

/// Whether health checks count, by the counts that the proxy makes: for the choice by score of those that may have
/// requests by their records, for one by a strategy of those that have a rank.
fn mode(
    (service, version): (&ServiceView, Option<&str>),
    endpoints: &[&Endpoint],
    ranked: impl Fn(&Endpoint) -> Option<Rank>,
) -> Mode {
    let policy = service.stored_policy().map(|stored| &stored.policy);
    let by_strategy = version.is_some()
        || policy.is_some_and(|policy| {
            policy.balancing.is_some() || policy.slow_start_ms.is_some() || policy.prefer_zone
        });
    let percent = policy.and_then(|policy| policy.outlier).map_or(PANIC_PERCENT, |one| one.panic_percent);
    let counts = |one: &&&Endpoint| {
        if by_strategy { ranked(one).is_some() } else { one.worker().serves(one.offer()) }
    };
    let all = endpoints.iter().filter(counts).count();
    let well = endpoints.iter().filter(counts).filter(|one| !one.is_ailing()).count();
    Mode::of(well, all, percent)
}

/// The owner of a partition.
pub(super) fn of_owner(worker: &Worker) -> EndpointFacts {
    let rank = match worker.status() {
        Status::Live => Some(Rank::Live),
        Status::Suspect => Some(Rank::Suspect),
        Status::Expired | Status::Departed => None,
    };
    EndpointFacts {
        worker: Some(worker.id().to_string()),
        address: worker.registration.address.to_string(),
        rank,
        status: status(worker, (false, rank)),
    }
}

/// An address that a route names.
pub(super) fn of_url(address: &Address) -> EndpointFacts {
    EndpointFacts { worker: None, address: address.to_string(), rank: Some(Rank::Live), status: "static" }
}

/// A tunnel that a route names and nobody holds.
pub(super) fn of_url_that_is_not_there(address: &Address) -> EndpointFacts {
    EndpointFacts { rank: None, status: "not_held", ..of_url(address) }
}

/// The reason that weighs most: one that is gone need not be drained. The same as where services are shown.
fn status(worker: &Worker, (is_ejected, rank): (bool, Option<Rank>)) -> &'static str {
    match (worker.status(), worker.intent.duty) {
        (Status::Expired, _) => "expired",
        (Status::Departed, _) => "departed",
        (_, Duty::Offline) => "offline",
        (_, Duty::Draining) => "draining",
        (_, Duty::InService) if is_ejected => "ejected",
        (_, Duty::InService) if rank.is_none() => "unhealthy",
        (Status::Suspect, Duty::InService) => "suspect",
        (Status::Live, Duty::InService) => "live",
    }
}
