//! Which circuit breakers opened, at this node and at others, as far as that is told. Pure: the time is an argument.
//!
//! A node tells only what it found itself, and nobody passes on what it was told: a word ends when the breaker of the
//! node that gave it would be tried again, and one node's mistake cannot go round. What a node found itself has a
//! number, and a peer has been told everything up to some number, as in [`crate::load_table`].

use crate::lease::Millis;
use quorate_model::{Epoch, NumberedOpening, Opening, Openings, ServiceName, WorkerId};
use std::collections::BTreeMap;

/// Most that are kept. Beyond it new ones are not told: every node finds out for itself, as without telling.
pub(crate) const KEPT_MAX: usize = 4_096;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct OpeningTable {
    known: BTreeMap<(ServiceName, WorkerId), Known>,
    last: u64,
    /// Whether it has changed since it was taken.
    changed: bool,
}

#[derive(Debug)]
struct Known {
    epoch: Epoch,
    until: Millis,
    number: u64,
    /// Whether this node found it itself.
    own: bool,
}

impl OpeningTable {
    /// A breaker of this node opened.
    pub fn hear(&mut self, opening: &Opening, now: Millis) {
        self.keep(opening, true, now);
    }

    /// Another node tells of one of its own.
    pub fn learn(&mut self, opening: &Opening, now: Millis) {
        self.keep(opening, false, now);
    }

    /// What this node found itself and a peer that knows everything up to `told` does not know, oldest first; and up
    /// to where the peer knows everything once it has taken these.
    pub fn untold(&self, told: u64, max: usize, now: Millis) -> (Vec<Opening>, u64) {
        let rest = self.known.iter().filter(|(_, known)| known.own && known.number > told);
        let mut rest: Vec<_> = rest.collect();
        rest.sort_unstable_by_key(|(_, known)| known.number);
        rest.truncate(max);
        let upto = rest.last().map_or(told, |(_, known)| known.number);
        let openings = rest.into_iter().filter(|(_, known)| known.until > now);
        (openings.map(|(key, known)| opening(key, known, now)).collect(), upto)
    }

    /// Forgets those that are over.
    pub fn forget(&mut self, now: Millis) {
        let before = self.known.len();
        self.known.retain(|_, known| known.until > now);
        self.changed |= self.known.len() != before;
    }

    /// All of them, if that changed since this was asked last.
    pub fn take_changed(&mut self, now: Millis) -> Option<Openings> {
        std::mem::take(&mut self.changed).then(|| {
            let all = self.known.iter();
            let numbered = all.map(|(key, known)| NumberedOpening {
                number: known.number,
                opening: opening(key, known, now),
            });
            Openings(numbered.collect())
        })
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Of two words about one life of a worker the one that ends later stays; of two lives, the later one's.
    fn keep(&mut self, opening: &Opening, own: bool, now: Millis) {
        let until = now.saturating_add(opening.left_ms.into());
        let key = (opening.service.clone(), opening.worker.clone());
        let is_new = match self.known.get(&key) {
            Some(known) => (opening.epoch, until) > (known.epoch, known.until),
            None => {
                if self.known.len() >= KEPT_MAX {
                    self.forget(now);
                }
                self.known.len() < KEPT_MAX
            }
        };
        if is_new && until > now {
            self.last += 1;
            self.known.insert(key, Known { epoch: opening.epoch, until, number: self.last, own });
            self.changed = true;
        }
    }
}

fn opening((service, worker): &(ServiceName, WorkerId), known: &Known, now: Millis) -> Opening {
    Opening {
        service: service.clone(),
        worker: worker.clone(),
        epoch: known.epoch,
        left_ms: u32::try_from(known.until.saturating_sub(now).max(0)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(worker: &str, epoch: u64, left_ms: u32) -> Opening {
        Opening {
            service: ServiceName::parse("s").expect("valid"),
            worker: WorkerId::parse(worker).expect("valid"),
            epoch: Epoch(epoch),
            left_ms,
        }
    }

    /// Workers that a peer is told of which knows everything up to a number, how long each is left alone, and the
    /// number after that.
    fn untold(table: &OpeningTable, told: u64, now: Millis) -> (Vec<(String, u32)>, u64) {
        let (openings, upto) = table.untold(told, 100, now);
        (openings.iter().map(|opening| (opening.worker.to_string(), opening.left_ms)).collect(), upto)
    }

    fn published(table: &mut OpeningTable, now: Millis) -> Option<Vec<(u64, u32)>> {
        let all = table.take_changed(now)?.0;
        Some(all.iter().map(|told| (told.number, told.opening.left_ms)).collect())
    }

    #[test]
    fn each_peer_is_told_once_and_for_how_much_longer() {
        let mut table = OpeningTable::default();
        table.hear(&of("w2", 1, 60_000), 0);
        table.hear(&of("w1", 1, 10_000), 0);
        assert_eq!(untold(&table, 0, 4_000), (vec![("w2".into(), 56_000), ("w1".into(), 6_000)], 2));
        assert_eq!(untold(&table, 2, 4_000), (vec![], 2));
        assert_eq!(untold(&table, 0, 10_000), (vec![("w2".into(), 50_000)], 2), "the other is over");
        table.hear(&of("w2", 1, 60_000), 5_000);
        assert_eq!(untold(&table, 2, 5_000), (vec![("w2".into(), 60_000)], 3), "another core, or again");
        let (first, upto) = table.untold(0, 1, 5_000);
        assert_eq!((first[0].worker.as_str(), upto), ("w1", 2), "a batch is bounded");
    }

    #[test]
    fn what_a_node_was_told_it_does_not_tell() {
        let mut table = OpeningTable::default();
        table.learn(&of("w1", 1, 60_000), 0);
        assert_eq!(untold(&table, 0, 0), (vec![], 0));
        table.hear(&of("w1", 1, 60_000), 100);
        assert_eq!(untold(&table, 0, 100).0.len(), 1, "it has found out itself");
        table.learn(&of("w1", 1, 60_000), 50);
        assert_eq!(untold(&table, 0, 100).0.len(), 1, "a shorter word changes nothing");
    }

    #[test]
    fn a_word_ends_by_itself_and_an_older_life_says_nothing() {
        let mut table = OpeningTable::default();
        table.learn(&of("w1", 2, 1_000), 0);
        table.learn(&of("w1", 1, 60_000), 0);
        table.learn(&of("w2", 1, 0), 0);
        assert_eq!(published(&mut table, 400), Some(vec![(1, 600)]));
        assert_eq!(published(&mut table, 500), None, "nothing new");
        table.learn(&of("w1", 3, 100), 500);
        assert_eq!(published(&mut table, 500), Some(vec![(2, 100)]), "another life");
        table.forget(599);
        assert!(!table.is_empty());
        table.forget(600);
        assert!(table.is_empty());
        assert_eq!(published(&mut table, 600), Some(vec![]));
    }

    #[test]
    fn it_is_bounded_and_has_room_again_when_some_are_over() {
        let mut table = OpeningTable::default();
        (0..KEPT_MAX).for_each(|i| table.learn(&of(&format!("w{i}"), 1, if i == 7 { 10 } else { 1_000 }), 0));
        table.hear(&of("one-more", 1, 1_000), 5);
        assert_eq!(untold(&table, 0, 5).0.len(), 0);
        table.hear(&of("one-more", 1, 1_000), 10);
        assert_eq!(untold(&table, 0, 10).0.len(), 1);
        assert_eq!(table.known.len(), KEPT_MAX);
    }
}
