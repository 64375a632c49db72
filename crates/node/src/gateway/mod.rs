//! The WebSocket gateway of this node, and what the cluster is to it.

mod presence;

pub use presence::LogPresence;
