//! Messages for users who are nowhere, for a while: whoever's gateway was restarted comes back within seconds.
//!
//! Messages to one user stay in their order: behind one that is parked all later ones are.

use quorate_gateway::backplane::Message;
use quorate_model::UserId;
use quorate_rt::time::Instant;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// A user who has not come back by then gets nothing.
pub(super) const PARKED_FOR: Duration = Duration::from_secs(30);
/// Messages of one partition that are parked. When full the oldest is given up.
const PARKED_MAX: usize = 4_096;

/// One message of a partition.
#[derive(Clone)]
pub(super) struct Parked {
    pub offset: i64,
    pub message: Arc<Message>,
    pub hops: u32,
    pub until: Instant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lot {
    by_user: BTreeMap<UserId, VecDeque<Parked>>,
    offsets: BTreeSet<i64>,
}

impl Lot {
    /// Whether messages to this user wait.
    pub fn waits_for(&self, user: &UserId) -> bool {
        self.by_user.contains_key(user)
    }

    /// Keeps a message, and gives back the one that had to make room.
    pub fn park(&mut self, user: UserId, parked: Parked) -> Option<Parked> {
        self.offsets.insert(parked.offset);
        self.by_user.entry(user).or_default().push_back(parked);
        if self.offsets.len() <= PARKED_MAX {
            return None;
        }
        let oldest = *self.offsets.first()?;
        let user =
            self.by_user.iter().find(|(_, all)| all.front().is_some_and(|first| first.offset == oldest));
        let user = user.map(|(user, _)| user.clone())?;
        self.take(&user)
    }

    /// Whom messages wait for.
    pub fn users(&self) -> Vec<UserId> {
        self.by_user.keys().cloned().collect()
    }

    /// The first one for a user.
    pub fn first(&self, user: &UserId) -> Option<Parked> {
        self.by_user.get(user)?.front().cloned()
    }

    /// The same, and it does not wait any more.
    pub fn take(&mut self, user: &UserId) -> Option<Parked> {
        let all = self.by_user.get_mut(user)?;
        let first = all.pop_front();
        if all.is_empty() {
            self.by_user.remove(user);
        }
        if let Some(first) = &first {
            self.offsets.remove(&first.offset);
        }
        first
    }

    /// The oldest message that is not decided.
    pub fn oldest(&self) -> Option<i64> {
        self.offsets.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_gateway::backplane::Recipient;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    fn parked(offset: i64) -> Parked {
        let to = Recipient::User(user("bob"));
        let message = Message { from: user("alice"), to, content: "hi".into(), id: None };
        Parked { offset, message: Arc::new(message), hops: 0, until: Instant::now() }
    }

    #[test]
    fn messages_to_a_user_stay_in_their_order_and_the_oldest_is_where_the_next_life_begins() {
        let mut lot = Lot::default();
        for (name, offset) in [("bob", 3), ("ann", 4), ("bob", 5)] {
            assert!(lot.park(user(name), parked(offset)).is_none());
        }
        assert!(lot.waits_for(&user("bob")));
        assert_eq!(lot.oldest(), Some(3));
        let taken: Vec<_> =
            std::iter::from_fn(|| lot.take(&user("bob"))).map(|parked| parked.offset).collect();
        assert_eq!((taken, lot.oldest()), (vec![3, 5], Some(4)));
        assert!(!lot.waits_for(&user("bob")));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut lot = Lot::default();
        for offset in 0..PARKED_MAX as i64 {
            assert!(lot.park(user(&format!("u{offset}")), parked(offset)).is_none());
        }
        let gone = lot.park(user("new"), parked(PARKED_MAX as i64)).map(|gone| gone.offset);
        assert_eq!((gone, lot.oldest()), (Some(0), Some(1)));
    }
}
