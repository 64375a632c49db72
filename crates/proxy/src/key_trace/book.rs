//! What one core has noted, key by key.

use super::draft::Draft;
use crate::deadline::{now_ms, ticks};
use quorate_model::{
    RoutingKey,
    key_trace::{CANDIDATES_MAX, HOPS_MAX, Hop, KEYS_MAX, KeyTrace, TRACES_MAX, TraceAsked},
};
use quorate_rt::time::Instant;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// What was noted can be read for so long after the key is no longer followed.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// One core's notes of all keys that are followed, or were a while ago.
#[derive(Default)]
pub(super) struct Book {
    pages: Vec<Page>,
}

struct Page {
    key: RoutingKey,
    /// Until which tick.
    until: u32,
    hops: VecDeque<Hop>,
    /// Without the key, and of traces that are not known to have had it.
    candidates: VecDeque<Hop>,
    /// How many of them each trace has: most traces have none, and then nobody looks through all.
    waiting: BTreeMap<Box<str>, usize>,
    passed_over: u64,
    traces: BTreeSet<Box<str>>,
    /// In the order in which they became known.
    order: VecDeque<Box<str>>,
}

impl Book {
    pub fn note(&mut self, draft: Draft, now: u32) {
        let over = Instant::now();
        for page in self.pages.iter_mut().filter(|page| page.until > now) {
            page.note(draft.seen_by(&page.key, over));
        }
    }

    pub fn is_following(&self, now: u32) -> bool {
        self.pages.iter().any(|page| page.until > now)
    }

    pub fn forget(&mut self, now: u32) {
        let kept = ticks(KEPT_FOR);
        self.pages.retain(|page| page.until.saturating_add(kept) > now);
    }

    /// Does what is asked, and tells what it has.
    pub fn tell(&mut self, asked: &TraceAsked, now: u32) -> KeyTrace {
        self.forget(now);
        let is_full = asked.follow_ms.is_some_and(|ms| !self.follow(&asked.key, ms, now));
        let mut told = KeyTrace { cores: 1, cores_full: is_full.into(), ..KeyTrace::default() };
        if let Some(page) = self.pages.iter_mut().find(|page| page.key == asked.key) {
            asked.traces.iter().for_each(|trace| page.learn(trace));
            let left = page.until.saturating_sub(now);
            told.left_ms = (left > 0).then(|| now_ms(left));
            told.passed_over = page.passed_over;
            told.hops = page.hops.iter().cloned().collect();
        }
        told
    }

    /// `false`: there are as many as there may be.
    fn follow(&mut self, key: &RoutingKey, ms: u64, now: u32) -> bool {
        let until = now.saturating_add(ticks(Duration::from_millis(ms)));
        if let Some(page) = self.pages.iter_mut().find(|page| page.key == *key) {
            if page.until <= now {
                // It was over: what is asked for now is about what comes now.
                *page = Page::new(key, until);
            }
            page.until = page.until.max(until);
            return true;
        }
        if self.pages.len() >= KEYS_MAX {
            let Some(over) = self.pages.iter().position(|page| page.until <= now) else { return false };
            self.pages.remove(over);
        }
        self.pages.push(Page::new(key, until));
        true
    }
}

impl Page {
    fn new(key: &RoutingKey, until: u32) -> Self {
        Self {
            key: key.clone(),
            until,
            hops: VecDeque::new(),
            candidates: VecDeque::new(),
            waiting: BTreeMap::new(),
            passed_over: 0,
            traces: BTreeSet::new(),
            order: VecDeque::new(),
        }
    }

    fn note(&mut self, hop: Hop) {
        if !hop.forms.is_empty() {
            hop.traces.iter().for_each(|trace| self.learn(trace));
            self.keep(hop);
        } else if hop.traces.iter().any(|trace| self.traces.contains(trace)) {
            self.keep(hop);
        } else if !hop.traces.is_empty() {
            if self.candidates.len() >= CANDIDATES_MAX
                && let Some(oldest) = self.candidates.pop_front()
            {
                self.waits_no_more(&oldest);
                self.passed_over += 1;
            }
            for trace in &hop.traces {
                *self.waiting.entry(trace.clone()).or_default() += 1;
            }
            self.candidates.push_back(hop);
        }
    }

    fn keep(&mut self, hop: Hop) {
        if self.hops.len() >= HOPS_MAX {
            self.hops.pop_front();
        }
        self.hops.push_back(hop);
    }

    /// A trace has the key: what was seen of it without the key is of interest now.
    fn learn(&mut self, trace: &str) {
        if self.traces.contains(trace) {
            return;
        }
        if self.order.len() >= TRACES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
        }
        self.traces.insert(trace.into());
        self.order.push_back(trace.into());
        if !self.waiting.contains_key(trace) {
            return;
        }
        let is_of_it = |hop: &Hop| hop.traces.iter().any(|one| **one == *trace);
        let all = std::mem::take(&mut self.candidates);
        let (of_it, rest): (VecDeque<Hop>, VecDeque<Hop>) = all.into_iter().partition(is_of_it);
        self.candidates = rest;
        for hop in of_it {
            self.waits_no_more(&hop);
            self.keep(hop);
        }
    }

    fn waits_no_more(&mut self, hop: &Hop) {
        for trace in &hop.traces {
            if let Some(count) = self.waiting.get_mut(trace) {
                *count -= 1;
                if *count == 0 {
                    self.waiting.remove(trace);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::LogTime;

    fn key(text: &str) -> RoutingKey {
        RoutingKey::parse(text).unwrap()
    }

    fn asked(text: &str, follow_ms: Option<u64>, traces: &[&str]) -> TraceAsked {
        TraceAsked { key: key(text), follow_ms, traces: traces.iter().map(|id| Box::from(*id)).collect() }
    }

    /// A request of a trace, with these keys.
    fn note(book: &mut Book, (at, trace): (u64, &str), keys: &[&str], now: u32) {
        let traces = Some(trace).filter(|id| !id.is_empty()).map(Into::into).into_iter().collect();
        let hop = Hop { at: LogTime(at), traces, ..Hop::default() };
        let keys = keys.iter().map(|key| (Box::from(*key), "baggage".into())).collect();
        let by_path = ("workspace".into(), None);
        let (first, answered_at) = (None, None);
        book.note(Draft { hop, began: Instant::now(), keys, by_path, first, answered_at }, now);
    }

    /// What is told of `k`: when, and whether the key was there.
    fn told(book: &mut Book, traces: &[&str], now: u32) -> Vec<(u64, bool)> {
        let told = book.tell(&asked("k", None, traces), now);
        told.hops.iter().map(|hop| (hop.at.0, !hop.forms.is_empty())).collect()
    }

    #[test]
    fn what_has_the_key_is_noted_and_what_its_trace_does_without() {
        let mut book = Book::default();
        note(&mut book, (1, "t"), &["k"], 5);
        assert_eq!(told(&mut book, &[], 5), [], "nobody follows it");
        book.tell(&asked("k", Some(10_000), &[]), 5);
        note(&mut book, (2, "t"), &["k"], 6);
        note(&mut book, (3, "t"), &[], 6);
        note(&mut book, (4, "other"), &[], 6);
        note(&mut book, (5, ""), &[], 6);
        note(&mut book, (6, ""), &["k"], 6);
        note(&mut book, (7, "t"), &["another"], 6);
        assert_eq!(told(&mut book, &[], 7), [(2, true), (3, false), (6, true), (7, false)]);
        let last = book.tell(&asked("k", None, &[]), 7).hops.pop().unwrap();
        assert!(last.has_other_key);
    }

    /// The request with the key went by another node: what came here without it is told once that is known.
    #[test]
    fn a_candidate_is_told_when_another_node_has_seen_its_trace_with_the_key() {
        let mut book = Book::default();
        book.tell(&asked("k", Some(10_000), &[]), 0);
        note(&mut book, (1, "t"), &[], 1);
        note(&mut book, (2, "u"), &[], 1);
        assert_eq!(told(&mut book, &[], 2), []);
        assert_eq!(told(&mut book, &["t", "v"], 2), [(1, false)]);
        note(&mut book, (3, "v"), &[], 3);
        assert_eq!(told(&mut book, &["t"], 4), [(1, false), (3, false)], "once each");
    }

    #[test]
    fn a_key_is_followed_for_its_time_and_told_for_a_while_after() {
        let mut book = Book::default();
        let left = book.tell(&asked("k", Some(1_000), &[]), 100).left_ms.unwrap();
        assert!((1_000..1_300).contains(&left), "{left}");
        note(&mut book, (1, "t"), &["k"], 100);
        let over = 100 + ticks(Duration::from_secs(1));
        assert!(book.is_following(over - 1) && !book.is_following(over));
        note(&mut book, (2, "t"), &["k"], over);
        let after = book.tell(&asked("k", None, &[]), over);
        assert_eq!((after.left_ms, after.hops.len()), (None, 1));
        // Followed anew, it is about what comes from now on.
        assert_eq!(book.tell(&asked("k", Some(1_000), &[]), over).hops, []);
        book.forget(over + over + ticks(KEPT_FOR));
        assert_eq!(book.pages.len(), 0);
    }

    #[test]
    fn all_of_it_is_bounded() {
        let mut book = Book::default();
        book.tell(&asked("k", Some(600_000), &[]), 0);
        for nth in 0..CANDIDATES_MAX as u64 + 3 {
            note(&mut book, (nth, &format!("other-{nth}")), &[], 1);
        }
        for nth in 0..TRACES_MAX as u64 + 3 {
            note(&mut book, (nth, &format!("t-{nth}")), &["k"], 1);
        }
        let told = book.tell(&asked("k", None, &[]), 1);
        assert_eq!((told.hops.len(), told.passed_over), (HOPS_MAX, 3));
        let page = &book.pages[0];
        assert_eq!(
            (page.traces.len(), page.order.len(), page.candidates.len(), page.waiting.len()),
            (TRACES_MAX, TRACES_MAX, CANDIDATES_MAX, CANDIDATES_MAX)
        );
        for nth in 1..KEYS_MAX {
            assert_eq!(book.tell(&asked(&format!("k{nth}"), Some(1_000), &[]), 1).cores_full, 0);
        }
        let full = book.tell(&asked("one-more", Some(1_000), &[]), 1);
        assert_eq!((full.cores_full, full.left_ms), (1, None));
        // One whose time is over makes room.
        assert_eq!(book.tell(&asked("one-more", Some(1_000), &[]), 50).cores_full, 0);
    }
}
