//! What the tests of all backplanes need: a cluster of one's own imagination, and real servers.
#![allow(dead_code, reason = "each test takes what it needs")]

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_gateway::{
    backplane::{Backplane, BackplaneError, Inbox, Message, Recipient, Taken, Ways},
    cluster::{Hold, Lost, OpenError, Place, Presence},
};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Waits until something holds, for a generous time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("valid")
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

pub fn message(recipient: &str, content: &str) -> Arc<Message> {
    let to = Recipient::User(user(recipient));
    Arc::new(Message { from: user("alice"), to, content: content.into(), id: None })
}

pub fn at(name: &str) -> Place {
    let connection = ConnectionId::from_random(1);
    Place { node: node(name), gateway: Epoch(1), epoch: Epoch(2), connection }
}

/// Presence of a cluster, and what a gateway has taken.
#[derive(Default)]
pub struct Cluster {
    places: Mutex<BTreeMap<UserId, Vec<Place>>>,
    pub taken: Mutex<Vec<String>>,
    /// Users who are on the gateway.
    pub here: Mutex<Vec<UserId>>,
}

impl Cluster {
    pub fn ways(self: &Arc<Self>, me: &str, others: &[&str]) -> Ways {
        let others: Vec<_> = others.iter().map(|name| node(name)).collect();
        Ways {
            me: node(me),
            others: Arc::new(move || others.clone()),
            presence: Arc::new(Sessions(self.clone(), node(me))),
            backplane: Arc::new(NoWay),
        }
    }

    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("no panics inside").clone()
    }

    pub fn arrive(&self, name: &str) {
        self.here.lock().expect("no panics inside").push(user(name));
    }

    /// As the log of another node has it.
    pub fn lives_at(&self, name: &str, node: &str) {
        self.places.lock().expect("no panics inside").insert(user(name), vec![at(node)]);
    }

    pub fn stands(&self, name: &str) -> bool {
        let places = self.places.lock().expect("no panics inside");
        places.get(&user(name)).is_some_and(|places| !places.is_empty())
    }
}

impl Inbox for Cluster {
    fn take(&self, _: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        let Recipient::User(to) = &message.to else { panic!("{message:?} is for many") };
        let is_here = self.here.lock().expect("no panics inside").contains(to);
        if is_here {
            let words = format!("{}>{} {}", message.from, to, message.content);
            self.taken.lock().expect("no panics inside").push(words);
        }
        let taken = if is_here { Taken::Delivered } else { Taken::NotHere { index: 0 } };
        ready(taken).boxed()
    }

    fn take_broadcast(&self, message: Arc<Message>) {
        let words = format!("{}>{:?} {}", message.from, message.to, message.content);
        self.taken.lock().expect("no panics inside").push(words);
    }

    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        ready(question).boxed()
    }
}

/// The log's presence, as far as one gateway opens it.
struct Sessions(Arc<Cluster>, NodeName);

impl Presence for Sessions {
    fn open(
        &self,
        user: UserId,
        connection: ConnectionId,
        _: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        let place = Place { node: self.1.clone(), gateway: Epoch(1), epoch: Epoch(7), connection };
        let mut places = self.0.places.lock().expect("no panics inside");
        places.entry(user.clone()).or_default().push(place);
        let hold = Session { cluster: self.0.clone(), user, connection, lost: watch::Sender::new(None) };
        let hold: Box<dyn Hold> = Box::new(hold);
        ready(Ok(hold)).boxed()
    }

    fn find(&self, user: &UserId) -> Vec<Place> {
        self.0.places.lock().expect("no panics inside").get(user).cloned().unwrap_or_default()
    }

    fn caught_up(&self, _: u64) -> BoxFuture<'static, bool> {
        ready(true).boxed()
    }

    fn index(&self) -> u64 {
        0
    }
}

struct Session {
    cluster: Arc<Cluster>,
    user: UserId,
    connection: ConnectionId,
    lost: watch::Sender<Option<Lost>>,
}

impl Hold for Session {
    fn epoch(&self) -> Epoch {
        Epoch(7)
    }

    fn lost(&self) -> Option<Lost> {
        *self.lost.borrow()
    }

    fn until_lost(&self) -> BoxFuture<'_, Lost> {
        let mut lost = self.lost.subscribe();
        async move { lost.wait_for(Option::is_some).await.expect("it is held").expect("just seen") }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        ready(()).boxed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut places = self.cluster.places.lock().expect("no panics inside");
        if let Some(places) = places.get_mut(&self.user) {
            places.retain(|place| place.connection != self.connection);
        }
    }
}

/// The cluster's own way, by which nothing may go here but questions.
struct NoWay;

impl Backplane for NoWay {
    fn start(&self, _: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        ready(Ok(())).boxed()
    }

    fn send(&self, place: Place, _: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        panic!("sent to {place:?}")
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        panic!("sent {message:?}")
    }

    fn ask(
        &self,
        _: NodeName,
        question: Vec<u8>,
        _: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        ready(Ok(question)).boxed()
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}
