//! Who holds the recipient, and the second try.
//!
//! Presence is read here, and may be behind: the recipient has moved, and the node that is asked says that it holds
//! nobody of this epoch. It names how far it has applied the log, so presence is read anew once this node has come as
//! far, and the message is tried once more; a third time would chase somebody who reconnects all the time. A gateway
//! that can't be reached is no reason to give up at once either: its user may be elsewhere by now.
//!
//! What was sent and not answered is not sent again: the recipient might read it twice, and clients of the original tell
//! messages apart by nothing. Its sender is told that it failed, and decides. A message with a name
//! ([`MessageId`](crate::backplane::MessageId)) may be sent again, since the owner takes it once.

use crate::{
    backplane::{Backplane, BackplaneError, Inbox, Message, Reach, Recipient, Taken},
    cluster::{Place, Presence},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use quorate_model::{Epoch, NodeName, UserId};
use std::sync::Arc;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the queue of a session of its recipient, or of all sessions that could be reached where it is for many.
    Delivered,
    /// It was given to a backplane that does not acknowledge.
    Published,
    /// The recipient is not connected.
    Nobody,
    /// The recipient takes its messages too slowly.
    Full,
    /// Too much is under way to the recipient's gateway.
    Busy,
    /// The recipient's gateway can't be reached: it does not have the message.
    Unreachable,
    /// The recipient's gateway did not answer: it may have the message.
    Unknown,
}

impl Outcome {
    /// Whether the sender may take it as sent.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Delivered | Self::Published)
    }
}

/// Brings messages to their recipients. Clones share everything.
#[derive(Clone)]
pub struct Courier {
    me: NodeName,
    presence: Arc<dyn Presence>,
    backplane: Arc<dyn Backplane>,
    inbox: Arc<dyn Inbox>,
}

impl Courier {
    /// For the gateway of the node `me`, which takes what is for its own sessions into `inbox`.
    pub fn new(
        me: NodeName,
        presence: Arc<dyn Presence>,
        backplane: Arc<dyn Backplane>,
        inbox: Arc<dyn Inbox>,
    ) -> Self {
        Self { me, presence, backplane, inbox }
    }

    /// Delivers. The first try is made within the call, so messages to one recipient are in the order of the calls unless
    /// one of them has to be tried again: to keep the order then, have one of each sender and recipient under way at a
    /// time ([`Lanes`](crate::lanes::Lanes)). Bounded in time by what the backplane allows itself.
    pub fn deliver(&self, message: Arc<Message>) -> BoxFuture<'static, Outcome> {
        let Recipient::User(user) = message.to.clone() else { return self.deliver_to_all(message) };
        let first = self.send_to(self.presence.find(&user), &[], &message);
        let courier = self.clone();
        async move {
            let mut tries = first.await;
            if tries.iter().any(|tried| tried.may_be_tried_again(&message)) {
                tries.extend(courier.try_again(&user, &message, &tries).await);
            }
            outcome(&tries)
        }
        .boxed()
    }

    fn deliver_to_all(&self, message: Arc<Message>) -> BoxFuture<'static, Outcome> {
        self.inbox.take_broadcast(message.clone());
        let sent = self.backplane.broadcast(message);
        // Whatever the others have: those of this node have it.
        async move { sent.await.map_or(Outcome::Unknown, |()| Outcome::Delivered) }.boxed()
    }

    /// Presence is read anew, and whoever has not answered for good is tried.
    async fn try_again(&self, user: &UserId, message: &Arc<Message>, tries: &[Tried]) -> Vec<Tried> {
        let index = tries.iter().filter_map(|tried| match tried.result {
            Ok(Taken::NotHere { index }) => Some(index),
            Ok(_) | Err(_) => None,
        });
        if let Some(index) = index.max() {
            // Not in time: what is known by now may be enough.
            let _ = self.presence.caught_up(index).await;
        }
        let is_settled = |place: &Place| {
            tries.iter().any(|tried| {
                tried.at.as_ref().is_some_and(|at| self.has_reached(at, place))
                    && !tried.may_be_tried_again(message)
            })
        };
        let known = self.presence.find(user);
        let has_places = !known.is_empty();
        let places: Vec<_> = known.into_iter().filter(|place| !is_settled(place)).collect();
        if has_places && places.is_empty() {
            return Vec::new();
        }
        let given = tries.iter().filter(|tried| !tried.may_be_tried_again(message));
        let given: Vec<_> = given.filter_map(|tried| Some(tried.at.as_ref()?.0.clone())).collect();
        self.send_to(places, &given, message).await
    }

    /// To these, beside those gateways that were given it before.
    fn send_to(
        &self,
        mut places: Vec<Place>,
        given: &[NodeName],
        message: &Arc<Message>,
    ) -> BoxFuture<'static, Vec<Tried>> {
        if places.is_empty() {
            let sent = self.backplane.send_outside(message.clone());
            return async move { vec![Tried { at: None, result: sent.await }] }.boxed();
        }
        let mut reached: Vec<(NodeName, Epoch)> = Vec::with_capacity(places.len());
        // Sent twice to a gateway that gives it to all of the user's sessions, each would have it twice.
        places.retain(|place| {
            let is_new = !reached.iter().any(|at| self.has_reached(at, place));
            if is_new {
                reached.push((place.node.clone(), place.epoch));
            }
            is_new
        });
        let mut all = Vec::new();
        if self.backplane.reach() == Reach::Gateway {
            all.extend(reached.iter().map(|(node, _)| node).chain(given).cloned());
        }
        let sent = places.into_iter().zip(reached).map(|(place, at)| {
            // The call is made now, whoever is waited for first.
            let result = self.send_one(place, &all, message.clone());
            async move { Tried { at: Some(at), result: result.await } }
        });
        join_all(sent.collect::<Vec<_>>()).boxed()
    }

    /// Whether a message that was sent `at` a place is for the session at this one, too. What is for a session of this
    /// node takes no backplane, and goes by its epoch.
    fn has_reached(&self, at: &(NodeName, Epoch), place: &Place) -> bool {
        let by_gateway = place.node != self.me && self.backplane.reach() == Reach::Gateway;
        at.0 == place.node && (by_gateway || at.1 == place.epoch)
    }

    fn send_one(
        &self,
        place: Place,
        all: &[NodeName],
        message: Arc<Message>,
    ) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        if place.node == self.me {
            let taken = self.inbox.take(Some(place.epoch.0), message);
            async move { Ok(taken.await) }.boxed()
        } else if all.is_empty() {
            self.backplane.send(place, message)
        } else {
            self.backplane.send_among(place, all, message)
        }
    }
}

/// One try, at a session or (`None`) outside of the cluster.
struct Tried {
    at: Option<(NodeName, Epoch)>,
    result: Result<Taken, BackplaneError>,
}

impl Tried {
    fn may_be_tried_again(&self, message: &Message) -> bool {
        if self.at.is_none() {
            return false;
        }
        match &self.result {
            Ok(Taken::NotHere { .. }) | Err(BackplaneError::NotSent(..)) => true,
            Err(BackplaneError::Unreachable(..)) => message.id.is_some(),
            Ok(Taken::Delivered | Taken::Full | Taken::Published) | Err(BackplaneError::Busy(_)) => false,
        }
    }

    fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(Taken::Delivered) => Outcome::Delivered,
            Ok(Taken::Published) => Outcome::Published,
            Ok(Taken::NotHere { .. }) => Outcome::Nobody,
            Ok(Taken::Full) => Outcome::Full,
            Err(error) => failed(error),
        }
    }
}

fn failed(error: &BackplaneError) -> Outcome {
    match error {
        BackplaneError::Unreachable(..) => Outcome::Unknown,
        BackplaneError::NotSent(..) => Outcome::Unreachable,
        BackplaneError::Busy(_) => Outcome::Busy,
    }
}

/// Of a user's many sessions one is enough. Else what is least like nobody: the sender wants to know why.
fn outcome(tries: &[Tried]) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Delivered => 6,
        Outcome::Published => 5,
        Outcome::Unknown => 4,
        Outcome::Full => 3,
        Outcome::Busy => 2,
        Outcome::Unreachable => 1,
        Outcome::Nobody => 0,
    };
    tries.iter().map(Tried::outcome).max_by_key(rank).unwrap_or(Outcome::Nobody)
}

#[cfg(test)]
mod tests;
