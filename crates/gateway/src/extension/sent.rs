//! Which requests of a session were done: a client whose socket broke sends again what was not acknowledged, and that
//! must not be delivered twice.

use super::{limit, said::Id};
use quorate_rt::planted::{self, Bug};
use std::collections::VecDeque;

/// The last requests that named an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    recent: VecDeque<(Id, State)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Underway,
    Done,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Do it.
    New,
    /// Nothing: it is being done, and its answer comes.
    Underway,
    /// Acknowledge it again.
    Done,
    /// Too many are under way.
    Busy,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not, or nobody knows. It may be sent again: whoever has it already takes it once.
    Failed,
}

impl Sent {
    /// A request comes.
    pub fn begin(&mut self, id: &Id) -> Begin {
        match self.recent.iter().find(|(known, _)| known == id).map(|(_, state)| state) {
            Some(State::Underway) => return Begin::Underway,
            Some(State::Done) if !planted::is(Bug::SaidAgainIsNew) => return Begin::Done,
            Some(State::Done) | None => {}
        }
        if self.recent.len() >= limit::IDS_MAX {
            // What is under way must be remembered: only what has ended makes room, the oldest first.
            let Some(ended) = self.recent.iter().position(|(_, state)| *state != State::Underway) else {
                return Begin::Busy;
            };
            self.recent.remove(ended);
        }
        self.recent.push_back((id.clone(), State::Underway));
        Begin::New
    }

    /// A request has ended.
    pub fn end(&mut self, id: &Id, outcome: Outcome) {
        let Some(at) = self.recent.iter().position(|(known, _)| known == id) else { return };
        match outcome {
            Outcome::Done => self.recent[at].1 = State::Done,
            Outcome::Failed => drop(self.recent.remove(at)),
        }
    }

    /// Those that were done: what another gateway is to know.
    pub fn done(&self) -> Vec<Id> {
        let done = self.recent.iter().filter(|(_, state)| *state == State::Done);
        done.map(|(id, _)| id.clone()).collect()
    }

    /// As another gateway handed it over.
    pub fn taken_over(done: Vec<Id>) -> Self {
        Self { recent: done.into_iter().take(limit::IDS_MAX).map(|id| (id, State::Done)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> Id {
        n.to_string().into()
    }

    #[test]
    fn a_request_that_comes_again_is_not_done_again() {
        let mut sent = Sent::default();
        assert_eq!(sent.begin(&id(1)), Begin::New);
        assert_eq!(sent.begin(&id(1)), Begin::Underway);
        sent.end(&id(1), Outcome::Done);
        assert_eq!(sent.begin(&id(1)), Begin::Done);
        assert_eq!(sent.begin(&id(2)), Begin::New);
        sent.end(&id(2), Outcome::Failed);
        assert_eq!(sent.begin(&id(2)), Begin::New, "what failed may be tried again");
    }

    #[test]
    fn what_is_under_way_is_never_forgotten() {
        let mut sent = Sent::default();
        for n in 0..limit::IDS_MAX {
            assert_eq!(sent.begin(&id(n)), Begin::New);
        }
        assert_eq!(sent.begin(&id(1_000)), Begin::Busy);
        sent.end(&id(7), Outcome::Done);
        assert_eq!(sent.begin(&id(1_000)), Begin::New);
        assert_eq!(sent.begin(&id(0)), Begin::Underway);
        assert_eq!(sent.begin(&id(7)), Begin::Busy, "forgotten, and no room");
    }

    #[test]
    fn the_next_gateway_knows_what_was_done() {
        let mut sent = Sent::default();
        for n in 0..3 {
            sent.begin(&id(n));
        }
        sent.end(&id(0), Outcome::Done);
        sent.end(&id(1), Outcome::Failed);
        let mut next = Sent::taken_over(sent.done());
        assert_eq!([0, 1, 2].map(|n| next.begin(&id(n))), [Begin::Done, Begin::New, Begin::New]);
    }
}
