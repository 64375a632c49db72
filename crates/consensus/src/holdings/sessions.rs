//! The users whose sessions this node holds.
//!
//! There may be a hundred thousand of them, so each costs one small allocation here, and is told apart by its epoch
//! alone.

use super::Holdings;
use quorate_model::{ConnectionId, Epoch, Session, SessionOutcome, SessionsChanged, UserId};
use quorate_rt::published::Published;
use quorate_state::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};
use tokio::sync::Notify;

/// Why a session is over without its holder's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The user has logged in elsewhere, or once more here.
    Replaced,
    /// The lease of this node is over, or nobody could tell it that it is not.
    LeaseOver,
}

/// A session that this node holds. Dropping it closes it, sooner or later; [`crate::Consensus::close_session`] waits for
/// that.
#[derive(Debug)]
pub struct SessionHold {
    user: UserId,
    gateway: Epoch,
    epoch: Epoch,
    fate: Arc<Fate>,
    holdings: Arc<Holdings>,
}

/// What became of a session.
#[derive(Debug, Default)]
struct Fate {
    lost: OnceLock<Lost>,
    told: Notify,
}

impl Fate {
    fn tell(&self, lost: Lost) {
        // The first word stands.
        let _ = self.lost.set(lost);
        self.told.notify_waiters();
    }
}

impl SessionHold {
    /// Whose.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Its fencing token.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The node's lease, by which it is held.
    pub fn gateway(&self) -> Epoch {
        self.gateway
    }

    /// Whether it is over, and why.
    pub fn is_lost(&self) -> Option<Lost> {
        self.fate.lost.get().copied()
    }

    /// Resolves once it is over.
    pub async fn lost(&self) -> Lost {
        loop {
            // Before it is looked: what is told in between is not missed.
            let told = self.fate.told.notified();
            if let Some(lost) = self.is_lost() {
                return lost;
            }
            told.await;
        }
    }
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        self.holdings.leave_session(self.epoch);
    }
}

/// What a node knows of its sessions.
#[derive(Debug, Default)]
pub(super) struct SessionBook {
    /// How many openings by a connection are under way.
    opening: BTreeMap<ConnectionId, u32>,
    held: BTreeMap<Epoch, Arc<Fate>>,
    /// What stands in the log for this node, and nobody has.
    orphans: BTreeSet<Epoch>,
}

impl SessionBook {
    /// All are lost.
    pub fn let_all_go(&mut self) {
        self.orphans.clear();
        std::mem::take(&mut self.held).into_values().for_each(|fate| fate.tell(Lost::LeaseOver));
    }

    /// Follows what a command changed; answers with whether there are orphans now that were none before. `gateway` is
    /// this node's.
    pub fn follow(&mut self, gateway: Epoch, changed: &SessionsChanged) -> bool {
        let before = self.orphans.len();
        if changed.gateway == gateway {
            let nobodys = changed.opened.iter().filter(|s| !self.opening.contains_key(&s.connection));
            self.orphans.extend(nobodys.map(|session| session.epoch));
        }
        for session in changed.closed.iter().filter(|session| session.gateway.epoch == gateway) {
            self.orphans.remove(&session.epoch);
            if let Some(fate) = self.held.remove(&session.epoch) {
                fate.tell(Lost::Replaced);
            }
        }
        self.orphans.len() > before
    }

    /// Nobody knows what happened in between.
    pub fn read_anew(&mut self, gateway: Epoch, view: &View) {
        let sessions = view.sessions();
        let is_gone = |epoch: &Epoch| sessions.get(gateway, *epoch).is_none();
        self.orphans.retain(|epoch| !is_gone(epoch));
        let gone: Vec<_> = self.held.extract_if(.., |epoch, _| is_gone(epoch)).collect();
        gone.into_iter().for_each(|(_, fate)| fate.tell(Lost::Replaced));
        let nobodys = sessions.held_by(gateway, Epoch::default()).filter(|session| self.is_nobodys(session));
        let nobodys: Vec<_> = nobodys.map(|session| session.epoch).collect();
        self.orphans.extend(nobodys);
    }

    fn is_nobodys(&self, session: &Session) -> bool {
        !self.held.contains_key(&session.epoch) && !self.opening.contains_key(&session.connection)
    }
}

/// Openings that are under way. Whatever comes of them, their end leaves nothing behind that nobody has.
pub(crate) struct Openings {
    asked: Vec<(UserId, ConnectionId)>,
    view: Arc<Published<View>>,
    holdings: Arc<Holdings>,
}

/// What came of one of them.
pub(crate) type Opened = Result<SessionHold, SessionOutcome>;

impl Holdings {
    /// Openings of these begin.
    pub(crate) fn begin_sessions(
        self: &Arc<Self>,
        view: &Arc<Published<View>>,
        asked: Vec<(UserId, ConnectionId)>,
    ) -> Openings {
        let mut book = self.book();
        for (_, connection) in &asked {
            *book.sessions.opening.entry(*connection).or_default() += 1;
        }
        Openings { asked, view: view.clone(), holdings: self.clone() }
    }

    /// Orphans to close, at most `max`. Where there are more, they are told of once more.
    pub(crate) fn take_session_orphans(&self, max: usize) -> Vec<Epoch> {
        let orphans = &mut self.book().sessions.orphans;
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(epoch) = orphans.pop_first()
        {
            taken.push(epoch);
        }
        if !orphans.is_empty() {
            self.session_orphaned.notify_one();
        }
        taken
    }

    /// Those that could not be closed yet.
    pub(crate) fn put_back_sessions(&self, gateway: Epoch, orphans: Vec<Epoch>) {
        let mut book = self.book();
        if self.standing() == Some(gateway) && !orphans.is_empty() {
            book.sessions.orphans.extend(orphans);
            self.session_orphaned.notify_one();
        }
    }

    /// Resolves when there are orphans.
    pub(crate) async fn session_orphaned(&self) {
        self.session_orphaned.notified().await;
    }

    /// Whoever had it has it no longer.
    fn leave_session(&self, epoch: Epoch) {
        let mut book = self.book();
        // One that is not here any more was lost: there is nothing left to say.
        if book.sessions.held.remove(&epoch).is_some() {
            book.sessions.orphans.insert(epoch);
            self.session_orphaned.notify_one();
        }
    }
}

impl Openings {
    /// The log has answered to each. What it has given to this node may be lost already.
    pub(crate) fn answered(self, gateway: Epoch, outcomes: &[SessionOutcome]) -> Vec<Opened> {
        let mut book = self.holdings.book();
        // Looked at with the book in hand: what takes one from here on finds it here.
        let view = self.view.get();
        let stands = self.holdings.standing() == Some(gateway);
        let all = self.asked.iter().zip(outcomes).map(|((user, _), outcome)| {
            let SessionOutcome::Opened { epoch } = *outcome else { return Err(*outcome) };
            let fate = Arc::new(Fate::default());
            if !stands {
                fate.tell(Lost::LeaseOver);
            } else if view.sessions().get(gateway, epoch).is_none() {
                fate.tell(Lost::Replaced);
            } else {
                book.sessions.held.insert(epoch, fate.clone());
            }
            Ok(SessionHold { user: user.clone(), gateway, epoch, fate, holdings: self.holdings.clone() })
        });
        let all = all.collect();
        drop(book);
        all
    }
}

impl Drop for Openings {
    fn drop(&mut self) {
        let mut book = self.holdings.book();
        let view = self.view.get();
        let standing = self.holdings.standing();
        for (user, connection) in &self.asked {
            let left = book.sessions.opening.get_mut(connection).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left > 0 {
                continue;
            }
            book.sessions.opening.remove(connection);
            let ours = view.sessions().of(user.as_str()).filter(|s| Some(s.gateway.epoch) == standing);
            let nobodys: Vec<_> =
                ours.filter(|s| s.connection == *connection && book.sessions.is_nobodys(s)).collect();
            if !nobodys.is_empty() {
                book.sessions.orphans.extend(nobodys.iter().map(|session| session.epoch));
                self.holdings.session_orphaned.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests;
