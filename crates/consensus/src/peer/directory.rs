//! Where each member is dialled now.
//!
//! Two tell it: the operator, by `--peers`, and the membership, which knows nodes that joined later and follows
//! nodes that moved. Either may be out of date, so neither wins for good: the address that answered last is kept,
//! and one that fails makes room for the other. That is safe because every connection is proved, or its requests
//! name their recipient: at a wrong address nobody does anything.

use super::address_book::AddressBook;
use quorate_model::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The addresses of members by id. Clones share what was learnt.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    book: AddressBook,
    members: Arc<Mutex<BTreeMap<NodeId, Place>>>,
}

/// One member's addresses, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// As the membership has it.
    told: String,
    addresses: Vec<String>,
    /// The one that is dialled.
    at: usize,
}

impl Directory {
    /// Knows what the operator said, and no member yet.
    pub fn new(book: AddressBook) -> Self {
        Self { book, members: Arc::default() }
    }

    /// What the operator said.
    pub fn book(&self) -> &AddressBook {
        &self.book
    }

    /// Learns what the membership says of a member, and gives the address to dial. A new word of the membership is
    /// tried first: a node moved, and the operator's word is older.
    pub fn learn(&self, id: NodeId, name: &str, told: &str) -> String {
        let mut members = self.lock();
        let known = members.get(&id).filter(|place| place.told == told);
        if let Some(place) = known {
            return place.addresses[place.at].clone();
        }
        let mut addresses = vec![told.to_owned()];
        let said = self.book.address(name).filter(|said| *said != told);
        addresses.extend(said.map(str::to_owned));
        // At first the operator's word: it belongs to this start, the membership's may be of long ago.
        let at = if members.contains_key(&id) { 0 } else { addresses.len() - 1 };
        let address = addresses[at].clone();
        members.insert(id, Place { told: told.to_owned(), addresses, at });
        address
    }

    /// Where the node is dialled; `None`: it is no member that we know.
    pub fn address(&self, id: NodeId) -> Option<String> {
        self.lock().get(&id).map(|place| place.addresses[place.at].clone())
    }

    /// The node could not be reached at `address`, or somebody else answered there: the next one, if there is one.
    pub fn failed(&self, id: NodeId, address: &str) {
        if let Some(place) = self.lock().get_mut(&id)
            && place.addresses[place.at] == address
        {
            place.at = (place.at + 1) % place.addresses.len();
        }
    }

    /// Forgets all but `members`.
    pub fn keep(&self, members: impl Fn(NodeId) -> bool) {
        self.lock().retain(|id, _| members(*id));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Place>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use quorate_model::NodeName;

    const N3: NodeId = NodeId(3);

    fn directory(said: &str) -> Directory {
        let name = NodeName::parse("n3").expect("valid");
        Directory::new(AddressBook::new(BTreeMap::from([(name, said.to_owned())])))
    }

    #[test]
    fn a_node_that_the_operator_did_not_name_is_dialled_where_the_membership_says() {
        let directory = Directory::default();
        assert_eq!(directory.address(N3), None);
        assert_eq!(directory.learn(N3, "n3", "a:1"), "a:1");
        directory.failed(N3, "a:1");
        assert_eq!(directory.address(N3).as_deref(), Some("a:1"));
    }

    #[test]
    fn an_address_that_fails_makes_room_for_the_other_and_one_that_works_stays() {
        let directory = directory("said:1");
        assert_eq!(directory.learn(N3, "n3", "told:1"), "said:1");
        directory.failed(N3, "said:1");
        assert_eq!(directory.learn(N3, "n3", "told:1"), "told:1");
        // A call that began before and fails late.
        directory.failed(N3, "said:1");
        assert_eq!(directory.address(N3).as_deref(), Some("told:1"));
        directory.failed(N3, "told:1");
        assert_eq!(directory.address(N3).as_deref(), Some("said:1"));
    }

    #[test]
    fn a_node_that_moved_is_tried_at_its_new_address_first() {
        let directory = directory("said:1");
        directory.learn(N3, "n3", "said:1");
        assert_eq!(directory.learn(N3, "n3", "moved:1"), "moved:1");
        directory.keep(|id| id != N3);
        assert_eq!(directory.address(N3), None);
    }
}
