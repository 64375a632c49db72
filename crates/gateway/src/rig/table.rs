//! A cluster that is a table: what the log would decide, at once.

use crate::{
    backplane::{Backplane, BackplaneError, Inbox, Message, Taken},
    cluster::{Hold, Lost, OpenError, Place, Presence, Touched, Whom},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use quorate_rt::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Who is where.
#[derive(Default)]
pub struct Table {
    inner: Mutex<Inner>,
    index: watch::Sender<u64>,
    /// Which question waits on its way until that is over.
    held: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct Inner {
    index: u64,
    sessions: BTreeMap<UserId, Vec<Entry>>,
    inboxes: BTreeMap<NodeName, Arc<dyn Inbox>>,
    cut: BTreeSet<NodeName>,
    /// Of which questions so many answers get lost.
    losses: BTreeMap<&'static str, usize>,
    asked: BTreeMap<&'static str, usize>,
    /// Of which question the way breaks.
    breaks: BTreeMap<&'static str, Break>,
}

#[derive(Clone, Copy)]
enum Break {
    /// The question arrives, and whoever asked does not hear how that went on.
    Behind,
    /// It does not.
    Before,
}

/// Questions, as the documents call them.
const QUESTIONS: &[&str] = &["prepare", "give", "forget", "adopt"];

struct Entry {
    place: Place,
    lost: watch::Sender<Option<Lost>>,
}

impl Table {
    /// The cluster as a node sees it.
    pub fn presence(self: &Arc<Self>, node: &NodeName) -> Arc<dyn Presence> {
        Arc::new(View { runtime: tokio::runtime::Handle::current(), table: self.clone(), node: node.clone() })
    }

    /// A way to the other gateways of the table.
    pub fn backplane(self: &Arc<Self>, node: &NodeName) -> Arc<dyn Backplane> {
        Arc::new(View { runtime: tokio::runtime::Handle::current(), table: self.clone(), node: node.clone() })
    }

    /// Where a user is.
    pub fn places(&self, user: &UserId) -> Vec<Place> {
        self.lock().sessions.get(user).into_iter().flatten().rev().map(|entry| entry.place.clone()).collect()
    }

    /// Something has changed.
    fn tell(&self) {
        let index = self.lock().index;
        self.index.send_replace(index);
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.lock().sessions.values().map(Vec::len).sum()
    }

    /// A node can't be sure of anything: its lease is over, and it gets no other one until it is back.
    pub fn cut_off(&self, node: &str) {
        let mut inner = self.lock();
        inner.index += 1;
        inner.cut.insert(NodeName::parse(node).expect("a good name"));
        for entries in inner.sessions.values_mut() {
            entries.retain(|entry| {
                let is_lost = entry.place.node.as_str() == node;
                if is_lost {
                    entry.lost.send_replace(Some(Lost::LeaseOver));
                }
                !is_lost
            });
        }
        drop(inner);
        self.tell();
    }

    /// The nodes that answer, without one.
    pub fn others(&self, node: &NodeName) -> Vec<NodeName> {
        self.lock().inboxes.keys().filter(|name| *name != node).cloned().collect()
    }

    /// A node answers nobody any more, and its lease is not over yet.
    pub fn silence(&self, node: &str) {
        self.lock().inboxes.retain(|name, _| name.as_str() != node);
    }

    /// The next answers to such a question get lost.
    pub fn lose_answers(&self, question: &'static str, count: usize) {
        self.lock().losses.insert(question, count);
    }

    /// How many of them are still to be lost.
    pub fn losses(&self) -> usize {
        self.lock().losses.values().sum()
    }

    /// The way breaks behind the next question of this kind, and can't be had for the one after it, which is asked for so
    /// long as the asking node is somebody's place.
    pub fn break_off(&self, question: &'static str) {
        self.lock().breaks.insert(question, Break::Behind);
    }

    /// How the way of such a question breaks now.
    fn breaks(&self, kind: &'static str) -> Option<Break> {
        let breaks = &mut self.lock().breaks;
        let now = breaks.remove(kind)?;
        if let Break::Behind = now {
            breaks.insert(kind, Break::Before);
        }
        Some(now)
    }

    /// Resolves once no session is on this node.
    async fn left(&self, node: &NodeName) {
        let mut told = self.index.subscribe();
        let is_here = |entry: &Entry| entry.place.node == *node;
        let has_left = |_: &u64| !self.lock().sessions.values().flatten().any(is_here);
        told.wait_for(has_left).await.expect("the table stays");
    }

    /// Such questions, or those to the log for a place (`open`), wait on their way, until others do, or none.
    pub fn hold_up(&self, question: Option<&'static str>) {
        self.held.send_replace(question);
    }

    /// How often such a question was asked.
    pub fn asked(&self, question: &str) -> usize {
        self.lock().asked.get(question).copied().unwrap_or_default()
    }

    /// It can be sure again.
    pub fn come_back(&self, node: &str) {
        self.lock().cut.retain(|cut| cut.as_str() != node);
    }

    fn open(
        self: &Arc<Self>,
        node: &NodeName,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> Result<Box<dyn Hold>, OpenError> {
        let mut inner = self.lock();
        if inner.cut.contains(node) {
            return Err(OpenError::Unavailable("cut off".into()));
        }
        inner.index += 1;
        let epoch = Epoch(inner.index);
        let entries = inner.sessions.entry(user.clone()).or_default();
        let is_same = |entry: &Entry| entry.place.connection == connection;
        if second == SecondLogin::Reject && !entries.iter().all(is_same) {
            return Err(OpenError::Taken(user));
        }
        let goes = |entry: &mut Entry| second != SecondLogin::Many || is_same(entry);
        for entry in entries.extract_if(.., goes) {
            entry.lost.send_replace(Some(Lost::Replaced));
        }
        let (lost, watched) = watch::channel(None);
        let place = Place { node: node.clone(), gateway: Epoch(1), epoch, connection };
        entries.push(Entry { place, lost });
        drop(inner);
        self.tell();
        Ok(Box::new(Held { table: self.clone(), user, epoch, lost: watched }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct View {
    runtime: tokio::runtime::Handle,
    table: Arc<Table>,
    node: NodeName,
}

impl Presence for View {
    fn open(
        &self,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        let (table, node, mut held) = (self.table.clone(), self.node.clone(), self.table.held.subscribe());
        async move {
            *table.lock().asked.entry("open").or_default() += 1;
            held.wait_for(|held| *held != Some("open")).await.expect("the table stays");
            table.open(&node, user, connection, second)
        }
        .boxed()
    }

    fn find(&self, user: &UserId) -> Vec<Place> {
        self.table.places(user)
    }

    fn caught_up(&self, _index: u64) -> BoxFuture<'static, bool> {
        ready(true).boxed()
    }

    fn index(&self) -> u64 {
        self.table.lock().index
    }

    fn touched(&self, after: u64) -> BoxFuture<'static, Touched> {
        let mut told = self.table.index.subscribe();
        async move {
            let index = told.wait_for(|index| *index > after).await.map_or(after, |index| *index);
            Touched { index, users: Whom::Any }
        }
        .boxed()
    }
}

impl Backplane for View {
    fn start(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        self.table.lock().inboxes.insert(self.node.clone(), inbox);
        ready(Ok(())).boxed()
    }

    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let inbox = self.table.lock().inboxes.get(&place.node).cloned();
        match inbox {
            Some(inbox) => inbox.take(Some(place.epoch.0), message).map(Ok).boxed(),
            None => {
                let error = BackplaneError::NotSent(place.node.as_str().into(), "it is gone".into());
                ready(Err(error)).boxed()
            }
        }
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let inner = self.table.lock();
        let others: Vec<_> = inner
            .inboxes
            .iter()
            .filter(|(node, _)| **node != self.node)
            .map(|(_, inbox)| inbox.clone())
            .collect();
        drop(inner);
        others.into_iter().for_each(|inbox| inbox.take_broadcast(message.clone()));
        ready(Ok(())).boxed()
    }

    fn ask(
        &self,
        node: NodeName,
        question: Vec<u8>,
        _within: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        let kind = kind(&question);
        *self.table.lock().asked.entry(kind).or_default() += 1;
        let (table, runtime, asker) = (self.table.clone(), self.runtime.clone(), self.node.clone());
        let mut held = self.table.held.subscribe();
        async move {
            held.wait_for(|held| *held != Some(kind)).await.expect("the table stays");
            let inbox = table.lock().inboxes.get(&node).cloned();
            let Some(inbox) = inbox else {
                return Err(BackplaneError::NotSent(node.as_str().into(), "it is gone".into()));
            };
            match table.breaks(kind) {
                Some(Break::Behind) => {
                    runtime.spawn(inbox.asked(question));
                    return Err(BackplaneError::Unreachable(node.as_str().into(), "its way broke".into()));
                }
                Some(Break::Before) => {
                    table.left(&asker).await;
                    return Err(BackplaneError::NotSent(node.as_str().into(), "no way".into()));
                }
                None => {}
            }
            // Whoever is asked does not depend on the threads of whoever asks, which may end.
            let answer = runtime.spawn(inbox.asked(question)).await.expect("it answers");
            match table.lock().losses.get_mut(kind) {
                Some(losses @ 1..) => {
                    *losses -= 1;
                    Err(BackplaneError::Unreachable(node.as_str().into(), "its answer got lost".into()))
                }
                Some(_) | None => Ok(answer),
            }
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        self.table.lock().inboxes.remove(&self.node);
        ready(()).boxed()
    }
}

fn kind(question: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(question);
    let is_one = |kind: &&&str| text.contains(&format!(r#""ask":"{kind}""#));
    QUESTIONS.iter().find(is_one).expect("a question")
}

struct Held {
    table: Arc<Table>,
    user: UserId,
    epoch: Epoch,
    lost: watch::Receiver<Option<Lost>>,
}

impl Hold for Held {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn lost(&self) -> Option<Lost> {
        *self.lost.borrow()
    }

    fn until_lost(&self) -> BoxFuture<'_, Lost> {
        let mut lost = self.lost.clone();
        async move {
            match lost.wait_for(Option::is_some).await.map(|lost| *lost) {
                Ok(Some(lost)) => lost,
                // Its entry is gone by its own doing.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        ready(()).boxed()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        inner.index += 1;
        if let Some(entries) = inner.sessions.get_mut(&self.user) {
            // A newer one is not touched.
            entries.retain(|entry| entry.place.epoch != self.epoch);
        }
        drop(inner);
        self.table.tell();
    }
}
