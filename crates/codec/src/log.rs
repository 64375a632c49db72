//! Log records, votes, log ids and watermarks: what the log store writes.

pub use crate::raft::{LogId, LogRecord, MemberNode, Membership, Payload, Vote, Watermark};
use crate::{
    error::DecodeError,
    v1::{self, VERSION},
    wire,
};

/// A log record's bytes.
pub fn encode_log(record: &LogRecord) -> Vec<u8> {
    wire::encode(VERSION, &v1::LogRecord::from(record))
}

/// Reads a log record; each value in it is checked as if it came from the API.
pub fn decode_log(bytes: &[u8]) -> Result<LogRecord, DecodeError> {
    wire::decode_into::<v1::LogRecord, _>("a log record", VERSION, bytes)
}

/// A vote's bytes.
pub fn encode_vote(vote: &Vote) -> Vec<u8> {
    wire::encode(VERSION, &v1::Vote::from(vote))
}

/// Reads a vote.
pub fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    wire::decode::<v1::Vote>("a vote", VERSION, bytes).map(Vote::from)
}

/// A log id's bytes.
pub fn encode_log_id(id: &LogId) -> Vec<u8> {
    wire::encode(VERSION, &v1::raft::LogId::from(id))
}

/// Reads a log id.
pub fn decode_log_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    wire::decode::<v1::raft::LogId>("a log id", VERSION, bytes).map(LogId::from)
}

/// A watermark's bytes.
pub fn encode_watermark(mark: &Watermark) -> Vec<u8> {
    wire::encode(VERSION, &v1::Watermark::from(mark))
}

/// Reads a watermark.
pub fn decode_watermark(bytes: &[u8]) -> Result<Watermark, DecodeError> {
    wire::decode::<v1::Watermark>("a watermark", VERSION, bytes).map(Watermark::from)
}
