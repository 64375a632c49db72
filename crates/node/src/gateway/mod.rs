//! The WebSocket gateway of this node, and what the cluster is to it.

pub mod direct;
mod presence;
mod serve;

pub use presence::LogPresence;
pub use serve::Unusable;
pub(crate) use serve::{Claimed, claim, end, guards, start};
