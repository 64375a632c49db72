//! Answers: JSON, problems, and the log index that they were decided at.

use crate::cluster::{LeaderHint, Reason, Unavailable};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use quorate_api::{Code, Problem, Wrong, delegate::HeartbeatDelegate, problem::LeaderBody};
use quorate_model::LogIndex;
use serde::Serialize;
use std::time::Duration;

pub(crate) const X_LEADER: HeaderName = HeaderName::from_static("x-quorate-leader");
const PROBLEM_JSON: &str = "application/problem+json";
/// When to ask again, where nobody knows better: about one election.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a native handler gives back.
pub(crate) type Answer = Result<Response, Fault>;

/// The log index of the View, or of the entry, that an answer comes from. An extension of the response, which
/// [`crate::frame`] turns into a header: one request is decided on one View.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided(pub LogIndex);

/// JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    typed(status, "application/json", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("bodies are plain structs with text as keys");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// JSON that was decided at `index`.
pub(crate) fn decided(index: LogIndex, body: &impl Serialize) -> Response {
    let mut response = json(StatusCode::OK, body);
    response.extensions_mut().insert(Decided(index));
    response
}

/// The same with the index of the record's last change, for `If-Match`.
pub(crate) fn with_etag(mut response: Response, changed: LogIndex) -> Response {
    response.headers_mut().insert(header::ETAG, text(&format!("\"{changed}\"")));
    response
}

/// A header's value. What can't be one (names are printable, but need not be ASCII) is left empty.
pub(crate) fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A refusal. Boxed: it is large, and rare.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: Box<Problem>,
    retry_after: Duration,
}

impl Fault {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// With the leader, where only its absence or haste stands in the way.
    #[must_use]
    pub fn hinting(mut self, leader: Option<&LeaderHint>) -> Self {
        if self.problem.status == 503 {
            self.problem.leader = Some(leader.map(shown));
        }
        self
    }

    /// With the time after which to ask again.
    #[must_use]
    pub fn after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// With the delegate that stands.
    #[must_use]
    pub fn with_delegate(mut self, delegate: Option<HeartbeatDelegate>) -> Self {
        self.problem.delegate = Some(delegate);
        self
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn shown(leader: &LeaderHint) -> LeaderBody {
    LeaderBody { name: leader.name.to_string(), management: leader.management.to_string() }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after: RETRY_AFTER }
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        Problem::of_fields(wrong).into()
    }
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Self {
        let code = match unavailable.reason {
            Reason::NoQuorum => Code::NoQuorum,
            Reason::Busy { .. } | Reason::LookedAt { .. } | Reason::TooManyLooks { .. } => Code::Busy,
            Reason::DiskFull => Code::DiskFull,
            Reason::ShuttingDown => Code::ShuttingDown,
            Reason::OutcomeUnknown => Code::OutcomeUnknown,
            Reason::FeatureLevel { .. } => Code::FeatureLevel,
            Reason::TooLarge { .. } => Code::BodyTooLarge,
        };
        let retry_after = retry_after(unavailable.reason);
        let fault = Self::new(code, unavailable.to_string()).hinting(unavailable.leader.as_ref());
        Self { retry_after, ..fault }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = typed(self.status(), PROBLEM_JSON, &*self.problem);
        if self.problem.status == 503 {
            hint(
                &mut response,
                self.retry_after,
                self.problem.leader.flatten().map(|l| l.management).as_deref(),
            );
        }
        response
    }
}

/// When to ask again after `reason`.
pub(crate) fn retry_after(reason: Reason) -> Duration {
    match reason {
        Reason::Busy { retry_after }
        | Reason::LookedAt { retry_after }
        | Reason::TooManyLooks { retry_after } => retry_after,
        Reason::NoQuorum
        | Reason::DiskFull
        | Reason::ShuttingDown
        | Reason::OutcomeUnknown
        | Reason::FeatureLevel { .. }
        | Reason::TooLarge { .. } => RETRY_AFTER,
    }
}

/// The headers of an answer that is worth asking for again, perhaps elsewhere.
pub(crate) fn hint(response: &mut Response, retry_after: Duration, leader: Option<&str>) {
    // Whole seconds, rounded up: asking too early is asking twice.
    let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
    response.headers_mut().insert(header::RETRY_AFTER, text(&seconds.to_string()));
    if let Some(leader) = leader.filter(|address| !address.is_empty()) {
        response.headers_mut().insert(X_LEADER, text(leader));
    }
}
