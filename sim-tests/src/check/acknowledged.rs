//! No acknowledged write is lost: every node that has reached its index holds it, or something newer. And whoever asks
//! for a consistent read after an acknowledgement is not answered from before it.

use super::{Answer, Ask, Look, OpId, Operation, Reading};
use quorate_model::Status;
use std::collections::{BTreeMap, BTreeSet};

/// What was acknowledged, the newest of each record.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Worker: incarnation, index.
    registered: BTreeMap<String, (u64, u64)>,
    /// Worker: incarnation that said goodbye, index.
    unregistered: BTreeMap<String, (u64, u64)>,
    /// Keyspace: count, index.
    keyspaces: BTreeMap<String, (u64, u64)>,
    /// When an answer came, and the largest index that was acknowledged by then.
    indexes: Vec<(u128, u64)>,
    /// Node: its index, and how many answers were known, when it was last looked at.
    looked: BTreeMap<String, (u64, usize)>,
}

impl Acknowledged {
    /// An operation has ended.
    pub fn answered(&mut self, operation: &Operation) -> Result<(), String> {
        let Some((at_ms, answer)) = &operation.answered else { return Ok(()) };
        match (&operation.ask, answer) {
            (Ask::Register { worker, .. }, Answer::Registered { incarnation, index }) => {
                self.acknowledge(*at_ms, *index);
                newest(&mut self.registered, worker, *incarnation, *index);
            }
            (Ask::Unregister { worker, incarnation }, Answer::Done { index }) => {
                self.acknowledge(*at_ms, *index);
                if let Some(incarnation) = incarnation {
                    newest(&mut self.unregistered, worker, *incarnation, *index);
                }
            }
            (Ask::SetKeyspace { name, partitions }, Answer::Done { index }) => {
                self.acknowledge(*at_ms, *index);
                newest(&mut self.keyspaces, name, *partitions, *index);
            }
            (Ask::ReadWorker { reading: Reading::Consistent, .. }, Answer::Worker { index, .. })
            | (Ask::ReadKeyspace { reading: Reading::Consistent, .. }, Answer::Keyspace { index, .. }) => {
                return self.read(operation.asked_ms, *index);
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, at_ms: u128, index: u64) {
        let before = self.indexes.last().map_or(0, |(_, index)| *index);
        self.indexes.push((at_ms, before.max(index)));
    }

    fn read(&self, asked_ms: u128, index: u64) -> Result<(), String> {
        let before = self.indexes.partition_point(|(at, _)| *at < asked_ms);
        let known =
            before.checked_sub(1).and_then(|last| self.indexes.get(last)).map_or(0, |(_, index)| *index);
        if index >= known {
            return Ok(());
        }
        Err(format!(
            "a consistent read asked at {asked_ms} ms saw index {index}; {known} was acknowledged before"
        ))
    }

    /// A node shows its records.
    pub fn looked(&mut self, look: &Look<'_>, operations: &BTreeMap<OpId, Operation>) -> Result<(), String> {
        let state = (look.view.index().0, self.indexes.len());
        if self.looked.insert(look.node.to_owned(), state) == Some(state) {
            return Ok(());
        }
        self.workers_are_there(look, operations)?;
        self.keyspaces_are_there(look)
    }

    fn workers_are_there(
        &self,
        look: &Look<'_>,
        operations: &BTreeMap<OpId, Operation>,
    ) -> Result<(), String> {
        let now = look.view.index().0;
        for (id, (incarnation, index)) in self.registered.iter().filter(|(_, (_, index))| *index <= now) {
            let held = look.view.worker(id).map(|worker| worker.incarnation.0);
            let lost = match held {
                Some(held) => held < *incarnation,
                None => !may_be_forgotten(id, operations),
            };
            if lost {
                return Err(format!(
                    "lease {incarnation} of {id} was acknowledged at index {index}; {} holds {held:?} at {now}",
                    look.node
                ));
            }
        }
        for (id, (incarnation, index)) in self.unregistered.iter().filter(|(_, (_, index))| *index <= now) {
            let stands = look.view.worker(id).filter(|w| w.incarnation.0 == *incarnation);
            if stands.is_some_and(|worker| worker.status() != Status::Departed) {
                return Err(format!(
                    "the goodbye of lease {incarnation} of {id} was acknowledged at index {index}; it stands on {} at {now}",
                    look.node
                ));
            }
        }
        Ok(())
    }

    fn keyspaces_are_there(&self, look: &Look<'_>) -> Result<(), String> {
        let now = look.view.index().0;
        for (name, (count, index)) in self.keyspaces.iter().filter(|(_, (_, index))| *index <= now) {
            let held = look.view.keyspace(name);
            let there = held.is_some_and(|k| {
                k.keyspace().changed.0 >= *index || k.count().is_some_and(|c| u64::from(c.get()) == *count)
            });
            if !there {
                return Err(format!(
                    "count {count} of keyspace {name} was acknowledged at index {index}; {} has not got it at {now}",
                    look.node
                ));
            }
        }
        Ok(())
    }

    /// Every member has been looked at after everything has settled: none is behind what was acknowledged. Who is no
    /// member any more hears of nothing.
    pub fn finish(&self, members: &BTreeSet<String>) -> Result<(), String> {
        let acknowledged = self.indexes.last().map_or(0, |(_, index)| *index);
        match self.looked.iter().find(|(node, (index, _))| members.contains(*node) && *index < acknowledged) {
            None => Ok(()),
            Some((node, (index, _))) => {
                Err(format!("index {acknowledged} was acknowledged; in the end {node} is at {index}"))
            }
        }
    }
}

fn newest(of: &mut BTreeMap<String, (u64, u64)>, key: &str, value: u64, index: u64) {
    let newest = of.entry(key.to_owned()).or_insert((value, index));
    if index > newest.1 {
        *newest = (value, index);
    }
}

/// A record goes when its worker said goodbye, or when others took all that it had.
fn may_be_forgotten(id: &str, operations: &BTreeMap<OpId, Operation>) -> bool {
    let registers = |operation: &Operation, of: bool| match &operation.ask {
        Ask::Register { worker, partitions, .. } if (worker == id) == of => partitions.clone(),
        _ => Vec::new(),
    };
    let own: Vec<i32> = operations.values().flat_map(|o| registers(o, true)).collect();
    operations.values().any(|operation| match &operation.ask {
        Ask::Unregister { worker, .. } => worker == id,
        _ => registers(operation, false).iter().any(|partition| own.contains(partition)),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{look, registered, registers, unregister},
        *,
    };
    use quorate_model::LogIndex;

    fn answered(ask: Ask, at_ms: u128, answer: Answer) -> Operation {
        Operation { asked_ms: at_ms, ask, answered: Some((at_ms, answer)) }
    }

    fn registration(incarnation: u64) -> Operation {
        answered(registers("w1"), 10, Answer::Registered { incarnation, index: incarnation })
    }

    fn members(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_registration_that_is_gone_is_noticed() {
        let mut acknowledged = Acknowledged::default();
        acknowledged.answered(&registration(8)).expect("a write");
        let operations = BTreeMap::from([(OpId(2), registration(8))]);
        let (older, mut none) = (registered(&[(5, "w1", &[0], 1)]), registered(&[]));
        assert!(acknowledged.looked(&look("n1", &older, 0), &operations).is_ok(), "not there yet");
        let mut lost = older.clone();
        lost.skip(LogIndex(8));
        none.skip(LogIndex(8));
        assert!(acknowledged.looked(&look("n1", &lost, 0), &operations).is_err());
        assert!(acknowledged.looked(&look("n2", &none, 0), &operations).is_err());
        let there = registered(&[(5, "w1", &[0], 1), (8, "w1", &[0], 2)]);
        assert!(acknowledged.looked(&look("n3", &there, 0), &operations).is_ok());
        assert!(acknowledged.finish(&members(&["n3"])).is_ok());
    }

    #[test]
    fn a_goodbye_that_was_undone_is_noticed() {
        let mut acknowledged = Acknowledged::default();
        let ask = Ask::Unregister { worker: "w1".into(), incarnation: Some(5) };
        acknowledged.answered(&answered(ask, 10, Answer::Done { index: 6 })).expect("a write");
        let mut state = registered(&[(5, "w1", &[0], 1)]);
        let mut back = state.clone();
        back.skip(LogIndex(6));
        unregister(&mut state, 6, "w1");
        assert!(acknowledged.looked(&look("n1", &state, 0), &BTreeMap::new()).is_ok());
        assert!(acknowledged.looked(&look("n2", &back, 0), &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_count_that_is_gone_and_a_node_that_stays_behind_are_noticed() {
        let mut acknowledged = Acknowledged::default();
        let ask = Ask::SetKeyspace { name: "default".into(), partitions: 9 };
        acknowledged.answered(&answered(ask, 10, Answer::Done { index: 7 })).expect("a write");
        let mut state = registered(&[]);
        assert!(acknowledged.looked(&look("n1", &state, 0), &BTreeMap::new()).is_ok());
        assert!(acknowledged.finish(&members(&["n1", "n2"])).is_err(), "n1 is behind");
        assert!(acknowledged.finish(&members(&["n2"])).is_ok(), "n1 was removed: it hears of nothing");
        state.skip(LogIndex(7));
        assert!(acknowledged.looked(&look("n1", &state, 0), &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_consistent_read_from_before_an_acknowledgement_is_noticed() {
        let mut acknowledged = Acknowledged::default();
        acknowledged.answered(&registration(8)).expect("a write");
        let read = |reading, asked_ms| {
            let ask = Ask::ReadWorker { worker: "w1".into(), reading };
            answered(ask, asked_ms, Answer::Worker { written_by: None, index: 7 })
        };
        assert!(acknowledged.answered(&read(Reading::Consistent, 10)).is_ok(), "at the same time");
        assert!(acknowledged.answered(&read(Reading::Consistent, 11)).is_err());
        assert!(acknowledged.answered(&read(Reading::Local, 11)).is_ok());
    }
}
