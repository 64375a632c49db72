//! Errors as the original's clients know them: `{"error": ...}`, and for a registration
//! `{"error": "Registration failed", "message": ...}`.
//!
//! 500 is what the cluster could not do, as in the original. What is wrong with a request is told as such (400, 408,
//! 413), in the same bodies: the original answered 500 there too, and its agents read no more than whether it is 200.

use crate::{
    answer::{hint, json, retry_after},
    cluster::Unavailable,
    request::NoBody,
};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use quorate_api::coordinator::ErrorBody;
use quorate_model::Refusal;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The body is wrong: what, by field.
    Invalid(String),
    NoBody(NoBody),
    UnknownWorker,
    Refused(Refusal),
    Failed(&'static str),
    Unavailable(Unavailable),
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NoBody(no_body) => no_body.status(),
            Self::UnknownWorker => StatusCode::NOT_FOUND,
            Self::Refused(_) | Self::Failed(_) | Self::Unavailable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Invalid(what) => what.clone(),
            Self::NoBody(no_body) => no_body.to_string(),
            Self::UnknownWorker => "Worker not found".into(),
            Self::Refused(refusal) => refusal.to_string(),
            Self::Failed(what) => (*what).into(),
            Self::Unavailable(unavailable) => unavailable.to_string(),
        }
    }

    fn answer(&self, body: &ErrorBody) -> Response {
        let mut response = json(self.status(), body);
        if let Self::Unavailable(Unavailable { reason, leader }) = self {
            hint(&mut response, retry_after(*reason), leader.as_ref().map(|leader| &*leader.management));
        }
        response
    }
}

impl From<NoBody> for Fault {
    fn from(no_body: NoBody) -> Self {
        Self::NoBody(no_body)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        self.answer(&ErrorBody::new(self.words()))
    }
}

/// The same of a registration.
#[derive(Debug)]
pub(super) struct RegisterFault(Fault);

impl From<Fault> for RegisterFault {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for RegisterFault {
    fn into_response(self) -> Response {
        self.0.answer(&ErrorBody::registration_failed(self.0.words()))
    }
}
