//! Every node tells watchers the same changes under the same positions, and none is left out or told twice: whoever
//! goes from one node to another, at any moment, goes on exactly where it stopped.
//!
//! Held against each other is what follows on each position, on every life of every node. A change that one of them
//! leaves out, adds or puts elsewhere gives some position two different successors.

use quorate_model::Position;
use quorate_state::{Forgotten, Since};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// What was told so far.
#[derive(Debug, Default)]
pub struct ToldChanges {
    /// Up to where each life of each node has told.
    upto: BTreeMap<(String, u32), Upto>,
    /// What follows on each change, as somebody told first.
    next: BTreeMap<Position, Next>,
}

#[derive(Clone, Copy, Debug)]
struct Upto {
    asked: Position,
    /// The last change itself; `None`: not known, since a snapshot lies in between.
    last: Option<Position>,
}

#[derive(Debug)]
struct Next {
    position: Position,
    hash: u64,
    by: String,
}

impl ToldChanges {
    /// After what this life of a node is to be asked for changes.
    pub fn upto(&self, node: &str, life: u32) -> Position {
        self.upto.get(&(node.to_owned(), life)).map_or_else(Position::default, |upto| upto.asked)
    }

    /// What it answered.
    pub fn told(&mut self, node: &str, life: u32, told: Result<Since, Forgotten>) -> Result<(), String> {
        let key = (node.to_owned(), life);
        let since = match told {
            Ok(since) => since,
            Err(Forgotten { floor }) => {
                self.upto.insert(key, Upto { asked: floor, last: None });
                return Ok(());
            }
        };
        let asked = self.upto(node, life);
        let mut last = self.upto.get(&key).and_then(|upto| upto.last);
        for change in &since.changes {
            if change.position <= asked || last.is_some_and(|last| change.position <= last) {
                return Err(format!("{node} tells {} after {asked}", change.position));
            }
            if let Some(last) = last {
                self.follows(last, change.position, hash_of(&change.what), node)?;
            }
            last = Some(change.position);
        }
        if since.upto < asked {
            return Err(format!("{node} has gone back from {asked} to {}", since.upto));
        }
        self.upto.insert(key, Upto { asked: since.upto, last });
        Ok(())
    }

    fn follows(&mut self, last: Position, position: Position, hash: u64, node: &str) -> Result<(), String> {
        let by = node.to_owned();
        let first = self.next.entry(last).or_insert(Next { position, hash, by });
        if first.position != position {
            let (by, other) = (&first.by, first.position);
            return Err(format!("after {last} {node} tells {position}, and {by} {other}"));
        }
        if first.hash != hash {
            return Err(format!("at {position} {node} tells something else than {}", first.by));
        }
        Ok(())
    }
}

/// The whole record, as it is told.
fn hash_of(what: &quorate_model::What) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{what:?}").hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{super::Oracle, *};
    use quorate_model::{Change, FeatureLevel, LogIndex, What};
    use std::sync::Arc;

    fn at(text: &str) -> Position {
        text.parse().expect("a position")
    }

    fn since(positions: &[&str], upto: &str) -> Result<Since, Forgotten> {
        let what = What::Level(FeatureLevel::FIRST);
        let change = |text: &&str| Arc::new(Change { position: at(text), what: what.clone() });
        Ok(Since { changes: positions.iter().map(change).collect(), upto: at(upto) })
    }

    #[test]
    fn a_change_that_one_node_leaves_out_is_noticed() {
        let mut told = ToldChanges::default();
        assert_eq!(told.told("n1", 1, since(&["2", "3.0", "3", "5"], "7")), Ok(()));
        assert_eq!(told.upto("n1", 1), Position::end_of(LogIndex(7)));
        assert_eq!(told.told("n2", 1, since(&["2", "3.0"], "3.0")), Ok(()));
        let wrong = told.told("n2", 1, since(&["5"], "7")).expect_err("3 is missing");
        assert_eq!(wrong, "after 3.0 n2 tells 5, and n1 3");
    }

    #[test]
    fn the_oracle_asks_from_where_it_was_told_and_names_what_is_wrong() {
        let mut oracle = Oracle::default();
        assert_eq!(oracle.told("n1", 1, since(&["2", "3"], "4")), Ok(()));
        assert_eq!((oracle.told_upto("n1", 1), oracle.told_upto("n1", 2)), (at("4"), Position::default()));
        let wrong = oracle.told("n1", 1, since(&["3"], "5")).expect_err("twice");
        assert!(wrong.starts_with("told: "), "{wrong}");
    }

    #[test]
    fn a_change_that_comes_twice_or_is_another_one_is_noticed() {
        let mut told = ToldChanges::default();
        assert_eq!(told.told("n1", 1, since(&["2", "3"], "3")), Ok(()));
        assert!(told.told("n1", 1, since(&["3"], "4")).is_err(), "twice");
        let mut other = since(&["2", "3"], "3").expect("made so");
        other.changes[1] = Arc::new(Change { position: at("3"), what: What::Level(FeatureLevel::SECOND) });
        assert_eq!(told.told("n2", 1, Ok(other)), Err("at 3 n2 tells something else than n1".into()));
    }

    #[test]
    fn a_node_that_forgot_begins_anew_and_is_held_to_the_rest() {
        let mut told = ToldChanges::default();
        assert_eq!(told.told("n1", 1, since(&["2", "3", "5", "6"], "6")), Ok(()));
        assert_eq!(told.told("n2", 1, Err(Forgotten { floor: at("3") })), Ok(()));
        assert_eq!(told.upto("n2", 1), at("3"));
        assert_eq!(told.told("n2", 1, since(&["5"], "5")), Ok(()));
        assert!(told.told("n2", 1, since(&["7"], "7")).is_err(), "6 is missing");
    }
}
