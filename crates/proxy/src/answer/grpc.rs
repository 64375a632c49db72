//! An answer of our own to a call of gRPC: its status is in `grpc-status`, and HTTP says 200.
//!
//! gRPC knows no redirects, and no client follows one. A call that a route redirects fails as unimplemented, for it will
//! never be answered here; where to ask is in the message, for whoever reads it, and in `Location`.

use super::Own;
use crate::{client::Client, http1::AnswerBody};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use quorate_telemetry::label::Outcome;
use std::{fmt::Write as _, sync::Arc};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// What there is of gRPC's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// As gRPC maps the status codes of HTTP, where the answer is no more than that. That a worker took too long is
    /// known better here.
    fn of(status: StatusCode, outcome: Outcome) -> Self {
        match (outcome, status.as_u16()) {
            (Outcome::Timeout, _) => Self::DeadlineExceeded,
            (Outcome::Redirected, _) => Self::Unimplemented,
            (_, 400) => Self::Internal,
            (_, 401) => Self::Unauthenticated,
            (_, 403) => Self::PermissionDenied,
            (_, 404) => Self::Unimplemented,
            (_, 429 | 502 | 503 | 504) => Self::Unavailable,
            _ => Self::Unknown,
        }
    }
}

impl Own {
    /// The call's own time is over.
    pub fn too_late(self) -> Self {
        let body = "{\"error\":\"Deadline exceeded\",\"message\":\"The time of the call is over\"}";
        Self { outcome: Outcome::Timeout, body: Bytes::from_static(body.as_bytes()), ..self }
    }

    /// As the whole answer to a call: head and trailers in one.
    pub fn into_grpc(self, client: &Arc<Client>) -> Response<AnswerBody> {
        let code = Code::of(self.status, self.outcome);
        let mut response = Response::new(AnswerBody::own(Bytes::new(), client));
        let mut text = words(&self.body);
        if let Some(own) = self.headers {
            if let Some(location) = own.get(header::LOCATION).and_then(|location| location.to_str().ok()) {
                text = format!("Moved to {location}");
            }
            *response.headers_mut() = *own;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, GRPC);
        headers.insert(STATUS, HeaderValue::from(code as u16));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&text)) {
            headers.insert(MESSAGE, message);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The texts of `error` and `message` in a body as they are made here: `{"error":"...","message":"...",...}`.
fn words(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    if !body.starts_with('{') {
        // A route's are plain text.
        return body.into_owned();
    }
    let mut words = String::new();
    for field in ["{\"error\":\"", ",\"message\":\""] {
        if let Some((_, rest)) = body.split_once(field) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            unescape(rest, &mut words);
        }
    }
    words
}

/// Appends a JSON string, up to its closing quote.
fn unescape(json: &str, text: &mut String) {
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            ('"', _) => return,
            (_, false) => text.push(c),
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    text.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other) => text.push(other),
                None => return,
            },
        }
    }
}

/// As gRPC wants it: what is not printable ASCII, and the percent sign.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a String can't fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::{Code, percent_encoded, words};

    #[test]
    fn the_message_is_what_the_body_says() {
        let check = |own: Own, expected: &str| assert_eq!(percent_encoded(&words(own.body())), expected);
        check(
            no_worker(b"w1", 3),
            "No worker available: No healthy worker is currently handling this workspace",
        );
        check(
            worker_unavailable(Outcome::WorkerUnavailable, "a\"b\\<c>\n\u{e4} 100%"),
            "Worker unavailable: Failed to connect to worker: a\"b\\<c>%0A%C3%A4 100%25",
        );
        check(failed_to_route(), "Failed to route request");
        check(service::unknown("x", &[]), "Service 'x' not available");
        check(bad_request("x").too_late(), "Deadline exceeded: The time of the call is over");
    }

    #[test]
    fn each_status_has_its_code() {
        let cases = [
            (bad_request(""), Code::Internal),
            (no_workspace("/"), Code::Internal),
            (malformed(Malformed::Method("TRACE")), Code::Unknown),
            (malformed(Malformed::TooLong { bytes_max: 1 }), Code::Unknown),
            (malformed(Malformed::Loop(9)), Code::Unknown),
            (invalid_worker_url(), Code::Unknown),
            (no_worker(b"", 0), Code::Unavailable),
            (partition_count_unknown(), Code::Unavailable),
            (service::failed(Outcome::WorkerUnavailable, "", "", ""), Code::Unavailable),
            (worker_unavailable(Outcome::Timeout, ""), Code::DeadlineExceeded),
            (service::failed(Outcome::Timeout, "", "", ""), Code::DeadlineExceeded),
        ];
        for (own, code) in cases {
            assert_eq!(Code::of(own.status, own.outcome), code, "{} {:?}", own.status, own.body());
        }
        let plain = |status| Code::of(StatusCode::from_u16(status).unwrap(), Outcome::BadRequest);
        assert_eq!(
            [401, 403, 404, 429, 504].map(plain),
            [
                Code::Unauthenticated,
                Code::PermissionDenied,
                Code::Unimplemented,
                Code::Unavailable,
                Code::Unavailable
            ]
        );
    }
}
