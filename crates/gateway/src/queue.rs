//! What waits for one client to take it.
//!
//! Putting a message here is what "delivered" means. Others put it in; only the session's own task takes it out and writes
//! to the socket, so two writers can't meet there.

mod order;

use crate::{
    backplane::{Message, Recipient},
    settings::QueueLimits,
};
use order::Order;
use quorate_model::ConnectionId;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// What a message costs beside its content: its names, its place.
const OVERHEAD_BYTES: usize = 128;
/// Room that is kept once all is taken.
const KEPT: usize = 16;

/// A bounded queue.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    gate: Gate,
    order: Order,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Open,
    Closed,
}

/// What became of a message that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It waits.
    Taken,
    /// There is no room.
    Full,
    /// A later one of the same session has come: this one was given up by whoever sent it.
    Stale,
    /// Nothing is taken any more.
    Closed,
}

impl Queue {
    /// Nothing waits.
    pub fn new(limits: QueueLimits) -> Self {
        Self { limits, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// What it holds at most.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// Puts a message at the end.
    pub fn offer(&self, message: Arc<Message>) -> Offer {
        let bytes = cost(&message);
        let mut waiting = self.lock();
        if waiting.gate == Gate::Closed {
            return Offer::Closed;
        }
        let counted = counted(&message);
        if counted.is_some_and(|(session, nth)| waiting.order.is_behind(session, nth)) {
            return Offer::Stale;
        }
        let is_full = waiting.messages.len() >= self.limits.messages_max
            || (!waiting.messages.is_empty() && waiting.bytes + bytes > self.limits.bytes_max);
        if is_full {
            return Offer::Full;
        }
        if let Some((session, nth)) = counted {
            waiting.order.came(session, nth);
        }
        waiting.bytes += bytes;
        waiting.messages.push_back(message);
        drop(waiting);
        self.changed.notify_one();
        Offer::Taken
    }

    /// The first one, if any waits.
    pub fn take(&self) -> Option<Arc<Message>> {
        let mut waiting = self.lock();
        let message = waiting.messages.pop_front()?;
        waiting.bytes -= cost(&message);
        if waiting.messages.is_empty() && waiting.messages.capacity() > KEPT {
            // A burst is over: what it took is given back.
            waiting.messages.shrink_to(KEPT);
        }
        Some(message)
    }

    /// Waits for the first one. One task at a time.
    pub async fn next(&self) -> Arc<Message> {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.changed.notified().await;
        }
    }

    /// Takes nothing any more. What waits can still be taken out.
    pub fn close(&self) {
        self.lock().gate = Gate::Closed;
    }

    /// By each session that spoke to this one, the latest that came: what goes with the session to another node.
    pub fn latest(&self) -> Vec<(ConnectionId, u64)> {
        self.lock().order.latest()
    }

    /// So it was on another node.
    pub fn remember(&self, latest: &[(ConnectionId, u64)]) {
        let mut waiting = self.lock();
        latest.iter().for_each(|(session, nth)| waiting.order.came(*session, *nth));
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of whom, and which one. What is for many is never tried again, and may come beside what is.
fn counted(message: &Message) -> Option<(ConnectionId, u64)> {
    let session = message.id.as_ref().map(|id| id.session);
    let is_counted = message.nth > 0 && matches!(message.to, Recipient::User(_));
    session.filter(|_| is_counted).map(|session| (session, message.nth))
}

/// What a message takes of a queue's bytes.
pub(crate) fn cost(message: &Message) -> usize {
    message.content.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backplane::MessageId;
    use quorate_model::UserId;

    fn message(content: &str) -> Arc<Message> {
        let user = |name| UserId::parse(name).expect("a good name");
        let (from, to) = (user("alice"), Recipient::User(user("bob")));
        Arc::new(Message { from, to, content: content.into(), id: None, nth: 0 })
    }

    #[test]
    fn a_queue_is_bounded_by_messages_and_by_bytes_and_always_has_room_for_one() {
        let queue = Queue::new(QueueLimits { messages_max: 2, bytes_max: 400 });
        assert_eq!(queue.offer(message(&"x".repeat(5_000))), Offer::Taken, "alone, it has room");
        assert_eq!(queue.offer(message("y")), Offer::Full, "by bytes");
        assert_eq!(queue.take().map(|m| m.content.len()), Some(5_000));
        assert_eq!(queue.offer(message("a")), Offer::Taken);
        assert_eq!(queue.offer(message("b")), Offer::Taken);
        assert_eq!(queue.offer(message("c")), Offer::Full, "by count");
        assert_eq!(queue.take().map(|m| m.content.to_string()).as_deref(), Some("a"), "the first one first");
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_gives_what_it_has() {
        let queue = Queue::new(QueueLimits { messages_max: 2, bytes_max: 400 });
        assert_eq!(queue.offer(message("a")), Offer::Taken);
        queue.close();
        assert_eq!(queue.offer(message("b")), Offer::Closed);
        assert!(queue.take().is_some());
        assert!(queue.is_empty());
    }

    /// Its sender was told that nobody knows what became of it, moved to another node, and went on from there.
    #[test]
    fn what_comes_behind_a_later_one_of_its_session_is_not_taken() {
        let queue = Queue::new(QueueLimits { messages_max: 9, bytes_max: 4_000 });
        let said = |session: u128, nth: u64| {
            let id = MessageId { session: ConnectionId::from_random(session), name: nth.to_string().into() };
            Arc::new(Message { id: Some(id), nth, ..Message::clone(&message("a")) })
        };
        assert_eq!([1, 3, 2, 3, 4].map(|nth| queue.offer(said(1, nth))), {
            use Offer::{Stale, Taken};
            [Taken, Taken, Stale, Taken, Taken]
        });
        assert_eq!(queue.offer(said(2, 1)), Offer::Taken, "each session has its own order");
        let next = Queue::new(queue.limits());
        assert_eq!(next.offer(said(1, 6)), Offer::Taken);
        next.remember(&queue.latest());
        let offers = [said(1, 5), said(2, 0), said(2, 1), said(1, 6)].map(|message| next.offer(message));
        assert_eq!(offers, [Offer::Stale, Offer::Taken, Offer::Taken, Offer::Taken], "also after a move");
        let room = Recipient::Room("lobby".into());
        let to_room = Arc::new(Message { to: room, ..Message::clone(&said(1, 1)) });
        assert_eq!(next.offer(to_room), Offer::Taken, "what is for many is not tried again");
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let queue = Arc::new(Queue::new(QueueLimits { messages_max: 2, bytes_max: 400 }));
        let waiting = {
            let queue = queue.clone();
            quorate_rt::spawn(async move { queue.next().await.content.to_string() })
        };
        tokio::task::yield_now().await;
        assert_eq!(queue.offer(message("a")), Offer::Taken);
        assert_eq!(waiting.await.expect("no panic"), "a");
    }
}
