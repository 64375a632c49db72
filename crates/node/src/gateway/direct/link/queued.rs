//! What waits for a stream, and what is on it.

use super::{ANSWERED_WITHIN, Result};
use bytes::Bytes;
use quorate_gateway::backplane::Taken;
use quorate_rt::time::Instant;
use tokio::sync::oneshot;

pub(super) struct Queued {
    pub number: u64,
    pub since: Instant,
    pub frame: Bytes,
    pub answer: oneshot::Sender<Result<Taken>>,
    /// Sent also where nobody waits for its answer.
    pub is_for_many: bool,
}

impl Queued {
    /// Its sender was told that nobody knows what becomes of it: sent now it would come behind what was said since.
    pub fn is_given_up(&self) -> bool {
        !self.is_for_many && self.answer.is_closed() && self.since.elapsed() >= ANSWERED_WITHIN
    }
}

pub(super) struct OnTheWay {
    pub bytes: usize,
    pub since: Instant,
    pub answer: oneshot::Sender<Result<Taken>>,
}
