//! Attempts: a pooled connection, a fresh one, the partition's new owner, the service's next worker.
//!
//! What next is `quorate_routing::retry`'s to say; here it is done.

use crate::{
    admit::Admitted,
    answer::{self, Own},
    client::{Client, Upload},
    deadline::ticks,
    decide::{By, Destination, Patience, Terms, Verdict},
    destination::Outstanding,
    dial,
    headers::{Stamp, ToWorker, to_worker},
    http1::{AnswerBody, Broken, Kept, RequestBody, Upstream},
    pool::Endpoint,
    upgrade::{self, Wanted},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use quorate_routing::{
    RequestHead,
    budget::Budget,
    retry::{self, Case, Connection, ENDPOINTS_MAX, Failure, Lookup, Next, Replay},
};
use quorate_rt::planted::{self, Bug};
use quorate_telemetry::{
    events::{FailedOver, WorkerFailed},
    label::{Outcome, UpstreamUse},
};
use std::{mem, sync::Arc, time::Duration};

/// A request on its way.
pub(crate) struct Forwarding<'a> {
    client: &'a Arc<Client>,
    outbound: Outbound,
    upgrade: Option<Wanted>,
    to: Destination,
    /// Workers of the service that have failed it.
    tried: Vec<Arc<Outstanding>>,
    index: HeaderValue,
    lookup: Lookup,
    attempts: u32,
}

/// How it ended.
pub(crate) struct Forwarded {
    pub answer: Result<Response<AnswerBody>, Own>,
    /// The log index of the View that decided in the end.
    pub index: HeaderValue,
}

/// What a worker is sent: at hand, as long as it may have to be sent again.
struct Outbound {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body: Payload,
}

/// What becomes of its body when it has to be sent again.
enum Payload {
    /// There is none, and the method may be repeated.
    None,
    /// It is sent once.
    Once(RequestBody),
    /// It is kept, as far as it fits.
    Kept(Kept),
}

/// Where an attempt may take its connection from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Any,
    Dial,
}

struct Failed {
    failure: Failure,
    connection: Connection,
    error: Error,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error("{authority}: the connection was closed")]
    Closed { authority: String },
    #[error("{authority}: {}", chain(source))]
    Died { authority: String, source: hyper::Error },
    #[error("{authority}: no answer within {after:?}")]
    TimedOut { authority: String, after: Duration },
    #[error("{authority}: {reason}")]
    Switched { authority: String, reason: upgrade::Refused },
    #[error("the address's path makes no request target")]
    BadTarget,
}

impl<'a> Forwarding<'a> {
    pub fn new(
        client: &'a Arc<Client>,
        mut request: Request<Incoming>,
        admitted: Admitted,
        (to, index): (Destination, HeaderValue),
    ) -> Self {
        let upgrade = upgrade::wanted(&mut request);
        let (mut head, body) = request.into_parts();
        let host = admitted.host.unwrap_or_else(|| host_of(&to.endpoint));
        let protocol = upgrade.as_ref().map(|wanted| wanted.protocol.clone());
        let facts = ToWorker { client: &client.address, host, hops: admitted.hops, upgrade: protocol };
        to_worker(&mut head.headers, facts);
        let is_repeatable = retry::is_idempotent(&head.method) || planted::is(Bug::RetryPosts);
        let body = match (is_repeatable, to.by) {
            (true, _) if body.is_end_stream() => Payload::None,
            (true, By::Service { .. }) => Payload::Kept(Kept::new(body, client)),
            (true, By::Workspace) | (false, _) => Payload::Once(RequestBody::new(body, client)),
        };
        let outbound = Outbound { method: head.method, target: head.uri, headers: head.headers, body };
        Self { client, outbound, upgrade, to, tried: Vec::new(), index, lookup: Lookup::Once, attempts: 0 }
    }

    /// Tries until there is an answer, or nothing left to try.
    pub async fn run(mut self) -> Forwarded {
        let spans = &self.client.core.spans;
        self.client.waiting_for(self.to.by.timeout().map_or(spans.request, ticks));
        let mut source = Source::Any;
        loop {
            self.attempts += 1;
            let failed = match self.attempt(source).await {
                Ok((response, upstream)) => return self.arrived(response, upstream),
                Err(failed) => failed,
            };
            let case = Case {
                failure: failed.failure,
                connection: failed.connection,
                replay: self.outbound.replay(),
                lookup: self.lookup,
                budget: Budget::Left,
            };
            source = match retry::next(case) {
                Next::Reconnect => Source::Dial,
                Next::LookAgain if self.look_again(&failed.error) => Source::Any,
                Next::LookAgain | Next::GiveUp(_) => return self.gave_up(&failed),
            };
            self.client.core.counters.retried();
        }
    }

    async fn attempt(&mut self, source: Source) -> Result<(Response<Incoming>, Upstream), Failed> {
        let (mut upstream, connection) = self.connect(source).await?;
        let failed = |failure, error| Failed { failure, connection, error };
        let authority = || self.to.endpoint.authority.clone();
        let request = self.outbound.request(&self.to).map_err(|error| failed(Failure::TimedOut, error))?;
        match upstream.exchange(request, &self.client.watch).await {
            Ok(response) => Ok((response, upstream)),
            Err(Broken::Unsent(request)) => {
                self.outbound.restore(*request);
                Err(failed(Failure::Unsent, Error::Closed { authority: authority() }))
            }
            Err(Broken::Died(source)) => {
                Err(failed(Failure::Died, Error::Died { authority: authority(), source }))
            }
            Err(Broken::TimedOut) => Err(failed(Failure::TimedOut, self.timed_out())),
        }
    }

    async fn connect(&self, source: Source) -> Result<(Upstream, Connection), Failed> {
        let counters = &self.client.core.counters;
        if source == Source::Any
            && let Some(upstream) = self.to.endpoint.take()
        {
            counters.upstream(UpstreamUse::Reused);
            return Ok((upstream, Connection::Pooled));
        }
        // Boxed: it is rare, and its state would be part of each connection's.
        let dialled =
            self.client.watch.bound(Box::pin(self.client.core.dialer.dial(&self.to.endpoint))).await;
        let (failure, error) = match dialled {
            Some(Ok(upstream)) => {
                counters.upstream(UpstreamUse::Opened);
                return Ok((upstream, Connection::Fresh));
            }
            Some(Err(error)) => (Failure::Refused, error.into()),
            None => (Failure::TimedOut, self.timed_out()),
        };
        counters.upstream(UpstreamUse::Failed);
        Err(Failed { failure, connection: Connection::Fresh, error })
    }

    /// Asks the newest View who owns the partition now, or who of the service's workers comes next. `false`: the
    /// worker that failed, or nobody.
    fn look_again(&mut self, error: &Error) -> bool {
        if planted::is(Bug::NoFailover) && self.to.by != By::Workspace {
            return false;
        }
        let core = &self.client.core;
        self.tried.push(self.to.ticket.of().clone());
        self.lookup = match self.to.by {
            By::Service { .. } if self.tried.len() + 1 < ENDPOINTS_MAX => Lookup::Once,
            By::Service { .. } | By::Workspace => Lookup::Again,
        };
        let head = RequestHead {
            method: &self.outbound.method,
            path: self.outbound.target.path(),
            headers: &self.outbound.headers,
            entropy: 0,
        };
        let terms = Terms { tried: &self.tried, patience: Patience::Over };
        let decided = core.desk.decide(head, core.deadlines.now(), terms);
        let next = match decided.verdict {
            Verdict::Forward(to) => to,
            Verdict::Answer(_) | Verdict::Hold(_) => return false,
        };
        match next.by {
            By::Workspace if next.endpoint.address == self.to.endpoint.address => return false,
            By::Workspace => {}
            By::Service { .. } => {
                FailedOver { worker: self.to.endpoint.address.as_str(), error }.emit(&core.counters);
            }
        }
        self.to = next;
        self.index = decided.index;
        true
    }

    fn arrived(self, response: Response<Incoming>, upstream: Upstream) -> Forwarded {
        let client = self.client;
        let Destination { endpoint, ticket, .. } = self.to;
        let answer = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            upgrade::switch(response, (upstream, ticket), self.upgrade, client).map_err(|reason| {
                let authority = endpoint.authority.clone();
                let error = Error::Switched { authority, reason };
                self.outbound.log(&endpoint, (Outcome::Internal, self.attempts), &error);
                answer::failed_to_route()
            })
        } else {
            let from_worker = |body| AnswerBody::from_worker(body, upstream, (&endpoint, ticket), client);
            let mut answer = response.map(from_worker);
            Stamp::strip(answer.headers_mut());
            *answer.version_mut() = http::Version::HTTP_11;
            Ok(answer)
        };
        Forwarded { answer, index: self.index }
    }

    fn gave_up(mut self, failed: &Failed) -> Forwarded {
        let own = if self.client.upload_is(Upload::Failed) {
            answer::bad_request("The request's body broke off")
        } else {
            let own = match self.to.by {
                By::Workspace => worker_failed(failed),
                By::Service { .. } => self.service_failed(failed),
            };
            self.outbound.log(&self.to.endpoint, (own.outcome, self.attempts), &failed.error);
            own
        };
        Forwarded { answer: Err(own), index: self.index }
    }

    /// The contract knows two answers: others exist, or none does.
    fn service_failed(&mut self, failed: &Failed) -> Own {
        let (core, path) = (&self.client.core, self.outbound.target.path());
        let this = self.to.ticket.of();
        if !self.tried.iter().any(|one| Arc::ptr_eq(one, this)) {
            self.tried.push(this.clone());
        }
        let outcome = match failed.failure {
            Failure::TimedOut | Failure::TryTimedOut => Outcome::Timeout,
            Failure::Refused | Failure::Unsent | Failure::Died | Failure::BadAnswer => {
                Outcome::WorkerUnavailable
            }
        };
        let after = core.desk.after_failure(path, &self.tried, core.deadlines.now());
        match after.left {
            Some(left) => {
                let ttl = after.ttl.map_or(RETRY_TTL, |ttl| ttl.as_duration());
                answer::service::try_again(outcome, retry::retry_after(ttl, left.others), left.count)
            }
            None => {
                let service = quorate_routing::service::find(path).and_then(Result::ok);
                let name = service.as_ref().map_or("", |service| &*service.name);
                answer::service::failed(outcome, &failed.error.to_string(), name, this.worker.as_str())
            }
        }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            authority: self.to.endpoint.authority.clone(),
            after: self.to.by.timeout().unwrap_or(self.client.core.config.request_timeout),
        }
    }
}

/// As the workspace router's contract has it.
fn worker_failed(failed: &Failed) -> Own {
    match (&failed.error, failed.failure) {
        (Error::Dial(dial::Error::BadName { .. }) | Error::BadTarget, _) => answer::invalid_worker_url(),
        (error, Failure::TimedOut) => answer::worker_unavailable(Outcome::Timeout, &error.to_string()),
        (error, _) => answer::worker_unavailable(Outcome::WorkerUnavailable, &error.to_string()),
    }
}

impl Outbound {
    /// Whether it may be sent again after some of it may have arrived.
    fn replay(&self) -> Replay {
        match &self.body {
            Payload::None => Replay::Safe,
            Payload::Kept(kept) if kept.is_whole() => Replay::Safe,
            Payload::Kept(_) | Payload::Once(_) => Replay::Unsafe,
        }
    }

    /// The request as a worker gets it. What can't be sent again is moved into it.
    fn request(&mut self, to: &Destination) -> Result<Request<RequestBody>, Error> {
        let (headers, body) = match &mut self.body {
            Payload::None => (self.headers.clone(), RequestBody::Empty),
            Payload::Kept(kept) => (self.headers.clone(), RequestBody::Kept(kept.send())),
            Payload::Once(body) => (mem::take(&mut self.headers), mem::replace(body, RequestBody::Empty)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target_of(to)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// What the worker is asked for: the path of its address, then the request's own, or what of that follows the
    /// service's name.
    fn target_of(&self, to: &Destination) -> Result<Uri, Error> {
        let prefix = to.endpoint.address.path_prefix();
        let target = match to.by {
            By::Workspace if prefix.is_empty() => return Ok(self.target.clone()),
            By::Workspace => format!("{prefix}{}", self.target),
            By::Service { rest_at, .. } => {
                let whole = self.target.path_and_query().map_or("/", |target| target.as_str());
                let rest = whole.get(rest_at..).unwrap_or_default();
                let slash = if rest.starts_with('/') { "" } else { "/" };
                format!("{prefix}{slash}{rest}")
            }
        };
        target.parse().map_err(|_| Error::BadTarget)
    }

    /// Takes an unsent request apart again.
    fn restore(&mut self, request: Request<RequestBody>) {
        let (head, unsent) = request.into_parts();
        match &mut self.body {
            Payload::Once(body) => {
                self.headers = head.headers;
                *body = unsent;
            }
            Payload::None | Payload::Kept(_) => {}
        }
    }

    fn log(&self, endpoint: &Endpoint, (outcome, attempts): (Outcome, u32), error: &Error) {
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

/// Of a worker whose record is gone: as if it had had the usual lease.
const RETRY_TTL: Duration = Duration::from_secs(30);

/// For clients that name no host.
fn host_of(endpoint: &Endpoint) -> HeaderValue {
    HeaderValue::from_str(&endpoint.authority).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// An error and its causes: hyper's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}
