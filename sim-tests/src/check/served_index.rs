//! The index that a node serves never falls within one life.
//!
//! Across a restart it may: a commit index is flushed at the latest a tenth of a second after it moved, so a node that
//! lost its power and finds no leader serves what it knew to be committed by then (and says that it is stale).

use super::Look;
use std::collections::BTreeMap;

/// The last index of each life of each node.
#[derive(Debug, Default)]
pub struct ServedIndex {
    last: BTreeMap<(String, u32), u64>,
}

impl ServedIndex {
    /// A node shows its index.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let index = look.view.index().0;
        let last = self.last.entry((look.node.to_owned(), look.life)).or_insert(0);
        if index < *last {
            return Err(format!("{} went back from index {last} to {index}", look.node));
        }
        *last = index;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::look, *};
    use quorate_model::LogIndex;
    use quorate_state::State;

    #[test]
    fn a_step_back_within_a_life_is_noticed() {
        let mut served = ServedIndex::default();
        let at = |index| {
            let mut state = State::new();
            state.skip(LogIndex(index));
            state
        };
        let (five, four) = (at(5), at(4));
        assert!(served.looked(&look("n1", &five, 0)).is_ok());
        assert!(served.looked(&look("n1", &four, 0)).is_err());
        assert!(served.looked(&Look { life: 2, ..look("n1", &four, 0) }).is_ok(), "another life may");
    }
}
