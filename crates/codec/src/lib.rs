//! Frozen, versioned bytes. Stored is not thought: the structs that are written ([`v1`](self), private) never
//! change, whatever becomes of the model; golden files hold their bytes.
//!
//! Everything here is pure: bytes in, values out, and never a panic on what comes from a disk or a peer.
//!
//! | module | bytes of |
//! |---|---|
//! | [`log`] | log records, votes, log ids, watermarks |
//! | [`peer`] | messages between nodes |
//! | [`proposal`], [`reply`] | commands on their way to the leader, and back |
//! | [`snapshot`] | the whole state, as sections of JSON |
//! | [`identity`] | who a data folder belongs to |
//! | [`wire`] | the one way from a frozen struct to bytes, and its limit |

mod document;
pub mod error;
pub mod identity;
pub mod log;
pub mod peer;
pub mod proposal;
pub mod raft;
pub mod reply;
pub mod snapshot;
mod v1;
pub mod wire;

pub use error::DecodeError;
pub use identity::Identity;
pub use log::{decode_log, encode_log};
