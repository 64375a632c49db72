//! Proposals on their way to the leader.

use crate::{
    error::DecodeError,
    v1::{self, VERSION},
    wire,
};
use quorate_model::{Invalid, Proposal};

/// Whoever fills a log entry stops here, in bytes as [`encoded_len`] counts them: four of them fit one message.
/// A single proposal is at most about 1.2 MB (100,000 partitions, 256 services with long addresses). Only a document
/// of many objects may have more: whoever takes one in refuses it above this.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(ENTRY_BYTES_MAX * 4 <= wire::BYTES_MAX, "an entry fits a message with room to spare");

/// Proposals as bytes.
pub fn encode_proposals(proposals: &[Proposal]) -> Vec<u8> {
    let proposals: Vec<_> = proposals.iter().map(v1::Proposal::from).collect();
    wire::encode(VERSION, &proposals)
}

/// Reads proposals; each value is checked as if it came from the API.
pub fn decode_proposals(bytes: &[u8]) -> Result<Vec<Proposal>, DecodeError> {
    let what = "a list of proposals";
    let wire: Vec<v1::Proposal> = wire::decode(what, VERSION, bytes)?;
    v1::all(wire).map_err(|source: Invalid| DecodeError::Invalid { what, source })
}

/// How many bytes a proposal takes in an entry.
pub fn encoded_len(proposal: &Proposal) -> usize {
    wire::len(&v1::Proposal::from(proposal))
}
