//! At most one leader a term, over all nodes and all their lives. A node that forgets its vote breaks it.

use super::Look;
use std::collections::BTreeMap;

/// Who led in which term.
#[derive(Debug, Default)]
pub struct Leadership {
    leaders: BTreeMap<u64, String>,
}

impl Leadership {
    /// A node says in which term it leads.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let Some(term) = look.leads_in else { return Ok(()) };
        let leader = self.leaders.entry(term).or_insert_with(|| look.node.to_owned());
        if leader == look.node {
            Ok(())
        } else {
            Err(format!("{leader} and {} both lead in term {term}", look.node))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::look, *};
    use quorate_state::State;

    #[test]
    fn two_leaders_of_one_term_are_noticed() {
        let (state, mut leadership) = (State::new(), Leadership::default());
        let leads = |node, term| Look { leads_in: Some(term), ..look(node, &state, 0) };
        assert!(leadership.looked(&leads("n1", 3)).is_ok());
        assert!(leadership.looked(&leads("n1", 3)).is_ok());
        assert!(leadership.looked(&leads("n2", 4)).is_ok());
        assert!(leadership.looked(&leads("n2", 3)).is_err());
    }
}
