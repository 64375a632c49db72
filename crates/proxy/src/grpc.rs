//! What calls of gRPC say in their headers: that they are, and how long they may take.

use crate::answer::{self, Own};
use http::{HeaderMap, HeaderName, header};
use std::time::Duration;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Whether a request is a call. (`application/grpc-web` is another protocol, whose errors look like anyone's.)
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    const GRPC: &[u8] = b"application/grpc";
    kind.len() >= GRPC.len()
        && kind[..GRPC.len()].eq_ignore_ascii_case(GRPC)
        && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';'))
}

/// How long a call may take, if it says.
pub(crate) fn time_of(headers: &HeaderMap) -> Result<Option<Duration>, Own> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    match timeout(value.as_bytes()) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(answer::bad_request(
            "grpc-timeout must be a number of one to eight digits and a unit: H, M, S, m, u or n",
        )),
    }
}

fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_call_says_so_in_its_content_type() {
        let is = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            is_call(&headers)
        };
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"] {
            assert!(is(kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpcx", "application/json", "application/grp"] {
            assert!(!is(kind), "{kind}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn a_timeout_has_a_number_and_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            let expected = expected.map(Duration::from_micros);
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        };
        check("1S", Some(1_000_000));
        check("99999999H", Some(99_999_999 * 3_600 * 1_000_000));
        check("2M", Some(120_000_000));
        check("250m", Some(250_000));
        check("7u", Some(7));
        check("5000n", Some(5));
        check("0m", Some(0));
        for bad in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", " 1S", "1 S"] {
            check(bad, None);
        }
    }
}
