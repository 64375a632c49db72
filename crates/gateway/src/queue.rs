//! What waits for one client to take it.
//!
//! Putting a message here is what "delivered" means. Others put it in; only the session's own task takes it out and writes
//! to the socket, so two writers can't meet there.

use crate::{backplane::Message, settings::QueueLimits};
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
        let is_full = waiting.messages.len() >= self.limits.messages_max
            || (!waiting.messages.is_empty() && waiting.bytes + bytes > self.limits.bytes_max);
        if is_full {
            return Offer::Full;
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

/// What a message takes of a queue's bytes.
pub(crate) fn cost(message: &Message) -> usize {
    message.content.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backplane::Recipient;
    use quorate_model::UserId;

    fn message(content: &str) -> Arc<Message> {
        let user = |name| UserId::parse(name).expect("a good name");
        let (from, to) = (user("alice"), Recipient::User(user("bob")));
        Arc::new(Message { from, to, content: content.into(), id: None })
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
