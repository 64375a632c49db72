//! What active checks say about an endpoint, and who does them.
//!
//! Each endpoint is probed by one node, chosen by rendezvous hashing among the names of the nodes that are there: when
//! a node goes, only what it probed moves, and all nodes agree without a word. A verdict changes after a few
//! results of one kind in a row. One that got worse is first confirmed by the next node in the order, which probes once
//! for itself: what is broken may be the way from one node. Only a change is written to the log, and a node that
//! is cut off alone has nobody to confirm it, so it takes nothing from the others.
//!
//! One that got better needs nobody else: the prober has reached the endpoint, several times. But a prober that goes on
//! failing asks now and then whether another node does reach it: from where it stands the endpoint might never get well.

use crate::balance::key::hash_pair;
use quorate_model::Verdict;

/// Results in a row that change a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Bad ones.
    pub unhealthy: u32,
    /// Good ones.
    pub healthy: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { unhealthy: 3, healthy: 2 }
    }
}

/// What one probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The answer that was wanted, in time.
    Passed,
    /// Anything else.
    Failed,
}

/// What a prober makes of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    verdict: Verdict,
    /// Results in a row that speak against it.
    against: u32,
}

impl Check {
    /// Of a node that begins to probe an endpoint of which this is known.
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, against: 0 }
    }

    /// What it is now.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// One more result; the new verdict, if it changes.
    pub fn note(&mut self, probe: Probe, thresholds: &Thresholds) -> Option<Verdict> {
        let (other, needed) = match (self.verdict, probe) {
            (Verdict::Healthy, Probe::Failed) => (Verdict::Unhealthy, thresholds.unhealthy),
            (Verdict::Unhealthy, Probe::Passed) => (Verdict::Healthy, thresholds.healthy),
            (Verdict::Healthy, Probe::Passed) | (Verdict::Unhealthy, Probe::Failed) => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        (self.against >= needed).then(|| {
            *self = Self::new(other);
            other
        })
    }
}

/// Who of `nodes` probes an endpoint, and who comes next, to confirm it: by rendezvous hashing.
pub fn probers<'a>(nodes: impl IntoIterator<Item = &'a str>, endpoint: &str) -> Vec<&'a str> {
    let mut ranked: Vec<_> = nodes.into_iter().map(|node| (hash_pair(node, endpoint), node)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.dedup();
    ranked.into_iter().map(|(_, node)| node).collect()
}

/// What a second node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// It was not asked yet.
    NotAsked,
    /// It found the same.
    Agrees,
    /// It reached the endpoint.
    Disagrees,
    /// It did not answer; others may.
    Silent,
    /// None of the others answers.
    NobodyAnswers,
    /// The cluster has one node.
    NobodyElse,
}

/// What a prober does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The cluster holds the same already.
    Nothing,
    /// Ask the next node in the order to probe once.
    Ask,
    /// Propose the change.
    Propose(Verdict),
    /// Leave it, and look again with the next result.
    Drop,
}

/// What a prober does with its verdict, where the cluster holds `held`.
pub fn step(own: Verdict, held: Verdict, second: Second) -> Step {
    match (own, held, second) {
        (Verdict::Healthy, Verdict::Healthy, _) => Step::Nothing,
        (Verdict::Healthy, Verdict::Unhealthy, _) => Step::Propose(own),
        (Verdict::Unhealthy, _, Second::NotAsked | Second::Silent) => Step::Ask,
        // The prober is blind, or it would be the only one who could find that the endpoint is well again.
        (Verdict::Unhealthy, Verdict::Unhealthy, Second::Disagrees) => Step::Propose(Verdict::Healthy),
        (
            Verdict::Unhealthy,
            Verdict::Unhealthy,
            Second::Agrees | Second::NobodyElse | Second::NobodyAnswers,
        ) => Step::Nothing,
        (Verdict::Unhealthy, Verdict::Healthy, Second::Agrees | Second::NobodyElse) => Step::Propose(own),
        (Verdict::Unhealthy, Verdict::Healthy, Second::Disagrees | Second::NobodyAnswers) => Step::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::collections::BTreeMap;

    const THRESHOLDS: Thresholds = Thresholds { unhealthy: 3, healthy: 2 };

    fn run(results: &str) -> String {
        let mut check = Check::new(Verdict::Healthy);
        let note = |result| match result {
            '+' => check.note(Probe::Passed, &THRESHOLDS),
            _ => check.note(Probe::Failed, &THRESHOLDS),
        };
        let shown = |verdict| match verdict {
            None => '.',
            Some(Verdict::Healthy) => 'H',
            Some(Verdict::Unhealthy) => 'U',
        };
        results.chars().map(note).map(shown).collect()
    }

    #[test]
    fn a_verdict_takes_several_results_in_a_row() {
        let table = [
            ("+++", "..."),
            ("--+--+--", "........"),
            ("---", "..U"),
            ("------", "..U..."),
            ("---+-+-++", "..U.....H"),
            ("---++---++", "..U.H..U.H"),
        ];
        for (results, expected) in table {
            assert_eq!(run(results), expected, "{results}");
        }
        assert_eq!(Thresholds::default(), THRESHOLDS, "the contract's");
    }

    #[test]
    fn every_node_agrees_who_probes_and_the_work_is_shared() {
        let nodes = ["n1", "n2", "n3", "n4", "n5"];
        let mut shares = BTreeMap::<_, u32>::new();
        for endpoint in (0..10_000).map(|nth| format!("worker-{nth}")) {
            let order = probers(nodes, &endpoint);
            let mut turned = nodes;
            turned.reverse();
            assert_eq!(probers(turned, &endpoint), order, "whatever the order");
            let without = probers(nodes.into_iter().filter(|node| *node != order[0]), &endpoint);
            assert_eq!(without, order[1..], "who confirms is who comes next");
            *shares.entry(order[0]).or_default() += 1;
        }
        // Binomial: the deviation is 40.
        assert!(shares.values().all(|share| share.abs_diff(2_000) < 250), "{shares:?}");
        assert_eq!(probers(["n1", "n1"], "w"), ["n1"]);
        assert!(probers([], "w").is_empty());
    }

    #[test]
    fn the_whole_table_of_steps() {
        let mut table = String::new();
        for own in [Verdict::Healthy, Verdict::Unhealthy] {
            for held in [Verdict::Healthy, Verdict::Unhealthy] {
                for second in [
                    Second::NotAsked,
                    Second::Agrees,
                    Second::Disagrees,
                    Second::Silent,
                    Second::NobodyAnswers,
                    Second::NobodyElse,
                ] {
                    table += &format!("{own:?}, held {held:?}, {second:?}: {:?}\n", step(own, held, second));
                }
            }
        }
        expect![[r#"
            Healthy, held Healthy, NotAsked: Nothing
            Healthy, held Healthy, Agrees: Nothing
            Healthy, held Healthy, Disagrees: Nothing
            Healthy, held Healthy, Silent: Nothing
            Healthy, held Healthy, NobodyAnswers: Nothing
            Healthy, held Healthy, NobodyElse: Nothing
            Healthy, held Unhealthy, NotAsked: Propose(Healthy)
            Healthy, held Unhealthy, Agrees: Propose(Healthy)
            Healthy, held Unhealthy, Disagrees: Propose(Healthy)
            Healthy, held Unhealthy, Silent: Propose(Healthy)
            Healthy, held Unhealthy, NobodyAnswers: Propose(Healthy)
            Healthy, held Unhealthy, NobodyElse: Propose(Healthy)
            Unhealthy, held Healthy, NotAsked: Ask
            Unhealthy, held Healthy, Agrees: Propose(Unhealthy)
            Unhealthy, held Healthy, Disagrees: Drop
            Unhealthy, held Healthy, Silent: Ask
            Unhealthy, held Healthy, NobodyAnswers: Drop
            Unhealthy, held Healthy, NobodyElse: Propose(Unhealthy)
            Unhealthy, held Unhealthy, NotAsked: Ask
            Unhealthy, held Unhealthy, Agrees: Nothing
            Unhealthy, held Unhealthy, Disagrees: Propose(Healthy)
            Unhealthy, held Unhealthy, Silent: Ask
            Unhealthy, held Unhealthy, NobodyAnswers: Nothing
            Unhealthy, held Unhealthy, NobodyElse: Nothing
        "#]]
        .assert_eq(&table);
    }
}
