//! Which requests of a session were done: a client whose socket broke sends again what was not acknowledged, and that
//! must not be delivered twice.

use super::{limit, said::Id};
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
    Unknown,
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
    /// Nobody knows whether it was done, and doing it again might do it twice.
    Unknown,
    /// Too many are under way.
    Busy,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not; it may be sent again.
    Failed,
    /// Nobody knows.
    Unknown,
}

impl Sent {
    /// A request comes.
    pub fn begin(&mut self, id: &Id) -> Begin {
        match self.recent.iter().find(|(known, _)| known == id).map(|(_, state)| state) {
            Some(State::Underway) => return Begin::Underway,
            Some(State::Done) => return Begin::Done,
            Some(State::Unknown) => return Begin::Unknown,
            None => {}
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
            Outcome::Unknown => self.recent[at].1 = State::Unknown,
            Outcome::Failed => drop(self.recent.remove(at)),
        }
    }

    /// Those that were done, and those of which nobody will know: what another gateway is to know.
    pub fn hand_over(&self) -> (Vec<Id>, Vec<Id>) {
        let (done, unknown): (Vec<_>, Vec<_>) =
            self.recent.iter().cloned().partition(|(_, state)| *state == State::Done);
        let ids = |all: Vec<(Id, State)>| all.into_iter().map(|(id, _)| id).collect();
        (ids(done), ids(unknown))
    }

    /// As another gateway handed it over.
    pub fn taken_over(done: Vec<Id>, unknown: Vec<Id>) -> Self {
        let done = done.into_iter().map(|id| (id, State::Done));
        let unknown = unknown.into_iter().map(|id| (id, State::Unknown));
        Self { recent: done.chain(unknown).take(limit::IDS_MAX).collect() }
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
        sent.end(&id(2), Outcome::Unknown);
        assert_eq!(sent.begin(&id(2)), Begin::Unknown);
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
    fn the_next_gateway_knows_what_was_done_and_what_is_unknown() {
        let mut sent = Sent::default();
        for n in 0..3 {
            sent.begin(&id(n));
        }
        sent.end(&id(0), Outcome::Done);
        sent.end(&id(1), Outcome::Failed);
        let (done, unknown) = sent.hand_over();
        let mut next = Sent::taken_over(done, unknown);
        assert_eq!([0, 1, 2].map(|n| next.begin(&id(n))), [Begin::Done, Begin::New, Begin::Unknown]);
    }
}
