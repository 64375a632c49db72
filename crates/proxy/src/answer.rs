//! The answers that are made here, byte for byte as the workspace router's contract has them.
//!
//! The original is written in Go, whose JSON escapes `<`, `>` and `&` and replaces what is no UTF-8; clients that
//! compare bytes see the same here. What is about services is in [`service`].

mod grpc;
pub(crate) mod route;
pub(crate) mod sandbox;
pub(crate) mod service;

use crate::{client::Client, http1::AnswerBody};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use quorate_routing::{malformed::Malformed, workspace::decoded};
use quorate_telemetry::label::Outcome;
use std::{fmt::Write as _, sync::Arc};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// As the coordinator says it.
const PLAIN_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of our own.
pub(crate) struct Own {
    pub status: StatusCode,
    pub outcome: Outcome,
    pub connection: After,
    body: Bytes,
    content_type: HeaderValue,
    retry_after: Option<u64>,
    /// What else it says; boxed, since nearly none does.
    headers: Option<Box<HeaderMap>>,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It may be used again.
    KeepAlive,
    /// What follows on it can't be trusted.
    Close,
}

impl Own {
    fn new(status: StatusCode, outcome: Outcome, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let connection = After::KeepAlive;
        Self { status, outcome, connection, body, content_type: JSON, retry_after: None, headers: None }
    }

    fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers: Some(Box::new(headers)), ..self }
    }

    /// With the content type of the coordinator.
    fn spoken_plainly(self) -> Self {
        Self { content_type: PLAIN_JSON, ..self }
    }

    /// Tells when to try again, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    fn closing(self) -> Self {
        Self { connection: After::Close, ..self }
    }

    #[cfg(test)]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// As a response, still without what every answer carries.
    pub fn into_response(self, client: &Arc<Client>) -> Response<AnswerBody> {
        let has_body = !self.body.is_empty();
        let mut response = Response::new(AnswerBody::own(self.body, client));
        *response.status_mut() = self.status;
        if let Some(headers) = self.headers {
            *response.headers_mut() = *headers;
        }
        if has_body {
            response.headers_mut().insert(header::CONTENT_TYPE, self.content_type);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.connection == After::Close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// `OPTIONS`.
pub(crate) fn preflight() -> Own {
    Own::new(StatusCode::NO_CONTENT, Outcome::Preflight, Bytes::new())
}

/// Neither header nor path name a workspace. `path` is the raw one; the answer shows it decoded.
pub(crate) fn no_workspace(path: &str) -> Own {
    let mut body = String::from(
        "{\"error\":\"Workspace ID required\",\"message\":\"Please provide workspace ID via X-Workspace-ID header \
         or in path (/v1/workspaces/{workspaceId}/...)\",\"path\":",
    );
    push_text(&mut body, &decoded(path));
    body.push('}');
    Own::new(StatusCode::BAD_REQUEST, Outcome::NoWorkspace, body)
}

/// Kafka has not answered yet, or the cluster is not formed.
pub(crate) fn partition_count_unknown() -> Own {
    let body =
        "{\"error\":\"Service temporarily unavailable\",\"message\":\"Failed to determine partition count\"}";
    Own::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::PartitionCountUnknown, body)
}

/// Nobody routable holds the partition.
pub(crate) fn no_worker(workspace: &[u8], partition: u32) -> Own {
    let mut body = String::from(
        "{\"error\":\"No worker available\",\"message\":\"No healthy worker is currently handling this \
         workspace\",\"workspace_id\":",
    );
    push_text(&mut body, workspace);
    let _ = write!(body, ",\"partition\":{partition}}}"); // writing to a String can't fail
    Own::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::NoWorker, body)
}

/// The worker refused, broke off, or took too long.
pub(crate) fn worker_unavailable(outcome: Outcome, error: &str) -> Own {
    let mut body = String::from("{\"error\":\"Worker unavailable\",\"message\":");
    push_text(&mut body, format!("Failed to connect to worker: {error}").as_bytes());
    body.push('}');
    Own::new(StatusCode::SERVICE_UNAVAILABLE, outcome, body)
}

/// The registered address can't be reached by anything.
pub(crate) fn invalid_worker_url() -> Own {
    let body = "{\"error\":\"Invalid worker URL\"}";
    Own::new(StatusCode::INTERNAL_SERVER_ERROR, Outcome::Internal, body)
}

/// The worker said something that can't be passed on, such as an upgrade that nobody asked for.
pub(crate) fn failed_to_route() -> Own {
    let body = "{\"error\":\"Failed to route request\"}";
    Own::new(StatusCode::INTERNAL_SERVER_ERROR, Outcome::Internal, body)
}

/// Malformed or ambiguous: nothing was decided on it.
pub(crate) fn bad_request(message: &str) -> Own {
    refused(StatusCode::BAD_REQUEST, Outcome::BadRequest, "Bad request", message)
}

/// The same, by what is wrong with it.
pub(crate) fn malformed(why: Malformed) -> Own {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let (outcome, error) = match why {
        Malformed::Loop(_) => (Outcome::Loop, "Loop detected"),
        Malformed::TooLong { .. } => (Outcome::TooLarge, "URI too long"),
        Malformed::Method(_) => (Outcome::BadRequest, "Method not allowed"),
        Malformed::NoPath
        | Malformed::Scheme
        | Malformed::NoHost
        | Malformed::ManyHosts
        | Malformed::BadHost
        | Malformed::TwoHosts
        | Malformed::CallTime => (Outcome::BadRequest, "Bad request"),
    };
    refused(status, outcome, error, &why.to_string())
}

fn refused(status: StatusCode, outcome: Outcome, error: &str, message: &str) -> Own {
    let mut body = String::from("{\"error\":");
    push_text(&mut body, error.as_bytes());
    body.push_str(",\"message\":");
    push_text(&mut body, message.as_bytes());
    body.push('}');
    Own::new(status, outcome, body).closing()
}

/// Appends a JSON string as Go's encoder writes it.
fn push_text(json: &mut String, bytes: &[u8]) {
    json.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_char(json, c));
        // Go replaces each byte that is no UTF-8 by itself.
        chunk.invalid().iter().for_each(|_| json.push_str("\\ufffd"));
    }
    json.push('"');
}

fn push_char(json: &mut String, c: char) {
    match c {
        '"' => json.push_str("\\\""),
        '\\' => json.push_str("\\\\"),
        '\n' => json.push_str("\\n"),
        '\r' => json.push_str("\\r"),
        '\t' => json.push_str("\\t"),
        '\u{8}' => json.push_str("\\b"),
        '\u{c}' => json.push_str("\\f"),
        '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            let _ = write!(json, "\\u{:04x}", u32::from(c)); // writing to a String can't fail
        }
        c => json.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_go_does() {
        let mut json = String::new();
        push_text(&mut json, b"a\"\\\n\x01\x7f<&>\xff\xfe\xe6\x97\xa5\xe2\x80\xa8");
        let expected = concat!(r#""a\"\\\n\u0001"#, "\x7f", r#"\u003c\u0026\u003e\ufffd\ufffd日\u2028""#);
        assert_eq!(json, expected);
    }

    #[test]
    fn the_path_is_shown_decoded() {
        let own = no_workspace("/a%20b%2Fc");
        assert!(own.body.ends_with(b",\"path\":\"/a b/c\"}"), "{:?}", own.body);
    }
}
