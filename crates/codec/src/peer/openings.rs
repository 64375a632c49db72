//! Which breakers opened at the sender.

use crate::{
    error::DecodeError,
    v1::{self, VERSION, peer as frozen},
    wire,
};
use quorate_model::Opening;

/// What a node tells, and what it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningsTold {
    /// Whether the sender wants to know what the other one has: it has just started.
    pub asks: bool,
    /// The sender's own.
    pub openings: Vec<Opening>,
}

/// Bytes of which breakers opened.
pub fn encode_openings(told: &OpeningsTold) -> Vec<u8> {
    let openings = told.openings.iter().map(Into::into).collect();
    wire::encode(VERSION, &frozen::OpeningsTold { asks: told.asks, openings })
}

/// See [`encode_openings`].
pub fn decode_openings(bytes: &[u8]) -> Result<OpeningsTold, DecodeError> {
    let what = "which breakers opened";
    let frozen::OpeningsTold { asks, openings } = wire::decode(what, VERSION, bytes)?;
    Ok(OpeningsTold { asks, openings: v1::all(openings).map_err(DecodeError::invalid(what))? })
}
