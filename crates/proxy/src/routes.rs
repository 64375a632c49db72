//! What a core keeps of the routes that it has sent requests by, and what becomes of one such request.
//!
//! The View's own record is shared by all cores: were it cloned for each request, all of them would write to one
//! reference count. So each core has a record of its own of each route that it uses, made anew when the route changes.

use crate::{
    deadline::{now_ms, ticks},
    destination::{Registered, Seat},
    ramps::{RampsOfCore, Tally},
    resilience::{Again, Book, Care, Manner},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use quorate_model::{
    Route, RouteName, StoredRoute,
    policy::Protocol as Spoken,
    route::{Destination, Forwarding, HeaderEdits, PathMatch, Target},
    sandbox::Fallback,
};
use quorate_routing::route::{cors, edit::edit};
use quorate_rt::planted::{self, Bug};
use quorate_telemetry::CoreCounters;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// One core's routes.
pub(crate) struct Routes {
    known: Registered<RouteName, Arc<Known>>,
    counters: Arc<CoreCounters>,
    /// What is tried again where nobody says anything.
    usual: Arc<Again>,
    ramps: RampsOfCore,
}

/// A route, as one core has it.
pub(crate) struct Known {
    stored: Arc<StoredRoute>,
    /// It is made of a sandbox's rule, whose requests go elsewhere when this says so.
    fallback: Option<Fallback>,
    /// The host that destinations are told instead of the one that was asked for.
    host: Option<HeaderValue>,
    /// The method of gRPC that it is for, as it is counted; `None`: it names none.
    call: Option<Box<str>>,
    /// What it says of retries, if it does.
    again: Option<Arc<Again>>,
    /// What else there is for its own addresses.
    usual: Arc<Again>,
    /// What of its requests to addresses of its own may be tried again. It outlives each version of the route.
    book: Arc<Book>,
    used: AtomicU32,
    /// Where its requests are counted, while its ramp is watched.
    tally: Option<Arc<Tally>>,
}

/// One request that a route has sent on.
#[derive(Clone)]
pub(crate) struct Plan {
    pub known: Arc<Known>,
    /// Which of its destinations.
    pub nth: usize,
    /// Of a keyspace: which partition.
    pub partition: u32,
    /// What the destination is asked for; `None`: what the client asked for.
    pub target: Option<Uri>,
    /// Until the head of the answer, all attempts together, if anybody says so.
    pub timeout: Option<Duration>,
    /// Who gets a copy.
    pub copy: Option<Seat>,
    /// What its addresses are spoken to in that do not say so themselves.
    pub speaks: Option<Spoken>,
    /// The origin that is told to a browser.
    pub origin: Option<HeaderValue>,
}

/// How an answer is finished.
#[derive(Clone)]
pub(crate) enum Finish {
    /// As the contract of its path has it.
    ByPath,
    /// A route's own, which says all there is to say.
    AsItIs,
    /// As its route says.
    ByRoute(Arc<Plan>),
}

impl Routes {
    pub fn new(counters: Arc<CoreCounters>, ramps: RampsOfCore) -> Self {
        Self { known: HashMap::default(), counters, usual: Arc::default(), ramps }
    }

    /// A route, as this core has it; one that is made of a sandbox's rule, with the rule's fallback.
    pub fn known(
        &mut self,
        (stored, fallback): (&Arc<StoredRoute>, Option<Fallback>),
        now: u32,
    ) -> Arc<Known> {
        let last = self.known.get(stored.route.name());
        if let Some(known) = last
            && (Arc::ptr_eq(&known.stored, stored) || planted::is(Bug::RouteStays))
        {
            known.used.store(now, Ordering::Relaxed);
            return known.clone();
        }
        let book =
            last.map_or_else(|| Arc::new(Book::new(None, self.counters.clone())), |last| last.book.clone());
        let tally = stored.ramp.as_ref().and_then(|ramping| self.ramps.tally(ramping));
        let known =
            Arc::new(Known { fallback, tally, ..Known::new(stored, (book, self.usual.clone()), now) });
        self.known.insert(stored.route.name().clone(), known.clone());
        known
    }

    /// Forgets those that nobody was sent by for `ticks_max`.
    pub fn sweep(&mut self, now: u32, ticks_max: u32) {
        self.known.retain(|_, known| now.saturating_sub(known.used.load(Ordering::Relaxed)) < ticks_max);
    }
}

impl Known {
    fn new(stored: &Arc<StoredRoute>, (book, usual): (Arc<Book>, Arc<Again>), now: u32) -> Self {
        let forwarding = stored.route.forwarding();
        let host = forwarding.and_then(|forwarding| forwarding.rewrite.host.as_deref());
        let host = host.and_then(|host| HeaderValue::from_str(host).ok());
        let retries = forwarding.and_then(|forwarding| forwarding.retries.as_ref());
        let again = retries.map(|retries| Arc::new(Again::of(Some(retries))));
        let (call, used) = (call_of(&stored.route), AtomicU32::new(now));
        Self { stored: stored.clone(), fallback: None, host, call, again, usual, book, used, tally: None }
    }

    /// The method of gRPC that it is for, as it is counted.
    pub fn call(&self) -> Option<&str> {
        self.call.as_deref()
    }

    /// What it says.
    pub fn route(&self) -> &Route {
        &self.stored.route
    }

    /// Its destinations, with the weights that they have now.
    pub fn destinations(&self) -> &[Destination] {
        self.stored.destinations()
    }

    /// A destination answered, or did not.
    pub fn count(&self, destination: usize, failed: bool) {
        if let Some(tally) = &self.tally {
            tally.count(destination, failed);
        }
    }

    /// Where its requests are counted, while its ramp is watched.
    pub fn tally(&self) -> Option<&Arc<Tally>> {
        self.tally.as_ref()
    }

    /// Whether it is made of a sandbox's rule.
    pub fn is_sandbox(&self) -> bool {
        self.fallback.is_some()
    }

    /// Whether a request that fails at its target goes where it would go without its key.
    pub fn falls_back_on_5xx(&self) -> bool {
        self.fallback.is_some_and(|fallback| fallback.on_5xx)
    }

    /// Whether a request whose target is not there goes where it would go without its key.
    pub fn falls_back_where_missing(&self) -> bool {
        self.fallback.is_some_and(|fallback| fallback.missing)
    }

    /// What it says of retries, if it does.
    pub fn again(&self) -> Option<&Arc<Again>> {
        self.again.as_ref()
    }

    /// How its requests want the workers of a service chosen.
    pub fn manner(&self) -> Manner<'_> {
        Manner::of(self.forwarding())
    }

    /// Of a request to one of its own addresses, at `tick`: a first attempt.
    pub fn request(&self, tick: u32) -> Care {
        self.book.request(now_ms(tick));
        self.attempt()
    }

    /// Of another attempt.
    pub fn attempt(&self) -> Care {
        Care::of_route(self.again.as_ref().unwrap_or(&self.usual), &self.book)
    }

    /// How its requests are sent on; `None`: it redirects.
    pub fn forwarding(&self) -> Option<&Forwarding> {
        self.stored.route.forwarding().map(|forwarding| &**forwarding)
    }
}

fn call_of(route: &Route) -> Option<Box<str>> {
    match &route.matches.path {
        PathMatch::Grpc { service, method: Some(method) } => Some(format!("/{service}/{method}").into()),
        PathMatch::Grpc { service, method: None } => Some(format!("/{service}/*").into()),
        PathMatch::Any | PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::Regex(_) => None,
    }
}

impl Plan {
    /// Who the destination is, by its document.
    pub fn destination(&self) -> Option<&Target> {
        self.known.destinations().get(self.nth).map(|destination| &destination.target)
    }

    /// How the destination's workers are chosen, if it is a service.
    pub fn manner(&self) -> Manner<'_> {
        match self.destination() {
            Some(Target::Version { version, .. }) => self.known.manner().of_version(version),
            Some(Target::Service(_) | Target::Url { .. } | Target::Keyspace(_)) | None => self.known.manner(),
        }
    }

    /// How long nothing may pass of the bodies, in ticks.
    pub fn idle(&self) -> Option<u32> {
        let ms = self.known.forwarding()?.timeouts.idle_ms?;
        Some(ticks(Duration::from_millis(ms.into())))
    }

    /// How long one attempt may take.
    pub fn per_try(&self) -> Option<Duration> {
        let ms = self.known.forwarding()?.timeouts.per_try_ms?;
        Some(Duration::from_millis(ms.into()))
    }

    /// How a request's headers are changed, if they are.
    pub fn request_edits(&self) -> Option<&HeaderEdits> {
        Some(&self.known.forwarding()?.request_headers).filter(|edits| !edits.is_empty())
    }

    /// Puts the host in that the destination is to see.
    pub fn put_host(&self, headers: &mut HeaderMap) {
        if let Some(host) = &self.known.host {
            headers.insert(header::HOST, host.clone());
        }
    }

    fn edit_answer(&self, headers: &mut HeaderMap) {
        if let Some(forwarding) = self.known.forwarding() {
            edit(&forwarding.response_headers, headers);
        }
    }

    /// Tells a browser what it may do with an answer, our own ones included: a page must be able to read why.
    fn allow(&self, headers: &mut HeaderMap) {
        if let Some(cors) = self.known.forwarding().and_then(|forwarding| forwarding.cors.as_ref()) {
            cors::answer(cors, self.origin.as_ref(), headers);
        }
    }
}

impl Finish {
    /// The method of gRPC that its route names, as it is counted.
    pub fn call(&self) -> Option<&str> {
        match self {
            Self::ByPath | Self::AsItIs => None,
            Self::ByRoute(plan) => plan.known.call(),
        }
    }

    /// Changes the headers of a destination's answer, before ours are put in.
    pub fn edit(&self, headers: &mut HeaderMap) {
        match self {
            Self::ByPath | Self::AsItIs => {}
            Self::ByRoute(plan) => plan.edit_answer(headers),
        }
    }

    /// What is left to do when all else is in an answer.
    pub fn finish(&self, headers: &mut HeaderMap) {
        match self {
            Self::ByPath | Self::AsItIs => {}
            Self::ByRoute(plan) => plan.allow(headers),
        }
    }
}
