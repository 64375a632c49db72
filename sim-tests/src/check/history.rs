//! Linearizability of one register (Wing and Gong, "Testing and verifying concurrent objects", 1993), with writes
//! whose outcome is unknown. The register is a keyspace's partition count; each write writes a value of its own.

use std::collections::HashSet;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// This value was written.
    Write(u64),
    /// This value was read.
    Read(Option<u64>),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it was asked.
    pub start: u128,
    /// When it was answered; `None`: the outcome is unknown.
    pub end: Option<u128>,
    /// What.
    pub op: Op,
}

/// Whether some order of the operations explains what was read.
pub fn is_linearizable(mut history: Vec<Event>) -> bool {
    // A write of unknown outcome whose value nobody read may be taken as never done: without this the search
    // explodes. A read of unknown outcome says nothing.
    let read: HashSet<u64> = history.iter().filter(|e| e.end.is_some()).filter_map(read_value).collect();
    history.retain(|e| e.end.is_some() || matches!(e.op, Op::Write(v) if read.contains(&v)));
    history.sort_by_key(|e| e.start);
    let mut search = Search { done: vec![false; history.len()], seen: HashSet::new(), history };
    let answered = search.history.iter().filter(|e| e.end.is_some()).count();
    search.explain(None, answered)
}

fn read_value(event: &Event) -> Option<u64> {
    match event.op {
        Op::Read(value) => value,
        Op::Write(_) => None,
    }
}

struct Search {
    history: Vec<Event>,
    done: Vec<bool>,
    seen: HashSet<(Vec<bool>, Option<u64>)>,
}

impl Search {
    fn explain(&mut self, value: Option<u64>, left: usize) -> bool {
        if left == 0 {
            return true;
        }
        if !self.seen.insert((self.done.clone(), value)) {
            return false;
        }
        let open = (0..self.history.len()).filter(|i| !self.done[*i]);
        let first_end = open.clone().filter_map(|i| self.history[i].end).min().unwrap_or(u128::MAX);
        let candidates: Vec<usize> = open.take_while(|i| self.history[*i].start <= first_end).collect();
        candidates.into_iter().any(|i| self.take(i, value, left))
    }

    fn take(&mut self, i: usize, value: Option<u64>, left: usize) -> bool {
        let next = match self.history[i].op {
            Op::Write(written) => Some(written),
            Op::Read(read) if read == value => value,
            Op::Read(_) => return false,
        };
        self.done[i] = true;
        let explained = self.explain(next, left - usize::from(self.history[i].end.is_some()));
        self.done[i] = false;
        explained
    }
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
}
