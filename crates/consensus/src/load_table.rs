//! What this node knows of the load of workers, and what of it the other nodes have not heard yet. Pure: the time is
//! an argument.
//!
//! A worker speaks to any node. The node that heard it tells the others; each keeps the newest word, by the age that
//! came with it, so no two clocks are ever compared. What a node heard itself has a number that grows with each change,
//! and a peer has been told everything up to some number: a peer that was away is told the rest, and one that never
//! answers costs one number. A word that is only repeated is told again now and then, since whoever does not hear it
//! again forgets it.

use crate::lease::Millis;
use quorate_model::{Load, LoadReport, WorkerId};
use quorate_state::Loads;
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

/// A word that does not change is told again after this long, with the next heartbeat.
const REPEAT_AFTER: Millis = 10_000;

/// How long a word is kept: it is worth as much as the lease that it came with. Under a short lease longer, or the other
/// nodes would forget what is still true before it is repeated to them.
pub(crate) fn kept(ttl: Millis) -> Millis {
    ttl.max(2 * REPEAT_AFTER)
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct LoadTable {
    words: BTreeMap<WorkerId, Word>,
    /// Those that this node heard itself, by the number of their last change.
    own: BTreeMap<u64, WorkerId>,
    last: u64,
    /// What is published of it.
    loads: Loads,
    /// Whether that has changed since it was taken.
    changed: bool,
    /// Up to where it was looked for old ones.
    looked: Option<WorkerId>,
}

#[derive(Debug)]
struct Word {
    load: Arc<Load>,
    heard: Millis,
    /// Where this node heard it itself: its number, and when it got it.
    own: Option<(u64, Millis)>,
}

impl LoadTable {
    /// A worker spoke to this node.
    pub fn hear(&mut self, id: &WorkerId, load: Load, now: Millis) {
        let before = self.words.get(id);
        let same = before.is_some_and(|word| *word.load == load);
        let repeats = before.and_then(|word| word.own).filter(|(_, told)| same && now - told < REPEAT_AFTER);
        let load = before.filter(|_| same).map_or_else(|| Arc::new(load), |word| word.load.clone());
        let own = repeats.unwrap_or_else(|| {
            self.disown(id);
            self.last += 1;
            self.own.insert(self.last, id.clone());
            (self.last, now)
        });
        self.keep(id.clone(), Word { load, heard: now, own: Some(own) }, same);
    }

    /// Another node tells of it. The newer word stays; of two of one age, the one that was here first.
    pub fn learn(&mut self, report: LoadReport, now: Millis) {
        let LoadReport { id, ago_ms, load } = report;
        let heard = now.saturating_sub(Millis::try_from(ago_ms).unwrap_or(Millis::MAX));
        let before = self.words.get(&id);
        if before.is_some_and(|word| word.heard >= heard) {
            return;
        }
        let same = before.is_some_and(|word| word.load == load);
        self.disown(&id);
        self.keep(id, Word { load, heard, own: None }, same);
    }

    /// What this node heard itself and a peer that knows everything up to `told` has not heard, oldest first; and up
    /// to where the peer knows everything once it has taken these.
    pub fn untold(&self, told: u64, max: usize, now: Millis) -> (Vec<LoadReport>, u64) {
        let rest = self.own.range((Excluded(told), Unbounded)).take(max);
        let mut upto = told;
        let mut reports = Vec::new();
        for (number, id) in rest {
            upto = *number;
            if let Some(word) = self.words.get(id) {
                let ago_ms = u64::try_from(now - word.heard).unwrap_or(0);
                reports.push(LoadReport { id: id.clone(), ago_ms, load: word.load.clone() });
            }
        }
        (reports, upto)
    }

    /// Forgets what is older than `kept` says for its worker, among the next `max` words; the next call goes on from
    /// there.
    pub fn forget(&mut self, max: usize, now: Millis, kept: impl Fn(&WorkerId) -> Millis) {
        let from = self.looked.as_ref().map_or(Unbounded, Excluded);
        let seen: Vec<_> = self.words.range::<WorkerId, _>((from, Unbounded)).take(max).collect();
        let looked = seen.last().filter(|_| seen.len() == max).map(|(id, _)| (*id).clone());
        let old = seen.iter().filter(|(id, word)| now - word.heard > kept(id)).map(|(id, _)| (*id).clone());
        let old: Vec<_> = old.collect();
        self.looked = looked;
        for id in old {
            self.disown(&id);
            self.words.remove(&id);
            self.loads.remove(id.as_str());
            self.changed = true;
        }
    }

    /// All that is known. Cheap: a clone of a persistent map.
    pub fn loads(&self) -> Loads {
        self.loads.clone()
    }

    /// The same, if it changed since this was asked last.
    pub fn take_changed(&mut self) -> Option<Loads> {
        std::mem::take(&mut self.changed).then(|| self.loads.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn keep(&mut self, id: WorkerId, word: Word, same: bool) {
        if !same {
            self.loads.insert(id.clone(), word.load.clone());
            self.changed = true;
        }
        self.words.insert(id, word);
    }

    fn disown(&mut self, id: &WorkerId) {
        if let Some(Word { own: Some((number, _)), .. }) = self.words.get(id) {
            self.own.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Milli;

    fn id(text: &str) -> WorkerId {
        WorkerId::parse(text).expect("valid")
    }

    fn load(thousandths: u16) -> Load {
        Load { load: Milli::new(thousandths), ..Load::default() }
    }

    fn known(table: &LoadTable, worker: &str) -> Option<u16> {
        table.loads().of(worker).map(|load| load.load.get())
    }

    fn told(worker: &str, thousandths: u16, ago_ms: u64) -> LoadReport {
        LoadReport { id: id(worker), ago_ms, load: Arc::new(load(thousandths)) }
    }

    /// Ids that a peer is told which knows everything up to a number, and the number after that.
    fn untold(table: &LoadTable, upto: u64) -> (Vec<String>, u64) {
        let (reports, upto) = table.untold(upto, 100, 0);
        (reports.iter().map(|report| report.id.to_string()).collect(), upto)
    }

    #[test]
    fn each_peer_is_told_what_it_has_not_heard_and_nothing_twice() {
        let mut table = LoadTable::default();
        table.hear(&id("w1"), load(1), 0);
        table.hear(&id("w2"), load(2), 0);
        assert_eq!(untold(&table, 0), (vec!["w1".into(), "w2".into()], 2));
        assert_eq!(untold(&table, 2), (vec![], 2));
        table.hear(&id("w1"), load(1), 100);
        assert_eq!(untold(&table, 2), (vec![], 2), "it says the same");
        table.hear(&id("w1"), load(5), 200);
        assert_eq!(untold(&table, 2), (vec!["w1".into()], 3));
        assert_eq!(untold(&table, 0), (vec!["w2".into(), "w1".into()], 3), "who was away: each word once");
        table.hear(&id("w1"), load(5), 200 + REPEAT_AFTER);
        assert_eq!(untold(&table, 3), (vec!["w1".into()], 4), "repeated in time, or the others forget it");
    }

    #[test]
    fn a_batch_is_bounded_and_the_next_one_goes_on() {
        let mut table = LoadTable::default();
        (0..5).for_each(|i| table.hear(&id(&format!("w{i}")), load(i), 0));
        let (first, upto) = table.untold(0, 3, 0);
        let (rest, end) = table.untold(upto, 3, 0);
        assert_eq!((first.len(), rest.len(), end), (3, 2, 5));
    }

    #[test]
    fn the_newest_word_wins_whichever_way_it_comes() {
        let mut table = LoadTable::default();
        table.hear(&id("w1"), load(1), 1_000);
        table.learn(told("w1", 2, 500), 1_200);
        assert_eq!(known(&table, "w1"), Some(1), "said before what we heard ourselves");
        table.learn(told("w1", 3, 100), 1_200);
        assert_eq!(known(&table, "w1"), Some(3));
        assert_eq!(untold(&table, 0), (vec![], 0), "it is the other node's to tell now");
        table.hear(&id("w1"), load(4), 1_300);
        assert_eq!((known(&table, "w1"), untold(&table, 0).0.len()), (Some(4), 1));
    }

    #[test]
    fn how_long_ago_it_was_said_is_told_as_of_now() {
        let mut table = LoadTable::default();
        table.hear(&id("w1"), load(1), 1_000);
        assert_eq!(table.untold(0, 1, 1_700).0[0].ago_ms, 700);
    }

    #[test]
    fn what_is_not_said_again_is_forgotten_a_few_at_a_time() {
        let mut table = LoadTable::default();
        (0..5).for_each(|i| table.hear(&id(&format!("w{i}")), load(i), 0));
        table.hear(&id("w4"), load(9), 900);
        let kept = |_: &WorkerId| 500;
        table.forget(3, 1_000, kept);
        assert_eq!(table.loads().len(), 2);
        table.forget(3, 1_000, kept);
        assert_eq!(table.loads().len(), 1);
        assert_eq!(known(&table, "w4"), Some(9));
        assert_eq!(untold(&table, 0).0, ["w4"]);
        table.forget(3, 2_000, kept);
        assert!(table.is_empty() && table.loads().is_empty());
    }

    #[test]
    fn only_what_changed_is_published() {
        let mut table = LoadTable::default();
        assert!(table.take_changed().is_none());
        table.hear(&id("w1"), load(1), 0);
        assert_eq!(table.take_changed().map(|loads| loads.len()), Some(1));
        table.hear(&id("w1"), load(1), 1);
        table.learn(told("w1", 1, 0), 2);
        assert!(table.take_changed().is_none());
    }

    /// Scenario: workers with leases of one to sixty seconds say the same with each heartbeat, to another node. This node
    /// must know it all the time.
    #[test]
    fn what_is_said_again_in_time_is_never_forgotten_by_the_other_nodes() {
        const STEP: Millis = 250;
        for ttl in [1_000, 2_000, 5_000, 9_000, 12_000, 15_000, 20_000, 30_000, 60_000] {
            let (mut heard, mut learnt, mut upto) = (LoadTable::default(), LoadTable::default(), 0);
            let mut beat = 0;
            for now in (0..5 * ttl.max(REPEAT_AFTER)).step_by(STEP as usize) {
                if now >= beat {
                    heard.hear(&id("w1"), load(1), now);
                    beat = now + ttl / 3;
                }
                let (reports, end) = heard.untold(upto, 100, now);
                upto = end;
                reports.into_iter().for_each(|report| learnt.learn(report, now));
                for table in [&mut heard, &mut learnt] {
                    table.forget(100, now, |_| kept(ttl));
                    assert_eq!(known(table, "w1"), Some(1), "a lease of {ttl} ms, at {now}");
                }
            }
            learnt.forget(100, 10_000_000, |_| kept(ttl));
            assert!(learnt.is_empty(), "in the end it is");
        }
    }
}
