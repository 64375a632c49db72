//! How far a node has applied the log, once it is far enough.

use crate::{
    error::DecodeError,
    v1::{VERSION, peer as frozen},
    wire,
};
use quorate_model::LogIndex;
use std::time::Duration;

/// Tell me once you have applied `index`, or when `within` is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedAsked {
    /// Up to where.
    pub index: LogIndex,
    /// How long to wait for it. Told in milliseconds.
    pub within: Duration,
}

/// Bytes of the question.
pub fn encode_applied_asked(asked: &AppliedAsked) -> Vec<u8> {
    let within_ms = u64::try_from(asked.within.as_millis()).unwrap_or(u64::MAX);
    wire::encode(VERSION, &frozen::AppliedAsked { index: asked.index.0, within_ms })
}

/// See [`encode_applied_asked`].
pub fn decode_applied_asked(bytes: &[u8]) -> Result<AppliedAsked, DecodeError> {
    let frozen::AppliedAsked { index, within_ms } = wire::decode("a wait for an index", VERSION, bytes)?;
    Ok(AppliedAsked { index: LogIndex(index), within: Duration::from_millis(within_ms) })
}

/// Bytes of the answer: how far the node has applied, whether or not that is far enough.
pub fn encode_applied(applied: LogIndex) -> Vec<u8> {
    wire::encode(VERSION, &applied.0)
}

/// See [`encode_applied`].
pub fn decode_applied(bytes: &[u8]) -> Result<LogIndex, DecodeError> {
    Ok(LogIndex(wire::decode("an applied index", VERSION, bytes)?))
}
