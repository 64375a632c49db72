//! By each session that speaks to this one, the latest of its messages that came.
//!
//! A message that is not answered may still be on its way when its sender is told that nobody knows. The way that it is
//! on is fenced once the sender's node opens another one; but the sender may be on another node by then, and what it says
//! there would be followed by what it said before.

use quorate_model::ConnectionId;
use std::collections::VecDeque;

/// Sessions that are remembered. When full whoever has said nothing for the longest is forgotten.
const SESSIONS_MAX: usize = 256;

/// See the module. Whoever spoke last is the last.
#[derive(Debug, Default)]
pub(super) struct Order(VecDeque<(ConnectionId, u64)>);

impl Order {
    /// Whether a later one has come.
    pub fn is_behind(&self, session: ConnectionId, nth: u64) -> bool {
        self.place(session).is_some_and(|at| self.0[at].1 > nth)
    }

    /// It has come.
    pub fn came(&mut self, session: ConnectionId, nth: u64) {
        let former = match self.place(session) {
            Some(at) if at + 1 == self.0.len() => {
                self.0[at].1 = self.0[at].1.max(nth);
                return;
            }
            Some(at) => self.0.remove(at).map_or(0, |(_, former)| former),
            None => 0,
        };
        if self.0.len() >= SESSIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((session, nth.max(former)));
    }

    /// All of them.
    pub fn latest(&self) -> Vec<(ConnectionId, u64)> {
        self.0.iter().copied().collect()
    }

    /// Whoever speaks now has mostly spoken just before.
    fn place(&self, session: ConnectionId) -> Option<usize> {
        self.0.iter().rposition(|(known, _)| *known == session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_said_nothing_for_the_longest_is_forgotten() {
        let session = |n: usize| ConnectionId::from_random(n as u128);
        let mut order = Order::default();
        (0..SESSIONS_MAX).for_each(|n| order.came(session(n), 5));
        order.came(session(0), 4);
        order.came(session(SESSIONS_MAX), 5);
        let is_behind = |n: usize| order.is_behind(session(n), 4);
        assert_eq!([0, 1, 2, SESSIONS_MAX].map(is_behind), [true, false, true, true]);
        assert_eq!(order.latest().len(), SESSIONS_MAX);
    }
}
