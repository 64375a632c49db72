//! At most one leader a term, over all nodes and all their lives. A node that forgets its vote breaks it.
//!
//! Ever means ever: also a leader that was cut off and one that was elected behind its back never share a term. A
//! leader of an earlier term may believe in itself for a while, but from an election timeout later on it hears no
//! quorum any more.

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

#[derive(Debug)]
struct Term {
    /// Its leader, by Raft id: with an empty disk a node is another one.
    leader: u64,
    /// When it was first seen to lead.
    since_ms: u128,
}

impl Leadership {
    /// A node says in which term it leads.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let Some(number) = look.leads_in else { return Ok(()) };
        let (node, id, now) = (look.node, look.raft_id, look.at_ms);
        let owner = self.ids.entry(id).or_insert_with(|| node.to_owned());
        if owner != node {
            return Err(format!("{owner} and {node} both lead under id {id}"));
        }
        let begun = |term: &Term| term.since_ms + REMEMBERED_MS < now;
        let later = self.terms.range(number + 1..).find(|(_, term)| look.speaks_for_quorum && begun(term));
        if let Some((later, _)) = later {
            return Err(format!("{node} speaks for a quorum in term {number}, and {later} has long begun"));
        }
        let leader = self.terms.entry(number).or_insert(Term { leader: id, since_ms: now }).leader;
        if leader == id {
            return Ok(());
        }
        let first = self.ids.get(&leader).map_or("somebody", String::as_str);
        Err(format!("{first} (id {leader}) and {node} (id {id}) both lead in term {number}"))
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
        for later_ms in [0, 50, 10_000] {
            let mut leadership = Leadership::default();
            assert!(leads("n2", 3, 0, &mut leadership).is_ok());
            assert!(leads("n2", 3, later_ms, &mut leadership).is_ok(), "it still does");
            for (other, id) in [("n1", 1), ("n3", 3)] {
                let said = leads(other, 3, later_ms, &mut leadership).expect_err("the term has its leader");
                assert_eq!(said, format!("n2 (id 2) and {other} (id {id}) both lead in term 3"));
            }
        }
    }

    #[test]
    fn a_node_that_leads_its_term_again_with_an_empty_disk_is_noticed() {
        let (state, mut leadership) = (State::new(), Leadership::default());
        let leads = |raft_id| Look { leads_in: Some(3), raft_id, ..look("n1", &state, 0) };
        assert!(leadership.looked(&leads(7)).is_ok());
        assert!(leadership.looked(&leads(8)).is_err());
    }

    #[test]
    fn terms_follow_each_other() {
        let mut leadership = Leadership::default();
        assert!(leads("n1", 3, 0, &mut leadership).is_ok());
        assert!(leads("n2", 4, 100, &mut leadership).is_ok());
        assert!(leads("n1", 6, 200, &mut leadership).is_ok());
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
        assert!(leads("n1", 3, 700, &mut leadership).is_ok(), "who remembers a quorum for a moment");
        assert!(leads("n1", 3, 701, &mut leadership).is_err());
    }
}
