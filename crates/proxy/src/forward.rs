//! Attempts: a pooled connection, a fresh one, the partition's new owner.
//!
//! What next is `quorate_routing::retry`'s to say; here it is done.

use crate::{
    admit::Admitted,
    answer::{self, Own},
    client::{Client, Upload},
    decide::Verdict,
    dial,
    headers::{Stamp, ToWorker, to_worker},
    http1::{AnswerBody, Broken, RequestBody, Upstream},
    pool::Endpoint,
    upgrade::{self, Wanted},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use quorate_routing::{
    RequestHead,
    retry::{self, Connection, Failure, Lookup, Next, Replay},
};
use quorate_telemetry::{
    events::WorkerFailed,
    label::{Outcome, UpstreamUse},
};
use std::{mem, sync::Arc, time::Duration};

/// A request on its way.
pub(crate) struct Forwarding<'a> {
    client: &'a Arc<Client>,
    outbound: Outbound,
    upgrade: Option<Wanted>,
    endpoint: Arc<Endpoint>,
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
    body: RequestBody,
    replay: Replay,
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
        (endpoint, index): (Arc<Endpoint>, HeaderValue),
    ) -> Self {
        let upgrade = upgrade::wanted(&mut request);
        let (mut head, body) = request.into_parts();
        let host = admitted.host.unwrap_or_else(|| host_of(&endpoint));
        let protocol = upgrade.as_ref().map(|wanted| wanted.protocol.clone());
        to_worker(&mut head.headers, ToWorker { client: &client.address, host, upgrade: protocol });
        let replay = if retry::is_idempotent(&head.method) && body.is_end_stream() {
            Replay::Safe
        } else {
            Replay::Unsafe
        };
        let body = RequestBody::new(body, client);
        let outbound =
            Outbound { method: head.method, target: head.uri, headers: head.headers, body, replay };
        Self { client, outbound, upgrade, endpoint, index, lookup: Lookup::Once, attempts: 0 }
    }

    /// Tries until there is an answer, or nothing left to try.
    pub async fn run(mut self) -> Forwarded {
        self.client.waiting();
        let mut source = Source::Any;
        loop {
            self.attempts += 1;
            let failed = match self.attempt(source).await {
                Ok((response, upstream)) => return self.arrived(response, upstream),
                Err(failed) => failed,
            };
            source = match retry::next(failed.failure, failed.connection, self.outbound.replay, self.lookup) {
                Next::Reconnect => Source::Dial,
                Next::LookAgain if self.look_again() => Source::Any,
                Next::LookAgain | Next::GiveUp => return self.gave_up(&failed),
            };
            self.client.core.counters.retried();
        }
    }

    async fn attempt(&mut self, source: Source) -> Result<(Response<Incoming>, Upstream), Failed> {
        let (mut upstream, connection) = self.connect(source).await?;
        let failed = |failure, error| Failed { failure, connection, error };
        let authority = || self.endpoint.authority.clone();
        let request = self
            .outbound
            .request(self.endpoint.address.path_prefix())
            .map_err(|error| failed(Failure::TimedOut, error))?;
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
            && let Some(upstream) = self.endpoint.take()
        {
            counters.upstream(UpstreamUse::Reused);
            return Ok((upstream, Connection::Pooled));
        }
        // Boxed: it is rare, and its state would be part of each connection's.
        let dialled = self.client.watch.bound(Box::pin(self.client.core.dialer.dial(&self.endpoint))).await;
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

    /// Asks the newest View who owns the partition now. `false`: the worker that failed, or nobody.
    fn look_again(&mut self) -> bool {
        self.lookup = Lookup::Again;
        let head = RequestHead {
            method: &self.outbound.method,
            path: self.outbound.target.path(),
            headers: &self.outbound.headers,
            entropy: 0,
        };
        let decided = self.client.core.desk.decide(head, self.client.core.deadlines.now());
        match decided.verdict {
            Verdict::Forward(endpoint) if endpoint.address != self.endpoint.address => {
                self.endpoint = endpoint;
                self.index = decided.index;
                true
            }
            Verdict::Forward(_) | Verdict::Answer(_) => false,
        }
    }

    fn arrived(self, response: Response<Incoming>, upstream: Upstream) -> Forwarded {
        let client = self.client;
        let answer = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            upgrade::switch(response, upstream, self.upgrade, client).map_err(|reason| {
                let authority = self.endpoint.authority.clone();
                self.outbound.log(
                    &self.endpoint,
                    (Outcome::Internal, self.attempts),
                    &Error::Switched { authority, reason },
                );
                answer::failed_to_route()
            })
        } else {
            let mut answer =
                response.map(|body| AnswerBody::from_worker(body, upstream, &self.endpoint, client));
            Stamp::strip(answer.headers_mut());
            *answer.version_mut() = http::Version::HTTP_11;
            Ok(answer)
        };
        Forwarded { answer, index: self.index }
    }

    fn gave_up(self, failed: &Failed) -> Forwarded {
        let own = if self.client.upload_is(Upload::Failed) {
            answer::bad_request("The request's body broke off")
        } else {
            let own = match (&failed.error, failed.failure) {
                (Error::Dial(dial::Error::BadName { .. }) | Error::BadTarget, _) => {
                    answer::invalid_worker_url()
                }
                (error, Failure::TimedOut) => {
                    answer::worker_unavailable(Outcome::Timeout, &error.to_string())
                }
                (error, _) => answer::worker_unavailable(Outcome::WorkerUnavailable, &error.to_string()),
            };
            self.outbound.log(&self.endpoint, (own.outcome, self.attempts), &failed.error);
            own
        };
        Forwarded { answer: Err(own), index: self.index }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            authority: self.endpoint.authority.clone(),
            after: self.client.core.config.request_timeout,
        }
    }
}

impl Outbound {
    /// The request as a worker gets it. What can't be replayed is moved into it.
    fn request(&mut self, path_prefix: &str) -> Result<Request<RequestBody>, Error> {
        let (headers, body) = match self.replay {
            Replay::Safe => (self.headers.clone(), RequestBody::Empty),
            Replay::Unsafe => {
                (mem::take(&mut self.headers), mem::replace(&mut self.body, RequestBody::Empty))
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = if path_prefix.is_empty() {
            self.target.clone()
        } else {
            format!("{path_prefix}{}", self.target).parse().map_err(|_| Error::BadTarget)?
        };
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Takes an unsent request apart again.
    fn restore(&mut self, request: Request<RequestBody>) {
        let (head, body) = request.into_parts();
        self.headers = head.headers;
        self.body = body;
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
