//! Answers to repeated proposals.
//!
//! A node that forwards a proposal through a leader change can't know whether the first try was applied. It sends
//! the same origin again, and the state answers a repeat with the first reply instead of applying it twice.

use imbl::{OrdMap, OrdSet};
use quorate_model::{
    LogIndex, Refusal, Reply,
    limit::{REPLY_WINDOW, SESSION_REPLIES_KEPT},
};

/// The last replies to one boot id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it was last used; the window that was silent for longest is dropped first.
    pub(crate) used: LogIndex,
    pub(crate) replies: OrdMap<u64, (LogIndex, Reply)>,
    /// Which of them are long. Derived.
    long: OrdSet<u64>,
}

/// What a window knows about a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Never seen: apply it.
    New,
    /// Applied before, with this reply.
    Repeat(Reply),
    /// So old that the window can't tell.
    Forgotten,
}

impl Window {
    pub(crate) fn new(used: LogIndex, replies: OrdMap<u64, (LogIndex, Reply)>) -> Self {
        let long = replies.iter().filter(|(_, (_, reply))| is_long(reply)).map(|(sequence, _)| *sequence);
        let long = long.collect();
        Self { used, replies, long }
    }

    /// How many of the replies are as long as their commands.
    pub(crate) fn long_count(&self) -> usize {
        self.long.len()
    }

    pub(crate) fn look_up(&self, sequence: u64) -> Lookup {
        if let Some((_, reply)) = self.replies.get(&sequence) {
            return Lookup::Repeat(reply.clone());
        }
        let oldest = self.replies.get_min().map_or(0, |(s, _)| *s);
        if self.replies.len() as u64 >= REPLY_WINDOW && sequence < oldest {
            Lookup::Forgotten
        } else {
            Lookup::New
        }
    }

    pub(crate) fn remember(&mut self, sequence: u64, index: LogIndex, reply: Reply) {
        self.used = index;
        if is_long(&reply) {
            self.long.insert(sequence);
        }
        self.replies.insert(sequence, (index, reply));
        if self.long.len() > SESSION_REPLIES_KEPT
            && let Some(oldest) = self.long.remove_min()
            && let Some((_, reply)) = self.replies.get_mut(&oldest)
        {
            // It was carried out; with what result nobody has to know any more.
            *reply = Reply::Refused(Refusal::Forgotten);
        }
        if self.replies.len() as u64 > REPLY_WINDOW
            && let Some(oldest) = self.replies.get_min().map(|(s, _)| *s)
        {
            self.replies.remove(&oldest);
            self.long.remove(&oldest);
        }
    }
}

/// As long as the command was.
fn is_long(reply: &Reply) -> bool {
    matches!(reply, Reply::Sessions(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::SessionOutcome;

    #[test]
    fn a_window_is_bounded_and_says_when_it_cannot_tell() {
        let mut window = Window::default();
        for s in 1..=REPLY_WINDOW + 1 {
            assert_eq!(window.look_up(s), Lookup::New);
            window.remember(s, LogIndex(s), Reply::Done);
        }
        assert_eq!(window.replies.len() as u64, REPLY_WINDOW);
        assert_eq!(window.look_up(1), Lookup::Forgotten);
        assert_eq!(window.look_up(2), Lookup::Repeat(Reply::Done));
    }

    #[test]
    fn of_long_replies_only_the_newest_are_kept_whole() {
        let sessions = || Reply::Sessions([SessionOutcome::Closed].into());
        let mut window = Window::default();
        let kept = SESSION_REPLIES_KEPT as u64;
        for s in 1..=kept + 2 {
            window.remember(2 * s, LogIndex(s), sessions());
            window.remember(2 * s + 1, LogIndex(s), Reply::Done);
        }
        let forgotten = Lookup::Repeat(Reply::Refused(Refusal::Forgotten));
        assert_eq!([window.look_up(2), window.look_up(4)], [forgotten.clone(), forgotten]);
        assert_eq!([window.look_up(6), window.look_up(3)], [sessions(), Reply::Done].map(Lookup::Repeat));
        assert_eq!(Window::new(window.used, window.replies.clone()), window, "as after a snapshot");
    }
}
