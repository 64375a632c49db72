//! Whom a session watches, and what it was told of them last.
//!
//! A session is told of differences only: somebody is online who was said to be offline, or the other way round. So a
//! change that is looked at twice is told once, one that was not seen is told with the next look, and whichever node
//! goes on with the session begins where the last one stopped. Looks are at one log index each; one that is behind what
//! was told already says nothing.

use super::{limit, refusal::Refusal};
use quorate_model::UserId;
use std::collections::BTreeMap;

/// What a session was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    told: BTreeMap<UserId, Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    presence: Presence,
    /// As of which entry of the log.
    index: u64,
}

/// Whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// At least one session stands.
    Online,
    /// None does.
    Offline,
}

impl Watched {
    /// Whether so many more may be watched.
    pub fn admit(&self, users: &[UserId]) -> Result<(), Refusal> {
        let new = users.iter().filter(|user| !self.told.contains_key(*user)).count();
        if self.told.len() + new > limit::WATCHED_MAX { Err(Refusal::TooManyWatched) } else { Ok(()) }
    }

    /// Says how it is, whatever was told before. A look that is behind what was told leaves that as it is.
    pub fn set(&mut self, user: UserId, presence: Presence, index: u64) -> Presence {
        let new = Told { presence, index };
        let told = self.told.entry(user).or_insert(new);
        if told.index <= index {
            *told = new;
        }
        told.presence
    }

    /// No more of one.
    pub fn forget(&mut self, user: &UserId) {
        self.told.remove(user);
    }

    /// Whether the session is to be told.
    pub fn differs(&self, user: &UserId, presence: Presence, index: u64) -> bool {
        self.told.get(user).is_some_and(|told| told.index < index && told.presence != presence)
    }

    /// Who is watched.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.told.keys()
    }

    /// Everything that was told.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, Presence, u64)> {
        self.told.iter().map(|(user, told)| (user, told.presence, told.index))
    }
}

#[cfg(test)]
mod tests {
    use super::Presence::{Offline, Online};
    use super::*;
    use proptest::prelude::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("a user")
    }

    #[test]
    fn only_a_difference_behind_what_was_told_is_told() {
        let (mut watched, bob) = (Watched::default(), user("bob"));
        assert!(!watched.differs(&bob, Online, 5), "nobody asked for bob");
        watched.set(bob.clone(), Offline, 5);
        assert!(!watched.differs(&bob, Offline, 6));
        assert!(!watched.differs(&bob, Online, 5));
        assert!(!watched.differs(&bob, Online, 4));
        assert!(watched.differs(&bob, Online, 6));
        assert_eq!(watched.set(bob.clone(), Online, 6), Online);
        assert_eq!(watched.set(bob.clone(), Offline, 4), Online, "a look from before");
        watched.forget(&bob);
        assert!(!watched.differs(&bob, Offline, 9));
    }

    #[test]
    fn as_many_are_watched_as_may_be() {
        let mut watched = Watched::default();
        let many: Vec<_> = (0..limit::WATCHED_MAX).map(|n| user(&n.to_string())).collect();
        watched.admit(&many).expect("that many");
        for user in &many {
            watched.set(user.clone(), Offline, 1);
        }
        watched.admit(&many).expect("the same ones again");
        assert_eq!(watched.admit(&[user("bob")]), Err(Refusal::TooManyWatched));
    }

    proptest! {
        /// Whichever looks are missed, come twice or come late, what is told alternates, its index grows, and after a
        /// look at the newest state it says how that is.
        #[test]
        fn what_is_told_never_steps_back(history in prop::collection::vec(any::<bool>(), 1..30), looks in prop::collection::vec(0..40usize, 0..60)) {
            let at = |index: usize| if history[index.min(history.len() - 1)] { Online } else { Offline };
            let (mut watched, bob, mut events) = (Watched::default(), user("bob"), Vec::new());
            watched.set(bob.clone(), at(0), 0);
            for index in looks.into_iter().map(|index| index.min(history.len() - 1)).chain([history.len() - 1]) {
                if watched.differs(&bob, at(index), index as u64) {
                    watched.set(bob.clone(), at(index), index as u64);
                    events.push((at(index), index));
                }
            }
            prop_assert!(events.is_sorted_by(|a, b| a.1 < b.1 && a.0 != b.0));
            prop_assert_eq!(events.last().map_or(at(0), |event| event.0), at(history.len() - 1));
        }
    }
}
