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
    /// Nobody knows: a try may still arrive.
    Unknown,
    /// So it was, and it was said again.
    Again,
}

impl State {
    fn is_under_way(self) -> bool {
        matches!(self, Self::Underway | Self::Again)
    }
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
    /// It was not. It may be sent again.
    Failed,
    /// Nobody knows. It may be sent again: whoever has it already takes it once.
    Unknown,
}

impl Sent {
    /// A request comes.
    pub fn begin(&mut self, id: &Id) -> Begin {
        match self.recent.iter_mut().find(|(known, _)| known == id).map(|(_, state)| state) {
            Some(State::Underway | State::Again) => return Begin::Underway,
            Some(state @ State::Unknown) => {
                *state = State::Again;
                return Begin::New;
            }
            Some(State::Done) if !planted::is(Bug::SaidAgainIsNew) => return Begin::Done,
            Some(State::Done) | None => {}
        }
        if self.recent.len() >= limit::IDS_MAX {
            // What is under way must be remembered: only what has ended makes room, the oldest first.
            let Some(ended) = self.recent.iter().position(|(_, state)| !state.is_under_way()) else {
                return Begin::Busy;
            };
            self.recent.remove(ended);
        }
        self.recent.push_back((id.clone(), State::Underway));
        Begin::New
    }

    /// A request has ended. What its client may be told: of one of which an earlier try may still arrive nobody can say that
    /// it was not done.
    pub fn end(&mut self, id: &Id, outcome: Outcome) -> Outcome {
        let Some(at) = self.recent.iter().position(|(known, _)| known == id) else { return outcome };
        let ended = match outcome {
            Outcome::Failed if self.recent[at].1 == State::Again => Outcome::Unknown,
            other => other,
        };
        match ended {
            Outcome::Done => self.recent[at].1 = State::Done,
            Outcome::Unknown => self.recent[at].1 = State::Unknown,
            Outcome::Failed => drop(self.recent.remove(at)),
        }
        ended
    }

    /// Those that were done: what another gateway is to know.
    pub fn done(&self) -> Vec<Id> {
        let done = self.recent.iter().filter(|(_, state)| *state == State::Done);
        done.map(|(id, _)| id.clone()).collect()
    }

    /// Those of which nobody knows, now that they are waited for no longer.
    pub fn doubtful(&self) -> Vec<Id> {
        let doubtful = self.recent.iter().filter(|(_, state)| *state != State::Done);
        doubtful.map(|(id, _)| id.clone()).collect()
    }

    /// As another gateway handed it over.
    pub fn taken_over(done: Vec<Id>, doubtful: Vec<Id>) -> Self {
        let done = done.into_iter().map(|id| (id, State::Done));
        let doubtful = doubtful.into_iter().map(|id| (id, State::Unknown));
        Self { recent: done.chain(doubtful).take(limit::IDS_MAX).collect() }
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
    fn what_may_still_arrive_is_never_said_to_have_failed() {
        let mut sent = Sent::default();
        sent.begin(&id(1));
        assert_eq!(sent.end(&id(1), Outcome::Unknown), Outcome::Unknown);
        assert_eq!(sent.begin(&id(1)), Begin::New, "it may be tried again");
        assert_eq!(sent.begin(&id(1)), Begin::Underway);
        assert_eq!(sent.end(&id(1), Outcome::Failed), Outcome::Unknown);
        sent.begin(&id(1));
        assert_eq!(sent.end(&id(1), Outcome::Done), Outcome::Done);
        assert_eq!(sent.begin(&id(1)), Begin::Done);
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
        let mut next = Sent::taken_over(sent.done(), sent.doubtful());
        assert_eq!([0, 1, 2].map(|n| next.begin(&id(n))), [Begin::Done, Begin::New, Begin::New]);
        let failed = [1, 2].map(|n| next.end(&id(n), Outcome::Failed));
        assert_eq!(failed, [Outcome::Failed, Outcome::Unknown], "what was under way may still arrive");
    }
}
