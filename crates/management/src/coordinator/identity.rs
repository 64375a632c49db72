//! Which worker somebody is who registers without an id.
//!
//! The original gave a new id to each registration, so that every restart of an agent left a ghost behind. Here a
//! worker is known by where it is: at least one service of it is reached at the same place as before. Two workers
//! can't be that; a worker that found another set of services this time can. Only ids that were given here are given
//! again: an id that a worker chose is its own.

//!
//! An agent that hears no answer asks again, perhaps another node, which may not have applied the first registration
//! yet. So that the two meet in one record, a new id is made of what was said and of the hour, not of chance.

use quorate_api::coordinator::capabilities;
use quorate_model::{Address, Epoch, Registration, ServiceName, Status, Worker, WorkerId};
use quorate_rt::{rng, time};
use quorate_state::{Endpoint, View};
use serde_json::Value;
use std::sync::Arc;

const BASE: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const MARK_LEN: usize = 9;
const HOUR_MS: u64 = 3_600_000;

/// A new id for the worker with this offer: `worker-{ms}-{9 base36}`.
pub(super) fn assigned(offer: &Registration) -> WorkerId {
    let now = time::wall_ms();
    id_of(now - now % HOUR_MS, mark(offer))
}

/// A new id for a worker that nothing tells from others.
pub(super) fn assigned_by_chance() -> WorkerId {
    id_of(time::wall_ms(), rng::random_u64())
}

/// What tells workers apart, as a number.
fn mark(offer: &Registration) -> u64 {
    let mut said: Vec<String> = places(offer).map(|(name, at)| format!("{name}\n{at}\n")).collect();
    said.sort_unstable();
    if said.is_empty() {
        let capabilities = Value::Object(capabilities::shown(&offer.capabilities));
        said.push(format!("{}\n{capabilities}\n", offer.address));
    }
    // FNV-1a: frozen, unlike the hashes of the standard library, so nodes of two versions agree.
    said.iter().flat_map(|one| one.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn id_of(ms: u64, mut mark: u64) -> WorkerId {
    let mut text = format!("worker-{ms}-");
    for _ in 0..MARK_LEN {
        let digit = usize::try_from(mark % 36).unwrap_or(0);
        text.push(char::from(BASE[digit]));
        mark /= 36;
    }
    WorkerId::parse(&text).expect("letters and digits")
}

/// Whether an id was given by a router.
fn is_assigned(id: &WorkerId) -> bool {
    let parts = id.as_str().strip_prefix("worker-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(ms, mark)| {
        !ms.is_empty()
            && ms.bytes().all(|b| b.is_ascii_digit())
            && mark.len() == MARK_LEN
            && mark.bytes().all(|b| BASE.contains(&b))
    })
}

/// The id that was given to the worker with this offer, the oldest if there are several; `before`: only if it was
/// registered before that.
pub(super) fn known(view: &View, offer: &Registration, before: Option<Epoch>) -> Option<WorkerId> {
    let is_it = |worker: &&Arc<Worker>| {
        is_assigned(worker.id())
            && worker.status() != Status::Departed
            && before.is_none_or(|before| worker.incarnation < before)
            && is_same(&worker.registration, offer)
    };
    if offer.services.is_empty() {
        return eldest(view.workers().filter(is_it));
    }
    // Whoever shares a service's place is among those who offer it.
    let sharing = offer.services.iter().filter_map(|service| view.service(service.name.as_str()));
    eldest(sharing.flat_map(|service| service.endpoints().map(Endpoint::worker)).filter(is_it))
}

fn eldest<'a>(workers: impl Iterator<Item = &'a Arc<Worker>>) -> Option<WorkerId> {
    workers.min_by_key(|worker| worker.incarnation).map(|worker| worker.id().clone())
}

fn is_same(a: &Registration, b: &Registration) -> bool {
    if a.services.is_empty() && b.services.is_empty() {
        // Nothing that is reached tells them apart: what the machine is does.
        return a.address == b.address && a.capabilities == b.capabilities;
    }
    places(a).any(|place| places(b).any(|other| other == place))
}

fn places(offer: &Registration) -> impl Iterator<Item = (&ServiceName, &Address)> {
    offer.services.iter().map(|service| (&service.name, service.url.as_ref().unwrap_or(&offer.address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_id_is_known_as_one() {
        let id = id_of(1_733_155_200_000, 36 * 36 - 1);
        assert_eq!(id.as_str(), "worker-1733155200000-zz0000000");
        assert!(is_assigned(&id) && is_assigned(&assigned_by_chance()));
        for own in ["worker-1", "worker-12-abc", "worker-12-ABCDEFGHI", "worker--abcdefghi", "w-12-abcdefghi"]
        {
            assert!(!is_assigned(&WorkerId::parse(own).expect("valid")), "{own}");
        }
    }
}
