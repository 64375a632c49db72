//! What workers say about their load.

use crate::{
    error::DecodeError,
    v1::{self, VERSION, peer as frozen},
    wire,
};
use quorate_model::LoadReport;

/// Bytes of what workers said.
pub fn encode_loads(reports: &[LoadReport]) -> Vec<u8> {
    let reports: frozen::Loads = reports.iter().map(Into::into).collect();
    wire::encode(VERSION, &reports)
}

/// See [`encode_loads`].
pub fn decode_loads(bytes: &[u8]) -> Result<Vec<LoadReport>, DecodeError> {
    let what = "what workers said";
    v1::all(wire::decode::<frozen::Loads>(what, VERSION, bytes)?).map_err(DecodeError::invalid(what))
}
