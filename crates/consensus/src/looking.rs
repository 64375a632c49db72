//! A worker that is said to be down is looked at before anybody believes it.
//!
//! Whoever says so (the delegate of its group) only shortens the wait: nothing but silence ends a lease. So this node
//! looks whether any address to which the worker's requests go takes a connection. If none does, a second node looks,
//! since a path that is broken from here may be whole from there. Only what both of them see goes to the leader, under
//! the worker's epoch, and there a heartbeat that arrived meanwhile counts for more.
//!
//! A connection says little: the kernel takes one for a process that hangs. That is on purpose. A slow worker must not
//! be expired by an impatient neighbour; a hanging one still sends no heartbeats.

use crate::{
    consensus::{Consensus, Shared},
    forward::{Tried, Unavailable},
    lease::Millis,
    lease_keeper::Early,
    liveness,
    membership::Picture,
    options::ANSWER_WITHIN,
    peer::{
        client::CallError,
        path,
        wire::{self, Believed, Found},
    },
    tunnelling,
};
use futures_util::future::select_ok;
use http::StatusCode;
use quorate_model::{Epoch, NodeId, NodeName, Worker, WorkerId};
use quorate_rt::{net::TcpStream, time};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A connection that is not there by then is none.
const CONNECTED_WITHIN: Duration = Duration::from_millis(1_000);
/// A second node has so long to look and to answer.
const SECOND_WITHIN: Duration = Duration::from_millis(1_400);
/// How long the connection to it is trusted. A call that times out takes its connection with it, and others wait on the
/// same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);
/// So many other nodes are asked before it stays unconfirmed.
const SECONDS_MAX: usize = 2;
/// A worker is looked at by a node once in so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Looks at once. When full: [`NotLooked::Full`].
const AT_ONCE_MAX: usize = 16;
/// Workers that were looked at lately. When full: [`NotLooked::Full`].
const LATELY_MAX: usize = 10_000;
/// A worker with more addresses is not looked at.
const ADDRESSES_MAX: usize = 16;

const _: () = assert!(
    CONNECTED_WITHIN.as_millis() + SECOND_WITHIN.as_millis() * (SECONDS_MAX as u128)
        < ANSWER_WITHIN.as_millis(),
    "time is left for the leader"
);
const _: () =
    assert!(CONNECTED_WITHIN.as_millis() + 300 < SECOND_WITHIN.as_millis(), "a second node's answer arrives");

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its lease ends now.
    Down,
    /// A node gets a connection.
    Up,
    /// It has too many addresses to judge, or no second node could look.
    Unconfirmed,
    /// It was heard, or has another life, by now.
    Heard,
    /// It had expired before.
    Expired,
}

/// A look, and what each node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What it came to.
    pub verdict: Verdict,
    /// By whom.
    pub found: Vec<(NodeName, Found)>,
}

/// Why nobody looked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLooked {
    /// Somebody asked a moment ago; that look may still be under way.
    #[error("the worker is looked at already, or was a moment ago")]
    Lately {
        /// When the next look may begin.
        again_in: Duration,
    },
    /// So many workers are looked at.
    #[error("too many workers are looked at")]
    Full,
    /// The leader could not be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Bounds how often, and how many, workers are looked at.
#[derive(Debug)]
pub struct Looks {
    at_once: Semaphore,
    lately: Mutex<BTreeMap<WorkerId, time::Instant>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { at_once: Semaphore::new(AT_ONCE_MAX), lately: Mutex::default() }
    }
}

impl Looks {
    /// A place to look at `worker`.
    fn enter(&self, worker: &WorkerId) -> Result<SemaphorePermit<'_>, NotLooked> {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| at.elapsed() < AGAIN_AFTER);
        if let Some(at) = lately.get(worker) {
            return Err(NotLooked::Lately { again_in: AGAIN_AFTER.saturating_sub(at.elapsed()) });
        }
        let place = self.at_once.try_acquire().map_err(|_| NotLooked::Full)?;
        if lately.len() >= LATELY_MAX {
            return Err(NotLooked::Full);
        }
        lately.insert(worker.clone(), time::Instant::now());
        Ok(place)
    }
}

impl Consensus {
    /// Looks whether `worker` is down in its life `epoch`; if it is, its lease ends.
    pub async fn look_at(&self, worker: &WorkerId, epoch: Epoch) -> Result<Look, NotLooked> {
        let shared = self.shared();
        let _place = shared.looks.enter(worker)?;
        let begun = time::Instant::now();
        let asked = wire::LookAsked { worker: worker.clone(), epoch };
        let (seen, verdict) = first(look_here(shared, &asked).await);
        let mut found = vec![(shared.me.name.clone(), seen)];
        if let Some(verdict) = verdict {
            return Ok(Look { verdict, found });
        }
        match second(shared, &asked, &mut found).await {
            Second::Agrees | Second::Nobody => {}
            Second::Connected => return Ok(Look { verdict: Verdict::Up, found }),
            Second::Silent => return Ok(Look { verdict: Verdict::Unconfirmed, found }),
        }
        let down = wire::Down { worker: worker.clone(), epoch, looked: begun.elapsed() };
        let message = wire::encode_down(&down);
        let here = |_| std::future::ready(believe(shared, &down));
        let believed = shared
            .forwarder
            .at_leader(begun + ANSWER_WITHIN, here, (path::DOWN, &message), wire::decode_believed)
            .await?;
        let verdict = match believed {
            Believed::Ended => Verdict::Down,
            Believed::Heard => Verdict::Heard,
            Believed::Expired => Verdict::Expired,
        };
        Ok(Look { verdict, found })
    }
}

/// This node's look; a verdict where a second one can't change anything.
fn first(found: Option<Found>) -> (Found, Option<Verdict>) {
    let Some(found) = found else { return (another_life(), Some(Verdict::Heard)) };
    let verdict = match &found {
        Found::Connected(_) => Some(Verdict::Up),
        Found::Unknown(_) => Some(Verdict::Unconfirmed),
        Found::Unconnected(_) => None,
    };
    (found, verdict)
}

/// What the second look came to.
enum Second {
    Agrees,
    Connected,
    /// There are others, and none of them could look.
    Silent,
    /// There is no other node.
    Nobody,
}

async fn second(shared: &Shared, asked: &wire::LookAsked, found: &mut Vec<(NodeName, Found)>) -> Second {
    let members = Picture::of(shared).members;
    let others = members.iter().filter(|(id, _)| NodeId(**id) != shared.me.id);
    let mut others: Vec<_> =
        others.filter_map(|(id, member)| Some((NodeName::parse(&member.name).ok()?, *id, member))).collect();
    if others.is_empty() {
        return Second::Nobody;
    }
    // Those that answered last first.
    others.sort_by_key(|(name, ..)| !shared.roster.get(name.as_str()).is_some_and(|seen| seen.reachable));
    for (name, id, member) in others.into_iter().take(SECONDS_MAX) {
        let address = shared.forwarder.directory.learn(NodeId(id), &member.name, &member.peer);
        let answer = ask(shared, (NodeId(id), &address), asked).await;
        found.push((name, answer.clone()));
        match answer {
            Found::Connected(_) => return Second::Connected,
            Found::Unconnected(_) => return Second::Agrees,
            Found::Unknown(_) => {}
        }
    }
    Second::Silent
}

async fn ask(shared: &Shared, (id, address): (NodeId, &str), asked: &wire::LookAsked) -> Found {
    let question = (path::LOOK, wire::encode_look_asked(asked));
    let call = shared.waiting.call(Some(id), address, question, LINK_WITHIN);
    match time::timeout(SECOND_WITHIN, call).await {
        Ok(Ok(answer)) => wire::decode_found(&answer)
            .unwrap_or_else(|_| Found::Unknown("it gave an answer that can't be read".into())),
        Ok(Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => {
            Found::Unknown("its version does not look at workers".into())
        }
        Ok(Err(_)) | Err(_) => Found::Unknown("it does not answer".into()),
    }
}

/// The second node's part. It has places of its own, so that no peer makes it dial without bounds.
pub(crate) async fn look_for_another(shared: &Shared, asked: &wire::LookAsked) -> Found {
    match shared.looks.at_once.try_acquire() {
        Ok(_place) => look_here(shared, asked).await.unwrap_or_else(another_life),
        Err(_) => Found::Unknown("it looks at too many workers already".into()),
    }
}

/// `None`: it is another life of the worker that stands here.
async fn look_here(shared: &Shared, asked: &wire::LookAsked) -> Option<Found> {
    let known = tunnelling::look(&shared.applied.view().get(), standing(shared, asked)?);
    Some(tunnelling::or_dialled(known, connect).await)
}

/// Where the worker is, if its life is the one that stands here.
fn standing(shared: &Shared, asked: &wire::LookAsked) -> Option<BTreeSet<String>> {
    let view = shared.applied.view().get();
    let known = view.worker(asked.worker.as_str()).filter(|worker| worker.epoch == asked.epoch);
    known.map(|worker| addresses(worker))
}

/// Only an older or a newer one is known here.
fn another_life() -> Found {
    Found::Unknown("it knows another life of the worker".into())
}

/// Where requests for the worker go.
fn addresses(worker: &Worker) -> BTreeSet<String> {
    let registration = &worker.registration;
    let own = registration.extras().tunnel.as_ref().unwrap_or(&registration.address);
    let offered = registration.services.iter().map(|offer| offer.url.as_ref().unwrap_or(own).authority());
    let mut all: BTreeSet<_> = offered.collect();
    if !registration.partitions.is_empty() || all.is_empty() {
        all.insert(registration.address.authority());
    }
    all
}

/// Whether any of the addresses takes a connection.
async fn connect(addresses: BTreeSet<String>) -> Found {
    if addresses.len() > ADDRESSES_MAX {
        return Found::Unknown(format!("the worker has more than {ADDRESSES_MAX} addresses"));
    }
    let tries = addresses.into_iter().map(|address| {
        Box::pin(async move {
            match time::timeout(CONNECTED_WITHIN, TcpStream::connect(address.as_str())).await {
                Ok(Ok(_)) => Ok(format!("{address} takes connections")),
                Ok(Err(error)) => Err(format!("{address}: {error}")),
                Err(_) => Err(format!("{address}: no connection within {CONNECTED_WITHIN:?}")),
            }
        })
    });
    match select_ok(tries).await {
        Ok((words, _)) => Found::Connected(words),
        Err(words) => Found::Unconnected(words),
    }
}

/// The leader's part.
pub(crate) fn believe(shared: &Shared, down: &wire::Down) -> Tried<Believed> {
    if !liveness::speaks_for_quorum(&shared.raft, shared.options.election) {
        return Tried::NotLeader;
    }
    let looked = Millis::try_from(down.looked.as_millis()).unwrap_or(Millis::MAX);
    let early =
        shared.applied.with_keeper(|keeper, now| keeper.end_early(&down.worker, down.epoch, looked, now));
    match early {
        None => Tried::NotLeader,
        Some(Early::Ended) => {
            tracing::info!(worker = %down.worker, epoch = %down.epoch, "a worker is down: its lease ends early");
            Tried::Done(Believed::Ended)
        }
        Some(Early::Heard) => Tried::Done(Believed::Heard),
        Some(Early::Expired) => Tried::Done(Believed::Expired),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{
        Address, Intent, Lifecycle, LogIndex, LogTime, Partition, Registration, RegistrationParts,
        ServiceName, ServiceOffer, Ttl,
    };
    use std::sync::Arc;

    fn worker(parts: impl FnOnce(&mut RegistrationParts)) -> Worker {
        let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
        let id = WorkerId::parse("w1").expect("valid");
        let mut registration = RegistrationParts::new(id, address("http://own:1/base"), ttl);
        parts(&mut registration);
        let registration: Registration = registration.validate().expect("valid");
        Worker {
            registration: Arc::new(registration),
            lost: Vec::new(),
            epoch: Epoch(1),
            incarnation: Epoch(1),
            registered_at: LogTime(0),
            lifecycle: Lifecycle::Live,
            intent: Intent::default(),
            changed: LogIndex(1),
        }
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("valid")
    }

    fn offer(name: &str, url: Option<&str>) -> ServiceOffer {
        ServiceOffer {
            name: ServiceName::parse(name).expect("valid"),
            version: "".into(),
            url: url.map(address),
        }
    }

    #[test]
    fn only_addresses_that_requests_go_to_are_looked_at() {
        let seen = |worker: &Worker| addresses(worker).into_iter().collect::<Vec<_>>();
        assert_eq!(seen(&worker(|_| {})), ["own:1"]);
        // An agent's own address need not listen at all.
        let elsewhere =
            worker(|w| w.services = vec![offer("a", Some("http://a:2")), offer("b", Some("https://b"))]);
        assert_eq!(seen(&elsewhere), ["a:2", "b:443"]);
        let both = worker(|w| w.services = vec![offer("a", Some("http://a:2")), offer("b", None)]);
        assert_eq!(seen(&both), ["a:2", "own:1"]);
        let partitions = worker(|w| {
            w.services = vec![offer("a", Some("http://a:2"))];
            w.partitions = vec![Partition(0)];
        });
        assert_eq!(seen(&partitions), ["a:2", "own:1"]);
    }

    #[tokio::test]
    async fn one_address_that_takes_connections_is_enough() {
        let listener =
            quorate_rt::net::bind("127.0.0.1:0".parse().expect("an address")).await.expect("bound");
        let up = listener.local_addr().expect("bound").to_string();
        let closed = {
            let gone =
                quorate_rt::net::bind("127.0.0.1:0".parse().expect("an address")).await.expect("bound");
            gone.local_addr().expect("bound").to_string()
        };
        let found = |all: &[&String]| connect(all.iter().map(|a| (*a).clone()).collect());
        assert!(matches!(found(&[&up]).await, Found::Connected(_)));
        assert!(matches!(found(&[&closed, &up]).await, Found::Connected(_)));
        assert!(matches!(found(&[&closed]).await, Found::Unconnected(_)));
        let many = (0..=ADDRESSES_MAX).map(|i| format!("127.0.0.1:{}", 1 + i)).collect();
        assert!(matches!(connect(many).await, Found::Unknown(_)), "too many to judge");
    }

    #[tokio::test]
    async fn a_worker_with_too_many_addresses_was_not_heard() {
        let many = (0..=ADDRESSES_MAX).map(|i| format!("127.0.0.1:{}", 1 + i)).collect();
        assert!(matches!(first(Some(connect(many).await)), (Found::Unknown(_), Some(Verdict::Unconfirmed))));
        assert!(matches!(first(None), (Found::Unknown(_), Some(Verdict::Heard))), "another life");
    }

    #[tokio::test]
    async fn a_worker_is_not_looked_at_again_at_once_and_not_too_many_are() {
        let looks = Looks::default();
        let id = |i: usize| WorkerId::parse(&format!("w{i}")).expect("valid");
        let first = looks.enter(&id(0));
        assert!(first.is_ok());
        let again = looks.enter(&id(0)).expect_err("just now");
        assert!(matches!(again, NotLooked::Lately { again_in } if again_in <= AGAIN_AFTER), "{again}");
        let _places: Vec<_> = (1..AT_ONCE_MAX).map(|i| looks.enter(&id(i)).expect("a place")).collect();
        assert_eq!(looks.enter(&id(AT_ONCE_MAX)).err(), Some(NotLooked::Full));
        assert!(
            matches!(looks.enter(&id(1)).err(), Some(NotLooked::Lately { .. })),
            "it is looked at, also where there is no place left"
        );
        drop(first);
        assert!(looks.enter(&id(AT_ONCE_MAX)).is_ok(), "who was refused for want of room was not looked at");
    }
}
