//! What the sessions of `quorate.v1` on one node share: how each is asked for, and who watches whom.

use super::{
    extended::Broadcasts,
    handover::Answer,
    life::Life,
    limit,
    replay::Bounds,
    token::{Secret, Token},
};
use quorate_model::{ConnectionId, NodeName, UserId};
use quorate_rt::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// Questions to one session that wait. Whoever asks waits.
const ASKS_MAX: usize = 4;

/// What an operator may decide about `quorate.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionSettings {
    /// How long a session outlives its socket.
    pub window: Duration,
    /// What a session's replay buffer holds.
    pub replay: Bounds,
    /// Who may say something to all.
    pub broadcasts: Broadcasts,
    /// Sessions without a socket on this node. Beyond it a session ends with its socket.
    pub detached_max: usize,
}

impl Default for ExtensionSettings {
    fn default() -> Self {
        Self {
            window: limit::RESUME_WINDOW,
            replay: Bounds { messages: limit::REPLAY_MESSAGES, bytes: limit::REPLAY_BYTES },
            broadcasts: Broadcasts::Off,
            detached_max: limit::DETACHED_MAX,
        }
    }
}

/// A question to a session, by somebody who has shown its token.
pub enum Ask {
    /// For another socket of this node.
    Claim(oneshot::Sender<Box<Life>>),
    /// Whether it may move to that node.
    Prepare(NodeName, oneshot::Sender<Answer>),
    /// Move there, once the log is applied as far.
    Give(NodeName, u64, oneshot::Sender<Answer>),
    /// That node has what it was given.
    Forget(NodeName, u64, oneshot::Sender<Answer>),
}

/// Shared by all sessions of `quorate.v1` of one node.
pub struct Shared {
    sessions: Mutex<BTreeMap<ConnectionId, Listed>>,
    watchers: Mutex<BTreeMap<UserId, BTreeMap<ConnectionId, Arc<Changed>>>>,
    count: watch::Sender<usize>,
    /// Sessions that move here now.
    arriving: Mutex<BTreeSet<ConnectionId>>,
    detached: Mutex<usize>,
}

struct Listed {
    user: UserId,
    secret: Secret,
    asks: mpsc::Sender<Ask>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Here,
    /// Another node has it. It may come back.
    Given,
}

/// Users whose presence may have changed, for one session that watches them.
#[derive(Debug, Default)]
pub struct Changed {
    users: Mutex<BTreeSet<UserId>>,
    given: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Changed {
    fn add(&self, user: &UserId) {
        lock(&self.users).insert(user.clone());
        self.given.notify_one();
    }

    /// Those that may have changed; waits for the first. Nothing is lost if it is dropped.
    pub async fn next(&self) -> Vec<UserId> {
        loop {
            let users = std::mem::take(&mut *lock(&self.users));
            if !users.is_empty() {
                return users.into_iter().collect();
            }
            self.given.notified().await;
        }
    }
}

impl Shared {
    /// Nobody is here.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::default(),
            watchers: Mutex::default(),
            count: watch::Sender::new(0),
            arriving: Mutex::default(),
            detached: Mutex::default(),
        })
    }

    /// A session can be asked for from now on, until the entry is dropped. `None`: it is here already.
    pub fn enlist(self: &Arc<Self>, user: &UserId, token: &Token) -> Option<(Entry, mpsc::Receiver<Ask>)> {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let mut sessions = lock(&self.sessions);
        if sessions.get(&token.connection).is_some_and(|listed| listed.stage == Stage::Here) {
            return None;
        }
        let listed =
            Listed { user: user.clone(), secret: token.secret, asks: asks.clone(), stage: Stage::Here };
        sessions.insert(token.connection, listed);
        self.count.send_replace(sessions.len());
        let (shared, changed) = (self.clone(), Arc::new(Changed::default()));
        let (connection, asks) = (token.connection, asks.downgrade());
        let entry = Entry { shared, connection, asks, watched: BTreeSet::new(), changed };
        Some((entry, asked))
    }

    /// The session of a token, if it is here.
    pub fn find(&self, token: &Token) -> Option<mpsc::Sender<Ask>> {
        let sessions = lock(&self.sessions);
        let listed = sessions.get(&token.connection)?;
        (listed.secret == token.secret).then(|| listed.asks.clone())
    }

    /// The session of a token, if it is here and this user's.
    pub fn find_of(&self, user: &UserId, token: &Token) -> Option<mpsc::Sender<Ask>> {
        let is_theirs =
            lock(&self.sessions).get(&token.connection).is_some_and(|listed| listed.user == *user);
        if is_theirs { self.find(token) } else { None }
    }

    /// Whether it is here, and not given away.
    pub fn is_here(&self, token: &Token) -> bool {
        let sessions = lock(&self.sessions);
        let listed = sessions.get(&token.connection);
        listed.is_some_and(|listed| listed.secret == token.secret && listed.stage == Stage::Here)
    }

    /// Resolves once no session is here any more.
    pub async fn emptied(&self) {
        // This holds the sender.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// One moves here, until the answer is dropped. `None`: it does already.
    pub fn arrive(self: &Arc<Self>, connection: ConnectionId) -> Option<Arrival> {
        let is_first = lock(&self.arriving).insert(connection);
        is_first.then(|| Arrival { shared: self.clone(), connection })
    }

    /// A place for a session without a socket. `None`: there are too many.
    pub fn detach(self: &Arc<Self>, max: usize) -> Option<Detached> {
        let mut detached = lock(&self.detached);
        if *detached >= max {
            return None;
        }
        *detached += 1;
        Some(Detached(self.clone()))
    }

    /// The presence of these may have changed.
    pub fn changed(&self, users: &[UserId]) {
        let watchers = lock(&self.watchers);
        for user in users {
            watchers.get(user).into_iter().flat_map(BTreeMap::values).for_each(|changed| changed.add(user));
        }
    }

    /// That of anybody may have.
    pub fn changed_all(&self) {
        for (user, watchers) in lock(&self.watchers).iter() {
            watchers.values().for_each(|changed| changed.add(user));
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        lock(&self.sessions).len()
    }

    #[cfg(test)]
    pub fn watched_count(&self) -> usize {
        lock(&self.watchers).len()
    }
}

/// A session, as others find it.
pub struct Entry {
    shared: Arc<Shared>,
    connection: ConnectionId,
    /// By which it is told from another one of the same connection, that came back.
    asks: mpsc::WeakSender<Ask>,
    watched: BTreeSet<UserId>,
    changed: Arc<Changed>,
}

impl Entry {
    /// Another node has the session: it can still be asked, until it comes back.
    pub fn give(&mut self) {
        self.unwatch_all();
        let mut sessions = lock(&self.shared.sessions);
        if let Some(listed) = sessions.get_mut(&self.connection).filter(|listed| is_own(listed, &self.asks)) {
            listed.stage = Stage::Given;
        }
    }

    fn unwatch_all(&mut self) {
        let watched: Vec<_> = std::mem::take(&mut self.watched).into_iter().collect();
        let mut watchers = lock(&self.shared.watchers);
        for user in &watched {
            forget(&mut watchers, user, self.connection, &self.changed);
        }
    }

    /// Whose presence may have changed.
    pub fn changed(&self) -> &Arc<Changed> {
        &self.changed
    }

    /// It watches these from now on.
    pub fn watch<'a>(&mut self, users: impl IntoIterator<Item = &'a UserId>) {
        let mut watchers = lock(&self.shared.watchers);
        for user in users {
            if self.watched.insert(user.clone()) {
                watchers.entry(user.clone()).or_default().insert(self.connection, self.changed.clone());
            }
        }
    }

    /// And these no more.
    pub fn unwatch(&mut self, users: &[UserId]) {
        let mut watchers = lock(&self.shared.watchers);
        for user in users.iter().filter(|user| self.watched.remove(*user)) {
            forget(&mut watchers, user, self.connection, &self.changed);
        }
    }
}

fn is_own(listed: &Listed, asks: &mpsc::WeakSender<Ask>) -> bool {
    asks.upgrade().is_some_and(|asks| listed.asks.same_channel(&asks))
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.unwatch_all();
        let mut sessions = lock(&self.shared.sessions);
        if sessions.get(&self.connection).is_some_and(|listed| is_own(listed, &self.asks)) {
            sessions.remove(&self.connection);
        }
        self.shared.count.send_replace(sessions.len());
    }
}

fn forget(
    watchers: &mut BTreeMap<UserId, BTreeMap<ConnectionId, Arc<Changed>>>,
    user: &UserId,
    connection: ConnectionId,
    own: &Arc<Changed>,
) {
    if let Some(those) = watchers.get_mut(user) {
        if those.get(&connection).is_some_and(|changed| Arc::ptr_eq(changed, own)) {
            those.remove(&connection);
        }
        if those.is_empty() {
            watchers.remove(user);
        }
    }
}

/// A session that moves here.
pub struct Arrival {
    shared: Arc<Shared>,
    connection: ConnectionId,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        lock(&self.shared.arriving).remove(&self.connection);
    }
}

/// The place of a session without a socket.
pub struct Detached(Arc<Shared>);

impl Drop for Detached {
    fn drop(&mut self) {
        *lock(&self.0.detached) -= 1;
    }
}
