//! What nodes tell each other of a routing key that somebody follows.

use crate::{
    error::DecodeError,
    v1::{VERSION, key_trace as frozen},
    wire,
};
use quorate_model::{
    Invalid, RoutingKey,
    key_trace::{FOLLOWED_FOR, KeyTrace, TraceAsked},
};

const ASKED: &str = "a question for the way of a routing key";
const TOLD: &str = "the way of a routing key";
/// Most traces that one question names. More: refused. A node tells fewer hops than that, and a cluster has few nodes.
pub const TRACES_ASKED_MAX: usize = 20_000;

/// Bytes of the question.
pub fn encode_trace_asked(asked: &TraceAsked) -> Vec<u8> {
    let TraceAsked { key, follow_ms, traces } = asked;
    let traces = traces.iter().take(TRACES_ASKED_MAX).map(ToString::to_string).collect();
    wire::encode(VERSION, &frozen::Asked { key: key.to_string(), follow_ms: *follow_ms, traces })
}

/// See [`encode_trace_asked`].
pub fn decode_trace_asked(bytes: &[u8]) -> Result<TraceAsked, DecodeError> {
    let frozen::Asked { key, follow_ms, traces } = wire::decode(ASKED, VERSION, bytes)?;
    let checked = || {
        let longest = u64::try_from(FOLLOWED_FOR.1.as_millis()).unwrap_or(u64::MAX);
        if let Some(ms) = follow_ms.filter(|ms| *ms > longest) {
            return Err(Invalid::new("follow_ms", format!("is {ms}"), format!("at most {longest}")));
        }
        if traces.len() > TRACES_ASKED_MAX {
            let allowed = format!("at most {TRACES_ASKED_MAX}");
            return Err(Invalid::new("traces", format!("{} are too many", traces.len()), allowed));
        }
        let key = RoutingKey::parse(&key)?;
        Ok(TraceAsked { key, follow_ms, traces: traces.into_iter().map(Into::into).collect() })
    };
    checked().map_err(DecodeError::invalid(ASKED))
}

/// Bytes of the answer; `None`: the node does not route yet.
pub fn encode_key_trace(told: Option<&KeyTrace>) -> Vec<u8> {
    wire::encode(VERSION, &told.map(frozen::KeyTrace::from))
}

/// See [`encode_key_trace`].
pub fn decode_key_trace(bytes: &[u8]) -> Result<Option<KeyTrace>, DecodeError> {
    let frozen: Option<frozen::KeyTrace> = wire::decode(TOLD, VERSION, bytes)?;
    Ok(frozen.map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{LogTime, key_trace::Hop};
    use std::fmt::Write as _;

    fn asked(key: &str, follow_ms: Option<u64>, traces: usize) -> Vec<u8> {
        let traces = vec!["t".to_owned(); traces];
        wire::encode(VERSION, &frozen::Asked { key: key.into(), follow_ms, traces })
    }

    #[test]
    fn the_way_of_a_key_keeps_its_bytes() {
        let question = TraceAsked {
            key: RoutingKey::parse("k").expect("valid"),
            follow_ms: Some(60_000),
            traces: vec!["t1".into(), "t2".into()],
        };
        let full = Hop {
            at: LogTime(1_790_000_000_000),
            elapsed_us: 1_500,
            traces: vec!["t1".into(), "t2".into()],
            parent: Some("00f067aa0ba902b7".into()),
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/cart/{}".into(),
            forms: vec!["x-route-key".into(), "baggage".into()],
            has_other_key: true,
            decided_by: "sandbox".into(),
            service: Some("cart@v2".into()),
            address: Some("10.0.0.8:80".into()),
            status: Some(200),
            failed_over: Some("cart@v3 at 10.0.0.9:80, by sandbox".into()),
        };
        let told = KeyTrace {
            clock: LogTime(1_790_000_000_100),
            cores: 2,
            cores_silent: 1,
            cores_full: 3,
            left_ms: Some(59_000),
            passed_over: 4,
            hops: vec![full, Hop::default()],
        };
        let samples = [
            ("asked", encode_trace_asked(&question)),
            ("told", encode_key_trace(Some(&told))),
            ("starting", encode_key_trace(None)),
        ];
        assert_eq!(decode_trace_asked(&samples[0].1), Ok(question));
        assert_eq!(decode_key_trace(&samples[1].1), Ok(Some(told)));
        assert_eq!(decode_key_trace(&samples[2].1), Ok(None));
        let mut text = String::new();
        for (name, bytes) in &samples {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{name} {hex}").expect("a string takes everything");
        }
        assert_eq!(text, include_str!("../../golden/v1/peer-key-trace.txt"));
    }

    #[test]
    fn a_question_is_bounded() {
        assert!(decode_trace_asked(&asked("k", Some(600_000), TRACES_ASKED_MAX)).is_ok());
        for bad in
            [asked("k", Some(600_001), 0), asked("k", None, TRACES_ASKED_MAX + 1), asked("a b", None, 0)]
        {
            assert!(decode_trace_asked(&bad).is_err());
        }
    }
}
