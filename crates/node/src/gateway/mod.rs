//! The gateway's place in the node.

pub mod direct;
