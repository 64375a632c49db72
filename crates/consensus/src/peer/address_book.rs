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

/// Dial addresses by node name, as the operator gave them at this start; names in them are resolved at each dial.
/// See [`Directory`](super::directory::Directory) for how they go together with the membership's.
#[derive(Clone, Debug, Default)]
pub struct AddressBook(Arc<BTreeMap<NodeName, String>>);

impl AddressBook {
    /// From `--peers`.
    pub fn new(peers: BTreeMap<NodeName, String>) -> Self {
        Self(Arc::new(peers))
    }

    /// Where the operator says that the node called `name` is.
    pub fn address(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
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
