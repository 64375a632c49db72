//! A core's place of decision: its picture of the View, and the workers that it points to.
//!
//! The View is read under the desk's lock and never leaves it: a request takes away what it needs, an endpoint and a
//! ticket that only this core counts references of. Cloning the View, or a worker's record in it, would have all
//! cores write to one reference count for each request.

mod destination;
mod route;
mod sandbox;

pub(crate) use destination::{By, Destination};

use crate::{
    answer::{self, Own},
    client::Client,
    deadline::ticks,
    destination::{Outstanding, Workers},
    hold::{Awaited, Held},
    keys::RouteKey,
    pool::{Endpoint, PoolBounds},
    ramps::RampsOfCore,
    resilience::{Breakers, Here, Manner},
    routes::{Finish, Routes},
    services::{Choice, Entrant, Left, Services, Wish},
    timeline::Timeline,
};
use http::{HeaderValue, Request, header};
use quorate_model::{LogIndex, Observation, ServiceName, Ttl, WorkerId};
use quorate_routing::{
    Decision, RequestHead,
    local::{Local, Sight},
    pick::{Ask, next_random, wanted_model},
    service::ServicePath,
    vacancy::{self, Vacancy},
};
use quorate_rt::published::{Published, Reader};
use quorate_state::{Loads, ServiceView, View};
use quorate_telemetry::{
    CoreCounters, ServiceCounters,
    label::{KeyUse, PathTemplate},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// One core's desk.
pub(crate) struct Desk(Mutex<Papers>);

struct Papers {
    view: Reader<View>,
    local: Reader<Local>,
    /// The View's index, ready to be sent.
    index: (LogIndex, HeaderValue),
    workers: Workers,
    services: Services,
    routes: Routes,
    timeline: Timeline,
    counters: Arc<CoreCounters>,
    entropy: u64,
}

/// What was decided, and on which View.
pub(crate) struct Decided {
    pub verdict: Verdict,
    pub index: HeaderValue,
    /// Where the request is counted, if it is for a service that there is.
    pub service: Option<Arc<ServiceCounters>>,
    /// How its answer is finished.
    pub finish: Finish,
    /// What it is counted as.
    pub path: PathTemplate,
}

/// What to do with a request.
pub(crate) enum Verdict {
    /// Answer it here.
    Answer(Own),
    /// Send it there.
    Forward(Destination),
    /// Have it wait.
    Hold(Held),
}

/// Whether a request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// If somebody was there a moment ago.
    Fresh,
    /// It does already: until its own time is over.
    Waiting,
    /// No more.
    Over,
}

/// What a decision depends on besides View and head.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// Workers that have failed it.
    pub tried: &'a [Arc<Outstanding>],
    pub patience: Patience,
}

/// Decides a request that is on the core's hands.
pub(crate) fn decide<B>(client: &Client, request: &Request<B>, patience: Patience) -> Decided {
    let (core, host) = (&client.core, request.headers().get(header::HOST));
    let head = RequestHead {
        query: request.uri().query().unwrap_or(""),
        host: host.and_then(|host| host.to_str().ok()).unwrap_or(""),
        source: client.address.to_str().unwrap_or(""),
        scheme: client.scheme,
        key: RouteKey::of(request),
        // The desk draws a number.
        ..RequestHead::of(request.method(), request.uri().path(), request.headers())
    };
    let terms = Terms { tried: &[], patience };
    core.desk.decide(head, core.deadlines.now(), terms)
}

impl Desk {
    pub fn new(
        (view, local): (&Arc<Published<View>>, &Arc<Published<Local>>),
        (loads, breakers, ramps): (&Arc<Published<Loads>>, &Breakers, RampsOfCore),
        counters: &Arc<CoreCounters>,
        (bounds, here): (PoolBounds, Here),
    ) -> Self {
        let mut view = view.reader();
        let index = view.load().index();
        let mut timeline = Timeline::default();
        timeline.note(index, 0);
        Self(Mutex::new(Papers {
            view,
            local: local.reader(),
            index: (index, index.0.into()),
            workers: Workers::new(bounds),
            services: Services::new(
                (loads, breakers),
                counters.clone(),
                (here, quorate_rt::rng::random_u64()),
            ),
            routes: Routes::new(counters.clone(), ramps),
            timeline,
            counters: counters.clone(),
            entropy: quorate_rt::rng::random_u64(),
        }))
    }

    /// Decides one request on the newest View.
    pub fn decide(&self, head: RequestHead<'_>, now: u32, terms: Terms<'_>) -> Decided {
        let mut papers = self.papers();
        papers.read();
        let Papers { view, local, index, workers, services, routes, timeline, counters, entropy } =
            &mut *papers;
        let head = RequestHead { entropy: next_random(entropy), ..head };
        let sight = Sight { view: view.load(), local: Some(local.load()) };
        let path = PathTemplate::Other;
        let mut case = Case { sight, workers, services, routes, timeline, counters, path, now, terms };
        let (verdict, finish, service) = case.decide(&head);
        let path = case.path;
        Decided { verdict, index: index.1.clone(), service, finish, path }
    }

    /// Of a tunnel: connections to who held it before are not used any more.
    pub fn follow_tunnel(&self, endpoint: &Endpoint) {
        let Some(name) = endpoint.address.tunnel() else { return };
        let holder = self.papers().view.load().tunnels().get(name).cloned();
        endpoint.enter(holder.map_or(0, |holder| holder.epoch.0));
    }

    /// After a worker of a service has failed: who is left that was not tried, and how long a lease the failed one
    /// has.
    pub fn after_failure(&self, path: &str, tried: &[Arc<Outstanding>], now: u32) -> AfterFailure {
        let mut papers = self.papers();
        let Papers { view, workers, services, .. } = &mut *papers;
        let view = view.load();
        let ttl = tried.last().and_then(|one| view.worker(one.worker.as_str())).map(|w| w.registration.ttl);
        let left = match quorate_routing::service::find(path) {
            Some(Ok(path)) => view.service(&path.name),
            Some(Err(_)) | None => None,
        }
        .and_then(|service| services.choice(service, workers, (Manner::BY_PATH, now)).left(tried));
        AfterFailure { left, ttl }
    }

    /// Whether what a request waits for is still not there.
    pub fn is_vacant(&self, awaited: &Awaited) -> bool {
        let mut papers = self.papers();
        let view = papers.view.load();
        match awaited {
            Awaited::Partition(partition) => {
                view.default_keyspace().and_then(|keyspace| vacancy::of_partition(keyspace, *partition))
            }
            Awaited::Service(name) => view.service(name.as_str()).and_then(|s| vacancy::of_service(s)),
        }
        .is_some()
    }

    /// How many requests a worker has from this core. All that were decided on an older View than the node has now
    /// are in it: a decision is made, and its ticket drawn, under one lock.
    pub fn outstanding(&self, worker: &str) -> u32 {
        self.papers().workers.outstanding(worker)
    }

    /// What this core makes of `workers` of a service. They are in order.
    pub fn observe(&self, service: &ServiceName, workers: &[WorkerId], now: u32) -> Observation {
        let papers = self.papers();
        papers.services.observe(service, &papers.workers, (workers, now))
    }

    /// The index of the View that a request would be decided on now, for those that don't get that far.
    pub fn index(&self) -> HeaderValue {
        let mut papers = self.papers();
        papers.read();
        papers.index.1.clone()
    }

    /// Notes at which index the View is, and what others say of breakers.
    pub fn note(&self, now: u32) {
        let mut papers = self.papers();
        let index = papers.view.load().index();
        papers.timeline.note(index, now);
        papers.services.listen(now);
    }

    /// Closes old connections; forgets workers and services that nobody uses any more.
    pub fn sweep(&self, now: u32, ticks_max: u32) {
        let mut papers = self.papers();
        papers.services.sweep(now, ticks_max);
        papers.routes.sweep(now, ticks_max);
        papers.workers.sweep(now, ticks_max);
    }

    /// Closes all unused connections.
    pub fn clear(&self) {
        self.papers().workers.clear();
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, and the papers that it is decided by.
struct Case<'a> {
    sight: Sight<'a>,
    workers: &'a mut Workers,
    services: &'a mut Services,
    routes: &'a mut Routes,
    timeline: &'a Timeline,
    counters: &'a CoreCounters,
    /// What decides.
    path: PathTemplate,
    now: u32,
    terms: Terms<'a>,
}

impl Case<'_> {
    fn decide(&mut self, head: &RequestHead<'_>) -> route::Ruled {
        // Who was sent to by path stays with that rule: of its head not all is left that routes look at.
        let is_new = self.terms.tried.is_empty();
        let decision = if is_new { self.sight.decide(head) } else { self.sight.by_path(head) };
        if head.key.is_some() && !matches!(decision, Decision::Sandbox(_)) {
            self.count_key(KeyUse::Unmatched);
        }
        self.ruled(head, decision)
    }

    fn ruled(&mut self, head: &RequestHead<'_>, decision: Decision<'_, '_>) -> route::Ruled {
        self.path = template(&decision);
        let verdict = match decision {
            Decision::Sandbox(met) => return self.sandboxed(head, &met),
            Decision::Default(met) => return self.by_default(head, &met),
            Decision::Route(routed) => return self.routed(head, &routed),
            Decision::AmbiguousPath(why) => Verdict::Answer(route::ambiguous(why)),
            Decision::Forward(forward) => {
                let worker = forward.worker;
                let (endpoint, ticket) = self.workers.owner(worker).take(self.now);
                Verdict::Forward(Destination { endpoint, ticket, by: By::Workspace, care: None })
            }
            Decision::Preflight => Verdict::Answer(answer::preflight()),
            Decision::NoWorkspace => Verdict::Answer(answer::no_workspace(head.path)),
            Decision::PartitionCountUnknown(_) => Verdict::Answer(answer::partition_count_unknown()),
            Decision::NoWorker { workspace, partition, vacancy, .. } => match self.may_wait(vacancy) {
                Some(vacancy) => Verdict::Hold(Held { awaited: Awaited::Partition(partition), vacancy }),
                None => Verdict::Answer(answer::no_worker(workspace.id(), partition)),
            },
            Decision::ServicePreflight => Verdict::Answer(answer::service::preflight()),
            Decision::BadServicePath(bad) => Verdict::Answer(answer::service::bad_path(bad)),
            Decision::NoService(path) => Verdict::Answer(answer::service::unknown(
                &path.name,
                &self.services.available(self.sight.view),
            )),
            Decision::Service(path, service) => {
                let ask = Ask { entropy: head.entropy, model: wanted_model(head.headers) };
                let tried = self.terms.tried;
                let wish = Wish { ask, head, manner: Manner::BY_PATH, tried, now: self.now };
                let (choice, picked) = self.services.choice_for(service, self.workers, &wish);
                if self.is_first() {
                    choice.count_request(self.now);
                }
                let verdict = self.choose(head, &path, (service, &choice, picked));
                return (verdict, Finish::ByPath, Some(choice.counters.clone()));
            }
        };
        (verdict, Finish::ByPath, None)
    }

    fn choose(
        &mut self,
        head: &RequestHead<'_>,
        path: &ServicePath<'_>,
        (service, choice, picked): (&ServiceView, &Choice, Option<Entrant>),
    ) -> Verdict {
        if let Some(entrant) = picked {
            let (endpoint, ticket) = entrant.seat.take(self.now);
            let care = Some(choice.send_to(&entrant, self.now));
            let by = By::service(head, path, service);
            return Verdict::Forward(Destination { endpoint, ticket, by, care });
        }
        match self.may_wait(vacancy::of_service(service)) {
            Some(vacancy) => {
                Verdict::Hold(Held { awaited: Awaited::Service(service.name().clone()), vacancy })
            }
            None => Verdict::Answer(match choice.busy(self.terms.tried, self.now) {
                Some(busy) => answer::service::try_again(busy.outcome(), busy.retry_after(), choice.count()),
                None => {
                    let own =
                        answer::service::unserved(&path.name, &self.services.available(self.sight.view));
                    own.retry_after(until_heard(service))
                }
            }),
        }
    }

    /// Whether the request is decided for the first time: neither did it wait, nor was it sent to anybody.
    fn is_first(&self) -> bool {
        self.terms.tried.is_empty() && self.terms.patience == Patience::Fresh
    }

    fn count_key(&self, how: KeyUse) {
        if self.is_first() {
            self.counters.key(how);
        }
    }

    fn may_wait(&self, vacancy: Option<Vacancy>) -> Option<Vacancy> {
        vacancy.filter(|vacancy| match self.terms.patience {
            Patience::Fresh => {
                let age = self.timeline.age(vacancy.since, self.now);
                age.is_some_and(|age| age < ticks(vacancy.hold.wait()))
            }
            Patience::Waiting => true,
            Patience::Over => false,
        })
    }
}

/// What a request is counted as.
fn template(decision: &Decision<'_, '_>) -> PathTemplate {
    match decision {
        Decision::Sandbox(_) => PathTemplate::Sandbox,
        Decision::Route(_) => PathTemplate::Route,
        Decision::Default(_) => PathTemplate::Default,
        Decision::ServicePreflight
        | Decision::BadServicePath(_)
        | Decision::NoService(_)
        | Decision::Service(..) => PathTemplate::Service,
        Decision::PartitionCountUnknown(_) | Decision::NoWorker { .. } | Decision::Forward(_) => {
            PathTemplate::Workspace
        }
        Decision::AmbiguousPath(_) | Decision::Preflight | Decision::NoWorkspace => PathTemplate::Other,
    }
}

/// What there is to say when a service's worker has failed.
pub(crate) struct AfterFailure {
    pub left: Option<Left>,
    pub ttl: Option<Ttl>,
}

impl Papers {
    /// Takes the newest View up.
    fn read(&mut self) {
        let index = self.view.load().index();
        if self.index.0 != index {
            self.index = (index, index.0.into());
        }
    }
}

/// When one of a service's workers may be heard of again, in whole seconds: a lost one comes back with its next
/// heartbeat, which is due a third of its TTL after the one before.
fn until_heard(service: &ServiceView) -> u64 {
    let asked = service.endpoints().take(ASKED_MAX).filter(|one| service.is_asked_by_default(one));
    let soonest = asked.map(|one| one.worker().registration.ttl.as_duration() / 3).min();
    soonest.unwrap_or(Duration::ZERO).as_secs().max(1)
}

/// How many of a service's workers an answer that nobody serves it looks at.
const ASKED_MAX: usize = 64;
