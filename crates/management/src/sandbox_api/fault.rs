//! Errors as clients of Kubernetes know them.

use crate::{
    answer::{hint, json, retry_after},
    cluster::{Reason, Unavailable},
    request::{self, NoBody},
};
use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use quorate_api::sandbox_api::{StatusBody, Why, put::Refused};
use quorate_model::{ObjectId, ObjectRefusal, Refusal, Resource};
use std::time::Duration;

/// Places come free when somebody goes, which nobody can foresee.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A refusal. Boxed: it is large, and rare.
#[derive(Debug)]
pub(super) struct Fault {
    body: Box<StatusBody>,
    /// Of an answer that is worth asking for again: when, and where.
    hint: Option<(Duration, Option<String>)>,
}

impl Fault {
    /// A name, a parameter or the body can't be read.
    pub fn bad(why: impl Into<String>) -> Self {
        StatusBody::failure(Why::BadRequest, why).into()
    }

    /// There is no such resource.
    pub fn no_resource() -> Self {
        StatusBody::failure(Why::NotFound, "the server could not find the requested resource").into()
    }

    /// There is no such object.
    pub fn unknown(id: &ObjectId) -> Self {
        StatusBody::refused(&ObjectRefusal::Unknown { id: id.clone() }).into()
    }

    /// Too many wait.
    pub fn busy() -> Self {
        let body = StatusBody::failure(Why::ServiceUnavailable, "too many requests wait on this node");
        Self { hint: Some((BUSY_RETRY_AFTER, None)), ..body.into() }
    }

    /// The body says something else than it should.
    pub fn unread(resource: Resource, refused: Refused) -> Self {
        match refused {
            Refused::Malformed(why) => Self::bad(why),
            Refused::Invalid { name, wrong } => StatusBody::invalid(resource, &name, wrong).into(),
        }
    }

    /// The cluster refuses.
    pub fn refused(refusal: &Refusal) -> Self {
        super::told(refusal).into()
    }
}

impl From<StatusBody> for Fault {
    fn from(body: StatusBody) -> Self {
        Self { body: Box::new(body), hint: None }
    }
}

impl From<NoBody> for Fault {
    fn from(no_body: NoBody) -> Self {
        let why = match &no_body {
            NoBody::TooLarge(_) => Why::RequestEntityTooLarge,
            NoBody::TooSlow => Why::RequestTimeout,
            NoBody::Broken(_) => Why::BadRequest,
        };
        StatusBody::failure(why, no_body.to_string()).into()
    }
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Self {
        let why = match unavailable.reason {
            // It may have been done: whoever tries again must look first.
            Reason::OutcomeUnknown => Why::InternalError,
            Reason::TooLarge { .. } => Why::RequestEntityTooLarge,
            Reason::NoQuorum
            | Reason::Busy { .. }
            | Reason::LookedAt { .. }
            | Reason::TooManyLooks { .. }
            | Reason::DiskFull
            | Reason::ShuttingDown
            | Reason::FeatureLevel { .. } => Why::ServiceUnavailable,
        };
        let body = StatusBody::failure(why, unavailable.to_string());
        let leader = unavailable.leader.map(|leader| leader.management.to_string());
        let hint = (why == Why::ServiceUnavailable).then(|| (retry_after(unavailable.reason), leader));
        Self { hint, ..body.into() }
    }
}

impl IntoResponse for Fault {
    fn into_response(mut self) -> Response {
        if let Some((after, _)) = &self.hint {
            let seconds = u64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
            self.body.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        }
        let status = StatusCode::from_u16(self.body.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &*self.body);
        if let Some((after, leader)) = self.hint {
            hint(&mut response, after, leader.as_deref());
        }
        response
    }
}

/// A path that is not there, or a method that it does not have.
pub(crate) fn unserved(is_path: bool, method: &http::Method) -> Response {
    let fault = if is_path {
        Fault::no_resource()
    } else {
        let why = format!("the server does not allow {method} on the requested resource");
        StatusBody::failure(Why::MethodNotAllowed, why).into()
    };
    fault.into_response()
}

/// Also what keeps a web page of somebody else's from posting here: a browser asks before it sends JSON.
pub(super) async fn json_body(request: Request) -> Result<Bytes, Fault> {
    if !is_json(request.headers()) {
        let why = "the body of the request was in an unknown format; accepted media type: application/json";
        return Err(StatusBody::failure(Why::UnsupportedMediaType, why).into());
    }
    Ok(request::bytes(request).await?)
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
}
