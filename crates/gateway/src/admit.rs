//! Who may come in, and how many.
//!
//! Checked in the order of what it costs: places first, proofs last. Whoever is sent away for the number of those who come is
//! told when to come back, each another time: those who were cut off together would come back together.

use crate::{desk::Desk, dialect::offered_token, rate::Bucket, settings::Settings};
use http::{HeaderMap, header};
use quorate_model::UserId;
use quorate_rt::{rng, time::Instant};
use quorate_telemetry::gateway::TurnedAway;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A client is told to come back after one to this many seconds.
const RETRY_SECONDS_MAX: u64 = 10;

/// Counts who is in. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    counts: Mutex<Counts>,
    changed: Notify,
    connections_max: usize,
    per_address_max: Option<usize>,
}

struct Counts {
    connections: usize,
    addresses: BTreeMap<IpAddr, usize>,
    new: Bucket,
    is_closed: bool,
}

/// A connection's place, for as long as it lives.
pub struct Ticket {
    door: Door,
    address: IpAddr,
}

impl Door {
    /// Nobody is in.
    pub fn new(settings: &Settings) -> Self {
        let new = Bucket::new(settings.accept, Instant::now());
        let counts = Counts { connections: 0, addresses: BTreeMap::new(), new, is_closed: false };
        Self(Arc::new(Inner {
            counts: Mutex::new(counts),
            changed: Notify::new(),
            connections_max: settings.connections_max,
            per_address_max: settings.connections_per_address_max,
        }))
    }

    /// A place for a connection from `address`.
    pub fn enter(&self, address: IpAddr) -> Result<Ticket, TurnedAway> {
        let address = address.to_canonical();
        let mut counts = self.lock();
        if counts.is_closed {
            return Err(TurnedAway::Drain);
        }
        if counts.connections >= self.0.connections_max {
            return Err(TurnedAway::Full);
        }
        let of_address = counts.addresses.get(&address).copied().unwrap_or_default();
        if self.0.per_address_max.is_some_and(|max| of_address >= max) {
            return Err(TurnedAway::Address);
        }
        if !counts.new.take(Instant::now()) {
            return Err(TurnedAway::Rate);
        }
        counts.connections += 1;
        counts.addresses.insert(address, of_address + 1);
        Ok(Ticket { door: self.clone(), address })
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.lock().connections
    }

    /// Resolves once nobody is in.
    pub async fn emptied(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.count() == 0 {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.door.lock();
        counts.connections -= 1;
        if let Some(count) = counts.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.addresses.remove(&self.address);
            }
        }
        drop(counts);
        self.door.0.changed.notify_waiters();
    }
}

/// In how many seconds somebody who was sent away may come back.
pub fn retry_after() -> u64 {
    1 + rng::random_u64() % RETRY_SECONDS_MAX
}

/// Who somebody has proved to be; `None`: no proof is asked for.
pub fn identify(desk: &Desk, headers: &HeaderMap, query: Option<&str>) -> Result<Option<UserId>, TurnedAway> {
    if desk.settings.origins.as_ref().is_some_and(|origins| !origins.let_in(headers)) {
        return Err(TurnedAway::Origin);
    }
    let Some(verifier) = &desk.verifier else { return Ok(None) };
    let token = bearer(headers).or_else(|| offered_token(headers)).or_else(|| in_query(query));
    let proved = token.map(|token| verifier.verify(token));
    match proved {
        Some(Ok(user)) => Ok(Some(user)),
        Some(Err(why)) => {
            tracing::debug!(%why, "a token proves nothing");
            Err(TurnedAway::Token)
        }
        None => Err(TurnedAway::Token),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = said.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The letters of a token need no escapes.
fn in_query(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Rate;

    fn door(change: impl FnOnce(&mut Settings)) -> Door {
        let mut settings = Settings::default();
        change(&mut settings);
        Door::new(&settings)
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let door = door(|settings| {
            settings.connections_max = 3;
            settings.connections_per_address_max = Some(2);
        });
        let first = door.enter(address(1)).ok();
        let _second = door.enter(address(1)).ok();
        assert_eq!(door.enter(address(1)).err(), Some(TurnedAway::Address));
        let mapped: IpAddr = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into();
        assert_eq!(door.enter(mapped).err(), Some(TurnedAway::Address), "the same one, written otherwise");
        let _third = door.enter(address(2)).ok();
        assert_eq!(door.enter(address(3)).err(), Some(TurnedAway::Full));
        drop(first);
        assert_eq!(door.count(), 2);
        assert!(door.enter(address(1)).is_ok());
    }

    #[test]
    fn new_ones_are_bounded_by_time() {
        let door = door(|settings| settings.accept = Rate { per_second: 1, burst: 2 });
        let let_in = (0..5).filter(|_| door.enter(address(1)).is_ok()).count();
        assert_eq!(let_in, 2, "also of those who have left");
        assert_eq!(door.enter(address(1)).err(), Some(TurnedAway::Rate));
    }

    #[tokio::test]
    async fn a_door_that_is_closed_lets_nobody_in_and_says_when_all_have_left() {
        let door = door(|_| {});
        let ticket = door.enter(address(1)).ok();
        door.close();
        assert_eq!(door.enter(address(1)).err(), Some(TurnedAway::Drain));
        let emptied = {
            let door = door.clone();
            quorate_rt::spawn(async move { door.emptied().await })
        };
        tokio::task::yield_now().await;
        drop(ticket);
        emptied.await.expect("no panic");
    }

    #[test]
    fn those_who_are_sent_away_come_back_at_different_times() {
        let told: std::collections::BTreeSet<_> = (0..200).map(|_| retry_after()).collect();
        assert!(told.len() > 3, "{told:?}");
        assert!(told.iter().all(|seconds| (1..=RETRY_SECONDS_MAX).contains(seconds)), "{told:?}");
    }
}
