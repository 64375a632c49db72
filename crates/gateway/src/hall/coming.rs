//! Messages for one who is coming: the log is being asked, and the answer may be seconds away.
//!
//! They wait here, and nobody else's wait for them. What waits is bounded for each as the queue is into which it goes,
//! and for all together, since anybody may begin to register. Beyond either: full, and counted so.

use crate::{
    backplane::{Message, Taken},
    queue::cost,
    settings::QueueLimits,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Messages that wait for all who are coming to one gateway.
pub(super) const MESSAGES_MAX: usize = 65_536;
/// The same in bytes.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// What waits for one.
#[derive(Default)]
pub(super) struct Coming {
    parked: Vec<Parked>,
    bytes: usize,
}

/// A message that waits.
pub(super) struct Parked {
    pub epoch: Option<u64>,
    pub message: Arc<Message>,
    pub answer: oneshot::Sender<Taken>,
}

/// What waits for all together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    messages: usize,
    bytes: usize,
}

impl Coming {
    /// Keeps a message. `None`: there is no room.
    pub fn park(
        &mut self,
        load: &mut Load,
        limits: QueueLimits,
        epoch: Option<u64>,
        message: Arc<Message>,
    ) -> Option<oneshot::Receiver<Taken>> {
        let bytes = cost(&message);
        let is_full = self.parked.len() >= limits.messages_max
            || (!self.parked.is_empty() && self.bytes + bytes > limits.bytes_max)
            || load.messages >= MESSAGES_MAX
            || load.bytes + bytes > BYTES_MAX;
        if is_full {
            return None;
        }
        self.bytes += bytes;
        *load = Load { messages: load.messages + 1, bytes: load.bytes + bytes };
        let (answer, answered) = oneshot::channel();
        self.parked.push(Parked { epoch, message, answer });
        Some(answered)
    }

    /// Nothing waits any more: it is decided.
    pub fn decided(self, load: &mut Load) -> Vec<Parked> {
        *load = Load { messages: load.messages - self.parked.len(), bytes: load.bytes - self.bytes };
        self.parked
    }
}

/// What became of a message that waits for some of a user's sessions, beside what `so_far` is known of others. One that
/// has it is enough.
pub(super) async fn first_taken(
    mut so_far: Option<Taken>,
    waits: Vec<oneshot::Receiver<Taken>>,
    gone: Taken,
) -> Taken {
    let mut waits: FuturesUnordered<_> = waits.into_iter().collect();
    while so_far != Some(Taken::Delivered)
        && let Some(answer) = waits.next().await
    {
        so_far = Some(best(so_far, answer.unwrap_or(gone)));
    }
    so_far.unwrap_or(gone)
}

/// One of a user's sessions that has it is enough.
pub(super) fn best(one: Option<Taken>, other: Taken) -> Taken {
    match (one, other) {
        (Some(Taken::Delivered), _) | (_, Taken::Delivered) => Taken::Delivered,
        (Some(Taken::Full), _) | (_, Taken::Full) => Taken::Full,
        (_, other) => other,
    }
}
