//! What a node has counted of ramps.

use crate::{
    error::DecodeError,
    v1::{self, VERSION, peer as frozen},
    wire,
};
use quorate_model::RampCounted;

/// Bytes of what a node has counted.
pub fn encode_ramps(counted: &[RampCounted]) -> Vec<u8> {
    let counted: frozen::Ramps = counted.iter().map(Into::into).collect();
    wire::encode(VERSION, &counted)
}

/// See [`encode_ramps`].
pub fn decode_ramps(bytes: &[u8]) -> Result<Vec<RampCounted>, DecodeError> {
    let what = "what a node counted of ramps";
    v1::all(wire::decode::<frozen::Ramps>(what, VERSION, bytes)?).map_err(DecodeError::invalid(what))
}
