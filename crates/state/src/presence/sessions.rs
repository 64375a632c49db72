//! Who of the users of the WebSocket gateway is connected where.
//!
//! A user's sessions are found by the user, and by the gateway that they hang on; what one needs of a session is in it.
//! Those of a gateway that has ended are seen by nobody: their gateway does not stand. They are taken out as the user
//! comes again, or as they are cleared up.

use super::leased::Leased;
use imbl::OrdMap;
use quorate_model::{Epoch, Gateway, Session, UserId, limit};
use smallvec::SmallVec;
use std::{collections::BTreeSet, ops::Bound, sync::Arc};

/// All sessions. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct SessionTable {
    leased: Leased<OrdMap<Epoch, Arc<Session>>>,
    /// Also of gateways that have ended, as long as they are not cleared up.
    by_user: OrdMap<UserId, Slot>,
}

/// The sessions of a user, the oldest first. Most have one, which takes no room of its own.
#[derive(Clone, Debug)]
enum Slot {
    One(Arc<Session>),
    Many(Arc<Vec<Arc<Session>>>),
}

impl Slot {
    fn all(&self) -> &[Arc<Session>] {
        match self {
            Self::One(session) => std::slice::from_ref(session),
            Self::Many(sessions) => sessions,
        }
    }

    /// `None`: nothing is left.
    fn of(mut sessions: Vec<Arc<Session>>) -> Option<Self> {
        match sessions.len() {
            0 | 1 => sessions.pop().map(Self::One),
            _ => Some(Self::Many(Arc::new(sessions))),
        }
    }
}

/// What stood of a user's sessions when it was looked, the oldest first: what is decided on it and what is put in its place
/// is about the same, and it is looked for once.
pub(crate) struct Standing(SmallVec<[Arc<Session>; 1]>);

impl Standing {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.0.iter().map(|session| &**session)
    }
}

impl SessionTable {
    /// The sessions of a user, the newest first.
    pub fn of(&self, user: &str) -> impl Iterator<Item = &Arc<Session>> {
        let all = self.by_user.get(user).map(Slot::all).unwrap_or_default();
        all.iter().rev().filter(|session| self.stands(session))
    }

    /// Whether a user has any.
    pub fn is_connected(&self, user: &str) -> bool {
        self.of(user).next().is_some()
    }

    /// All sessions: by user, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.by_user.values().flat_map(Slot::all).filter(|session| self.stands(session))
    }

    /// Those behind the session of this user and epoch, in the same order.
    pub fn after<'a>(&'a self, user: &'a str, epoch: Epoch) -> impl Iterator<Item = &'a Arc<Session>> {
        let range = self.by_user.range::<_, str>((Bound::Included(user), Bound::Unbounded));
        let all = range.flat_map(|(_, slot)| slot.all());
        let is_behind = move |session: &&Arc<Session>| session.user.as_str() != user || session.epoch > epoch;
        all.filter(is_behind).filter(|session| self.stands(session))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.leased.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that hang on a gateway and have a later epoch than `after`, the oldest first.
    pub fn held_by(&self, gateway: Epoch, after: Epoch) -> impl Iterator<Item = &Arc<Session>> {
        let held = self.leased.of(gateway).into_iter();
        let range = (Bound::Excluded(after), Bound::Unbounded);
        held.flat_map(move |held| held.range::<_, Epoch>(range)).map(|(_, session)| session)
    }

    /// How many hang on a gateway.
    pub fn count_of(&self, gateway: Epoch) -> usize {
        self.leased.of(gateway).map_or(0, OrdMap::len)
    }

    /// One that hangs on a gateway.
    pub fn get(&self, gateway: Epoch, epoch: Epoch) -> Option<&Arc<Session>> {
        self.leased.of(gateway)?.get(&epoch)
    }

    /// How many of gateways that have ended are not cleared up yet. Nobody sees them.
    pub fn uncleared(&self) -> usize {
        self.leased.uncleared()
    }

    fn stands(&self, session: &Session) -> bool {
        self.leased.stands(session.gateway.epoch)
    }

    pub(super) fn begin(&mut self, gateway: Epoch) {
        self.leased.begin(gateway);
    }

    /// Costs the same for any number of sessions.
    pub(super) fn end(&mut self, gateway: Epoch) -> usize {
        self.leased.end(gateway)
    }

    /// The sessions of a user as they stand now.
    pub(crate) fn standing(&self, user: &str) -> Standing {
        let all = self.by_user.get(user).map(Slot::all).unwrap_or_default();
        Standing(all.iter().filter(|session| self.stands(session)).cloned().collect())
    }

    /// Puts a session beside those of its user that `stays` says stay, of all that are `standing`; answers with the others.
    /// What is left over of gateways that have ended goes with them, and is told nobody. Its gateway must stand.
    pub(crate) fn open(
        &mut self,
        session: &Arc<Session>,
        standing: Standing,
        stays: impl Fn(&Session) -> bool,
    ) -> SmallVec<[Arc<Session>; 1]> {
        // No more gather than are cleared up.
        self.clear_up(1);
        let (kept, gone): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) =
            standing.0.into_iter().partition(|other| stays(other));
        for other in &gone {
            self.leased.change(other.gateway.epoch, |held| held.remove(&other.epoch));
        }
        self.leased.change(session.gateway.epoch, |held| held.insert(session.epoch, session.clone()));
        let slot = match kept.is_empty() {
            true => Slot::One(session.clone()),
            false => Slot::Many(Arc::new(kept.into_iter().chain([session.clone()]).collect())),
        };
        self.by_user.insert(session.user.clone(), slot);
        gone
    }

    /// Takes the session of this epoch out, if it hangs on this gateway.
    pub(crate) fn close(&mut self, gateway: Epoch, epoch: Epoch) -> Option<Arc<Session>> {
        let session = self.leased.change(gateway, |held| held.remove(&epoch))??;
        // It stands, so it is there, and most are their user's only one: taken out without looking first.
        if let Some(slot) = self.by_user.remove(&session.user) {
            let left = slot.all().iter().filter(|other| other.epoch != epoch).cloned().collect();
            if let Some(slot) = Slot::of(left) {
                self.by_user.insert(session.user.clone(), slot);
            }
        }
        Some(session)
    }

    /// Clears up at most `max` of those of gateways that have ended.
    pub(crate) fn clear_up(&mut self, max: usize) {
        for _ in 0..max {
            let Some((_, session)) = self.leased.take_leftover() else { return };
            self.forget(&session);
        }
    }

    /// Takes it out of those of its user, if it is there: the user may have come again.
    fn forget(&mut self, session: &Session) {
        let Some(slot) = self.by_user.get(&session.user) else { return };
        let is_it = |other: &Arc<Session>| other.epoch == session.epoch;
        match slot {
            Slot::One(only) if is_it(only) => drop(self.by_user.remove(&session.user)),
            Slot::Many(all) if all.iter().any(is_it) => {
                let left = all.iter().filter(|other| !is_it(other)).cloned().collect();
                match Slot::of(left) {
                    Some(slot) => self.by_user.insert(session.user.clone(), slot),
                    None => self.by_user.remove(&session.user),
                };
            }
            Slot::One(_) | Slot::Many(_) => {}
        }
    }

    pub(super) fn from_parts(gateways: impl Iterator<Item = Epoch>, sessions: &[Arc<Session>]) -> Self {
        let mut table = Self::default();
        gateways.for_each(|gateway| table.begin(gateway));
        for session in sessions {
            let standing = table.standing(session.user.as_str());
            table.open(session, standing, |_| true);
        }
        table
    }

    /// What contradicts itself; `None`: nothing.
    pub(super) fn difference(
        &self,
        gateways: &OrdMap<Epoch, Arc<Gateway>>,
        last_epoch: Epoch,
    ) -> Option<String> {
        if let Some(what) = self.leased.difference(|epoch| gateways.contains_key(&epoch)) {
            return Some(what);
        }
        let mut epochs = BTreeSet::new();
        for (user, slot) in &self.by_user {
            let all = slot.all();
            let standing = all.iter().filter(|session| self.stands(session)).count();
            if !all.is_sorted_by(|a, b| a.epoch < b.epoch) || standing > limit::SESSIONS_PER_USER_MAX {
                return Some(format!("{user:?} has {all:?}"));
            }
            for session in all {
                let is_right = session.user == *user && self.is_held(session);
                let is_later = session.epoch > session.gateway.epoch && session.epoch <= last_epoch;
                if !is_right || !is_later || !epochs.insert(session.epoch) {
                    return Some(format!("{session:?} of {user:?}, the last epoch is {last_epoch}"));
                }
                if gateways.get(&session.gateway.epoch).is_some_and(|lease| *lease != session.gateway) {
                    return Some(format!("{session:?} hangs on another lease"));
                }
            }
        }
        let standing =
            self.leased.standing().flat_map(|(gateway, held)| held.iter().map(move |s| (gateway, s)));
        for (gateway, (epoch, session)) in standing {
            if session.gateway.epoch != gateway || session.epoch != *epoch || !epochs.contains(epoch) {
                return Some(format!("{session:?} of {gateway} at {epoch} is not found"));
            }
        }
        let kept = self.len() + self.uncleared();
        (kept > limit::SESSIONS_MAX).then(|| format!("{} sessions, {kept} kept", self.len()))
    }

    fn is_held(&self, session: &Arc<Session>) -> bool {
        let gateway = session.gateway.epoch;
        let held = self.leased.of(gateway).or_else(|| self.leased.left_of(gateway));
        held.and_then(|held| held.get(&session.epoch)) == Some(session)
    }
}
