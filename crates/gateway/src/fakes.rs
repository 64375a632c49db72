//! A cluster and a backplane that do what a test says.

use crate::{
    backplane::{Backplane, BackplaneError, Inbox, Message, MessageId, Reach, Recipient, Taken},
    cluster::{Hold, OpenError, Place, Presence},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use quorate_rt::time::Duration;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

type Told = oneshot::Sender<Result<Taken, BackplaneError>>;

/// What happened, in order, and what is answered next.
#[derive(Default)]
pub struct Stage {
    pub log: Mutex<Vec<String>>,
    /// What `find` answers, one after the other; the last one stays.
    pub places: Mutex<VecDeque<Vec<Place>>>,
    /// What `send` and the inbox answer, one after the other; without any they wait until they are told.
    pub answers: Mutex<VecDeque<Result<Taken, BackplaneError>>>,
    pub open: Mutex<Vec<(String, Told)>>,
    pub outside: Option<Taken>,
    pub reach: Reach,
    pub broadcasts: Mutex<Broadcasts>,
}

/// When what is for all is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broadcasts {
    #[default]
    AtOnce,
    /// Once the test [decides](Stage::decide).
    Wait,
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub fn with(places: Vec<Vec<Place>>, answers: Vec<Result<Taken, BackplaneError>>) -> Arc<Self> {
        Arc::new(Self {
            places: Mutex::new(places.into()),
            answers: Mutex::new(answers.into()),
            ..Self::default()
        })
    }

    pub fn told(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    fn say(&self, what: String) {
        lock(&self.log).push(what);
    }

    fn answer(&self, what: String) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.say(what.clone());
        if let Some(answer) = lock(&self.answers).pop_front() {
            return ready(answer).boxed();
        }
        let (told, answer) = oneshot::channel();
        lock(&self.open).push((what, told));
        async move { answer.await.expect("the test answers") }.boxed()
    }

    /// Answers what waits.
    pub fn decide(&self, what: &str, answer: Result<Taken, BackplaneError>) {
        let mut open = lock(&self.open);
        let at = open.iter().position(|(open, _)| open == what).expect("it is under way");
        let _ = open.remove(at).1.send(answer);
    }
}

impl Presence for Stage {
    fn open(
        &self,
        _: UserId,
        _: ConnectionId,
        _: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        ready(Err(OpenError::Full(0))).boxed()
    }

    fn find(&self, _: &UserId) -> Vec<Place> {
        let mut places = lock(&self.places);
        if places.len() > 1 {
            places.pop_front().unwrap_or_default()
        } else {
            places.front().cloned().unwrap_or_default()
        }
    }

    fn caught_up(&self, index: u64) -> BoxFuture<'static, bool> {
        self.say(format!("wait for {index}"));
        ready(true).boxed()
    }

    fn index(&self) -> u64 {
        7
    }
}

impl Backplane for Stage {
    fn start(&self, _: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        ready(Ok(())).boxed()
    }

    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.answer(format!("{}/{} {}", place.node, place.epoch.0, message.content))
    }

    fn send_among(
        &self,
        place: Place,
        all: &[NodeName],
        message: Arc<Message>,
    ) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let all: Vec<_> = all.iter().map(NodeName::as_str).collect();
        self.answer(format!("{}/{} {} of {}", place.node, place.epoch.0, message.content, all.join(",")))
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn send_outside(&self, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.say(format!("outside {}", message.content));
        ready(Ok(self.outside.unwrap_or(Taken::NotHere { index: 0 }))).boxed()
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let what = format!("all {}", message.content);
        if *lock(&self.broadcasts) == Broadcasts::AtOnce {
            self.say(what);
            return ready(Ok(())).boxed();
        }
        let answered = self.answer(what);
        async move { answered.await.map(drop) }.boxed()
    }

    fn ask(
        &self,
        node: NodeName,
        _: Vec<u8>,
        _: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        ready(Err(BackplaneError::NotSent(node.as_str().into(), "nobody asks here".into()))).boxed()
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

impl Inbox for Stage {
    fn take(&self, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        let answered = self.answer(format!("here/{} {}", epoch.unwrap_or(0), message.content));
        async move { answered.await.expect("an inbox does not fail") }.boxed()
    }

    fn take_broadcast(&self, message: Arc<Message>) {
        self.say(format!("here all {}", message.content));
    }

    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        ready(question).boxed()
    }
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

pub fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("valid")
}

pub fn place(name: &str, epoch: u64) -> Place {
    let connection = ConnectionId::from_random(u128::from(epoch));
    Place { node: node(name), gateway: Epoch(1), epoch: Epoch(epoch), connection }
}

pub fn to(recipient: &str, content: &str) -> Arc<Message> {
    let to = Recipient::User(user(recipient));
    Arc::new(Message { from: user("alice"), to, content: content.into(), id: None, nth: 0 })
}

pub fn named(recipient: &str, content: &str) -> Arc<Message> {
    let id = MessageId { session: ConnectionId::from_random(5), name: "m1".into() };
    Arc::new(Message { id: Some(id), ..Message::clone(&to(recipient, content)) })
}
