//! What nodes ask each other about a worker.

use super::Forwarded;
use crate::{
    error::DecodeError,
    v1::{VERSION, work as frozen},
    wire,
};
use quorate_model::{Epoch, LogIndex, WorkerId};
use std::time::Duration;

/// How much do you have under way at `worker`, once you have applied `index`, or when `within` is over?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightAsked {
    /// At whom.
    pub worker: WorkerId,
    /// Up to where.
    pub index: LogIndex,
    /// How long to wait for it. Told in milliseconds.
    pub within: Duration,
}

/// What a node has under way at a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// How far it had applied before it counted.
    pub applied: LogIndex,
    /// Requests and tunnels that are not done; `None`: it does not route yet.
    pub count: Option<u64>,
}

/// Do you get a connection to `worker`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAsked {
    /// To whom.
    pub worker: WorkerId,
    /// In which of its lives.
    pub epoch: Epoch,
}

/// What a node found that looked at a worker, with words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It got a connection.
    Connected(String),
    /// None of the worker's addresses gave one.
    Unconnected(String),
    /// It does not know this life of the worker, or can't look.
    Unknown(String),
}

/// Two nodes (or the only one) get no connection to `worker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// To whom.
    pub worker: WorkerId,
    /// In which of its lives.
    pub epoch: Epoch,
    /// How long ago they began to look. Told in milliseconds.
    pub looked: Duration,
}

/// What the leader makes of a worker that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Its lease ends.
    Ended,
    /// It was heard since the look began, or has another life by now.
    Heard,
    /// It had expired before.
    Expired,
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn worker(what: &'static str, id: &str) -> Result<WorkerId, DecodeError> {
    WorkerId::parse(id).map_err(DecodeError::invalid(what))
}

/// Bytes of a question for what is under way.
pub fn encode_in_flight_asked(asked: &InFlightAsked) -> Vec<u8> {
    let InFlightAsked { worker, index, within } = asked;
    let frozen = frozen::InFlightAsked { worker: worker.to_string(), index: index.0, within_ms: ms(*within) };
    wire::encode(VERSION, &frozen)
}

/// See [`encode_in_flight_asked`].
pub fn decode_in_flight_asked(bytes: &[u8]) -> Result<InFlightAsked, DecodeError> {
    let what = "a question for what is in flight";
    let frozen: frozen::InFlightAsked = wire::decode(what, VERSION, bytes)?;
    Ok(InFlightAsked {
        worker: worker(what, &frozen.worker)?,
        index: LogIndex(frozen.index),
        within: Duration::from_millis(frozen.within_ms),
    })
}

/// Bytes of what is under way.
pub fn encode_in_flight(told: &InFlight) -> Vec<u8> {
    wire::encode(VERSION, &frozen::InFlight { applied: told.applied.0, count: told.count })
}

/// See [`encode_in_flight`].
pub fn decode_in_flight(bytes: &[u8]) -> Result<InFlight, DecodeError> {
    let frozen::InFlight { applied, count } = wire::decode("what is in flight", VERSION, bytes)?;
    Ok(InFlight { applied: LogIndex(applied), count })
}

/// Bytes of a question for a look.
pub fn encode_look_asked(asked: &LookAsked) -> Vec<u8> {
    let LookAsked { worker, epoch } = asked;
    wire::encode(VERSION, &frozen::LookAsked { worker: worker.to_string(), epoch: epoch.0 })
}

/// See [`encode_look_asked`].
pub fn decode_look_asked(bytes: &[u8]) -> Result<LookAsked, DecodeError> {
    let what = "a question for a look at a worker";
    let frozen: frozen::LookAsked = wire::decode(what, VERSION, bytes)?;
    Ok(LookAsked { worker: worker(what, &frozen.worker)?, epoch: Epoch(frozen.epoch) })
}

/// Bytes of what was found.
pub fn encode_found(found: &Found) -> Vec<u8> {
    let frozen = match found.clone() {
        Found::Connected(words) => frozen::Found::Connected(words),
        Found::Unconnected(words) => frozen::Found::Unconnected(words),
        Found::Unknown(words) => frozen::Found::Unknown(words),
    };
    wire::encode(VERSION, &frozen)
}

/// See [`encode_found`].
pub fn decode_found(bytes: &[u8]) -> Result<Found, DecodeError> {
    Ok(match wire::decode("what a look found", VERSION, bytes)? {
        frozen::Found::Connected(words) => Found::Connected(words),
        frozen::Found::Unconnected(words) => Found::Unconnected(words),
        frozen::Found::Unknown(words) => Found::Unknown(words),
    })
}

/// Bytes of what the leader is told of a worker that is down.
pub fn encode_down(down: &Down) -> Vec<u8> {
    let Down { worker, epoch, looked } = down;
    let frozen = frozen::Down { worker: worker.to_string(), epoch: epoch.0, looked_ms: ms(*looked) };
    wire::encode(VERSION, &frozen)
}

/// See [`encode_down`].
pub fn decode_down(bytes: &[u8]) -> Result<Down, DecodeError> {
    let what = "a worker that is down";
    let frozen: frozen::Down = wire::decode(what, VERSION, bytes)?;
    Ok(Down {
        worker: worker(what, &frozen.worker)?,
        epoch: Epoch(frozen.epoch),
        looked: Duration::from_millis(frozen.looked_ms),
    })
}

/// Bytes of what the leader makes of it.
pub fn encode_believed(answer: &Forwarded<Believed>) -> Vec<u8> {
    let frozen = answer.freeze(|believed| match believed {
        Believed::Ended => frozen::Believed::Ended,
        Believed::Heard => frozen::Believed::Heard,
        Believed::Expired => frozen::Believed::Expired,
    });
    wire::encode(VERSION, &frozen)
}

/// See [`encode_believed`].
pub fn decode_believed(bytes: &[u8]) -> Result<Forwarded<Believed>, DecodeError> {
    Forwarded::thaw(wire::decode("what is believed of a worker", VERSION, bytes)?, |believed| {
        Ok(match believed {
            frozen::Believed::Ended => Believed::Ended,
            frozen::Believed::Heard => Believed::Heard,
            frozen::Believed::Expired => Believed::Expired,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn w1() -> WorkerId {
        WorkerId::parse("w1").expect("valid")
    }

    #[test]
    fn what_is_asked_and_said_of_workers_keeps_its_bytes() {
        let asked = InFlightAsked { worker: w1(), index: LogIndex(57), within: Duration::from_millis(1_500) };
        let look = LookAsked { worker: w1(), epoch: Epoch(9) };
        let down = Down { worker: w1(), epoch: Epoch(9), looked: Duration::from_millis(1_200) };
        let mut samples = vec![
            ("in-flight-asked", encode_in_flight_asked(&asked)),
            ("in-flight", encode_in_flight(&InFlight { applied: LogIndex(58), count: Some(3) })),
            ("in-flight-unknown", encode_in_flight(&InFlight { applied: LogIndex(58), count: None })),
            ("look-asked", encode_look_asked(&look)),
            ("down", encode_down(&down)),
        ];
        assert_eq!(decode_in_flight_asked(&samples[0].1), Ok(asked));
        assert_eq!(decode_in_flight(&samples[1].1).map(|told| told.count), Ok(Some(3)));
        assert_eq!(decode_look_asked(&samples[3].1), Ok(look));
        assert_eq!(decode_down(&samples[4].1), Ok(down));
        for (name, found) in [
            ("connected", Found::Connected("yes".into())),
            ("unconnected", Found::Unconnected("no".into())),
            ("unknown", Found::Unknown("?".into())),
        ] {
            assert_eq!(decode_found(&encode_found(&found)), Ok(found.clone()));
            samples.push((name, encode_found(&found)));
        }
        for (name, believed) in
            [("ended", Believed::Ended), ("heard", Believed::Heard), ("expired", Believed::Expired)]
        {
            let answer = Forwarded::Done(believed);
            assert_eq!(decode_believed(&encode_believed(&answer)), Ok(answer.clone()));
            samples.push((name, encode_believed(&answer)));
        }
        samples.push(("believed-not-leader", encode_believed(&Forwarded::NotLeader)));
        let mut text = String::new();
        for (name, bytes) in &samples {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{name} {hex}").expect("a string takes everything");
        }
        assert_eq!(text, include_str!("../../golden/v1/peer-work.txt"));
    }

    #[test]
    fn a_worker_s_id_is_checked_and_nothing_is_cut_short() {
        let asked = InFlightAsked { worker: w1(), index: LogIndex(1), within: Duration::ZERO };
        let bytes = encode_in_flight_asked(&asked);
        assert!(decode_in_flight_asked(&bytes[..bytes.len() - 1]).is_err());
        let nobody = frozen::LookAsked { worker: String::new(), epoch: 1 };
        assert!(decode_look_asked(&wire::encode(VERSION, &nobody)).is_err(), "an empty id");
    }
}
