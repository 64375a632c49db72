//! Requests that wait for the next owner instead of failing.
//!
//! Whether one may, `quorate_routing::vacancy` says; for how long, the operator. A waiting request costs its client's
//! connection and nothing else: its body is not read, and it is woken when what it waits for is there, not to look
//! whether it is. For that, each core on which somebody waits has one task that looks at each new View, once for all
//! who wait for the same.

use crate::{
    client::Client,
    core::Core,
    deadline::ticks,
    decide::{Decided, Patience, Verdict, decide},
};
use http::Request;
use hyper::body::Incoming;
use quorate_model::ServiceName;
use quorate_routing::vacancy::Vacancy;
use quorate_telemetry::label::HoldEnd;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Awaited {
    /// The next owner of a partition of the default keyspace.
    Partition(u32),
    /// The next worker of a service.
    Service(ServiceName),
}

/// A request that may wait.
pub(crate) struct Held {
    pub awaited: Awaited,
    pub vacancy: Vacancy,
}

/// How many requests of the node wait, by the policy that lets them. Shared by its cores: who waits has time.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<Policy, u32>>);

/// Whose bound it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Policy {
    Keyspace,
    Service(ServiceName),
}

impl Waiting {
    fn enter(&self, policy: &Policy, max: u32) -> bool {
        let mut waiting = self.counts();
        let count = waiting.get(policy).copied().unwrap_or(0);
        if count < max {
            waiting.insert(policy.clone(), count + 1);
        }
        count < max
    }

    fn leave(&self, policy: &Policy) {
        let mut waiting = self.counts();
        match waiting.get_mut(policy) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(waiting.remove(policy)),
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Policy, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who waits on one core.
#[derive(Default)]
pub(crate) struct Holds {
    rooms: Mutex<Rooms>,
    /// The last one has left.
    empty: Arc<Notify>,
}

#[derive(Default)]
struct Rooms {
    by_awaited: BTreeMap<Awaited, Room>,
    /// Whether a task looks at new Views.
    watched: bool,
}

/// All who wait for the same.
struct Room {
    told: Arc<Notify>,
    count: usize,
}

/// A place in it.
struct Place<'a> {
    client: &'a Client,
    awaited: Awaited,
    policy: Policy,
    told: Arc<Notify>,
    end: HoldEnd,
}

impl<'a> Place<'a> {
    /// `None`: too many wait already.
    fn take(client: &'a Client, held: &Held) -> Option<Self> {
        let core = &client.core;
        let policy = match &held.awaited {
            Awaited::Partition(_) => Policy::Keyspace,
            Awaited::Service(name) => Policy::Service(name.clone()),
        };
        if !core.waiting.enter(&policy, held.vacancy.hold.waiting_max()) {
            core.counters.hold_ended(HoldEnd::TurnedAway);
            return None;
        }
        core.counters.hold_began();
        let mut rooms = core.holds.rooms();
        let make = || Room { told: Arc::default(), count: 0 };
        let room = rooms.by_awaited.entry(held.awaited.clone()).or_insert_with(make);
        room.count += 1;
        let told = room.told.clone();
        if !rooms.watched {
            rooms.watched = true;
            quorate_rt::spawn(watch(core.clone()));
        }
        Some(Self { client, awaited: held.awaited.clone(), policy, told, end: HoldEnd::Abandoned })
    }

    /// The wait is over, with this.
    fn leave(mut self, decided: Decided) -> Decided {
        self.end = match decided.verdict {
            Verdict::Forward(_) => HoldEnd::Served,
            Verdict::Answer(_) | Verdict::Hold(_) => HoldEnd::InVain,
        };
        decided
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let core = &self.client.core;
        core.counters.hold_ended(self.end);
        core.waiting.leave(&self.policy);
        let mut rooms = core.holds.rooms();
        if let Some(room) = rooms.by_awaited.get_mut(&self.awaited) {
            room.count -= 1;
            if room.count == 0 {
                rooms.by_awaited.remove(&self.awaited);
            }
        }
        if rooms.by_awaited.is_empty() {
            core.holds.empty.notify_one();
        }
    }
}

/// Waits until the request can be decided otherwise, or for as long as it may; returns what it is then.
pub(crate) async fn wait(client: &Client, request: &Request<Incoming>, held: Held) -> Decided {
    let Some(mut place) = Place::take(client, &held) else { return decide(client, request, Patience::Over) };
    client.waiting_for(ticks(held.vacancy.hold.wait()));
    loop {
        // Before the look: who becomes the owner after it is told to this one.
        let told = place.told.clone().notified_owned();
        let decided = decide(client, request, Patience::Waiting);
        match &decided.verdict {
            Verdict::Hold(held) if held.awaited == place.awaited => {
                if client.watch.bound(told).await.is_some() {
                    continue;
                }
            }
            // Its partition is another one by now: whom it waited for does not help it. Its time goes on.
            Verdict::Hold(held) => {
                place.end = HoldEnd::InVain;
                drop(place);
                let Some(other) = Place::take(client, held) else {
                    return decide(client, request, Patience::Over);
                };
                place = other;
                continue;
            }
            Verdict::Forward(_) | Verdict::Answer(_) => return place.leave(decided),
        }
        return place.leave(decide(client, request, Patience::Over));
    }
}

/// Looks at each new View for those who wait on a core, until nobody does.
async fn watch(core: Arc<Core>) {
    let mut seen = core.view.version();
    loop {
        if core.holds.tell(|awaited| core.desk.is_vacant(awaited)) == 0 {
            return;
        }
        tokio::select! {
            version = core.view.changed(seen) => seen = version,
            () = core.holds.empty.notified() => {}
        }
    }
}

impl Holds {
    /// Wakes those whose wait is over; returns for how many things requests wait. At 0 nobody watches any more.
    fn tell(&self, is_vacant: impl Fn(&Awaited) -> bool) -> usize {
        // Not under the lock: whoever is asked has locks of his own.
        let awaited: Vec<_> = self.rooms().by_awaited.keys().cloned().collect();
        let over: Vec<_> = awaited.into_iter().filter(|awaited| !is_vacant(awaited)).collect();
        let mut rooms = self.rooms();
        for awaited in &over {
            if let Some(room) = rooms.by_awaited.get(awaited) {
                room.told.notify_waiters();
            }
        }
        rooms.watched = !rooms.by_awaited.is_empty();
        rooms.by_awaited.len()
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_policys_and_the_whole_nodes() {
        let (waiting, a) = (Waiting::default(), Policy::Service(ServiceName::parse("a").unwrap()));
        assert_eq!([2, 2, 2].map(|max| waiting.enter(&a, max)), [true, true, false]);
        assert!(waiting.enter(&Policy::Keyspace, 1), "another policy, another bound");
        waiting.leave(&a);
        assert!(waiting.enter(&a, 2));
        for _ in 0..2 {
            waiting.leave(&a);
        }
        waiting.leave(&Policy::Keyspace);
        assert!(waiting.counts().is_empty());
    }
}
