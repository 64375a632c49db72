//! After every step: each node's state is sound, nodes that are at one index hold the same state, and no running
//! node goes back.

use quorate_state::{State, invariant};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// What was seen so far.
#[derive(Default)]
pub struct Agreement {
    /// The state at each index, hashed, and who showed it first.
    states: BTreeMap<u64, (u64, String)>,
    /// The last index of each life of each node.
    last: BTreeMap<(String, u32), u64>,
}

impl Agreement {
    /// Looks at one node's View.
    pub fn look(&mut self, node: &str, life: u32, view: &State) -> Result<(), String> {
        invariant::check(view).map_err(|e| format!("{node}: {e}"))?;
        let index = view.index().0;
        let last = self.last.entry((node.to_owned(), life)).or_insert(0);
        if index < *last {
            return Err(format!("{node} went back from index {last} to {index}"));
        }
        *last = index;
        let hash = hash_of(view);
        let (first, by) = self.states.entry(index).or_insert_with(|| (hash, node.to_owned()));
        if *first == hash {
            Ok(())
        } else {
            Err(format!("{node} and {by} hold different states at index {index}"))
        }
    }
}

fn hash_of(view: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", view.parts()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::LogIndex;

    #[test]
    fn a_step_back_and_a_difference_are_noticed() {
        let mut agreement = Agreement::default();
        let mut state = State::new();
        state.skip(LogIndex(5));
        assert!(agreement.look("n1", 1, &state).is_ok());
        assert!(agreement.look("n2", 1, &state).is_ok());
        state.skip(LogIndex(4));
        assert!(agreement.look("n1", 1, &state).is_err(), "went back");
        assert!(agreement.look("n1", 2, &state).is_ok(), "another life may");
    }
}
