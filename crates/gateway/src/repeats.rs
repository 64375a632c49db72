//! Which named messages were taken lately, so that one that is sent again is taken once.
//!
//! A repeat comes within the few seconds of a second try. What is kept is bounded, and far more than comes in that time:
//! the oldest is forgotten.

use crate::backplane::MessageId;
use quorate_model::UserId;
use std::collections::{BTreeMap, VecDeque};

/// Messages that are remembered. When full the oldest is forgotten.
const REMEMBERED_MAX: usize = 32_768;

/// By what a repeat is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repeat {
    /// Who says it.
    pub from: UserId,
    /// As the client named it.
    pub id: MessageId,
    /// The recipient's session: a user of many sessions gets a message in each.
    pub epoch: Option<u64>,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing; from now on it is under way.
    New,
    /// It is being taken.
    UnderWay,
    /// It was taken.
    Taken,
}

struct Kept {
    number: u64,
    is_taken: bool,
}

/// See the module.
#[derive(Default)]
pub struct Repeats {
    known: BTreeMap<Repeat, Kept>,
    /// With the number by which each began: one that was forgotten and has come again is a newer one.
    oldest_first: VecDeque<(u64, Repeat)>,
    begun: u64,
}

impl Repeats {
    /// A message has come.
    pub fn begin(&mut self, repeat: &Repeat) -> Known {
        match self.known.get(repeat) {
            Some(Kept { is_taken: true, .. }) => return Known::Taken,
            Some(Kept { is_taken: false, .. }) => return Known::UnderWay,
            None => {}
        }
        self.begun += 1;
        self.known.insert(repeat.clone(), Kept { number: self.begun, is_taken: false });
        self.oldest_first.push_back((self.begun, repeat.clone()));
        while self.oldest_first.len() > REMEMBERED_MAX {
            let Some((number, oldest)) = self.oldest_first.pop_front() else { break };
            if self.known.get(&oldest).is_some_and(|kept| kept.number == number) {
                self.known.remove(&oldest);
            }
        }
        Known::New
    }

    /// It was taken, or not: then it may come again.
    pub fn end(&mut self, repeat: &Repeat, is_taken: bool) {
        if is_taken {
            if let Some(kept) = self.known.get_mut(repeat) {
                kept.is_taken = true;
            }
        } else {
            self.known.remove(repeat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::ConnectionId;

    fn repeat(name: &str) -> Repeat {
        let id = MessageId { session: ConnectionId::from_random(1), name: name.into() };
        Repeat { from: UserId::parse("alice").expect("valid"), id, epoch: Some(9) }
    }

    #[test]
    fn a_message_is_taken_once_and_one_that_was_not_taken_may_come_again() {
        let (mut repeats, one) = (Repeats::default(), repeat("1"));
        assert_eq!(repeats.begin(&one), Known::New);
        assert_eq!(repeats.begin(&one), Known::UnderWay);
        repeats.end(&one, false);
        assert_eq!(repeats.begin(&one), Known::New);
        repeats.end(&one, true);
        assert_eq!(repeats.begin(&one), Known::Taken);
        assert_eq!(repeats.begin(&Repeat { epoch: Some(10), ..one }), Known::New, "another session");
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut repeats = Repeats::default();
        for name in 0..=REMEMBERED_MAX {
            let repeat = repeat(&name.to_string());
            repeats.begin(&repeat);
            repeats.end(&repeat, true);
        }
        assert_eq!(repeats.known.len(), REMEMBERED_MAX);
        assert_eq!(repeats.begin(&repeat("1")), Known::Taken);
        assert_eq!(repeats.begin(&repeat("0")), Known::New);
    }
}
