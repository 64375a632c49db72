//! Hops of several nodes, put together again: which of them belong to one trace, which was made while which was under way,
//! and after which one the key was gone.
//!
//! Nobody but the application knows which request caused which. What can be told from outside: a request that comes while
//! another one of the same trace is under way was most likely made by whoever works on that one, and the latest of those
//! is the innermost. One that comes when nothing is under way was made by the client of the trace, or by work that was
//! put off; then only the order in time is certain, and nobody is named.

use super::Hop;
use crate::name::NodeName;
use std::{cmp::Reverse, collections::BTreeMap};

/// One trace, or one request that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// The ids that hold it together, as far as there are any.
    pub traces: Vec<Box<str>>,
    /// What was seen of it, in order of time.
    pub hops: Vec<Joined>,
}

/// A hop in its trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Who saw it.
    pub node: NodeName,
    /// What was seen.
    pub hop: Hop,
    /// The place of the hop that was under way, if one was.
    pub inside: Option<usize>,
    /// Whether the key was there.
    pub key: KeyAt,
}

/// Whether a hop had the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAt {
    /// It had.
    Present,
    /// Not yet: nothing before it had.
    NotYet,
    /// Not any more.
    Lost {
        /// The place of the last hop on its way that had it.
        after: usize,
    },
}

impl Trail {
    /// Whether the key was lost in it.
    pub fn is_broken(&self) -> bool {
        self.hops.iter().any(|hop| matches!(hop.key, KeyAt::Lost { .. }))
    }
}

/// Puts hops together. The oldest trail comes first.
pub fn join(hops: Vec<(NodeName, Hop)>) -> Vec<Trail> {
    let mut trails: Vec<Trail> = grouped(hops).into_iter().map(trail).collect();
    trails.sort_by_key(|trail| trail.hops.first().map(|first| first.hop.at));
    trails
}

/// By their traces. A hop with two ids holds two groups together.
fn grouped(hops: Vec<(NodeName, Hop)>) -> Vec<Vec<(NodeName, Hop)>> {
    let mut groups: Vec<Vec<(NodeName, Hop)>> = Vec::new();
    let mut group_of: BTreeMap<Box<str>, usize> = BTreeMap::new();
    for (node, hop) in hops {
        let known: Vec<usize> = hop.traces.iter().filter_map(|id| group_of.get(id).copied()).collect();
        // The smaller go to the largest: so none moves more often than the whole can double.
        let largest = known.iter().copied().max_by_key(|group| groups[*group].len());
        let into = largest.unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        for other in known.into_iter().filter(|other| *other != into) {
            let moved = std::mem::take(&mut groups[other]);
            group_of
                .extend(moved.iter().flat_map(|(_, hop)| hop.traces.iter().cloned().map(|id| (id, into))));
            groups[into].extend(moved);
        }
        group_of.extend(hop.traces.iter().cloned().map(|id| (id, into)));
        groups[into].push((node, hop));
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn trail(mut group: Vec<(NodeName, Hop)>) -> Trail {
    // Of two that came in one millisecond the longer one was there first, if one was made by the other.
    group.sort_by_key(|(_, hop)| (hop.at, Reverse(hop.elapsed_us)));
    let mut traces: Vec<Box<str>> = group.iter().flat_map(|(_, hop)| hop.traces.iter().cloned()).collect();
    traces.sort_unstable();
    traces.dedup();
    let mut hops: Vec<Joined> = Vec::with_capacity(group.len());
    // Those that may be under way, the innermost last. Time goes on from hop to hop: what is over, is for all that follow.
    let mut open: Vec<usize> = Vec::new();
    let mut last_with_key = None;
    for (node, hop) in group {
        while open.pop_if(|earlier| !is_under_way(&hops[*earlier].hop, &hop)).is_some() {}
        let inside = open.last().copied();
        let key = match (hop.forms.is_empty(), inside) {
            (false, _) => KeyAt::Present,
            (true, Some(outer)) => match hops[outer].key {
                KeyAt::Present => KeyAt::Lost { after: outer },
                // It was gone before.
                other => other,
            },
            (true, None) => last_with_key.map_or(KeyAt::NotYet, |after| KeyAt::Lost { after }),
        };
        open.push(hops.len());
        if key == KeyAt::Present {
            last_with_key = Some(hops.len());
        }
        hops.push(Joined { node, hop, inside, key });
    }
    Trail { traces, hops }
}

fn is_under_way(outer: &Hop, inner: &Hop) -> bool {
    inner.at.0 <= outer.at.0.saturating_add(outer.elapsed_us.div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::LogTime;

    /// `at+elapsed_ms node traces key?`
    fn hop(text: &str) -> (NodeName, Hop) {
        let parts: Vec<&str> = text.split(' ').collect();
        let (at, elapsed) = parts[0].split_once('+').expect("two numbers");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let traces = parts[2].split(',').filter(|id| *id != "-").map(Into::into).collect();
        let hop = Hop {
            at: LogTime(number(at)),
            elapsed_us: number(elapsed) * 1_000,
            traces,
            forms: parts.get(3).map(|_| "baggage".into()).into_iter().collect(),
            ..Hop::default()
        };
        (NodeName::parse(parts[1]).expect("a name"), hop)
    }

    /// Each trail with its hops: when, inside of which, and what is with the key.
    fn check(hops: &[&str], expected: &[&str]) {
        let trails = join(hops.iter().map(|text| hop(text)).collect());
        let shown: Vec<String> = trails
            .iter()
            .map(|trail| {
                let one = |joined: &Joined| {
                    let inside = joined.inside.map_or("-".to_owned(), |outer| outer.to_string());
                    let key = match joined.key {
                        KeyAt::Present => "present".to_owned(),
                        KeyAt::NotYet => "not yet".to_owned(),
                        KeyAt::Lost { after } => format!("lost after {after}"),
                    };
                    format!("{} in {inside} {key}", joined.hop.at)
                };
                format!(
                    "{}: {}",
                    trail.traces.join(","),
                    trail.hops.iter().map(one).collect::<Vec<_>>().join("; ")
                )
            })
            .collect();
        assert_eq!(shown, expected, "{hops:?}");
        // As nodes answer in any order.
        let reversed = join(hops.iter().rev().map(|text| hop(text)).collect());
        assert_eq!(reversed, trails);
    }

    #[test]
    fn the_key_is_lost_after_the_innermost_hop_that_is_under_way() {
        check(
            &["100+50 n1 t key", "110+30 n2 t key", "115+5 n3 t"],
            &["t: 100 in - present; 110 in 0 present; 115 in 1 lost after 1"],
        );
        // The second call of the first application, after the one to the second has ended.
        check(
            &["100+50 n1 t key", "110+10 n2 t key", "130+5 n3 t"],
            &["t: 100 in - present; 110 in 0 present; 130 in 0 lost after 0"],
        );
    }

    /// Whoever is behind the one that lost it could not pass it on.
    #[test]
    fn who_never_got_it_has_not_lost_it() {
        check(
            &["100+50 n1 t key", "110+30 n2 t", "115+5 n3 t"],
            &["t: 100 in - present; 110 in 0 lost after 0; 115 in 1 lost after 0"],
        );
        check(&["100+50 n1 t", "110+30 n2 t key"], &["t: 100 in - not yet; 110 in 0 present"]);
        check(
            &["100+50 n1 t", "110+30 n2 t key", "145+1 n1 t"],
            &["t: 100 in - not yet; 110 in 0 present; 145 in 0 not yet"],
        );
    }

    #[test]
    fn what_comes_when_nothing_is_under_way_is_told_by_time_alone() {
        check(&["100+5 n1 t key", "900+5 n2 t"], &["t: 100 in - present; 900 in - lost after 0"]);
    }

    #[test]
    fn a_hop_with_two_ids_holds_two_traces_together() {
        check(
            &["100+50 n1 a key", "110+30 n2 b", "105+40 n3 a,b key"],
            &["a,b: 100 in - present; 105 in 0 present; 110 in 1 lost after 1"],
        );
        check(&["100+5 n1 a key", "101+1 n1 b key"], &["a: 100 in - present", "b: 101 in - present"]);
    }

    #[test]
    fn without_a_trace_each_request_is_alone() {
        check(&["100+50 n1 - key", "110+5 n2 - key"], &[": 100 in - present", ": 110 in - present"]);
    }

    /// Two that came within one millisecond: the outer one lasts longer.
    #[test]
    fn of_one_millisecond_the_longer_one_was_first() {
        check(&["100+1 n2 t", "100+3 n1 t key"], &["t: 100 in - present; 100 in 0 lost after 0"]);
    }

    /// What a look at all that came before finds, in as many steps as there are hops and not as many as there are pairs.
    #[test]
    fn the_innermost_hop_is_the_latest_that_is_under_way() {
        let mut random = 7_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..200 {
            let texts: Vec<String> = (0..30)
                .map(|_| {
                    let key = if draw(3) == 0 { " key" } else { "" };
                    format!("{}+{} n1 t{key}", draw(100), draw(40))
                })
                .collect();
            let trails = join(texts.iter().map(|text| hop(text)).collect());
            let hops = &trails[0].hops;
            for (nth, one) in hops.iter().enumerate() {
                let inside = hops[..nth].iter().rposition(|earlier| is_under_way(&earlier.hop, &one.hop));
                assert_eq!(one.inside, inside, "{texts:?}");
                let last = hops[..nth].iter().rposition(|earlier| earlier.key == KeyAt::Present);
                if one.hop.forms.is_empty() && inside.is_none() {
                    assert_eq!(one.key, last.map_or(KeyAt::NotYet, |after| KeyAt::Lost { after }));
                }
            }
        }
    }

    /// As many as five nodes tell at most: in one trace, and in pairs that one hop after the other holds together.
    #[test]
    fn very_many_hops_are_joined_all_the_same() {
        const MANY: u64 = 20_000;
        let one = (0..MANY).map(|nth| hop(&format!("{nth}+1000000 n1 t"))).collect();
        assert_eq!(join(one)[0].hops.len(), MANY as usize);
        // The last one first: each new hop's group is the smaller one, and the older.
        let pairs = (0..MANY).rev().map(|nth| hop(&format!("{nth}+1 n1 t{nth},t{}", nth + 1))).collect();
        let trails = join(pairs);
        assert_eq!((trails.len(), trails[0].hops.len()), (1, MANY as usize));
    }
}
