//! Which named messages a session has taken: one that nobody answered for is sent again, and must not come twice. One
//! that came on two ways, while the session moved from one node to the other, comes once, too.

use crate::backplane::MessageId;
use quorate_rt::planted::{self, Bug};
use std::collections::VecDeque;

/// Names that are remembered. Whoever sends again does so within seconds.
pub const SEEN_MAX: usize = 256;

/// The last ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(VecDeque<MessageId>);

impl Seen {
    /// Whether it was taken before; it is now.
    pub fn has(&mut self, id: &MessageId) -> bool {
        if self.0.contains(id) && !planted::is(Bug::SaidAgainIsNew) {
            return true;
        }
        if self.0.len() >= SEEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(id.clone());
        false
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &MessageId> {
        self.0.iter()
    }
}

impl FromIterator<MessageId> for Seen {
    fn from_iter<T: IntoIterator<Item = MessageId>>(ids: T) -> Self {
        Self(ids.into_iter().take(SEEN_MAX).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::ConnectionId;

    #[test]
    fn a_name_is_taken_once_and_forgotten_at_last() {
        let id = |session: u128, name: usize| MessageId {
            session: ConnectionId::from_random(session),
            name: name.to_string().into(),
        };
        let mut seen = Seen::default();
        assert!(!seen.has(&id(1, 1)));
        assert!(seen.has(&id(1, 1)));
        assert!(!seen.has(&id(2, 1)), "names are each session's own");
        for name in 2..=SEEN_MAX {
            seen.has(&id(1, name));
        }
        assert_eq!(seen.iter().count(), SEEN_MAX);
        assert!(!seen.has(&id(1, 1)));
    }
}
