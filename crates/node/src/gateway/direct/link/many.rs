//! What is for many: a node that stands still costs its own part of it.

use super::{BackplaneError, Link, Message, Result, Stand, Taken, wait};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use std::time::Duration;

/// What is for many is waited for no longer than this: whoever said it is told how it went for the others.
const MANY_ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// And not at all by a node that has left something unanswered for so long.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(1);

impl Link {
    /// Sends what others get, too: it is sent as everything is, and a node that stands still is not waited for as long.
    pub fn send_to_many(&self, message: &Message) -> BoxFuture<'static, Result<Taken>> {
        let is_slow = self.lock().has_waited(SLOW_AFTER);
        match self.put(None, message) {
            Ok(_) if is_slow => {
                let why = format!("it has not answered for {SLOW_AFTER:?}");
                ready(Err(BackplaneError::Unreachable(self.to.clone(), why.into()))).boxed()
            }
            Ok(answered) => wait(self.to.clone(), answered, MANY_ANSWERED_WITHIN).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl Stand {
    /// Whether something is neither sent nor answered for so long.
    fn has_waited(&self, time: Duration) -> bool {
        let oldest = self.unanswered.values().next().map(|oldest| oldest.since);
        oldest
            .or_else(|| self.waiting.front().map(|next| next.since))
            .is_some_and(|since| since.elapsed() > time)
    }
}
