//! Attempts: a pooled connection, a fresh one, the partition's new owner, the service's next worker.
//!
//! What next is `quorate_routing::retry`'s to say; here it is done.

mod again;
mod counted;
mod error;
mod held;
mod instead;
mod outbound;
mod room;
mod shared;

use crate::{
    admit::Admitted,
    answer::{self, Own},
    client::{Client, Upload},
    decide::{By, Destination},
    destination::Outstanding,
    headers::{Stamp, ToWorker},
    http1::{AnswerBody, Broken, Kept, RequestBody, Upstream},
    http2::upstream::{Answer, Pipe, Place},
    key_trace::AnsweredAt,
    mirror,
    pool::Endpoint,
    routes::Finish,
    upgrade::{self, Wanted},
};
use again::Then;
use error::{Error, Failed, destination_failed, sandbox_failed, worker_failed};
use held::Held;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use instead::Spare;
use outbound::{Outbound, Payload, dress, repeats};
use quorate_routing::retry::{self, Connection, Failure, Lookup};
use quorate_telemetry::label::{Mirrored, Outcome, UpstreamUse};
use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

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
    /// What it takes to send it where it would go without its key, if that may come.
    spare: Option<Box<Spare>>,
    /// It waits for others to make room at the worker, or its time was over while it did.
    in_line: AtomicBool,
    /// The last answer that was worth another attempt, for as long as there is none. Nobody else ever has the lock: it
    /// is here for waits that only borrow the rest.
    held: Mutex<Option<Box<Held>>>,
    /// Of the worker's shared connections, this one and those before it are not asked again.
    past: u64,
}

/// How it ended.
pub(crate) struct Forwarded {
    pub answer: Result<Response<AnswerBody>, Own>,
    /// The log index of the View that decided in the end.
    pub index: HeaderValue,
    /// How the answer is finished.
    pub finish: Finish,
}

/// Where an attempt may take its connection from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Any,
    Dial,
}

/// What an attempt is made on.
enum Line {
    /// A connection of its own.
    Own(Upstream),
    /// A place on a shared one.
    Shared(Place),
    /// The same, for a tunnel.
    Tunnel(Place),
}

/// The head of an answer, and what its body comes on.
enum Arrived {
    Own(Response<()>, Upstream),
    Shared(Response<Answer>),
    /// It is a tunnel's.
    Tunnel(Response<Pipe>),
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
        let key = head.extensions.remove();
        let spare = Spare::of((&head.headers, &host, admitted.hops), &to, key.as_ref());
        let facts = ToWorker {
            client: (&client.address, client.scheme),
            host,
            hops: admitted.hops,
            upgrade: protocol,
        };
        dress(&mut head.headers, &to, (facts, key.as_ref(), &client.core));
        let is_copied = upgrade.is_none() && matches!(&to.by, By::Route(plan) if plan.copy.is_some());
        let repeats = repeats(&to, &head.method);
        let body = match (repeats, &to.by) {
            (true, _) if body.is_end_stream() => Payload::None,
            // What is kept may still not be sent again to whom it was meant for: `replay` says.
            _ if is_copied => Payload::Kept(Kept::new(body, client)),
            // Kept also for what may not be repeated: a worker can say that it has not looked at it.
            _ if to.endpoint.links().is_some() => Payload::Kept(Kept::new(body, client)),
            (true, By::Service { .. } | By::Route(_)) => Payload::Kept(Kept::new(body, client)),
            (true, By::Workspace) | (false, _) => Payload::Once(RequestBody::new(body, client)),
        };
        let outbound =
            Outbound { method: head.method, target: head.uri, headers: head.headers, body, repeats };
        let may_look = to.care.as_ref().is_none_or(|care| care.again.policy.max > 0);
        let lookup = if may_look { Lookup::Once } else { Lookup::Again };
        Self {
            client,
            outbound,
            upgrade,
            to,
            tried: Vec::new(),
            index,
            lookup,
            attempts: 0,
            spare,
            in_line: AtomicBool::new(false),
            held: Mutex::default(),
            past: 0,
        }
    }

    /// Tries until there is an answer, or nothing left to try.
    pub async fn run(mut self) -> Forwarded {
        self.begin();
        let mut source = Source::Any;
        loop {
            self.attempts += 1;
            source = match self.attempt_in_time(source).await {
                Ok(arrived) => match self.judge(arrived).await {
                    Some(arrived) if arrived.is_5xx() && self.goes_instead(Failure::BadAnswer, false) => {
                        Source::Any
                    }
                    Some(arrived) => return self.arrived(arrived),
                    None => Source::Any,
                },
                // Sent again, what there is of it would end like a whole one.
                Err(failed) if self.client.upload_is(Upload::Failed) => return self.gave_up(&failed),
                // Boxed: it is rare, and its state would be part of each connection's.
                Err(failed) => match Box::pin(self.after(&failed)).await {
                    Then::Reconnect => Source::Dial,
                    Then::GoOn(_) => Source::Any,
                    Then::GiveUp if self.goes_instead_of(&failed) => Source::Any,
                    Then::GiveUp => return self.gave_up(&failed),
                },
            };
            self.client.core.counters.retried();
        }
    }

    async fn attempt(&mut self, source: Source) -> Result<Arrived, Failed> {
        self.client.core.desk.follow_tunnel(&self.to.endpoint);
        let (line, connection) = self.line(source).await?;
        if let Some(care) = &mut self.to.care {
            care.sent();
        }
        let failed = |failure, error| Failed { failure, connection, error };
        let mut upstream = match line {
            Line::Own(upstream) => upstream,
            // Boxed: its state would be part of each connection's.
            Line::Shared(place) => return Box::pin(self.share(place, connection)).await,
            Line::Tunnel(place) => return Box::pin(self.open_tunnel(place, connection)).await,
        };
        let asked = self.outbound.ask(&mut upstream, &self.to, self.attempts);
        asked.map_err(|error| failed(Failure::TimedOut, error))?;
        let authority = || self.to.endpoint.authority.clone();
        match upstream.answer(&self.client.watch).await {
            Ok(response) => Ok(Arrived::Own(response, upstream)),
            Err(Broken::Unsent(body)) => {
                self.outbound.restore(body);
                Err(failed(Failure::Unsent, Error::Closed { authority: authority() }))
            }
            Err(Broken::Died(source)) => {
                let error = if self.is_without_tunnel() {
                    Error::NoTunnel { authority: authority(), source }
                } else {
                    Error::Died { authority: authority(), source }
                };
                Err(failed(Failure::Died, error))
            }
            Err(Broken::TimedOut) => Err(failed(Failure::TimedOut, self.timed_out())),
        }
    }

    async fn connect(&self, source: Source) -> Result<(Upstream, Connection), Failed> {
        let counters = &self.client.core.counters;
        let pooled = match source {
            // Those who wait come first.
            _ if self.is_bounded() => Box::pin(self.room()).await?,
            Source::Any => self.to.endpoint.take(),
            Source::Dial => None,
        };
        // Of an unused one that has died another attempt is made on a new one: what room there is, is its.
        if let Some(upstream) = pooled.filter(|_| source == Source::Any) {
            counters.upstream(UpstreamUse::Reused);
            return Ok((upstream, Connection::Pooled));
        }
        let max = self.connections_max();
        // Boxed: it is rare, and its state would be part of each connection's.
        let dialled =
            self.client.watch.bound(Box::pin(self.client.core.dialer.dial(&self.to.endpoint, max))).await;
        let (failure, error) = match dialled {
            Some(Ok(upstream)) => {
                counters.upstream(UpstreamUse::Opened);
                return Ok((upstream, Connection::Fresh));
            }
            Some(Err(error)) => (Failure::Refused, error.into()),
            None => (Failure::TimedOut, self.timed_out()),
        };
        counters.upstream(UpstreamUse::Failed);
        if let Some(links) = self.to.endpoint.links() {
            links.forget();
        }
        Err(Failed { failure, connection: Connection::Fresh, error })
    }

    fn arrived(self, arrived: Arrived) -> Forwarded {
        let client = self.client;
        self.copy();
        self.outbound.settle();
        let (finish, counted) = (self.to.by.finish(), self.counted_call(&arrived));
        let is_sandbox = matches!(&self.to.by, By::Route(plan) if plan.known.is_sandbox());
        let Self { to, upgrade, .. } = self;
        let (switched, endpoint) = match arrived {
            Arrived::Own(response, upstream)
                if upgrade::is_answered_by(upgrade.as_ref(), response.status()) =>
            {
                (upgrade::switch(response, (upstream, to.ticket), upgrade, client), to.endpoint)
            }
            Arrived::Tunnel(response) => (upgrade::open(response, to.ticket, upgrade, client), to.endpoint),
            arrived => {
                let mut answer = arrived.passed_on(to, client);
                if let Some(call) = counted {
                    answer.body_mut().count(call);
                }
                return Forwarded { answer: Ok(answer), index: self.index, finish };
            }
        };
        let answer = switched.map_err(|reason| {
            let error = Error::Switched { authority: endpoint.authority.clone(), reason };
            self.outbound.log(&endpoint, (Outcome::Internal, self.attempts), &error);
            if is_sandbox { answer::sandbox::failed(Outcome::Internal) } else { answer::failed_to_route() }
        });
        let answer = answer.map(|mut answer| {
            finish.edit(answer.headers_mut());
            answer
        });
        Forwarded { answer, index: self.index, finish }
    }

    /// Sends the copy that the route wants somebody to have.
    fn copy(&self) {
        let By::Route(plan) = &self.to.by else { return };
        let Some(to) = &plan.copy else { return };
        match self.outbound.copy(plan, to).filter(|_| self.upgrade.is_none()) {
            Some(request) => mirror::send(&self.client.core, to, request),
            None => self.client.core.counters.mirrored(Mirrored::NotKept),
        }
    }

    fn gave_up(mut self, failed: &Failed) -> Forwarded {
        self.copy();
        let mut last = None;
        let own = if self.client.upload_is(Upload::Failed) {
            answer::bad_request("The request's body broke off")
        } else {
            last = self.held.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            let own = match &self.to.by {
                By::Workspace => worker_failed(failed),
                By::Route(plan) if plan.known.is_sandbox() => sandbox_failed(failed),
                By::Route(_) => destination_failed(failed),
                By::Service { .. } => self.service_failed(failed),
            };
            if failed.error.is_crowd() {
                // The worker has not failed: it has as much as it may have, and the outcome is counted.
                self.to.endpoint.refused(&failed.error, self.client.core.deadlines.now());
            } else {
                self.outbound.log(&self.to.endpoint, (own.outcome, self.attempts), &failed.error);
            }
            own
        };
        match last {
            Some(held) => held.into(),
            None => Forwarded { answer: Err(own), index: self.index, finish: self.to.by.finish() },
        }
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
            // The worker is well: it will have room again.
            left if failed.error.is_crowd() => {
                let others = left.map_or(0, |left| left.count);
                answer::service::try_again(Outcome::Overloaded, 1, others + 1)
            }
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
        let ours = self.to.by.timeout().unwrap_or(self.client.core.config.request_timeout);
        let own = self.client.given().filter(|_| self.client.is_too_late());
        let after = own.map_or(ours, |own| own.min(ours));
        Error::TimedOut { authority: self.to.endpoint.authority.clone(), after }
    }
}

impl Arrived {
    /// As it is passed on, still without what every answer carries.
    fn passed_on(self, from: Destination, client: &Arc<Client>) -> Response<AnswerBody> {
        let Destination { endpoint, ticket, by, .. } = from;
        let at = (&endpoint, ticket);
        let mut answer = match self {
            Self::Own(response, upstream) => response.map(|()| AnswerBody::from_worker(upstream, at, client)),
            Self::Shared(response) => response.map(|body| AnswerBody::from_shared(body, at, client)),
            // Only where nobody has asked for it, and then it is closed by letting go of it.
            Self::Tunnel(response) => response.map(|_| AnswerBody::own(bytes::Bytes::new(), client)),
        };
        Stamp::strip(answer.headers_mut());
        *answer.version_mut() = http::Version::HTTP_11;
        if client.core.tracer.is_on() {
            answer.extensions_mut().insert(AnsweredAt(endpoint.clone()));
        }
        by.finish().edit(answer.headers_mut());
        answer
    }
}

/// Of a worker whose record is gone: as if it had had the usual lease.
const RETRY_TTL: Duration = Duration::from_secs(30);

/// For clients that name no host.
fn host_of(endpoint: &Endpoint) -> HeaderValue {
    let host = endpoint.address.tunnel().unwrap_or(&endpoint.authority);
    HeaderValue::from_str(host).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
