//! Who may come in, and how many.
//!
//! Checked in the order of what it costs, but for the rate: whether there is a place, where the page is from, the proof,
//! and whether it is let in this second. Rate behind proof: those who prove nothing take nothing of what those who do are
//! let in by. A flood of bad tokens costs a signature each, and no more of them come than connections do, since whoever
//! is refused must connect anew; these the listener bounds, and the bound by address, for whoever has not asked yet as well.
//! All of it is on the gateway's own threads.
//!
//! Whoever is sent away for the number of those who come is told when to come back, each another time: those who were cut
//! off together would come back together.

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
    /// Only where there is a bound for them.
    addresses: BTreeMap<IpAddr, OfAddress>,
    new: Bucket,
    is_closed: bool,
}

/// What is bounded as one address. Whoever has an IPv6 address has the 2^64 of its network as well (RFC 6177).
fn holder(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

/// Connections of one address, whatever they speak.
#[derive(Clone, Copy, Default)]
struct OfAddress {
    within: usize,
    beyond: usize,
}

/// A connection, from the moment that it was accepted to its end.
pub struct Visitor {
    door: Door,
    address: IpAddr,
    standing: Standing,
}

/// How a connection stands to the bound of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There is none.
    NotCounted,
    Within,
    /// There only to be told so.
    Beyond,
}

/// A WebSocket's place, for as long as it lives.
pub struct Ticket {
    visitor: Arc<Visitor>,
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

    /// A connection from `address` was accepted. Those beyond the bound of an address may be as many again, and are told
    /// that they are; the next ones are not even heard.
    pub fn accept(&self, address: IpAddr) -> Result<Arc<Visitor>, TurnedAway> {
        let address = address.to_canonical();
        let standing = match self.0.per_address_max {
            None => Standing::NotCounted,
            Some(max) => {
                let mut counts = self.lock();
                let of_address = counts.addresses.entry(holder(address)).or_default();
                if of_address.within < max {
                    of_address.within += 1;
                    Standing::Within
                } else if of_address.beyond < max {
                    of_address.beyond += 1;
                    Standing::Beyond
                } else {
                    return Err(TurnedAway::Address);
                }
            }
        };
        Ok(Arc::new(Visitor { door: self.clone(), address, standing }))
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

impl Visitor {
    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A place for its WebSocket, if it may have one.
    pub fn enter(self: &Arc<Self>) -> Result<Ticket, TurnedAway> {
        let mut counts = self.door.lock();
        if counts.is_closed {
            return Err(TurnedAway::Drain);
        }
        if counts.connections >= self.door.0.connections_max {
            return Err(TurnedAway::Full);
        }
        if self.standing == Standing::Beyond {
            return Err(TurnedAway::Address);
        }
        counts.connections += 1;
        Ok(Ticket { visitor: self.clone() })
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if self.standing == Standing::NotCounted {
            return;
        }
        let mut counts = self.door.lock();
        let Some(of_address) = counts.addresses.get_mut(&holder(self.address)) else { return };
        match self.standing {
            Standing::NotCounted => {}
            Standing::Within => of_address.within -= 1,
            Standing::Beyond => of_address.beyond -= 1,
        }
        if of_address.within + of_address.beyond == 0 {
            counts.addresses.remove(&holder(self.address));
        }
    }
}

impl Ticket {
    /// Whoever has proved who they are is let in at the rate.
    pub fn let_in(&self) -> Result<(), TurnedAway> {
        let is_let_in = self.visitor.door.lock().new.take(Instant::now());
        if is_let_in { Ok(()) } else { Err(TurnedAway::Rate) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let door = &self.visitor.door;
        door.lock().connections -= 1;
        door.0.changed.notify_waiters();
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
    fn a_network_of_ipv6_is_one_address() {
        let at = |text: &str| holder(text.parse::<IpAddr>().expect("an address").to_canonical());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("::ffff:192.0.2.1"), at("::ffff:192.0.2.2"), "IPv4 in IPv6");
    }

    fn enter(door: &Door, address: IpAddr) -> Result<Ticket, TurnedAway> {
        door.accept(address)?.enter()
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let door = door(|settings| {
            settings.connections_max = 3;
            settings.connections_per_address_max = Some(2);
        });
        let first = enter(&door, address(1)).ok();
        let _second = enter(&door, address(1)).ok();
        assert_eq!(enter(&door, address(1)).err(), Some(TurnedAway::Address));
        let mapped: IpAddr = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into();
        assert_eq!(enter(&door, mapped).err(), Some(TurnedAway::Address), "the same one, written otherwise");
        let _third = enter(&door, address(2)).ok();
        assert_eq!(enter(&door, address(3)).err(), Some(TurnedAway::Full));
        drop(first);
        assert_eq!(door.count(), 2);
        assert!(enter(&door, address(1)).is_ok());
    }

    #[test]
    fn connections_that_have_not_asked_count_and_few_beyond_the_bound_are_even_heard() {
        let door = door(|settings| settings.connections_per_address_max = Some(2));
        let silent = [door.accept(address(1)).ok(), door.accept(address(1)).ok()];
        let beyond = [door.accept(address(1)).ok(), door.accept(address(1)).ok()];
        assert_eq!(door.accept(address(1)).err(), Some(TurnedAway::Address), "not even heard");
        let told = |visitor: &Option<Arc<Visitor>>| visitor.as_ref().map(|visitor| visitor.enter().err());
        assert_eq!(told(&beyond[0]), Some(Some(TurnedAway::Address)));
        assert_eq!(told(&silent[0]), Some(None), "it was here first");
        assert!(enter(&door, address(2)).is_ok(), "of another address");
        drop((silent, beyond));
        assert!(door.lock().addresses.is_empty(), "nothing is kept of those that are gone");
    }

    #[test]
    fn new_ones_are_bounded_by_time() {
        let door = door(|settings| settings.accept = Rate { per_second: 1, burst: 2 });
        let let_in = || enter(&door, address(1)).and_then(|ticket| ticket.let_in());
        assert_eq!((0..5).filter(|_| let_in().is_ok()).count(), 2, "also of those who have left");
        assert_eq!(let_in().err(), Some(TurnedAway::Rate));
    }

    #[tokio::test]
    async fn a_door_that_is_closed_lets_nobody_in_and_says_when_all_have_left() {
        let door = door(|_| {});
        let ticket = enter(&door, address(1)).ok();
        door.close();
        assert_eq!(enter(&door, address(1)).err(), Some(TurnedAway::Drain));
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
