//! Between openraft's types and the frozen messages of `codec`.

use crate::{
    forward::Tried,
    types::{AppendRequest, Config, LogId, StreamResult},
};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use openraft::{
    errors::Fatal,
    raft::{
        SnapshotResponse, StreamAppendError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
        VoteResponse,
    },
};
use quorate_codec::peer::{self, Append, Appended, Transfer, VoteAsked, VoteGiven};
pub use quorate_codec::{
    DecodeError as WireError,
    log::{decode_vote, encode_vote},
    peer::{
        AppliedAsked, Challenge, Forwarded, Hello, Introduction, Mac, MemberOutcome, MemberSeen, Members,
        Nonce, decode_applied, decode_applied_asked, decode_challenge, decode_hand_over, decode_has_room,
        decode_heartbeats, decode_hello, decode_index, decode_introduction, decode_join, decode_leases,
        decode_leave, decode_levels, decode_loads, decode_member_outcome, decode_members, decode_outcomes,
        decode_proof, decode_proposed, encode_applied, encode_applied_asked, encode_challenge,
        encode_hand_over, encode_has_room, encode_heartbeats, encode_hello, encode_index,
        encode_introduction, encode_join, encode_leases, encode_leave, encode_levels, encode_loads,
        encode_member_outcome, encode_members, encode_outcomes, encode_proof, encode_proposed,
    },
    peer::{
        Believed, Down, Found, InFlight, InFlightAsked, LookAsked, decode_believed, decode_down,
        decode_found, decode_in_flight, decode_in_flight_asked, decode_look_asked, encode_believed,
        encode_down, encode_found, encode_in_flight, encode_in_flight_asked, encode_look_asked,
    },
    peer::{
        ObservationAsked, decode_observation, decode_observation_asked, encode_observation,
        encode_observation_asked,
    },
    peer::{OpeningsTold, decode_openings, encode_openings},
    peer::{ProbeAsked, decode_probe_asked, encode_probe_asked},
    peer::{decode_key_trace, decode_trace_asked, encode_key_trace, encode_trace_asked},
    peer::{decode_ramps, encode_ramps},
    proposal::{decode_proposals, encode_proposals},
};
use quorate_model::{LogIndex, NodeId, Reply};
use quorate_storage::convert::{entry_of, log_id_from, log_id_of, record_of, vote_from, vote_of};
use std::io;

/// Where a batch was applied, and its replies.
pub type Proposed = (LogIndex, Vec<Reply>);

/// Largest frame of an append stream, in bytes.
const FRAME_BYTES_MAX: usize = super::MESSAGE_BYTES_MAX;

impl<T> From<Tried<T>> for Forwarded<T> {
    fn from(tried: Tried<T>) -> Self {
        match tried {
            Tried::Done(value) => Self::Done(value),
            Tried::NotLeader => Self::NotLeader,
            Tried::Busy => Self::Busy,
            Tried::Unsure => Self::Unsure,
            Tried::DiskFull => Self::DiskFull,
        }
    }
}

/// A message with its length in front.
pub fn frame(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 4);
    out.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(message);
    out.into()
}

/// Messages out of a byte stream; after an error it is over.
pub fn frames<E>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> BoxStream<'static, io::Result<Bytes>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let state = Some((Box::pin(stream), BytesMut::new()));
    futures_util::stream::unfold(state, |state| async move {
        let (mut stream, mut buffer) = state?;
        loop {
            match take_frame(&mut buffer) {
                Ok(Some(frame)) => return Some((Ok(frame), Some((stream, buffer)))),
                Ok(None) => {}
                Err(e) => return Some((Err(e), None)),
            }
            match stream.next().await {
                Some(Ok(bytes)) => buffer.extend_from_slice(&bytes),
                Some(Err(e)) => return Some((Err(io::Error::other(e)), None)),
                None => return None,
            }
        }
    })
    .boxed()
}

pub(super) fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some((length, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes; at most {FRAME_BYTES_MAX}"),
        ));
    }
    if rest.len() < length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Entries for a follower.
pub fn encode_append(request: AppendRequest) -> Vec<u8> {
    peer::encode_append(&Append {
        vote: vote_of(&request.vote),
        previous: request.prev_log_id.as_ref().map(log_id_of),
        records: request.entries.into_iter().map(record_of).collect(),
        committed: request.leader_commit.as_ref().map(log_id_of),
    })
}

/// See [`encode_append`].
pub fn decode_append(bytes: &[u8]) -> Result<AppendRequest, WireError> {
    let append = peer::decode_append(bytes)?;
    Ok(AppendRequest {
        vote: vote_from(append.vote),
        prev_log_id: append.previous.map(log_id_from),
        entries: append.records.into_iter().map(entry_of).collect(),
        leader_commit: append.committed.map(log_id_from),
    })
}

/// What became of them.
pub fn encode_append_result(result: &Result<StreamResult, Fatal<Config>>) -> Vec<u8> {
    peer::encode_appended(&match result {
        Ok(Ok(matched)) => Appended::Matched(matched.as_ref().map(log_id_of)),
        Ok(Err(StreamAppendError::Conflict(at))) => Appended::Conflict(log_id_of(at)),
        Ok(Err(StreamAppendError::HigherVote(vote))) => Appended::HigherVote(vote_of(vote)),
        Err(fatal) => Appended::Failed(fatal.to_string()),
    })
}

/// See [`encode_append_result`]; the inner error is the follower's fatal one, as text.
pub fn decode_append_result(bytes: &[u8]) -> Result<Result<StreamResult, String>, WireError> {
    Ok(match peer::decode_appended(bytes)? {
        Appended::Matched(matched) => Ok(Ok(matched.map(log_id_from))),
        Appended::Conflict(at) => Ok(Err(StreamAppendError::Conflict(log_id_from(at)))),
        Appended::HigherVote(vote) => Ok(Err(StreamAppendError::HigherVote(vote_from(vote)))),
        Appended::Failed(why) => Err(why),
    })
}

/// A candidate's question.
pub fn encode_vote_request(request: &VoteRequest<Config>) -> Vec<u8> {
    let last = request.last_log_id.as_ref().map(log_id_of);
    peer::encode_vote_asked(&VoteAsked {
        vote: vote_of(&request.vote),
        last,
        transfer: request.leadership_transfer,
    })
}

/// See [`encode_vote_request`].
pub fn decode_vote_request(bytes: &[u8]) -> Result<VoteRequest<Config>, WireError> {
    let asked = peer::decode_vote_asked(bytes)?;
    let mut request = VoteRequest::new(vote_from(asked.vote), asked.last.map(log_id_from));
    request.leadership_transfer = asked.transfer;
    Ok(request)
}

/// A voter's answer.
pub fn encode_vote_response(response: &VoteResponse<Config>) -> Vec<u8> {
    let last = response.last_log_id.as_ref().map(log_id_of);
    peer::encode_vote_given(&VoteGiven {
        vote: vote_of(&response.vote),
        granted: response.vote_granted,
        last,
    })
}

/// See [`encode_vote_response`].
pub fn decode_vote_response(bytes: &[u8]) -> Result<VoteResponse<Config>, WireError> {
    let given = peer::decode_vote_given(bytes)?;
    Ok(VoteResponse::new(vote_from(given.vote), given.last.map(log_id_from), given.granted))
}

/// A leader asks a follower to take over.
pub fn encode_transfer(request: &TransferLeaderRequest<Config>) -> Vec<u8> {
    let last = request.last_log_id().map(log_id_of);
    peer::encode_transfer(&Transfer {
        from: vote_of(request.from_leader()),
        to: NodeId(*request.to_node_id()),
        last,
    })
}

/// See [`encode_transfer`].
pub fn decode_transfer(bytes: &[u8]) -> Result<TransferLeaderRequest<Config>, WireError> {
    let transfer = peer::decode_transfer(bytes)?;
    Ok(TransferLeaderRequest::new(vote_from(transfer.from), transfer.to.0, transfer.last.map(log_id_from)))
}

/// Whether it will.
pub fn encode_transfer_response(response: &TransferLeaderResponse<Config>) -> Vec<u8> {
    peer::encode_transferred(&response.clone().map_err(|e| e.to_string()))
}

/// See [`encode_transfer_response`]. A follower that refuses is told by its words.
pub fn decode_transfer_response(bytes: &[u8]) -> Result<Result<(), String>, WireError> {
    peer::decode_transferred(bytes)
}

/// The follower's vote after it.
pub fn encode_snapshot_response(response: &SnapshotResponse<Config>) -> Vec<u8> {
    encode_vote(&vote_of(&response.vote))
}

/// See [`encode_snapshot_response`].
pub fn decode_snapshot_response(bytes: &[u8]) -> Result<SnapshotResponse<Config>, WireError> {
    Ok(SnapshotResponse::new(vote_from(decode_vote(bytes)?)))
}

/// A log id of our configuration; spelled out so that the conversions above are checked against it.
const _: fn(&LogId) -> quorate_codec::log::LogId = log_id_of;
