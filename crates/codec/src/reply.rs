//! Replies on their way back from the leader.

use crate::{
    error::DecodeError,
    v1::{self, VERSION},
    wire,
};
use quorate_model::{Invalid, Reply};

/// Replies as bytes.
pub fn encode_replies(replies: &[Reply]) -> Vec<u8> {
    let replies: Vec<_> = replies.iter().map(v1::Reply::from).collect();
    wire::encode(VERSION, &replies)
}

/// Reads replies.
pub fn decode_replies(bytes: &[u8]) -> Result<Vec<Reply>, DecodeError> {
    let what = "a list of replies";
    let wire: Vec<v1::Reply> = wire::decode(what, VERSION, bytes)?;
    v1::all(wire).map_err(|source: Invalid| DecodeError::Invalid { what, source })
}
