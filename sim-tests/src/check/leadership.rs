//! At most one leader a term, over all nodes and all their lives. A node that forgets its vote breaks it.
//!
//! A leader is known by its term and its id, and a vote for a greater id of the same term replaces an earlier one
//! (that makes a split vote cheap). So a second node may win a term that somebody has won a moment before; but the
//! voters that it won by obey the first one no more. From an election timeout later on, one alone can speak for a
//! quorum, and none of an earlier term.

use super::Look;
use std::collections::BTreeMap;

/// A quorum that was heard is remembered for an election timeout (500 ms by clocks that are 5 % slow), and we look
/// every 25 ms.
const REMEMBERED_MS: u128 = 600;

/// Who led in which term.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Whose a Raft id is; each empty disk makes one of its own.
    ids: BTreeMap<u64, String>,
    terms: BTreeMap<u64, Term>,
}

#[derive(Debug, Default)]
struct Term {
    /// When each node was first seen to lead in it.
    leaders: BTreeMap<String, u128>,
    /// Who spoke for a quorum after the last one was elected.
    speaker: Option<String>,
}

impl Leadership {
    /// A node says in which term it leads.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let Some(number) = look.leads_in else { return Ok(()) };
        let (node, now) = (look.node, look.at_ms);
        let owner = self.ids.entry(look.raft_id).or_insert_with(|| node.to_owned());
        if owner != node {
            return Err(format!("{owner} and {node} both lead under id {}", look.raft_id));
        }
        let later = self.terms.range(number + 1..).find_map(|(later, term)| {
            let earliest = term.leaders.values().min()?;
            (look.speaks_for_quorum && earliest + REMEMBERED_MS < now).then_some(*later)
        });
        if let Some(later) = later {
            return Err(format!("{node} speaks for a quorum in term {number}, and {later} has long begun"));
        }
        let term = self.terms.entry(number).or_default();
        if !term.leaders.contains_key(node) {
            term.leaders.insert(node.to_owned(), now);
            term.speaker = None;
        }
        let last = term.leaders.values().max().copied().unwrap_or(now);
        if !look.speaks_for_quorum || last + REMEMBERED_MS >= now {
            return Ok(());
        }
        let speaker = term.speaker.get_or_insert_with(|| node.to_owned());
        if speaker == node {
            Ok(())
        } else {
            Err(format!("{speaker} and {node} both speak for a quorum in term {number}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::look, *};
    use quorate_state::State;

    fn leads(node: &'static str, term: u64, at_ms: u128, leadership: &mut Leadership) -> Result<(), String> {
        let state = State::new();
        let raft_id = node[1..].parse().expect("a number");
        let look =
            Look { leads_in: Some(term), raft_id, speaks_for_quorum: true, ..look(node, &state, at_ms) };
        leadership.looked(&look)
    }

    #[test]
    fn two_leaders_of_one_term_are_noticed() {
        let mut leadership = Leadership::default();
        assert!(leads("n1", 3, 0, &mut leadership).is_ok());
        assert!(leads("n2", 3, 50, &mut leadership).is_ok(), "a greater id may win the same term");
        assert!(leads("n1", 3, 400, &mut leadership).is_ok(), "who remembers a quorum for a moment");
        assert!(leads("n2", 3, 1_000, &mut leadership).is_ok());
        assert!(leads("n1", 3, 1_025, &mut leadership).is_err());
    }

    #[test]
    fn two_nodes_under_one_id_are_noticed() {
        let (state, mut leadership) = (State::new(), Leadership::default());
        let leads = |node| Look { leads_in: Some(1), raft_id: 7, ..look(node, &state, 0) };
        assert!(leadership.looked(&leads("n1")).is_ok());
        assert!(leadership.looked(&leads("n2")).is_err());
    }

    #[test]
    fn a_term_that_comes_back_is_noticed() {
        let mut leadership = Leadership::default();
        assert!(leads("n1", 3, 0, &mut leadership).is_ok());
        assert!(leads("n2", 4, 100, &mut leadership).is_ok());
        assert!(leads("n1", 3, 600, &mut leadership).is_ok());
        assert!(leads("n3", 3, 900, &mut leadership).is_err());
    }
}
