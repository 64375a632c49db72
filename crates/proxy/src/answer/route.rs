//! The answers about routes, as the gateway's contract has them.

use super::Own;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use quorate_routing::route::rewrite::Redirection;
use quorate_telemetry::label::Outcome;

pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A browser's question before its request.
pub(crate) fn preflight(headers: HeaderMap) -> Own {
    Own::new(StatusCode::NO_CONTENT, Outcome::Preflight, Bytes::new()).with_headers(headers)
}

/// The client is to ask elsewhere.
pub(crate) fn redirect(redirection: &Redirection) -> Own {
    let mut headers = HeaderMap::new();
    match HeaderValue::from_str(&redirection.location) {
        Ok(location) => headers.insert(header::LOCATION, location),
        // Hosts and paths have the letters of a request line only.
        Err(_) => return super::failed_to_route(),
    };
    let status = StatusCode::from_u16(redirection.status).unwrap_or(StatusCode::TEMPORARY_REDIRECT);
    Own::new(status, Outcome::Redirected, Bytes::new()).with_headers(headers)
}

/// The destination could not be reached, or broke off.
pub(crate) fn failed() -> Own {
    text(StatusCode::BAD_GATEWAY, Outcome::WorkerUnavailable, "Error communicating with backend service")
}

/// The destination did not answer in time.
pub(crate) fn timed_out() -> Own {
    text(StatusCode::GATEWAY_TIMEOUT, Outcome::Timeout, "Backend service request timeout")
}

/// Nobody takes requests for the destination.
pub(crate) fn unavailable() -> Own {
    text(StatusCode::SERVICE_UNAVAILABLE, Outcome::NoWorker, "No backend service available")
}

/// Its endpoints have as many requests or connections as they may have.
pub(crate) fn overloaded() -> Own {
    let body = "Backend service has as many requests as it may have";
    text(StatusCode::SERVICE_UNAVAILABLE, Outcome::Overloaded, body).retry_after(1)
}

fn text(status: StatusCode, outcome: Outcome, body: &'static str) -> Own {
    Own { content_type: TEXT, ..Own::new(status, outcome, body) }
}
