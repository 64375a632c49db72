//! What a node asks another one about the health of an endpoint. The answer is a [`super::Found`]: connected means
//! well.

use crate::{
    error::DecodeError,
    v1::{VERSION, work as frozen},
    wire,
};
use quorate_model::{Epoch, ServiceName, WorkerId};

/// Do you find `worker` well, as the policy of `service` has it checked?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAsked {
    /// For which service.
    pub service: ServiceName,
    /// Whom.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Epoch,
}

const WHAT: &str = "a question for an endpoint's health";

/// Bytes of the question.
pub fn encode_probe_asked(asked: &ProbeAsked) -> Vec<u8> {
    let ProbeAsked { service, worker, incarnation } = asked;
    let (service, worker) = (service.to_string(), worker.to_string());
    wire::encode(VERSION, &frozen::ProbeAsked { service, worker, incarnation: incarnation.0 })
}

/// See [`encode_probe_asked`].
pub fn decode_probe_asked(bytes: &[u8]) -> Result<ProbeAsked, DecodeError> {
    let frozen: frozen::ProbeAsked = wire::decode(WHAT, VERSION, bytes)?;
    Ok(ProbeAsked {
        service: ServiceName::parse(&frozen.service).map_err(DecodeError::invalid(WHAT))?,
        worker: WorkerId::parse(&frozen.worker).map_err(DecodeError::invalid(WHAT))?,
        incarnation: Epoch(frozen.incarnation),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_keeps_its_bytes() {
        let asked = ProbeAsked {
            service: ServiceName::parse("s").expect("valid"),
            worker: WorkerId::parse("w1").expect("valid"),
            incarnation: Epoch(9),
        };
        let bytes = encode_probe_asked(&asked);
        assert_eq!(decode_probe_asked(&bytes), Ok(asked));
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "01010000000000000073020000000000000077310900000000000000");
        assert!(decode_probe_asked(&bytes[..bytes.len() - 1]).is_err());
    }
}
