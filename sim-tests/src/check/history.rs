//! Linearizability (Wing and Gong, "Testing and verifying concurrent objects", 1993), with operations whose outcome
//! is unknown: such a one may take effect at any time after it was asked, or never.
//!
//! The search tries the operations that could be next, one after the other, and remembers where it has been (Lowe,
//! "Testing for linearizability", 2017). It stands alone: the object is a [`Model`], the simplest one a register.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

/// What a sequential object does.
pub trait Model {
    /// Its value.
    type State: Clone + Eq + Hash + Default;
    /// An operation, with its answer where there is one.
    type Op;

    /// The states in which `op` may leave `state`; none: it can't have been answered so here.
    fn next(&self, state: &Self::State, op: &Self::Op) -> Vec<Self::State>;
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Call<O> {
    /// When it was asked.
    pub start: u128,
    /// When it was answered; `None`: the outcome is unknown.
    pub end: Option<u128>,
    /// What.
    pub op: O,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some order explains all answers.
    Linearizable,
    /// None does.
    NotLinearizable,
    /// There are too many orders to tell.
    TooMany,
}

/// Steps that a search may take; an ordinary history needs a few for each operation.
const STEPS_MAX: usize = 300_000;

/// Looks for an order of the operations that explains what was answered.
pub fn search<M: Model>(model: &M, mut calls: Vec<Call<M::Op>>) -> Verdict {
    calls.sort_by_key(|call| call.start);
    let answered = calls.iter().filter(|call| call.end.is_some()).count();
    let done = vec![0; calls.len().div_ceil(64)];
    let mut search = Search { model, calls, done, seen: HashMap::new(), steps: 0 };
    if search.explain(&M::State::default(), answered) {
        Verdict::Linearizable
    } else if search.steps > STEPS_MAX {
        Verdict::TooMany
    } else {
        Verdict::NotLinearizable
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    calls: Vec<Call<M::Op>>,
    /// One bit for each call.
    done: Vec<u64>,
    seen: HashMap<Vec<u64>, HashSet<M::State>>,
    steps: usize,
}

impl<M: Model> Search<'_, M> {
    fn explain(&mut self, state: &M::State, left: usize) -> bool {
        if left == 0 {
            return true;
        }
        self.steps += 1;
        if self.steps > STEPS_MAX || !self.is_new(state) {
            return false;
        }
        self.candidates().into_iter().any(|i| self.take(i, state, left))
    }

    fn is_new(&mut self, state: &M::State) -> bool {
        if let Some(states) = self.seen.get_mut(&self.done) {
            return states.insert(state.clone());
        }
        self.seen.insert(self.done.clone(), HashSet::from([state.clone()]));
        true
    }

    /// Those that no other one had ended before they were asked. Answered ones first: they have to happen.
    fn candidates(&self) -> Vec<usize> {
        let open = || (0..self.calls.len()).filter(|i| self.done[i / 64] & (1 << (i % 64)) == 0);
        let first_end = open().filter_map(|i| self.calls[i].end).min().unwrap_or(u128::MAX);
        let mut next: Vec<_> = open().take_while(|i| self.calls[*i].start <= first_end).collect();
        next.sort_by_key(|i| self.calls[*i].end.unwrap_or(u128::MAX));
        next
    }

    fn take(&mut self, i: usize, state: &M::State, left: usize) -> bool {
        let left = left - usize::from(self.calls[i].end.is_some());
        let states = self.model.next(state, &self.calls[i].op);
        self.done[i / 64] |= 1 << (i % 64);
        let explained = states.iter().any(|state| self.explain(state, left));
        self.done[i / 64] &= !(1 << (i % 64));
        explained
    }
}

/// What was done to a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// This value was written.
    Write(u64),
    /// This value was read.
    Read(Option<u64>),
}

/// One operation on a register.
pub type Event = Call<Op>;

struct Register;

impl Model for Register {
    type State = Option<u64>;
    type Op = Op;

    fn next(&self, state: &Self::State, op: &Op) -> Vec<Self::State> {
        match op {
            Op::Write(value) => vec![Some(*value)],
            Op::Read(value) if value == state => vec![*state],
            Op::Read(_) => Vec::new(),
        }
    }
}

/// Whether some order of the operations on a register explains what was read.
pub fn is_linearizable(history: Vec<Event>) -> bool {
    search(&Register, prune(history)) == Verdict::Linearizable
}

/// A write of unknown outcome whose value nobody read may be taken as never done: without this the search explodes.
/// A read of unknown outcome says nothing.
fn prune(mut history: Vec<Event>) -> Vec<Event> {
    let value_read = |event: &Event| match event.op {
        Op::Read(value) => value,
        Op::Write(_) => None,
    };
    let read: HashSet<u64> = history.iter().filter(|e| e.end.is_some()).filter_map(value_read).collect();
    history.retain(|e| e.end.is_some() || matches!(e.op, Op::Write(v) if read.contains(&v)));
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(start: u128, end: u128, value: u64) -> Event {
        Event { start, end: Some(end), op: Op::Write(value) }
    }

    fn read(start: u128, end: u128, value: Option<u64>) -> Event {
        Event { start, end: Some(end), op: Op::Read(value) }
    }

    #[test]
    fn reads_may_see_a_write_while_it_is_under_way_and_must_after() {
        assert!(is_linearizable(vec![write(0, 10, 1), read(5, 6, None), read(7, 8, Some(1))]));
        assert!(!is_linearizable(vec![write(0, 10, 1), read(11, 12, None)]), "a stale read");
        assert!(
            !is_linearizable(vec![write(0, 10, 1), read(5, 6, Some(1)), read(7, 8, None)]),
            "a step back"
        );
    }

    #[test]
    fn a_write_of_unknown_outcome_may_take_effect_later() {
        let unknown = Event { start: 2, end: None, op: Op::Write(2) };
        assert!(is_linearizable(vec![write(0, 1, 1), unknown, read(5, 6, Some(1)), read(7, 8, Some(2))]));
    }

    #[test]
    fn what_cannot_be_told_is_not_passed() {
        // Each of many concurrent writes may come before or after each other one; the read fits none.
        let writes = (1..=20).map(|value| write(0, 100, value));
        let history: Vec<_> = writes.chain([read(50, 60, Some(99))]).collect();
        assert!(!is_linearizable(history));
    }
}
