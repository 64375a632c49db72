//! One owner per partition and epoch, over all nodes and all time; and a partition's epoch only grows, so that whoever
//! holds an older token can be told.

use super::Look;
use std::collections::BTreeMap;

/// Who held what.
#[derive(Debug, Default)]
pub struct Ownership {
    /// Keyspace, partition, epoch: the holder.
    owners: BTreeMap<(String, u32, u64), String>,
    /// Keyspace and partition: the epoch at each index that was seen.
    epochs: BTreeMap<(String, u32), BTreeMap<u64, u64>>,
}

impl Ownership {
    /// A node shows its tables.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        let index = look.view.index().0;
        for keyspace in look.view.keyspaces() {
            let name = keyspace.keyspace().name.to_string();
            for partition in 0..keyspace.count().map_or(0, |count| count.get()) {
                let Some(owner) = keyspace.claimant(partition) else { continue };
                let what = (name.clone(), partition);
                self.owned(&what, owner.epoch.0, owner.id().as_str())?;
                self.grew(what, index, owner.epoch.0)?;
            }
        }
        Ok(())
    }

    fn owned(&mut self, (name, partition): &(String, u32), epoch: u64, owner: &str) -> Result<(), String> {
        let key = (name.clone(), *partition, epoch);
        let first = self.owners.entry(key).or_insert_with(|| owner.to_owned());
        if first == owner {
            Ok(())
        } else {
            Err(format!("partition {partition} of {name} has two owners at epoch {epoch}: {first}, {owner}"))
        }
    }

    fn grew(&mut self, what: (String, u32), index: u64, epoch: u64) -> Result<(), String> {
        let epochs = self.epochs.entry(what.clone()).or_default();
        let before = epochs.range(..index).next_back().filter(|(_, before)| **before > epoch);
        let after = epochs.range(index + 1..).next().filter(|(_, after)| **after < epoch);
        if let Some((other, its)) = before.or(after) {
            return Err(format!(
                "{what:?} is at epoch {epoch} at index {index}, and at {its} at index {other}"
            ));
        }
        epochs.insert(index, epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{look, registered},
        *,
    };

    #[test]
    fn two_owners_of_one_epoch_are_noticed() {
        let mut ownership = Ownership::default();
        let one = registered(&[(5, "w1", &[0, 1], 1)]);
        let other = registered(&[(5, "w2", &[1], 2)]);
        assert!(ownership.looked(&look("n1", &one, 0)).is_ok());
        assert!(ownership.looked(&look("n2", &other, 0)).is_err());
    }

    #[test]
    fn an_epoch_that_falls_is_noticed_in_whatever_order_the_nodes_are_seen() {
        let (early, late) = (registered(&[(5, "w1", &[0], 1)]), registered(&[(9, "w2", &[0], 2)]));
        let mut right = Ownership::default();
        assert!(right.looked(&look("n1", &late, 0)).is_ok());
        assert!(right.looked(&look("n2", &early, 0)).is_ok(), "a node that lags");
        let mut wrong = Ownership::default();
        let mut back = early.clone();
        back.skip(quorate_model::LogIndex(12));
        assert!(wrong.looked(&look("n1", &late, 0)).is_ok());
        assert!(wrong.looked(&look("n2", &back, 0)).is_err());
    }
}
