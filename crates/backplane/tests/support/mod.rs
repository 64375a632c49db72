//! What the tests of all backplanes need: a cluster of one's own imagination, and real servers.
#![allow(dead_code, reason = "each test takes what it needs")]

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_gateway::{
    backplane::{Backplane, BackplaneError, Inbox, Message, Recipient, Taken, Ways},
    cluster::{Hold, Lost, OpenError, Place, Presence},
    delivery::Courier,
    hall::{Hall, Mailbox, Seat},
    settings::{QueueLimits, SlowConsumer},
};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;

/// Waits until something holds, for a generous time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// From `level` on, until the second one is dropped.
    pub fn begin(level: LevelFilter) -> (Self, DefaultGuard) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panics inside").clone()).expect("text")
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panics inside").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
    Arc::new(Message { from: user("alice"), to, content: content.into(), id: None, nth: 0 })
}

pub fn to_all(content: &str) -> Arc<Message> {
    Arc::new(Message { to: Recipient::All, ..Message::clone(&message("bob", content)) })
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
    /// What it was asked to take for users who are not here.
    pub missed: Mutex<Vec<String>>,
    /// Users who are on the gateway.
    pub here: Mutex<Vec<UserId>>,
    me: OnceLock<NodeName>,
    sessions: Mutex<u64>,
    is_full: Mutex<bool>,
}

impl Cluster {
    pub fn ways(self: &Arc<Self>, me: &str, others: &[&str]) -> Ways {
        let others: Vec<_> = others.iter().map(|name| node(name)).collect();
        let _ = self.me.set(node(me));
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

    pub fn missed(&self) -> Vec<String> {
        self.missed.lock().expect("no panics inside").clone()
    }

    pub fn arrive(&self, name: &str) {
        self.lives_at(name, self.me.get().expect("it has a name").as_str());
        self.here.lock().expect("no panics inside").push(user(name));
    }

    /// From now on nobody is let in.
    pub fn close(&self) {
        *self.is_full.lock().expect("no panics inside") = true;
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
        let words = format!("{}>{} {}", message.from, to, message.content);
        let what = if is_here { &self.taken } else { &self.missed };
        what.lock().expect("no panics inside").push(words);
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
        if *self.0.is_full.lock().expect("no panics inside") {
            return ready(Err(OpenError::Full(1))).boxed();
        }
        let epoch = {
            let mut sessions = self.0.sessions.lock().expect("no panics inside");
            *sessions += 1;
            Epoch(100 + *sessions)
        };
        let place = Place { node: self.1.clone(), gateway: Epoch(1), epoch, connection };
        let mut places = self.0.places.lock().expect("no panics inside");
        places.entry(user.clone()).or_default().push(place);
        let hold = Session { cluster: self.0.clone(), user, epoch, lost: watch::Sender::new(None) };
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
    epoch: Epoch,
    lost: watch::Sender<Option<Lost>>,
}

impl Hold for Session {
    fn epoch(&self) -> Epoch {
        self.epoch
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
            places.retain(|place| place.epoch != self.epoch);
        }
    }
}

/// A gateway with sessions, as far as it takes no sockets to have one.
pub struct Gate {
    pub ways: Ways,
    pub hall: Arc<Hall>,
    pub courier: Courier,
    door: Arc<Door>,
}

/// The hall's, where it is counted how many messages were given up.
struct Door {
    hall: Arc<Hall>,
    given_up: AtomicUsize,
}

impl Inbox for Door {
    fn take(&self, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        self.hall.take(epoch, message)
    }

    fn take_broadcast(&self, message: Arc<Message>) {
        self.hall.take_broadcast(message);
    }

    fn give_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        self.hall.asked(question)
    }
}

impl Gate {
    pub async fn start(ways: Ways) -> Self {
        let hall = Hall::new(ways.presence.clone(), Arc::default(), SlowConsumer::Close);
        let door = Arc::new(Door { hall: hall.clone(), given_up: AtomicUsize::new(0) });
        ways.backplane.start(door.clone()).await.expect("what it needs is there");
        let (presence, backplane) = (ways.presence.clone(), ways.backplane.clone());
        let courier = Courier::new(ways.me.clone(), presence, backplane, hall.clone());
        Self { ways, hall, courier, door }
    }

    pub fn given_up(&self) -> usize {
        self.door.given_up.load(Ordering::Relaxed)
    }

    /// Whose registration is under way.
    pub fn expect(&self, name: &str) -> Guest {
        let limits = QueueLimits { messages_max: 1_024, bytes_max: 1 << 20 };
        let mailbox = Arc::new(Mailbox::new(limits));
        let seat = self.hall.expect(&user(name), &mailbox);
        Guest { name: name.into(), mailbox, seat, hold: None, heard: Mutex::default() }
    }

    pub async fn enter(&self, name: &str, number: u128) -> Guest {
        let mut guest = self.expect(name);
        guest.arrive(self, number).await;
        guest
    }
}

pub struct Guest {
    name: String,
    mailbox: Arc<Mailbox>,
    seat: Seat,
    hold: Option<Box<dyn Hold>>,
    heard: Mutex<Vec<String>>,
}

impl Guest {
    pub async fn arrive(&mut self, gate: &Gate, number: u128) {
        let id = ConnectionId::from_random(number);
        let opened = gate.ways.presence.open(user(&self.name), id, SecondLogin::Many).await;
        let hold = opened.expect("there is room");
        self.seat.arrive(hold.epoch());
        self.hold = Some(hold);
    }

    /// Everything that has come.
    pub fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().expect("no panics inside");
        heard.extend(
            std::iter::from_fn(|| self.mailbox.queue.take()).map(|message| message.content.to_string()),
        );
        heard.clone()
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
