//! What a router node says about itself, so that the others and operators can find it.

use crate::{
    name::NodeName,
    number::{BootId, NodeId},
};

/// A node's own description, replicated at each of its starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Made when its disk was empty.
    pub id: NodeId,
    /// Stable name.
    pub name: NodeName,
    /// The process that said so.
    pub boot: BootId,
    /// `host:port` of its peer listener, as others dial it.
    pub peer: Box<str>,
    /// `host:port` of its management listener, as others dial it.
    pub management: Box<str>,
    /// Its software version.
    pub version: Box<str>,
}
