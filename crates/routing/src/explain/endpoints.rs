//! Who may get a request, and why others do not.

use crate::pick::{Rank, address};
use quorate_model::{Address, Status, Worker};
use quorate_state::{Loads, ServiceView};

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
    /// Why: `live`, `suspect`, `expired`, `departed`, `drained` or `static`.
    pub status: &'static str,
}

/// The workers of a service, the first in rank first, and how many are left out.
pub(super) fn of_service(service: &ServiceView, loads: &Loads) -> (Vec<EndpointFacts>, usize) {
    let mut all: Vec<_> = service
        .endpoints()
        .map(|endpoint| {
            let worker = endpoint.worker();
            let load = loads.of(worker.id().as_str()).map(|load| &**load);
            let rank = Rank::of(worker, endpoint.offer(), load);
            let address = address(endpoint).to_string();
            EndpointFacts {
                worker: Some(worker.id().to_string()),
                address,
                rank,
                status: status(worker, rank),
            }
        })
        .collect();
    // Stable: of one rank by id.
    all.sort_by_key(|one| (one.rank.is_none(), one.rank));
    let left_out = all.len().saturating_sub(TOLD_MAX);
    all.truncate(TOLD_MAX);
    (all, left_out)
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
        status: status(worker, rank),
    }
}

/// An address that a route names.
pub(super) fn of_url(address: &Address) -> EndpointFacts {
    EndpointFacts { worker: None, address: address.to_string(), rank: Some(Rank::Live), status: "static" }
}

fn status(worker: &Worker, rank: Option<Rank>) -> &'static str {
    match worker.status() {
        Status::Expired => "expired",
        Status::Departed => "departed",
        Status::Live | Status::Suspect if rank.is_none() => "drained",
        Status::Live => "live",
        Status::Suspect => "suspect",
    }
}
