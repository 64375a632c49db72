//! Rooms: who of this node's sessions hears which.
//!
//! A room is there while somebody is in it. Nobody but its node knows that a session is a member: a message to a room
//! goes to all gateways, and each passes it on to its own members.

use super::{limit, refusal::Refusal};
use crate::hall::Mailbox;
use quorate_model::ConnectionId;
use std::{collections::BTreeMap, sync::Arc};

/// The name of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Room(Arc<str>);

impl Room {
    /// Parses.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let is_good =
            (1..=limit::ROOM_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        is_good.then(|| Self(text.into())).ok_or_else(|| Refusal::Field {
            field: "room",
            allowed: format!("1 to {} bytes without control characters", limit::ROOM_BYTES_MAX),
        })
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Room {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The members of this node.
#[derive(Debug, Default)]
pub struct Rooms {
    members: BTreeMap<Room, BTreeMap<ConnectionId, Arc<Mailbox>>>,
}

impl Rooms {
    /// A session hears a room from now on.
    pub fn join(&mut self, room: &Room, session: ConnectionId, mailbox: &Arc<Mailbox>) {
        self.members.entry(room.clone()).or_default().insert(session, mailbox.clone());
    }

    /// And no more. The last one takes the room along.
    /// `mailbox`: its own, which tells it from one that has moved away and come back.
    pub fn leave(&mut self, room: &Room, session: ConnectionId, mailbox: &Arc<Mailbox>) {
        if let Some(members) = self.members.get_mut(room) {
            if members.get(&session).is_some_and(|own| Arc::ptr_eq(own, mailbox)) {
                members.remove(&session);
            }
            if members.is_empty() {
                self.members.remove(room);
            }
        }
    }

    /// Who hears it.
    pub fn members(&self, room: &str) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.members.get(room).into_iter().flat_map(BTreeMap::values)
    }

    /// How many rooms there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_there_while_somebody_is_in_it() {
        let (mut rooms, room) = (Rooms::default(), Room::parse("lobby").expect("a name"));
        let [one, other] = [1, 2].map(ConnectionId::from_random);
        let mailbox = Arc::new(Mailbox::new(crate::settings::Settings::default().queue));
        rooms.join(&room, one, &mailbox);
        rooms.join(&room, one, &mailbox);
        rooms.join(&room, other, &mailbox);
        assert_eq!(rooms.members("lobby").count(), 2);
        rooms.leave(&room, one, &mailbox);
        rooms.leave(&room, one, &mailbox);
        assert_eq!(rooms.members("lobby").count(), 1);
        rooms.leave(&room, other, &mailbox);
        assert_eq!(rooms.count(), 0);
    }

    #[test]
    fn rooms_have_names_within_bounds() {
        for bad in ["", "a\nb", &"x".repeat(limit::ROOM_BYTES_MAX + 1)] {
            assert!(Room::parse(bad).is_err(), "{bad}");
        }
        assert!(Room::parse(&"x".repeat(limit::ROOM_BYTES_MAX)).is_ok());
    }
}
