//! One message at a time for each recipient of a session.
//!
//! A message that has to be tried again would be overtaken by the next one to the same recipient. So of each sender and
//! recipient one is under way, and the others wait in their order; different recipients don't wait for each other.
//!
//! What is for many is never tried again, and each way to another gateway keeps the order of the calls: there messages
//! don't wait for each other, and one gateway that stands still does not hold up what the others hear.

use crate::{
    backplane::{Message, Recipient},
    delivery::{Courier, Outcome},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
    stream::FuturesUnordered,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Bounds of one session's lanes.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// Messages under way at once, each to another recipient.
    pub under_way: usize,
    /// Messages that are not decided, those that wait included. When full: [`Lanes::push`] gives the message back.
    pub messages: usize,
    /// The same in bytes of their contents. One message always has room.
    pub bytes: usize,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self { under_way: 64, messages: 256, bytes: 1 << 20 }
    }
}

/// A message whose fate is known.
pub struct Decided {
    /// Which.
    pub message: Arc<Message>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a session has sent and not heard of.
pub struct Lanes {
    courier: Courier,
    limits: LaneLimits,
    /// Those that wait behind another one, for each recipient for whom one is under way or about to be.
    waiting: BTreeMap<Recipient, VecDeque<Arc<Message>>>,
    /// Whose turn it is.
    turns: VecDeque<Recipient>,
    under_way: FuturesUnordered<BoxFuture<'static, Decided>>,
    messages: usize,
    bytes: usize,
}

impl Lanes {
    /// Nothing is sent yet.
    pub fn new(courier: Courier, limits: LaneLimits) -> Self {
        let (waiting, turns) = (BTreeMap::new(), VecDeque::new());
        Self { courier, limits, waiting, turns, under_way: FuturesUnordered::new(), messages: 0, bytes: 0 }
    }

    /// Sends a message once those before it to the same recipient are decided. When full it is given back.
    pub fn push(&mut self, message: Arc<Message>) -> Result<(), Arc<Message>> {
        let bytes = self.bytes.saturating_add(message.content.len());
        if self.messages >= self.limits.messages || (self.messages > 0 && bytes > self.limits.bytes) {
            return Err(message);
        }
        (self.messages, self.bytes) = (self.messages + 1, bytes);
        match self.waiting.get_mut(&message.to) {
            Some(waiting) => {
                if is_for_many(&message.to) {
                    self.turns.push_back(message.to.clone());
                }
                waiting.push_back(message);
            }
            None => {
                self.turns.push_back(message.to.clone());
                self.waiting.insert(message.to.clone(), VecDeque::from([message]));
            }
        }
        self.begin();
        Ok(())
    }

    /// The next one whose fate is known; waits for ever while nothing is under way. Nothing is lost if it is dropped.
    pub async fn next(&mut self) -> Decided {
        let Some(decided) = self.under_way.next().await else { return pending().await };
        self.messages -= 1;
        self.bytes -= decided.message.content.len();
        let to = &decided.message.to;
        match self.waiting.get(to) {
            // Each has its own turn.
            Some(waiting) if !waiting.is_empty() && is_for_many(to) => {}
            Some(waiting) if !waiting.is_empty() => self.turns.push_back(to.clone()),
            Some(_) | None => drop(self.waiting.remove(to)),
        }
        self.begin();
        decided
    }

    /// Whether everything is decided.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// How many are not decided.
    pub fn len(&self) -> usize {
        self.messages
    }

    fn begin(&mut self) {
        while self.under_way.len() < self.limits.under_way {
            let Some(to) = self.turns.pop_front() else { return };
            let Some(message) = self.waiting.get_mut(&to).and_then(VecDeque::pop_front) else { continue };
            let delivered = self.courier.deliver(message.clone());
            self.under_way.push(async move { Decided { message, outcome: delivered.await } }.boxed());
        }
    }
}

fn is_for_many(to: &Recipient) -> bool {
    match to {
        Recipient::All | Recipient::Room(_) => true,
        Recipient::User(_) => false,
    }
}

#[cfg(test)]
mod tests;
