//! What nodes tell each other of a service's workers, for an operator who asks one of them.

use crate::{
    error::DecodeError,
    v1::{VERSION, observation as frozen},
    wire,
};
use quorate_model::{Invalid, Observation, ServiceName, WorkerId, limit};

/// What do you make of these workers of `service`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationAsked {
    /// For which service.
    pub service: ServiceName,
    /// Whom; at most [`limit::OBSERVED_MAX`].
    pub workers: Vec<WorkerId>,
}

const ASKED: &str = "a question for what a node makes of workers";
const TOLD: &str = "what a node makes of workers";

/// Bytes of the question.
pub fn encode_observation_asked(asked: &ObservationAsked) -> Vec<u8> {
    let workers = asked.workers.iter().map(ToString::to_string).collect();
    wire::encode(VERSION, &frozen::Asked { service: asked.service.to_string(), workers })
}

/// See [`encode_observation_asked`].
pub fn decode_observation_asked(bytes: &[u8]) -> Result<ObservationAsked, DecodeError> {
    let frozen::Asked { service, workers } = wire::decode(ASKED, VERSION, bytes)?;
    let checked = || {
        if workers.len() > limit::OBSERVED_MAX {
            let allowed = format!("at most {}", limit::OBSERVED_MAX);
            return Err(Invalid::new("workers", format!("{} are too many", workers.len()), allowed));
        }
        let workers = workers.iter().map(|id| WorkerId::parse(id)).collect::<Result<_, _>>()?;
        Ok(ObservationAsked { service: ServiceName::parse(&service)?, workers })
    };
    checked().map_err(DecodeError::invalid(ASKED))
}

/// Bytes of the answer; `None`: the node does not route yet.
pub fn encode_observation(observed: Option<&Observation>) -> Vec<u8> {
    wire::encode(VERSION, &observed.map(frozen::Observation::from))
}

/// See [`encode_observation`].
pub fn decode_observation(bytes: &[u8]) -> Result<Option<Observation>, DecodeError> {
    let frozen: Option<frozen::Observation> = wire::decode(TOLD, VERSION, bytes)?;
    frozen.map(Observation::try_from).transpose().map_err(DecodeError::invalid(TOLD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{
        BreakerObservation, BreakerPhase, EjectionCause, EjectionObservation, EndpointObservation,
        OpeningCause,
    };
    use std::fmt::Write as _;

    fn endpoint(
        id: &str,
        (phase, opener): (BreakerPhase, OpeningCause),
        cause: EjectionCause,
    ) -> EndpointObservation {
        EndpointObservation {
            worker: WorkerId::parse(id).expect("valid"),
            in_flight: 3,
            breaker: Some(BreakerObservation {
                phase,
                cores: 2,
                since_ms: 1_000,
                left_ms: 2_000,
                cause: opener,
            }),
            ejection: Some(EjectionObservation { cause, cores: 1, since_ms: 500, left_ms: 4_500 }),
            slow_start_percent: Some(40),
        }
    }

    #[test]
    fn what_a_node_makes_of_workers_keeps_its_bytes() {
        let asked = ObservationAsked {
            service: ServiceName::parse("s").expect("valid"),
            workers: vec![WorkerId::parse("w1").expect("valid")],
        };
        let plain = EndpointObservation {
            worker: WorkerId::parse("w4").expect("valid"),
            in_flight: 0,
            breaker: None,
            ejection: None,
            slow_start_percent: None,
        };
        let endpoints = vec![
            endpoint("w1", (BreakerPhase::Open, OpeningCause::Failures), EjectionCause::Errors),
            endpoint("w2", (BreakerPhase::HalfOpen, OpeningCause::Told), EjectionCause::GatewayErrors),
            endpoint("w3", (BreakerPhase::Closed, OpeningCause::Failures), EjectionCause::ConnectFailures),
            plain,
            endpoint("w5", (BreakerPhase::Open, OpeningCause::Told), EjectionCause::SuccessRate),
        ];
        let told = Observation { cores: 4, cores_silent: 1, cores_asked: 3, cores_in_panic: 2, endpoints };
        let samples = [
            ("asked", encode_observation_asked(&asked)),
            ("told", encode_observation(Some(&told))),
            ("starting", encode_observation(None)),
        ];
        assert_eq!(decode_observation_asked(&samples[0].1), Ok(asked));
        assert_eq!(decode_observation(&samples[1].1), Ok(Some(told)));
        assert_eq!(decode_observation(&samples[2].1), Ok(None));
        let mut text = String::new();
        for (name, bytes) in &samples {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{name} {hex}").expect("a string takes everything");
        }
        assert_eq!(text, include_str!("../../golden/v1/peer-observation.txt"));
    }

    #[test]
    fn a_question_is_bounded_and_its_names_are_checked() {
        let encode = |service: &str, workers: Vec<String>| {
            wire::encode(VERSION, &frozen::Asked { service: service.into(), workers })
        };
        assert!(decode_observation_asked(&encode("s", vec!["w".into(); limit::OBSERVED_MAX])).is_ok());
        assert!(decode_observation_asked(&encode("s", vec!["w".into(); limit::OBSERVED_MAX + 1])).is_err());
        assert!(decode_observation_asked(&encode("s", vec![String::new()])).is_err());
        assert!(decode_observation_asked(&encode("", Vec::new())).is_err());
    }
}
