//! What is dropped and added on the way in and on the way out.
//!
//! The order matters: what the sender declared to be for this hop only is dropped **before** ours is added, so
//! that nobody can have our headers dropped by naming them in `Connection` (CVE-2022-31813 and its kin).

mod hop;
mod inbound;
mod outbound;

pub(crate) use hop::{lists, tokens};
pub(crate) use inbound::{ToWorker, to_worker};
pub(crate) use outbound::{Dialect, Stamp, Stamped};
