//! Leaders follow each other in one order, over all nodes and all their lives. A node that forgets its vote breaks it.
//!
//! Our Raft orders votes by term and, within a term, by the id of the candidate, so a term may see a second leader:
//! one of a larger id, elected by a quorum that has left the first one behind. What it must never see is a leader
//! that is elected after one of a larger id in its own term, or two nodes under one id.

use super::Look;
use std::collections::BTreeMap;

/// Who led in which term.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Term: Raft ids of those who led in it, and their names.
    leaders: BTreeMap<u64, BTreeMap<u64, String>>,
}

impl Leadership {
    /// A node says in which term it leads.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let Some(term) = look.leads_in else { return Ok(()) };
        let leaders = self.leaders.entry(term).or_default();
        match leaders.get(&look.raft_id) {
            Some(known) if known == look.node => Ok(()),
            Some(known) => Err(format!("{known} and {} both lead in term {term} under one id", look.node)),
            None => {
                if let Some((_, later)) = leaders.range(look.raft_id..).next() {
                    let node = look.node;
                    return Err(format!("{node} leads in term {term} after {later}, whose vote is larger"));
                }
                leaders.insert(look.raft_id, look.node.to_owned());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::look, *};
    use quorate_state::State;

    #[test]
    fn a_leader_that_comes_after_a_larger_vote_of_its_term_is_noticed() {
        let (state, mut leadership) = (State::new(), Leadership::default());
        let leads = |node, term, raft_id| Look { leads_in: Some(term), raft_id, ..look(node, &state, 0) };
        assert!(leadership.looked(&leads("n1", 3, 10)).is_ok());
        assert!(leadership.looked(&leads("n2", 3, 20)).is_ok(), "a larger vote of the same term");
        assert!(leadership.looked(&leads("n1", 3, 10)).is_ok(), "it has not heard of it yet");
        assert!(leadership.looked(&leads("n3", 3, 15)).is_err(), "elected after a larger vote");
        assert!(leadership.looked(&leads("n3", 4, 15)).is_ok(), "in a term of its own");
        assert!(leadership.looked(&leads("n1", 4, 15)).is_err(), "two nodes under one id");
    }
}
