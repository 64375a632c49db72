//! Messages between nodes. Raft's own are spelled with our types, not openraft's, so that an update of the library
//! can't change a byte on the wire.

pub mod applied;
pub mod cluster;
pub mod consensus;
pub mod delivery;
pub mod key_trace;
pub mod loads;
pub mod membership;
pub mod observation;
pub mod openings;
pub mod probe;
pub mod proof;
pub mod ramps;
pub mod work;

pub use applied::{AppliedAsked, decode_applied, decode_applied_asked, encode_applied, encode_applied_asked};
pub use cluster::{
    Forwarded, Hello, decode_hand_over, decode_has_room, decode_heartbeats, decode_hello, decode_index,
    decode_leases, decode_levels, decode_outcomes, decode_proposed, encode_hand_over, encode_has_room,
    encode_heartbeats, encode_hello, encode_index, encode_leases, encode_levels, encode_outcomes,
    encode_proposed,
};
pub use consensus::{
    Append, Appended, Transfer, VoteAsked, VoteGiven, decode_append, decode_appended, decode_transfer,
    decode_transferred, decode_vote_asked, decode_vote_given, encode_append, encode_appended,
    encode_transfer, encode_transferred, encode_vote_asked, encode_vote_given,
};
pub use delivery::{Answer, Answered, Sent, To, decode_answered, decode_sent, encode_answered, encode_sent};
pub use key_trace::{decode_key_trace, decode_trace_asked, encode_key_trace, encode_trace_asked};
pub use loads::{decode_loads, encode_loads};
pub use membership::{
    MemberOutcome, MemberSeen, Members, decode_join, decode_leave, decode_member_outcome, decode_members,
    encode_join, encode_leave, encode_member_outcome, encode_members,
};
pub use observation::{
    ObservationAsked, decode_observation, decode_observation_asked, encode_observation,
    encode_observation_asked,
};
pub use openings::{OpeningsTold, decode_openings, encode_openings};
pub use probe::{ProbeAsked, decode_probe_asked, encode_probe_asked};
pub use proof::{
    Challenge, Introduction, Mac, Nonce, decode_challenge, decode_introduction, decode_proof,
    encode_challenge, encode_introduction, encode_proof,
};
pub use ramps::{decode_ramps, encode_ramps};
pub use work::{
    Believed, Down, Found, InFlight, InFlightAsked, LookAsked, decode_believed, decode_down, decode_found,
    decode_in_flight, decode_in_flight_asked, decode_look_asked, encode_believed, encode_down, encode_found,
    encode_in_flight, encode_in_flight_asked, encode_look_asked,
};

#[cfg(test)]
mod tests;
