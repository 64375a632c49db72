//! Answers to repeated proposals.
//!
//! A node that forwards a proposal through a leader change can't know whether the first try was applied. It sends
//! the same origin again, and the state answers a repeat with the first reply instead of applying it twice.

use imbl::OrdMap;
use quorate_model::{LogIndex, Reply, limit::REPLY_WINDOW};

/// The last replies to one boot id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it was last used; the window that was silent for longest is dropped first.
    pub(crate) used: LogIndex,
    pub(crate) replies: OrdMap<u64, (LogIndex, Reply)>,
}

/// What a window knows about a sequence number.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Never seen: apply it.
    New,
    /// Applied before, with this reply.
    Repeat(Reply),
    /// So old that the window can't tell.
    Forgotten,
}

impl Window {
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
        self.replies.insert(sequence, (index, reply));
        if self.replies.len() as u64 > REPLY_WINDOW
            && let Some(oldest) = self.replies.get_min().map(|(s, _)| *s)
        {
            self.replies.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
