//! Messages that are not decided: for users who are nowhere, for a while, since whoever's gateway was restarted comes back
//! within seconds; and for users who are just registering.
//!
//! Messages to one user stay in their order: behind one that is parked all later ones are, and those of nobody else. What
//! is parked is bounded for each user and for each partition. When full, later messages to such users are given up.

use super::trail::Trail;
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
/// What is parked of one partition.
const OF_ALL: Room = Room { messages: 4_096, bytes: 16 << 20 };
/// And of that for one user. One message has room always.
const OF_ONE: Room = Room { messages: 1_024, bytes: 4 << 20 };
const _: () = assert!(OF_ONE.bytes < OF_ALL.bytes, "nobody takes the room of all");
/// What a message takes beside its content.
const OVERHEAD_BYTES: usize = 256;

/// One message of a partition.
#[derive(Clone)]
pub(super) struct Parked {
    pub offset: i64,
    pub message: Arc<Message>,
    pub trail: Trail,
    pub until: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Room {
    messages: usize,
    bytes: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lot {
    by_user: BTreeMap<UserId, Waiting>,
    offsets: BTreeSet<i64>,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Parked>,
    bytes: usize,
    /// The first one is about to be decided.
    is_under_way: bool,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Lot {
    /// Whether messages to this user wait.
    pub fn waits_for(&self, user: &UserId) -> bool {
        self.by_user.contains_key(user)
    }

    /// Whether a message to this user could be kept.
    pub fn has_room(&self, user: &UserId, parked: &Parked) -> bool {
        let bytes = cost(parked);
        let waiting = self.by_user.get(user).map_or(Room::default(), Waiting::room);
        let is_full = self.offsets.len() >= OF_ALL.messages
            || self.bytes + bytes > OF_ALL.bytes
            || waiting.messages >= OF_ONE.messages
            || (waiting.messages > 0 && waiting.bytes + bytes > OF_ONE.bytes);
        !is_full || self.offsets.is_empty()
    }

    /// Keeps a message behind those to the same user.
    pub fn park(&mut self, user: &UserId, parked: Parked) -> Result<(), Full> {
        if !self.has_room(user, &parked) {
            return Err(Full);
        }
        let bytes = cost(&parked);
        self.offsets.insert(parked.offset);
        self.bytes += bytes;
        let waiting = self.by_user.entry(user.clone()).or_default();
        waiting.bytes += bytes;
        waiting.messages.push_back(parked);
        Ok(())
    }

    /// Those whose first message waits for them.
    pub fn absent(&self) -> Vec<UserId> {
        let absent = self.by_user.iter().filter(|(_, waiting)| !waiting.is_under_way);
        absent.map(|(user, _)| user.clone()).collect()
    }

    /// The first one for a user.
    pub fn first(&self, user: &UserId) -> Option<&Parked> {
        self.by_user.get(user)?.messages.front()
    }

    /// Whether it is just being found out what becomes of the first one for a user.
    pub fn set_under_way(&mut self, user: &UserId, is_under_way: bool) {
        if let Some(waiting) = self.by_user.get_mut(user) {
            waiting.is_under_way = is_under_way;
        }
    }

    /// The first one for a user does not wait any more.
    pub fn take(&mut self, user: &UserId) {
        let Some(waiting) = self.by_user.get_mut(user) else { return };
        waiting.is_under_way = false;
        if let Some(first) = waiting.messages.pop_front() {
            let bytes = cost(&first);
            waiting.bytes -= bytes;
            self.bytes -= bytes;
            self.offsets.remove(&first.offset);
        }
        if waiting.messages.is_empty() {
            self.by_user.remove(user);
        }
    }

    /// The oldest message that is not decided.
    pub fn oldest(&self) -> Option<i64> {
        self.offsets.first().copied()
    }
}

impl Waiting {
    fn room(&self) -> Room {
        Room { messages: self.messages.len(), bytes: self.bytes }
    }
}

fn cost(parked: &Parked) -> usize {
    parked.message.content.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_gateway::backplane::Recipient;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    fn parked(offset: i64, content: &str) -> Parked {
        let to = Recipient::User(user("bob"));
        let message = Message { from: user("alice"), to, content: content.into(), id: None, nth: 0 };
        Parked { offset, message: Arc::new(message), trail: Trail::default(), until: Instant::now() }
    }

    #[test]
    fn messages_to_a_user_stay_in_their_order_and_the_oldest_is_where_the_next_life_begins() {
        let mut lot = Lot::default();
        for (name, offset) in [("bob", 3), ("ann", 4), ("bob", 5)] {
            assert_eq!(lot.park(&user(name), parked(offset, "hi")), Ok(()));
        }
        assert!(lot.waits_for(&user("bob")));
        assert_eq!(lot.oldest(), Some(3));
        let mut taken = Vec::new();
        while let Some(first) = lot.first(&user("bob")) {
            taken.push(first.offset);
            lot.take(&user("bob"));
        }
        assert_eq!((taken, lot.oldest()), (vec![3, 5], Some(4)));
        assert!(!lot.waits_for(&user("bob")));
        lot.take(&user("ann"));
        assert_eq!((lot.oldest(), lot.bytes, lot.by_user.len()), (None, 0, 0));
    }

    #[test]
    fn whoever_is_being_asked_is_not_asked_again_until_the_answer() {
        let mut lot = Lot::default();
        for (name, offset) in [("bob", 3), ("ann", 4), ("bob", 5)] {
            assert_eq!(lot.park(&user(name), parked(offset, "hi")), Ok(()));
        }
        lot.set_under_way(&user("bob"), true);
        assert_eq!(lot.absent(), [user("ann")]);
        lot.take(&user("bob"));
        assert_eq!(lot.absent(), [user("ann"), user("bob")], "the next one's turn has come");
    }

    #[test]
    fn what_is_parked_is_bounded_for_each_user_and_for_all() {
        let mut lot = Lot::default();
        let of_one = i64::try_from(OF_ONE.messages).expect("small");
        for offset in 0..of_one {
            assert_eq!(lot.park(&user("bob"), parked(offset, "hi")), Ok(()));
        }
        assert_eq!(lot.park(&user("bob"), parked(of_one, "hi")), Err(Full));
        let of_all = i64::try_from(OF_ALL.messages).expect("small");
        for offset in of_one..of_all {
            assert_eq!(
                lot.park(&user(&format!("u{offset}")), parked(offset, "hi")),
                Ok(()),
                "others have room"
            );
        }
        assert_eq!(lot.park(&user("new"), parked(of_all, "hi")), Err(Full));
        lot.take(&user("bob"));
        assert_eq!(lot.park(&user("new"), parked(of_all, "hi")), Ok(()));
    }

    #[test]
    fn what_is_parked_is_bounded_in_bytes_too() {
        let (mut lot, large) = (Lot::default(), "x".repeat(OF_ONE.bytes));
        assert_eq!(lot.park(&user("u0"), parked(0, &large)), Ok(()), "one has room always");
        assert_eq!(lot.park(&user("u0"), parked(1, "hi")), Err(Full));
        let kept = (1..10).filter(|n| lot.park(&user(&format!("u{n}")), parked(*n, &large)).is_ok()).count();
        assert_eq!(kept + 1, OF_ALL.bytes / (large.len() + OVERHEAD_BYTES));
    }
}
