//! This node's users, as the original gateways look for them.
//!
//! The log decides who is connected; the hash in Redis follows it, so that others find our users, and is refreshed as the
//! original does. Where a refresh finds that somebody else has the user by now, who is no gateway of this cluster, the
//! user has logged in there: the session here is over, as if it had been replaced here.

use super::{
    line::Line,
    scripts::{self, Entry, TTL_S},
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_gateway::cluster::{Hold, Lost, OpenError, Place, Presence, Touched};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use quorate_rt::time;
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
/// Entries of one round trip.
const AT_ONCE: usize = 500;
/// A login is not held up longer than this by Redis: the next refresh writes what is missing.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

/// Presence, with Redis told. Clones share it.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    me: NodeName,
    inner: Arc<dyn Presence>,
    line: Arc<Line>,
    stand: Mutex<Stand>,
    wanted: Notify,
    refresh_every: Duration,
}

#[derive(Default)]
struct Stand {
    mine: BTreeMap<ConnectionId, Mine>,
    /// Ended without a word.
    orphans: Vec<(UserId, ConnectionId)>,
    is_stopped: bool,
}

struct Mine {
    user: UserId,
    lost: watch::Sender<bool>,
}

impl Registry {
    /// Around the cluster's own.
    pub fn new(me: NodeName, inner: Arc<dyn Presence>, line: Arc<Line>, refresh_every: Duration) -> Self {
        let (stand, wanted) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { me, inner, line, stand, wanted, refresh_every }))
    }

    /// Refreshes and clears up, until it is stopped.
    pub async fn keep(self) {
        loop {
            let rested = time::timeout(self.0.refresh_every, self.0.wanted.notified()).await;
            self.clear_up().await;
            if self.0.lock().is_stopped {
                return;
            }
            if rested.is_err() {
                self.refresh().await;
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
            let ends = some
                .iter()
                .map(|(user, id)| scripts::end(user.as_str(), &id.to_string(), self.0.me.as_str()));
            if self.run(ends.collect()).await.is_none() {
                // Nobody refreshes them: they run out.
                tracing::warn!(users = some.len(), "users who have left stay in Redis until they run out");
            }
        }
    }

    async fn refresh(&self) {
        let mine: Vec<_> = {
            let stand = self.0.lock();
            stand.mine.iter().map(|(id, mine)| (*id, mine.user.clone())).collect()
        };
        for some in mine.chunks(AT_ONCE) {
            let keeps = some.iter().map(|(id, user)| self.0.with_entry(user, *id, scripts::keep));
            let Some(answers) = self.run(keeps.collect()).await else {
                tracing::warn!("users could not be refreshed in Redis");
                return;
            };
            for ((id, user), answer) in some.iter().zip(answers) {
                if let Value::BulkString(whose) = answer
                    && !whose.is_empty()
                {
                    self.has_moved(*id, user, &String::from_utf8_lossy(&whose));
                }
            }
        }
    }

    /// Another connection has the entry: another one of the user in this cluster, which is no affair of Redis', or one
    /// elsewhere.
    fn has_moved(&self, id: ConnectionId, user: &UserId, whose: &str) {
        let is_ours = self
            .0
            .inner
            .find(user)
            .iter()
            .any(|place| place.connection != id && place.connection.to_string() == whose);
        if !is_ours && let Some(mine) = self.0.lock().mine.get(&id) {
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

    /// A session of this node stands.
    async fn enter(&self, user: UserId, id: ConnectionId, inner: Box<dyn Hold>) -> Box<dyn Hold> {
        let (lost, is_lost) = watch::channel(false);
        self.0.lock().mine.insert(id, Mine { user: user.clone(), lost });
        let put = self.0.with_entry(&user, id, scripts::put);
        if !matches!(time::timeout(WRITTEN_WITHIN, self.run(vec![put])).await, Ok(Some(_))) {
            tracing::warn!("a login is not in Redis until it is refreshed there");
        }
        Box::new(Held { inner: Some(inner), is_lost, user, id, registry: self.clone() })
    }
}

impl Shared {
    fn with_entry(&self, user: &UserId, id: ConnectionId, make: fn(&Entry<'_>) -> Cmd) -> Cmd {
        let (connection, now_s) = (id.to_string(), time::wall_ms() / 1_000);
        make(&Entry { user: user.as_str(), gateway: self.me.as_str(), connection: &connection, now_s })
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
            Ok(registry.enter(user, connection, hold).await)
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
    user: UserId,
    id: ConnectionId,
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
        let registry = self.registry.clone();
        let (user, id) = (self.user.clone(), self.id);
        async move {
            registry.0.lock().mine.remove(&id);
            let end =
                registry.run(vec![scripts::end(user.as_str(), &id.to_string(), registry.0.me.as_str())]);
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
            let mut stand = self.registry.0.lock();
            stand.mine.remove(&self.id);
            stand.orphans.push((self.user.clone(), self.id));
            drop(stand);
            self.registry.0.wanted.notify_one();
        }
    }
}
