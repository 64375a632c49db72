//! What clients saw of each worker record and each keyspace is explained by some order of their operations.
//!
//! A worker record is a register that holds the number of the registration that wrote it; a keyspace one that holds
//! its count. Records don't depend on each other, but for one thing: a registration takes partitions, and a worker
//! that loses its last one is gone.

use super::{
    Answer, Ask, OpId, Operation, Reading,
    history::{Call, Event, Model, Op, Verdict, is_linearizable, search},
};
use std::collections::{BTreeMap, BTreeSet};

/// Judges the whole run.
pub fn check(operations: &BTreeMap<OpId, Operation>) -> Result<(), String> {
    let (mut workers, mut keyspaces) = (BTreeSet::new(), BTreeSet::new());
    for operation in operations.values() {
        match &operation.ask {
            Ask::Register { worker, .. }
            | Ask::Unregister { worker, .. }
            | Ask::ReadWorker { worker, .. } => {
                workers.insert(worker.as_str());
            }
            Ask::SetKeyspace { name, .. } | Ask::ReadKeyspace { name, .. } => {
                keyspaces.insert(name.as_str());
            }
            Ask::Heartbeat { .. } => {}
        }
    }
    for worker in workers {
        let calls = of_worker(worker, operations);
        let count = calls.len();
        if search(&Record, prune(calls)) != Verdict::Linearizable {
            return Err(format!("no order explains the {count} operations on worker {worker}"));
        }
    }
    for keyspace in keyspaces {
        let events = of_keyspace(keyspace, operations);
        let count = events.len();
        if !is_linearizable(events) {
            return Err(format!("no order explains the {count} operations on keyspace {keyspace}"));
        }
    }
    Ok(())
}

/// What was done to a worker's record.
#[derive(Clone, Debug)]
enum OnRecord {
    Register(OpId),
    /// Of one life, or of whichever stands; and what it was answered.
    Unregister(Whose, Option<Goodbye>),
    Read(Option<OpId>),
    /// Another worker's registration, which may take all that this one has.
    MayDisplace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Anybodys,
    Of(OpId),
    /// A lease whose registration nobody knows: it is about no life that could stand.
    Nobodys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    Done,
    Missing,
    Superseded,
}

struct Record;

impl Model for Record {
    type State = Option<OpId>;
    type Op = OnRecord;

    fn next(&self, state: &Self::State, op: &OnRecord) -> Vec<Self::State> {
        match op {
            OnRecord::Register(op) => vec![Some(*op)],
            OnRecord::Read(seen) if seen == state => vec![*state],
            OnRecord::Read(_) => Vec::new(),
            OnRecord::MayDisplace => vec![*state, None],
            OnRecord::Unregister(whose, answer) => {
                let (does, next) = match (state, whose) {
                    (None, _) => (Goodbye::Missing, None),
                    (Some(_), Whose::Anybodys) => (Goodbye::Done, None),
                    (Some(stands), Whose::Of(op)) if stands == op => (Goodbye::Done, None),
                    (Some(_), Whose::Of(_) | Whose::Nobodys) => (Goodbye::Superseded, *state),
                };
                if answer.is_none_or(|answer| answer == does) { vec![next] } else { Vec::new() }
            }
        }
    }
}

fn of_worker(id: &str, operations: &BTreeMap<OpId, Operation>) -> Vec<Call<OnRecord>> {
    let (mut lives, mut own) = (BTreeMap::new(), BTreeSet::new());
    for (op, operation) in operations {
        if let Ask::Register { worker, partitions } = &operation.ask
            && worker == id
        {
            own.extend(partitions.iter().copied());
            if let Some((_, Answer::Registered { incarnation, .. })) = &operation.answered {
                lives.insert(*incarnation, *op);
            }
        }
    }
    let whose = |incarnation: Option<u64>| match incarnation {
        None => Whose::Anybodys,
        Some(incarnation) => lives.get(&incarnation).map_or(Whose::Nobodys, |op| Whose::Of(*op)),
    };
    let call = |(op, operation): (&OpId, &Operation)| {
        let answer = operation.answered.as_ref().map_or(&Answer::Unknown, |(_, answer)| answer);
        let on = match (&operation.ask, answer) {
            (_, Answer::Refused) => return None,
            (Ask::Register { worker, .. }, _) if worker == id => OnRecord::Register(*op),
            (Ask::Register { partitions, .. }, _) if partitions.iter().any(|p| own.contains(p)) => {
                OnRecord::MayDisplace
            }
            (Ask::Unregister { worker, incarnation }, answer) if worker == id => {
                OnRecord::Unregister(whose(*incarnation), goodbye(answer))
            }
            (Ask::ReadWorker { worker, reading: Reading::Consistent }, Answer::Worker { written_by, .. })
                if worker == id =>
            {
                OnRecord::Read(*written_by)
            }
            _ => return None,
        };
        Some(Call { start: operation.asked_ms, end: end(operation), op: on })
    };
    operations.iter().filter_map(call).collect()
}

fn goodbye(answer: &Answer) -> Option<Goodbye> {
    match answer {
        Answer::Done { .. } => Some(Goodbye::Done),
        Answer::Missing => Some(Goodbye::Missing),
        Answer::Superseded => Some(Goodbye::Superseded),
        _ => None,
    }
}

fn end(operation: &Operation) -> Option<u128> {
    operation.answered.as_ref().filter(|(_, answer)| *answer != Answer::Unknown).map(|(at, _)| *at)
}

/// Leaves out what is of unknown outcome and was seen by nobody: it may be taken as never done.
fn prune(mut calls: Vec<Call<OnRecord>>) -> Vec<Call<OnRecord>> {
    let (mut seen, mut absent, mut somebody) = (BTreeSet::new(), false, false);
    for call in calls.iter().filter(|call| call.end.is_some()) {
        match &call.op {
            OnRecord::Read(Some(op)) => {
                seen.insert(*op);
            }
            OnRecord::Read(None) | OnRecord::Unregister(_, Some(Goodbye::Missing)) => absent = true,
            OnRecord::Unregister(Whose::Of(op), Some(Goodbye::Done)) => {
                seen.insert(*op);
            }
            // Somebody stood there, and nobody says who.
            OnRecord::Unregister(..) => somebody = true,
            OnRecord::Register(_) | OnRecord::MayDisplace => {}
        }
    }
    calls.retain(|call| match &call.op {
        // Nobody saw the record absent: whether somebody was displaced makes no difference.
        OnRecord::MayDisplace => absent,
        _ if call.end.is_some() => true,
        OnRecord::Register(op) => somebody || seen.contains(op),
        OnRecord::Unregister(..) => absent,
        OnRecord::Read(_) => false,
    });
    calls
}

fn of_keyspace(of: &str, operations: &BTreeMap<OpId, Operation>) -> Vec<Event> {
    let event = |operation: &Operation| {
        let answer = operation.answered.as_ref();
        let op = match (&operation.ask, answer.map(|(_, answer)| answer)) {
            (_, Some(Answer::Refused)) => return None,
            (Ask::SetKeyspace { name, partitions }, _) if name == of => Op::Write(*partitions),
            (
                Ask::ReadKeyspace { name, reading: Reading::Consistent },
                Some(Answer::Keyspace { partitions, .. }),
            ) if name == of => Op::Read(*partitions),
            _ => return None,
        };
        Some(Event { start: operation.asked_ms, end: end(operation), op })
    };
    operations.values().filter_map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::registers, *};

    type Done = (u128, u128, Ask, Answer);

    /// Operations 1, 2, ...: when asked, when answered, what.
    fn judged(operations: Vec<Done>) -> Result<(), String> {
        let operation = |(n, (asked_ms, at, ask, answer))| {
            (OpId(n), Operation { asked_ms, ask, answered: Some((at, answer)) })
        };
        check(&(1..).zip(operations).map(operation).collect())
    }

    fn registration(from: u128, to: u128, incarnation: u64) -> Done {
        (from, to, registers("w1"), Answer::Registered { incarnation, index: incarnation })
    }

    fn read(from: u128, to: u128, written_by: Option<u64>) -> Done {
        let answer = Answer::Worker { written_by: written_by.map(OpId), index: 1 };
        (from, to, Ask::ReadWorker { worker: "w1".into(), reading: Reading::Consistent }, answer)
    }

    fn goodbye(from: u128, to: u128, incarnation: u64, answer: Answer) -> Done {
        (from, to, Ask::Unregister { worker: "w1".into(), incarnation: Some(incarnation) }, answer)
    }

    #[test]
    fn a_stale_record_is_noticed() {
        let (first, second) = (registration(0, 1, 5), registration(2, 3, 6));
        assert!(judged(vec![first.clone(), second.clone(), read(4, 5, Some(2))]).is_ok());
        assert!(judged(vec![first.clone(), second, read(4, 5, Some(1))]).is_err());
        assert!(judged(vec![first, read(4, 5, None)]).is_err());
    }

    #[test]
    fn a_record_that_its_former_self_removed_is_noticed() {
        let (first, second) = (registration(0, 1, 5), registration(3, 4, 6));
        let late = goodbye(2, 9, 5, Answer::Unknown);
        assert!(judged(vec![first.clone(), second.clone(), late.clone(), read(7, 8, Some(2))]).is_ok());
        assert!(judged(vec![first.clone(), second.clone(), late, read(7, 8, None)]).is_err());
        let superseded = goodbye(5, 6, 5, Answer::Superseded);
        assert!(judged(vec![first.clone(), second.clone(), superseded]).is_ok());
        assert!(judged(vec![first, second, goodbye(5, 6, 5, Answer::Done { index: 7 })]).is_err());
    }

    /// Trigger: a goodbye whose answer was lost, sent again; only that one tells that the first was carried out.
    #[test]
    fn a_goodbye_of_unknown_outcome_explains_why_the_next_one_finds_nobody() {
        let lost = goodbye(2, 3, 5, Answer::Unknown);
        let again = goodbye(4, 5, 5, Answer::Missing);
        assert!(judged(vec![registration(0, 1, 5), lost, again.clone()]).is_ok());
        assert!(judged(vec![registration(0, 1, 5), again]).is_err(), "nobody said goodbye");
    }

    #[test]
    fn what_was_refused_must_not_show() {
        let refused = (0, 1, registers("w1"), Answer::Refused);
        assert!(judged(vec![refused.clone(), read(4, 5, None)]).is_ok());
        assert!(judged(vec![refused, read(4, 5, Some(1))]).is_err());
    }

    #[test]
    fn a_worker_that_lost_all_it_had_may_be_gone() {
        let other = (2, 3, registers("w2"), Answer::Registered { incarnation: 6, index: 6 });
        assert!(judged(vec![registration(0, 1, 5), other, read(4, 5, None)]).is_ok());
    }

    #[test]
    fn a_stale_count_is_noticed() {
        let write = |at, partitions| {
            (at, at + 1, Ask::SetKeyspace { name: "k".into(), partitions }, Answer::Done { index: 1 })
        };
        let read = |at, partitions, reading| {
            let answer = Answer::Keyspace { partitions, index: 1 };
            (at, at + 1, Ask::ReadKeyspace { name: "k".into(), reading }, answer)
        };
        assert!(judged(vec![write(0, 3), write(5, 4), read(8, Some(4), Reading::Consistent)]).is_ok());
        assert!(judged(vec![write(0, 3), write(5, 4), read(8, Some(3), Reading::Consistent)]).is_err());
        assert!(judged(vec![write(0, 3), write(5, 4), read(8, Some(3), Reading::Local)]).is_ok());
    }
}
