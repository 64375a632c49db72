//! Raft's messages.

use crate::{
    error::DecodeError,
    raft::{LogId, LogRecord, Vote},
    v1::{self, VERSION, peer as frozen},
    wire,
};
use quorate_model::NodeId;

/// Entries for a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The leader's vote.
    pub vote: Vote,
    /// What must precede the records.
    pub previous: Option<LogId>,
    /// The records.
    pub records: Vec<LogRecord>,
    /// How far the leader has committed.
    pub committed: Option<LogId>,
}

/// What became of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The follower's log matches up to here.
    Matched(Option<LogId>),
    /// The follower's log differs here.
    Conflict(LogId),
    /// The follower has seen a higher vote.
    HigherVote(Vote),
    /// The follower has stopped, and why.
    Failed(String),
}

/// A candidate asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteAsked {
    /// For this.
    pub vote: Vote,
    /// The candidate's last log id.
    pub last: Option<LogId>,
    /// Whether a leader asked the candidate to take over.
    pub transfer: bool,
}

/// The answer to [`VoteAsked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteGiven {
    /// The voter's vote.
    pub vote: Vote,
    /// Whether it is for the candidate.
    pub granted: bool,
    /// The voter's last log id.
    pub last: Option<LogId>,
}

/// A leader asks a follower to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The leader's vote.
    pub from: Vote,
    /// Who is to take over.
    pub to: NodeId,
    /// What it must have.
    pub last: Option<LogId>,
}

/// Bytes of an append.
pub fn encode_append(append: &Append) -> Vec<u8> {
    let Append { vote, previous, records, committed } = append;
    wire::encode(
        VERSION,
        &frozen::Append {
            vote: vote.into(),
            previous: previous.as_ref().map(Into::into),
            records: records.iter().map(v1::LogRecord::from).collect(),
            committed: committed.as_ref().map(Into::into),
        },
    )
}

/// See [`encode_append`]; each record's values are checked as if they came from the API.
pub fn decode_append(bytes: &[u8]) -> Result<Append, DecodeError> {
    let what = "an append";
    let append: frozen::Append = wire::decode(what, VERSION, bytes)?;
    Ok(Append {
        vote: append.vote.into(),
        previous: append.previous.map(Into::into),
        records: v1::all(append.records).map_err(DecodeError::invalid(what))?,
        committed: append.committed.map(Into::into),
    })
}

/// Bytes of the answer to an append.
pub fn encode_appended(appended: &Appended) -> Vec<u8> {
    wire::encode(
        VERSION,
        &match appended {
            Appended::Matched(id) => frozen::Appended::Matched(id.as_ref().map(Into::into)),
            Appended::Conflict(id) => frozen::Appended::Conflict(id.into()),
            Appended::HigherVote(vote) => frozen::Appended::HigherVote(vote.into()),
            Appended::Failed(why) => frozen::Appended::Failed(why.clone()),
        },
    )
}

/// See [`encode_appended`].
pub fn decode_appended(bytes: &[u8]) -> Result<Appended, DecodeError> {
    Ok(match wire::decode::<frozen::Appended>("an answer to an append", VERSION, bytes)? {
        frozen::Appended::Matched(id) => Appended::Matched(id.map(Into::into)),
        frozen::Appended::Conflict(id) => Appended::Conflict(id.into()),
        frozen::Appended::HigherVote(vote) => Appended::HigherVote(vote.into()),
        frozen::Appended::Failed(why) => Appended::Failed(why),
    })
}

/// Bytes of a candidate's question.
pub fn encode_vote_asked(asked: &VoteAsked) -> Vec<u8> {
    let VoteAsked { vote, last, transfer } = asked;
    let last = last.as_ref().map(Into::into);
    wire::encode(VERSION, &frozen::VoteAsked { vote: vote.into(), last, transfer: *transfer })
}

/// See [`encode_vote_asked`].
pub fn decode_vote_asked(bytes: &[u8]) -> Result<VoteAsked, DecodeError> {
    let asked: frozen::VoteAsked = wire::decode("a request for a vote", VERSION, bytes)?;
    Ok(VoteAsked { vote: asked.vote.into(), last: asked.last.map(Into::into), transfer: asked.transfer })
}

/// Bytes of a voter's answer.
pub fn encode_vote_given(given: &VoteGiven) -> Vec<u8> {
    let VoteGiven { vote, granted, last } = given;
    let last = last.as_ref().map(Into::into);
    wire::encode(VERSION, &frozen::VoteGiven { vote: vote.into(), granted: *granted, last })
}

/// See [`encode_vote_given`].
pub fn decode_vote_given(bytes: &[u8]) -> Result<VoteGiven, DecodeError> {
    let given: frozen::VoteGiven = wire::decode("an answer to a request for a vote", VERSION, bytes)?;
    Ok(VoteGiven { vote: given.vote.into(), granted: given.granted, last: given.last.map(Into::into) })
}

/// Bytes of a leader's wish to hand over.
pub fn encode_transfer(transfer: &Transfer) -> Vec<u8> {
    let Transfer { from, to, last } = transfer;
    let last = last.as_ref().map(Into::into);
    wire::encode(VERSION, &frozen::Transfer { from: from.into(), to: to.0, last })
}

/// See [`encode_transfer`].
pub fn decode_transfer(bytes: &[u8]) -> Result<Transfer, DecodeError> {
    let transfer: frozen::Transfer = wire::decode("a transfer of leadership", VERSION, bytes)?;
    Ok(Transfer { from: transfer.from.into(), to: NodeId(transfer.to), last: transfer.last.map(Into::into) })
}

/// Bytes of a follower's answer to a transfer: yes, or why not.
pub fn encode_transferred(answer: &Result<(), String>) -> Vec<u8> {
    wire::encode(VERSION, answer)
}

/// See [`encode_transferred`].
pub fn decode_transferred(bytes: &[u8]) -> Result<Result<(), String>, DecodeError> {
    wire::decode("an answer to a transfer", VERSION, bytes)
}
