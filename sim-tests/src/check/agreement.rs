//! Nodes that are at one index hold the same state, byte for byte, and each state is sound in itself.

use super::Look;
use quorate_codec::snapshot;
use quorate_state::{State, invariant};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Agreement {
    /// The state at each index, hashed, and who showed it first.
    states: BTreeMap<u64, (u64, String)>,
    /// Where each life of each node was last: the same state is not hashed twice.
    last: BTreeMap<(String, u32), u64>,
}

impl Agreement {
    /// Looks at one node; true: nobody has shown this index before.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<bool, String> {
        let index = look.view.index().0;
        if self.last.insert((look.node.to_owned(), look.life), index) == Some(index) {
            return Ok(false);
        }
        let hash = hash_of(look.view);
        if let Some((first, by)) = self.states.get(&index) {
            return if *first == hash {
                Ok(false)
            } else {
                Err(format!("{} and {by} hold different states at index {index}", look.node))
            };
        }
        invariant::check(look.view).map_err(|e| format!("{}: {e}", look.node))?;
        self.states.insert(index, (hash, look.node.to_owned()));
        Ok(true)
    }
}

/// Of the canonical bytes: those of a snapshot.
fn hash_of(view: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    snapshot::encode(&snapshot::SnapshotMeta::default(), &view.parts()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{look, registered},
        *,
    };
    use quorate_model::LogIndex;

    #[test]
    fn two_states_at_one_index_are_noticed() {
        let mut agreement = Agreement::default();
        let one = registered(&[(5, "w1", &[0, 1], 1)]);
        let mut other = registered(&[(4, "w1", &[0, 1], 1)]);
        other.skip(LogIndex(5));
        assert_eq!(agreement.looked(&look("n1", &one, 0)), Ok(true));
        assert_eq!(agreement.looked(&look("n1", &one, 0)), Ok(false));
        assert_eq!(agreement.looked(&look("n2", &one, 0)), Ok(false), "the same");
        assert!(agreement.looked(&look("n3", &other, 0)).is_err());
    }
}
