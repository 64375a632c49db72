//! Where a request goes: a worker, the address that it is reached at, and how many requests it has from this core.
//!
//! Requests are counted by worker and core. A core writes to its own counters only; whoever wants to know how many
//! requests a worker still has (a drain that waits, say) asks all cores, which happens rarely.

use crate::pool::{Endpoint, PoolBounds, Protocol};
use quorate_model::{Address, WorkerId};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Hashed without a random key, so that a simulated run repeats: what is hashed comes from registrations, not from
/// requests.
pub(crate) type Registered<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// One worker's requests of this core that are not done.
pub(crate) struct Outstanding {
    /// Who.
    pub worker: WorkerId,
    count: AtomicU32,
}

impl Outstanding {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

/// One of a worker's requests. Kept for as long as the worker has anything to do with it: until its answer has been
/// read to its end, or the tunnel is closed.
pub(crate) struct Ticket(Arc<Outstanding>);

impl Ticket {
    fn draw(of: &Arc<Outstanding>) -> Self {
        of.count.fetch_add(1, Ordering::Relaxed);
        Self(of.clone())
    }

    /// Whose it is.
    pub fn of(&self) -> &Arc<Outstanding> {
        &self.0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A worker at one of its addresses.
#[derive(Clone)]
pub(crate) struct Seat {
    pub outstanding: Arc<Outstanding>,
    pub endpoint: Arc<Endpoint>,
}

impl Seat {
    /// One more request.
    pub fn take(&self, now: u32) -> (Arc<Endpoint>, Ticket) {
        self.endpoint.touch(now);
        (self.endpoint.clone(), Ticket::draw(&self.outstanding))
    }
}

/// The workers that this core has sent requests to, or may send them to soon.
pub(crate) struct Workers {
    known: Registered<WorkerId, Known>,
    /// By the address as registered, and the protocol. Shared where two workers are at one address: one that came
    /// back under another name finds its connections again.
    endpoints: Registered<(Box<str>, Protocol), Arc<Endpoint>>,
    bounds: PoolBounds,
}

struct Known {
    outstanding: Arc<Outstanding>,
    at: Vec<Arc<Endpoint>>,
}

impl Workers {
    pub fn new(bounds: PoolBounds) -> Self {
        Self { known: HashMap::default(), endpoints: HashMap::default(), bounds }
    }

    /// A worker at an address, to be spoken to in a protocol. Its id and its address are cloned only the first time: cloning what the View holds
    /// would have all cores write to one reference count for each request.
    pub fn seat(&mut self, worker: &WorkerId, address: &Address, protocol: Protocol) -> Seat {
        let known = self.known.get(worker.as_str());
        let seat = known.and_then(|known| {
            let is_it = |at: &&Arc<Endpoint>| at.protocol == protocol && at.address == *address;
            let endpoint = known.at.iter().find(is_it)?;
            Some(Seat { outstanding: known.outstanding.clone(), endpoint: endpoint.clone() })
        });
        seat.unwrap_or_else(|| self.make(worker, address, protocol))
    }

    fn make(&mut self, worker: &WorkerId, address: &Address, protocol: Protocol) -> Seat {
        let make = || Arc::new(Endpoint::new(address.clone(), protocol, self.bounds));
        let endpoint = self.endpoints.entry((address.as_str().into(), protocol)).or_insert_with(make).clone();
        let known = self.known.entry(worker.clone()).or_insert_with(|| {
            let outstanding = Outstanding { worker: worker.clone(), count: AtomicU32::new(0) };
            Known { outstanding: Arc::new(outstanding), at: Vec::new() }
        });
        known.at.push(endpoint.clone());
        Seat { outstanding: known.outstanding.clone(), endpoint }
    }

    /// How many requests a worker has from this core.
    pub fn outstanding(&self, worker: &str) -> u32 {
        self.known.get(worker).map_or(0, |known| known.outstanding.count())
    }

    /// Closes old connections; forgets workers that nobody uses any more. Somebody may hold one right now and put a
    /// connection back: forgotten is only what is ours alone.
    pub fn sweep(&mut self, now: u32, ticks_max: u32) {
        let is_old = |endpoint: &Endpoint| endpoint.is_forgotten(now, ticks_max);
        for endpoint in self.endpoints.values() {
            endpoint.sweep(now, ticks_max);
        }
        self.known.retain(|_, known| {
            // An endpoint that somebody holds stays among the endpoints, and is found there again.
            known.at.retain(|endpoint| !is_old(endpoint));
            !known.at.is_empty() || Arc::strong_count(&known.outstanding) > 1
        });
        self.endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1 || !is_old(endpoint));
    }

    /// Closes all unused connections.
    pub fn clear(&self) {
        self.endpoints.values().for_each(|endpoint| endpoint.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers() -> Workers {
        Workers::new(PoolBounds::of(&crate::Limits::default()))
    }

    fn seat(workers: &mut Workers, id: &str, url: &str) -> Seat {
        workers.seat(&WorkerId::parse(id).unwrap(), &Address::parse(url).unwrap(), Protocol::Http1)
    }

    #[test]
    fn an_address_has_one_pool_for_each_protocol() {
        let mut workers = workers();
        let (worker, address) = (WorkerId::parse("w1").unwrap(), Address::parse("http://h:1").unwrap());
        let [a, b] = [Protocol::Http1, Protocol::H2c].map(|p| workers.seat(&worker, &address, p));
        assert!(!Arc::ptr_eq(&a.endpoint, &b.endpoint) && Arc::ptr_eq(&a.outstanding, &b.outstanding));
        assert!(a.endpoint.links().is_none() && b.endpoint.links().is_some());
        let again = workers.seat(&worker, &address, Protocol::H2c);
        assert!(Arc::ptr_eq(&again.endpoint, &b.endpoint));
    }

    #[test]
    fn requests_are_counted_by_worker_whatever_the_address() {
        let mut workers = workers();
        let (a, b) = (seat(&mut workers, "w1", "http://h:1"), seat(&mut workers, "w1", "http://h:2"));
        let tickets = [a.take(0), b.take(0), seat(&mut workers, "w2", "http://h:1").take(0)];
        assert_eq!((workers.outstanding("w1"), workers.outstanding("w2")), (2, 1));
        drop(tickets);
        assert_eq!(
            (workers.outstanding("w1"), workers.outstanding("w2"), workers.outstanding("w3")),
            (0, 0, 0)
        );
    }

    #[test]
    fn an_address_has_one_pool_and_a_worker_one_count() {
        let mut workers = workers();
        let (a, b) = (seat(&mut workers, "w1", "http://h:1"), seat(&mut workers, "w2", "http://h:1"));
        assert!(Arc::ptr_eq(&a.endpoint, &b.endpoint) && !Arc::ptr_eq(&a.outstanding, &b.outstanding));
        let again = seat(&mut workers, "w1", "http://h:1");
        assert!(Arc::ptr_eq(&a.outstanding, &again.outstanding) && Arc::ptr_eq(&a.endpoint, &again.endpoint));
    }

    #[test]
    fn who_has_a_request_is_not_forgotten() {
        let mut workers = workers();
        let held = seat(&mut workers, "w1", "http://h:1").take(0);
        drop(seat(&mut workers, "w2", "http://h:2"));
        workers.sweep(1_000, 10);
        assert_eq!((workers.known.len(), workers.endpoints.len()), (1, 1));
        assert_eq!(workers.outstanding("w1"), 1);
        drop(held);
        workers.sweep(1_000, 10);
        workers.sweep(1_000, 10);
        assert_eq!((workers.known.len(), workers.endpoints.len()), (0, 0));
    }

    #[test]
    fn workers_that_share_an_address_are_forgotten_too() {
        let mut workers = workers();
        for id in ["w1", "w2", "w3"] {
            drop(seat(&mut workers, id, "http://h:1"));
        }
        let held = seat(&mut workers, "w1", "http://h:1").take(0);
        workers.sweep(1_000, 10);
        assert_eq!((workers.known.len(), workers.endpoints.len()), (1, 1));
        let again = seat(&mut workers, "w1", "http://h:1");
        assert!(Arc::ptr_eq(&held.0, &again.endpoint) && again.outstanding.count() == 1);
        drop((held, again));
        workers.sweep(1_000, 10);
        assert_eq!((workers.known.len(), workers.endpoints.len()), (0, 0));
    }
}
