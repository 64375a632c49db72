//! Errors as the original's clients know them.

use crate::{
    answer::{hint, json, retry_after},
    cluster::Unavailable,
    request::NoBody,
};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use quorate_api::{Wrong, original::ErrorBody};
use quorate_model::Refusal;

/// A heartbeat of somebody unknown.
pub(super) const REGISTER_FIRST: &str = "Worker not found. Please register first.";
/// A goodbye of somebody unknown.
pub(super) const NOT_FOUND: &str = "Worker not found";

/// What the cluster could not do. Its clients know nothing of quorums: a 500 is what they try again after.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    Register,
    Heartbeat,
    Unregister,
}

impl Failed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "Failed to register worker",
            Self::Heartbeat => "Failed to update heartbeat",
            Self::Unregister => "Failed to unregister worker",
        }
    }
}

#[derive(Debug)]
pub(super) enum Fault {
    Invalid(ErrorBody),
    NoBody(NoBody),
    NotFound(&'static str),
    Failed(Failed),
    Unavailable(Failed, Unavailable),
}

impl Fault {
    pub fn refused(failed: Failed, refusal: &Refusal) -> Self {
        // The client is told no reason, so the log is.
        tracing::warn!(%refusal, "{}", failed.as_str());
        Self::Failed(failed)
    }

    pub fn unavailable(failed: Failed, unavailable: Unavailable) -> Self {
        tracing::debug!(reason = %unavailable, "{}", failed.as_str());
        Self::Unavailable(failed, unavailable)
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        Self::Invalid(ErrorBody::invalid(&wrong))
    }
}

impl From<NoBody> for Fault {
    fn from(no_body: NoBody) -> Self {
        Self::NoBody(no_body)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(body) => json(StatusCode::BAD_REQUEST, &body),
            Self::NoBody(no_body) => error(no_body.status(), &format!("Invalid request: {no_body}")),
            Self::NotFound(message) => error(StatusCode::NOT_FOUND, message),
            Self::Failed(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, failed.as_str()),
            Self::Unavailable(failed, unavailable) => {
                let mut response = error(StatusCode::INTERNAL_SERVER_ERROR, failed.as_str());
                let leader = unavailable.leader.as_ref().map(|leader| &*leader.management);
                hint(&mut response, retry_after(unavailable.reason), leader);
                response
            }
        }
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    json(status, &ErrorBody { error: message.into() })
}
