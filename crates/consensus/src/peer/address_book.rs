//! Where to dial a node, and who we are to it.

use super::proof::Secret;
use quorate_model::{ClusterId, NodeId, NodeName};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// Who this node is to its peers. The cluster id is learnt once, and then never changes.
#[derive(Clone, Debug)]
pub struct SelfId {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its cluster, once it belongs to one.
    pub cluster: Arc<OnceLock<ClusterId>>,
    /// What it proves to them, and they to it; `None`: nothing, which is for loopback only.
    pub secret: Option<Secret>,
}

/// Dial addresses by node name, as the operator gave them. They win over what the membership says, since they
/// may change at any restart; names in them are resolved at each dial.
#[derive(Clone, Debug, Default)]
pub struct AddressBook(Arc<BTreeMap<NodeName, String>>);

impl AddressBook {
    /// From `--peers`.
    pub fn new(peers: BTreeMap<NodeName, String>) -> Self {
        Self(Arc::new(peers))
    }

    /// Where to dial the node called `name`, which the membership knows under `member_address`.
    pub fn dial<'a>(&'a self, name: &str, member_address: &'a str) -> &'a str {
        self.0.get(name).map_or(member_address, String::as_str)
    }

    /// All names and addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeName, &str)> {
        self.0.iter().map(|(name, address)| (name, address.as_str()))
    }

    /// Whether the operator named none: a node on its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
