//! What a worker is sent, at hand for as long as it may have to be sent again.

use super::error::Error;
use crate::{
    core::Core,
    decide::{By, Destination},
    destination::Seat,
    headers::{ToWorker, to_worker},
    http1::{Ask, Kept, RequestBody, Upstream},
    keys::RouteKey,
    pool::Endpoint,
    routes::Plan,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use quorate_routing::retry::{self, Replay};
use quorate_rt::planted::{self, Bug};
use quorate_telemetry::{events::WorkerFailed, label::Outcome};
use std::{borrow::Cow, mem};

/// What a worker is sent: at hand, as long as it may have to be sent again.
pub(super) struct Outbound {
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Payload,
    /// Whether the method may be repeated, or the service's policy says so.
    pub(super) repeats: bool,
}

/// Which attempt it is that a worker gets.
pub(super) const ATTEMPT: HeaderName = HeaderName::from_static("x-quorate-attempt");

/// What becomes of its body when it has to be sent again.
pub(super) enum Payload {
    /// There is none, and the method may be repeated where the request is sent first.
    None,
    /// It is sent once.
    Once(RequestBody),
    /// It is kept, as far as it fits.
    Kept(Kept),
}

impl Outbound {
    /// Whether it may be sent again after some of it may have arrived.
    pub(super) fn replay(&self) -> Replay {
        match &self.body {
            Payload::None if self.repeats => Replay::Safe,
            Payload::Kept(kept) if kept.is_whole() && (self.repeats || planted::is(Bug::KeptIsRepeated)) => {
                Replay::Safe
            }
            Payload::None | Payload::Kept(_) | Payload::Once(_) => Replay::Unsafe,
        }
    }

    /// Whether all of it is still at hand.
    pub(super) fn is_whole(&self) -> bool {
        match &self.body {
            Payload::None => true,
            Payload::Kept(kept) => kept.is_whole(),
            Payload::Once(_) => false,
        }
    }

    /// It is not sent again.
    pub(super) fn settle(&self) {
        match &self.body {
            Payload::Kept(kept) => kept.settle(),
            Payload::None | Payload::Once(_) => {}
        }
    }

    /// The request as a worker gets it. What can't be sent again is moved into it.
    pub(super) fn request(&mut self, to: &Destination, attempt: u32) -> Result<Request<RequestBody>, Error> {
        let (mut headers, body) = match &mut self.body {
            Payload::None => (self.headers.clone(), RequestBody::Empty),
            Payload::Kept(kept) => (self.headers.clone(), RequestBody::Kept(kept.send())),
            Payload::Once(body) => (mem::take(&mut self.headers), mem::replace(body, RequestBody::Empty)),
        };
        if is_told(to, attempt) {
            headers.insert(ATTEMPT, attempt.into());
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target_of(to)?.into_owned();
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// What the worker is asked for: the path of its address, then the request's own, or what of that follows the
    /// service's name.
    pub(super) fn target_of(&self, to: &Destination) -> Result<Cow<'_, Uri>, Error> {
        let prefix = to.endpoint.address.path_prefix();
        let target = match &to.by {
            By::Route(plan) => return self.target_by(plan, prefix).map(Cow::Owned),
            By::Workspace if prefix.is_empty() => return Ok(Cow::Borrowed(&self.target)),
            By::Workspace => format!("{prefix}{}", self.target),
            By::Service { rest_at, .. } => {
                let whole = self.target.path_and_query().map_or("/", |target| target.as_str());
                let rest = whole.get(*rest_at..).unwrap_or_default();
                let slash = if rest.starts_with('/') { "" } else { "/" };
                format!("{prefix}{slash}{rest}")
            }
        };
        target.parse().map(Cow::Owned).map_err(|_| Error::BadTarget)
    }

    pub(super) fn target_by(&self, plan: &Plan, prefix: &str) -> Result<Uri, Error> {
        let target = plan.target.as_ref().unwrap_or(&self.target);
        if prefix.is_empty() {
            return Ok(target.clone());
        }
        format!("{prefix}{target}").parse().map_err(|_| Error::BadTarget)
    }

    /// The same request once more, for somebody else; `None`: not all of it is at hand.
    pub(super) fn copy(&self, plan: &Plan, to: &Seat) -> Option<Request<RequestBody>> {
        let body = match &self.body {
            Payload::None => RequestBody::Empty,
            Payload::Kept(kept) => RequestBody::Copy(kept.copy()?),
            Payload::Once(_) => return None,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target_by(plan, to.endpoint.address.path_prefix()).ok()?;
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }

    /// Hands it to a connection of its own. A body that can't be sent again is moved there.
    pub(super) fn ask(
        &mut self,
        upstream: &mut Upstream,
        to: &Destination,
        attempt: u32,
    ) -> Result<(), Error> {
        let body = match &mut self.body {
            Payload::None => RequestBody::Empty,
            Payload::Kept(kept) => RequestBody::Kept(kept.send()),
            Payload::Once(body) => mem::replace(body, RequestBody::Empty),
        };
        let target = self.target_of(to)?;
        let told = is_told(to, attempt).then(|| (ATTEMPT, HeaderValue::from(attempt)));
        let more = told.as_ref().map(|(name, value)| (name, value));
        let ask = Ask { method: &self.method, target: &target, headers: &self.headers, more };
        upstream.ask(&ask, body);
        Ok(())
    }

    /// Takes the body of an unsent request back.
    pub(super) fn restore(&mut self, unsent: RequestBody) {
        match &mut self.body {
            Payload::Once(body) => *body = unsent,
            Payload::None | Payload::Kept(_) => {}
        }
    }

    pub(super) fn log(&self, endpoint: &Endpoint, (outcome, attempts): (Outcome, u32), error: &Error) {
        WorkerFailed {
            outcome,
            method: self.method.as_str(),
            path: self.target.path(),
            worker: endpoint.address.as_str(),
            attempts,
            error,
        }
        .emit();
    }
}

/// Whether a method may be repeated, by nature or by what the destination's policy says.
pub(super) fn repeats(to: &Destination, method: &Method) -> bool {
    let repeats = match &to.care {
        Some(care) => care.again.policy.repeats(method),
        None => retry::is_idempotent(method),
    };
    repeats || planted::is(Bug::RetryPosts)
}

/// Makes of a client's headers what a destination gets.
pub(super) fn dress(
    headers: &mut HeaderMap,
    to: &Destination,
    (facts, key, core): (ToWorker<'_>, Option<&RouteKey>, &Core),
) {
    let plan = match &to.by {
        By::Route(plan) => Some(plan),
        By::Workspace | By::Service { .. } => None,
    };
    to_worker(headers, facts, plan.and_then(|plan| plan.request_edits()));
    if let Some(plan) = plan {
        plan.put_host(headers);
    }
    if let Some(key) = key {
        key.propagate(headers, core);
    }
}

/// Whether a worker is told which attempt it gets.
fn is_told(to: &Destination, attempt: u32) -> bool {
    attempt > 1 || to.care.as_ref().is_some_and(|care| care.again.counts_attempts)
}
