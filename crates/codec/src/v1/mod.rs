//! The structs of version 1, frozen. Their order of fields and variants is the format: nothing here ever changes;
//! a new variant comes last, anything else that is new gets a new version. `golden/v1` holds their bytes.
//!
//! Each converts from the model (exhaustively: a new variant of the model does not compile until its bytes are
//! decided) and back through the model's constructors, so that a value from the disk or the network is as valid
//! as one from the API.
//!
//! Objects that grow (routes, and policies that say more than at the third level) are JSON documents with named
//! fields, held here as strings: see [`crate::document`].

pub(crate) mod command;
pub(crate) mod delivery;
pub(crate) mod heartbeat;
pub(crate) mod key_trace;
pub(crate) mod load;
pub(crate) mod membership;
pub(crate) mod object;
pub(crate) mod observation;
pub(crate) mod opening;
pub(crate) mod peer;
pub(crate) mod presence;
pub(crate) mod raft;
pub(crate) mod ramp;
pub(crate) mod registration;
pub(crate) mod reply;
pub(crate) mod restore;
pub(crate) mod sandbox;
pub(crate) mod services;
pub(crate) mod session;
pub(crate) mod traffic;
pub(crate) mod work;

pub(crate) use command::Proposal;
pub(crate) use raft::{LogRecord, Vote, Watermark};
pub(crate) use reply::Reply;

/// The version byte of everything here.
pub(crate) const VERSION: u8 = 1;

/// Converts each, and stops at the first that is not valid.
pub(crate) fn all<W, T: TryFrom<W, Error = E>, E>(items: Vec<W>) -> Result<Vec<T>, E> {
    items.into_iter().map(T::try_from).collect()
}
