//! A request that has failed in a sandbox, and goes where it would go without its key.
//!
//! It is decided anew, as it came: what the rule made of its headers, its path and its host is the rule's. It has its
//! whole time there, as it would have had; and it goes there once, when all that the sandbox's own retries could do is
//! done.

use super::{
    Arrived, Failed, Forwarding, Outbound,
    outbound::{dress, repeats},
};
use crate::{
    deadline::ticks,
    decide::{By, Destination, Patience, Terms, Verdict},
    headers::ToWorker,
    keys::RouteKey,
};
use http::{HeaderMap, HeaderValue};
use quorate_routing::{
    RequestHead,
    retry::{Failure, Lookup, Replay},
};
use quorate_telemetry::{events::FailedOver, label::KeyUse};
use std::sync::PoisonError;

/// A request's head as it came, where a rule may want it sent elsewhere.
pub(super) struct Spare {
    headers: HeaderMap,
    host: HeaderValue,
    hops: u8,
    key: Option<RouteKey>,
    /// Only if nobody is at the end of the tunnel that it was sent by.
    if_missing: bool,
}

/// Why it goes elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox failed the request")]
struct SandboxFailed;

impl Spare {
    pub fn of(
        (headers, host, hops): (&HeaderMap, &HeaderValue, u8),
        to: &Destination,
        key: Option<&RouteKey>,
    ) -> Option<Box<Self>> {
        let By::Route(plan) = &to.by else { return None };
        let on_5xx = plan.known.falls_back_on_5xx();
        // A tunnel can be gone before the View knows: whoever holds it has died a moment ago.
        let where_missing = plan.known.falls_back_where_missing() && to.endpoint.address.tunnel().is_some();
        (on_5xx || where_missing).then(|| {
            let (headers, host, key) = (headers.clone(), host.clone(), key.cloned());
            Box::new(Self { headers, host, hops, key, if_missing: !on_5xx })
        })
    }
}

impl Forwarding<'_> {
    /// Whether it goes elsewhere after a failure.
    pub(super) fn goes_instead_of(&mut self, failed: &Failed) -> bool {
        // A tunnel that has too much to do is there: who is behind it is meant, and nobody else.
        let is_missing = failed.failure == Failure::Refused && failed.error.is_of_tunnel();
        self.goes_instead(failed.failure, is_missing)
    }

    /// Whether it goes elsewhere: somebody else is there for it, and it may be sent to him.
    pub(super) fn goes_instead(&mut self, failure: Failure, is_missing: bool) -> bool {
        let Some(spare) = self.spare.take() else { return false };
        let may_go = match failure {
            _ if spare.if_missing => is_missing,
            // It was not sent, whatever it would have done.
            Failure::Refused | Failure::Unsent => true,
            Failure::Died | Failure::BadAnswer | Failure::TryTimedOut => {
                self.outbound.replay() == Replay::Safe && !self.is_still_sent(failure)
            }
            Failure::TimedOut => false,
        };
        may_go && self.redirect(*spare)
    }

    fn redirect(&mut self, spare: Spare) -> bool {
        let core = &self.client.core;
        let Outbound { method, target, .. } = &self.outbound;
        let head = RequestHead {
            query: target.query().unwrap_or_default(),
            host: spare.host.to_str().unwrap_or_default(),
            source: self.client.address.to_str().unwrap_or_default(),
            scheme: self.client.scheme,
            ..RequestHead::of(method, target.path(), &spare.headers)
        };
        let terms = Terms { tried: &[], patience: Patience::Over };
        let decided = core.desk.decide(head, core.deadlines.now(), terms);
        let Verdict::Forward(to) = decided.verdict else { return false };
        FailedOver { worker: self.to.endpoint.address.as_str(), error: &SandboxFailed }.emit(&core.counters);
        core.counters.key(KeyUse::FailedOver);
        let mut headers = spare.headers;
        let facts = ToWorker {
            client: (&self.client.address, self.client.scheme),
            host: spare.host,
            hops: spare.hops,
            upgrade: self.upgrade.as_ref().map(|wanted| wanted.protocol.clone()),
        };
        dress(&mut headers, &to, (facts, spare.key.as_ref(), core));
        self.outbound.headers = headers;
        self.outbound.repeats = repeats(&to, &self.outbound.method);
        // What the sandbox said is over with it.
        *self.held.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let may_look = to.care.as_ref().is_none_or(|care| care.again.policy.max > 0);
        self.lookup = if may_look { Lookup::Once } else { Lookup::Again };
        self.tried.clear();
        self.to = to;
        self.past = 0;
        self.index = decided.index;
        self.begin();
        true
    }

    /// The time of whoever is asked now.
    pub(super) fn begin(&self) {
        let spans = &self.client.core.spans;
        self.client.idle_for(self.to.by.idle());
        self.client.waiting_for(self.to.by.timeout().map_or(spans.request, ticks));
    }
}

impl Arrived {
    pub(super) fn is_5xx(&self) -> bool {
        self.status().is_server_error()
    }
}
