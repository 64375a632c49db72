//! This node's users, as the original gateways look for them.
//!
//! The log decides who is connected; the hash in Redis follows it, so that others find our users, and is refreshed as the
//! original does. Where a refresh finds that a gateway which is none of this cluster has the user by now, the user has
//! logged in there: the session here is over, as if it had been replaced here.
//!
//! What is refreshed is what somebody holds. A registration that fails, or is given up half way, holds nothing.

use super::{
    Fleet,
    line::Line,
    scripts::{self, Entry, TTL_S},
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_gateway::cluster::{Hold, Lost, OpenError, Place, Presence, Touched};
use quorate_model::{ConnectionId, Epoch, SecondLogin, UserId};
use quorate_rt::time::{self, Instant};
use redis::{Cmd, Pipeline, Value};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// How often our users' entries are refreshed.
pub const REFRESH_EVERY: Duration = Duration::from_secs(30);
const _: () = assert!(REFRESH_EVERY.as_secs() * 2 < TTL_S, "one lost refresh must not end an entry");
/// A refresh that failed is made again after this long, and a login that Redis has missed is written.
const REFRESH_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Sessions that have ended without a word and are still in Redis. More stay there until they run out.
const ORPHANS_MAX: usize = 65_536;
/// Entries of one round trip.
const AT_ONCE: usize = 500;
/// A login is not held up longer than this by Redis: a refresh soon after writes what is missing.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

/// Presence, with Redis told. Clones share it.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    fleet: Arc<Fleet>,
    inner: Arc<dyn Presence>,
    line: Arc<Line>,
    stand: Mutex<Stand>,
    wanted: Notify,
    refresh_every: Duration,
}

/// Whose entry: a connection may become another user's.
type Key = (UserId, ConnectionId);

#[derive(Default)]
struct Stand {
    mine: BTreeMap<Key, Mine>,
    /// How many there were.
    registrations: u64,
    /// Ended without a word.
    orphans: Vec<Key>,
    /// A login is not in Redis.
    has_missing: bool,
    is_stopped: bool,
}

struct Mine {
    /// Which registration of the key: the end of an older one is not this one's.
    number: u64,
    /// Since when, in seconds since 1970, as long as Redis has not been told: it may name an earlier login elsewhere.
    unwritten: Option<u64>,
    lost: watch::Sender<bool>,
}

impl Registry {
    /// Around the cluster's own.
    pub fn new(
        fleet: Arc<Fleet>,
        inner: Arc<dyn Presence>,
        line: Arc<Line>,
        refresh_every: Duration,
    ) -> Self {
        let (stand, wanted) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { fleet, inner, line, stand, wanted, refresh_every }))
    }

    /// Refreshes and clears up, until it is stopped.
    pub async fn keep(self) {
        let mut refresh_at = Instant::now() + self.0.refresh_every;
        loop {
            let rest = refresh_at.saturating_duration_since(Instant::now());
            // However often something is to be cleared up, a refresh is due when it is due.
            let is_due = time::timeout(rest, self.0.wanted.notified()).await.is_err();
            self.clear_up().await;
            let has_missing = {
                let mut stand = self.0.lock();
                if stand.is_stopped {
                    return;
                }
                std::mem::take(&mut stand.has_missing)
            };
            let (every, soon) = (self.0.refresh_every, self.0.refresh_every.min(REFRESH_AGAIN_AFTER));
            if is_due {
                let is_done = self.refresh().await;
                refresh_at = Instant::now() + if is_done { every } else { soon };
            } else if has_missing {
                refresh_at = refresh_at.min(Instant::now() + soon);
            }
        }
    }

    /// Everything that has ended is gone from Redis, if it answers.
    pub async fn stop(&self) {
        self.0.lock().is_stopped = true;
        self.clear_up().await;
        self.0.wanted.notify_one();
    }

    async fn clear_up(&self) {
        loop {
            let some: Vec<_> = {
                let mut stand = self.0.lock();
                let from = stand.orphans.len().saturating_sub(AT_ONCE);
                stand.orphans.split_off(from)
            };
            if some.is_empty() {
                return;
            }
            let users = some.len();
            if self.settle(some).await.is_none() {
                // Nobody refreshes them: they run out.
                tracing::warn!(users, "users who have left stay in Redis until they run out");
            }
        }
    }

    /// Whether all are refreshed.
    async fn refresh(&self) -> bool {
        let mine: Vec<_> = self.0.lock().mine.keys().cloned().collect();
        for some in mine.chunks(AT_ONCE) {
            if self.settle(some.to_vec()).await.is_none() {
                tracing::warn!("users could not be refreshed in Redis");
                return false;
            }
        }
        true
    }

    /// Makes Redis say of these what is so: that they are here, or that they are not. What is so may change while Redis is
    /// told, and a word that is late must not be the last one: a refresh would bring back, for good, a user who has just
    /// left, and an end would take out one who has just come back. So whatever has changed meanwhile is told once more.
    async fn settle(&self, mut keys: Vec<Key>) -> Option<()> {
        while !keys.is_empty() {
            let told: Vec<_> = {
                let stand = self.0.lock();
                let now = |key: &Key| stand.mine.get(key).map(|mine| (mine.number, mine.unwritten));
                keys.into_iter().map(|key| (now(&key), key)).collect()
            };
            let commands = told.iter().map(|(now, key)| match now {
                Some((_, unwritten)) => self.0.with_entry(key, *unwritten, scripts::keep),
                None => self.0.with_entry(key, None, scripts::end),
            });
            let answers = self.run(commands.collect()).await?;
            for ((now, key), answer) in told.iter().zip(answers) {
                if let (Some((number, _)), Value::BulkString(gateway)) = (now, answer) {
                    self.hear(key, *number, &String::from_utf8_lossy(&gateway));
                }
            }
            let stand = self.0.lock();
            let has_changed = |key: &Key, was_mine: bool| stand.mine.contains_key(key) != was_mine;
            keys = told
                .into_iter()
                .filter(|(now, key)| has_changed(key, now.is_some()))
                .map(|told| told.1)
                .collect();
        }
        Some(())
    }

    /// A registration is in Redis, or (not empty) another connection has the entry. On a `gateway` of this cluster that is
    /// no affair of Redis': the log decides who is there, and an entry that is left of a node that was killed runs out. On
    /// any other one the user has logged in there.
    fn hear(&self, key: &Key, number: u64, gateway: &str) {
        let is_elsewhere = !gateway.is_empty() && self.0.fleet.ours().iter().all(|ours| ours != gateway);
        let mut stand = self.0.lock();
        let Some(mine) = stand.mine.get_mut(key).filter(|mine| mine.number == number) else { return };
        if gateway.is_empty() {
            mine.unwritten = None;
        } else if is_elsewhere {
            mine.lost.send_replace(true);
        }
    }

    async fn run(&self, commands: Vec<Cmd>) -> Option<Vec<Value>> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command);
        }
        self.0.line.run(&mut pipeline).await.inspect_err(|error| tracing::debug!(%error, "Redis")).ok()
    }

    /// A session of this node stands: it is refreshed from now on, and no longer than what this gives is kept.
    fn enter(&self, key: Key, inner: Box<dyn Hold>) -> Held {
        let (lost, is_lost) = watch::channel(false);
        let mut stand = self.0.lock();
        stand.registrations += 1;
        let number = stand.registrations;
        let unwritten = Some(time::wall_ms() / 1_000);
        stand.mine.insert(key.clone(), Mine { number, unwritten, lost });
        drop(stand);
        Held { inner: Some(inner), is_lost, key, number, registry: self.clone() }
    }

    /// A registration is over, and is refreshed no more. Another one of the same key is not touched.
    fn leave(&self, key: &Key, number: u64) {
        let mut stand = self.0.lock();
        if stand.mine.get(key).is_some_and(|mine| mine.number == number) {
            stand.mine.remove(key);
        }
    }
}

impl Shared {
    fn with_entry(&self, (user, id): &Key, unwritten: Option<u64>, make: fn(&Entry<'_>) -> Cmd) -> Cmd {
        let (connection, now_s) = (id.to_string(), time::wall_ms() / 1_000);
        let gateway = self.fleet.me.as_str();
        make(&Entry { user: user.as_str(), gateway, connection: &connection, now_s, unwritten })
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence for Registry {
    fn open(
        &self,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        let registry = self.clone();
        async move {
            let hold = registry.0.inner.open(user.clone(), connection, second).await?;
            let held = registry.enter((user, connection), hold);
            let put = registry.0.with_entry(&held.key, None, scripts::put);
            let answers = time::timeout(WRITTEN_WITHIN, registry.run(vec![put])).await.ok().flatten();
            match answers.as_deref() {
                Some([Value::Int(_)]) => registry.hear(&held.key, held.number, ""),
                Some(_) | None => {
                    tracing::warn!("a login is not in Redis until it is refreshed there");
                    registry.0.lock().has_missing = true;
                    registry.0.wanted.notify_one();
                }
            }
            let held: Box<dyn Hold> = Box::new(held);
            Ok(held)
        }
        .boxed()
    }

    fn find(&self, user: &UserId) -> Vec<Place> {
        self.0.inner.find(user)
    }

    fn caught_up(&self, index: u64) -> BoxFuture<'static, bool> {
        self.0.inner.caught_up(index)
    }

    fn index(&self) -> u64 {
        self.0.inner.index()
    }

    fn look(&self, users: &[UserId]) -> (u64, Vec<bool>) {
        self.0.inner.look(users)
    }

    fn touched(&self, after: u64) -> BoxFuture<'static, Touched> {
        self.0.inner.touched(after)
    }
}

/// A session with an entry in Redis.
struct Held {
    /// `None` once it is closed.
    inner: Option<Box<dyn Hold>>,
    is_lost: watch::Receiver<bool>,
    key: Key,
    number: u64,
    registry: Registry,
}

impl Held {
    fn inner(&self) -> &dyn Hold {
        self.inner.as_deref().expect("it is taken out only by closing, which takes all of it")
    }
}

impl Hold for Held {
    fn epoch(&self) -> Epoch {
        self.inner().epoch()
    }

    fn lost(&self) -> Option<Lost> {
        self.inner().lost().or_else(|| self.is_lost.borrow().then_some(Lost::Replaced))
    }

    fn until_lost(&self) -> BoxFuture<'_, Lost> {
        let mut moved = self.is_lost.clone();
        async move {
            let moved = async move {
                // An error says that the entry is gone with the session: whoever closed it knows.
                if moved.wait_for(|is_lost| *is_lost).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                lost = self.inner().until_lost() => lost,
                () = moved => Lost::Replaced,
            }
        }
        .boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let inner = self.inner.take();
        let (registry, key) = (self.registry.clone(), self.key.clone());
        registry.leave(&key, self.number);
        async move {
            let end = registry.settle(vec![key]);
            let closed = async {
                if let Some(inner) = inner {
                    inner.close().await;
                }
            };
            // What is left of it runs out.
            let _ = tokio::join!(time::timeout(WRITTEN_WITHIN, end), closed);
        }
        .boxed()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.registry.leave(&self.key, self.number);
            let mut stand = self.registry.0.lock();
            if stand.orphans.len() < ORPHANS_MAX {
                stand.orphans.push(self.key.clone());
            }
            drop(stand);
            self.registry.0.wanted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
