//! A request that a route is for.

use super::{By, Case, Decided, Desk, Destination, Papers, Terms, Verdict, until_heard};
use crate::{
    answer::{self, Own},
    destination::{Outstanding, Seat},
    hold::{Awaited, Held},
    resilience::{Care, Manner},
    routes::{Finish, Known, Plan},
    services::{Busy, Left, Wish},
};
use http::Uri;
use quorate_model::{
    policy::Protocol as Spoken,
    route::{Destination as Share, Target},
};
use quorate_routing::{
    RequestHead,
    decide::Homeless,
    grpc,
    pick::{Ask, wanted_model},
    retry::Others,
    route::{Aim, Outcome, Routed, Sent, cors, rewrite},
    vacancy::{self, Vacancy},
};
use quorate_state::ServiceView;
use quorate_telemetry::{ServiceCounters, label::PathTemplate};
use std::{sync::Arc, time::Duration};

/// Who gets a request, and how it is followed there.
struct Aimed {
    seat: Seat,
    /// Of a keyspace: which partition.
    partition: u32,
    care: Option<Care>,
    counters: Option<Arc<ServiceCounters>>,
}

impl Aimed {
    fn at(seat: Seat, partition: u32) -> Self {
        Self { seat, partition, care: None, counters: None }
    }
}

/// A verdict, how its answer is finished, and where the request is counted.
pub(super) type Ruled = (Verdict, Finish, Option<Arc<ServiceCounters>>);

/// What becomes of a request that nobody gets, and where it is counted.
type Unaimed = (Verdict, Option<Arc<ServiceCounters>>);

impl Case<'_> {
    pub(super) fn routed(&mut self, head: &RequestHead<'_>, routed: &Routed<'_, '_>) -> Ruled {
        let here = |own| (Verdict::Answer(own), Finish::AsItIs, None);
        match &routed.outcome {
            Outcome::Redirect(redirection) => here(answer::route::redirect(redirection)),
            Outcome::Preflight(headers) => here(answer::route::preflight(headers.clone())),
            Outcome::Forward(sent) => {
                let known = self.routes.known((routed.route, None), self.now);
                self.send(head, known, sent)
            }
        }
    }

    pub(super) fn send(&mut self, head: &RequestHead<'_>, known: Arc<Known>, sent: &Sent<'_, '_>) -> Ruled {
        let Aimed { seat, partition, care, counters } = match self.aim(head, &known, &sent.aim) {
            Ok(aimed) => aimed,
            Err((verdict, counters)) => {
                if let Verdict::Answer(own) = &verdict
                    && own.status.is_server_error()
                {
                    known.count(sent.nth, true);
                }
                let plan = self.plan(head, known, (sent, 0));
                return (verdict, Finish::ByRoute(Arc::new(plan)), counters);
            }
        };
        let plan = Arc::new(self.plan(head, known, (sent, partition)));
        let (endpoint, ticket) = seat.take(self.now);
        let destination = Destination { endpoint, ticket, by: By::Route(plan.clone()), care };
        (Verdict::Forward(destination), Finish::ByRoute(plan), counters)
    }

    fn plan(
        &mut self,
        head: &RequestHead<'_>,
        known: Arc<Known>,
        (sent, partition): (&Sent<'_, '_>, u32),
    ) -> Plan {
        let forwarding = sent.forwarding;
        let target = rewrite::target(known.route(), forwarding.rewrite.path.as_ref(), head);
        let own = forwarding.timeouts.total_ms.map(|ms| Duration::from_millis(ms.into()));
        let timeout = own.or(match &sent.aim {
            Aim::Service(_, Some(service)) | Aim::Version(_, _, Some(service)) => {
                service.stored_policy().and_then(|stored| stored.policy.timeout())
            }
            Aim::Service(_, None)
            | Aim::Version(_, _, None)
            | Aim::Url(..)
            | Aim::Nobody
            | Aim::Owner(..) => None,
        });
        Plan {
            copy: sent.mirror.and_then(|target| self.mirror(head, (target, known.manner()))),
            speaks: spoken_to(&known, head),
            known,
            nth: sent.nth,
            partition,
            // A path that was part of a valid target, behind one that was checked, is a valid target.
            target: target.and_then(|target| target.parse::<Uri>().ok()),
            timeout,
            origin: forwarding.cors.as_ref().and_then(|cors| cors::allowed_origin(cors, head.headers)),
        }
    }

    /// Who gets the request.
    fn aim(&mut self, head: &RequestHead<'_>, known: &Known, aim: &Aim<'_, '_>) -> Result<Aimed, Unaimed> {
        let unserved = || Verdict::Answer(answer::route::unavailable());
        match aim {
            Aim::Url(address, protocol) => {
                let protocol = protocol.or_else(|| spoken_to(known, head));
                let care = if self.is_first() { known.request(self.now) } else { known.attempt() };
                let care = Some(care);
                Ok(Aimed { care, ..Aimed::at(self.workers.at(address, protocol), 0) })
            }
            Aim::Service(_, None) | Aim::Version(_, _, None) | Aim::Nobody => Err((unserved(), None)),
            Aim::Service(_, Some(service)) => {
                let vacancy = vacancy::of_service(service);
                self.of_service(head, known, (service, known.manner(), vacancy))
            }
            Aim::Version(_, version, Some(service)) => {
                // Of other versions nobody knows when the last one went.
                let is_default = service.default_version() == Some(*version);
                let vacancy = is_default.then(|| vacancy::of_service(service)).flatten();
                self.of_service(head, known, (service, known.manner().of_version(version), vacancy))
            }
            Aim::Owner(_, Ok(forward)) => {
                Ok(Aimed::at(self.workers.owner(forward.worker), forward.partition))
            }
            Aim::Owner(_, Err(Homeless::NoWorkspace)) => {
                Err((Verdict::Answer(answer::no_workspace(head.path)), None))
            }
            Aim::Owner(_, Err(Homeless::CountUnknown(_) | Homeless::NoWorker { .. })) => {
                Err((unserved(), None))
            }
        }
    }

    /// One of the workers of a service, as a route or a rule wants them chosen.
    fn of_service(
        &mut self,
        head: &RequestHead<'_>,
        known: &Known,
        (service, manner, vacancy): (&Arc<ServiceView>, Manner<'_>, Option<Vacancy>),
    ) -> Result<Aimed, Unaimed> {
        let wish = wish((head, manner), &self.terms, self.now);
        let (choice, picked) = self.services.choice_for(service, self.workers, &wish);
        if self.is_first() {
            choice.count_request(self.now);
        }
        let counters = Some(choice.counters.clone());
        match (picked, self.may_wait(vacancy)) {
            (Some(entrant), _) => {
                let care = Some(choice.send_to(&entrant, self.now).by(known.again()));
                Ok(Aimed { care, counters, ..Aimed::at(entrant.seat, 0) })
            }
            (None, Some(vacancy)) => {
                let awaited = Awaited::Service(service.name().clone());
                Err((Verdict::Hold(Held { awaited, vacancy }), counters))
            }
            (None, None) => {
                let own = match choice.busy(self.terms.tried, self.now) {
                    Some(Busy::Full) => answer::route::overloaded(),
                    Some(shut) => answer::route::unavailable().retry_after(shut.retry_after()),
                    None => answer::route::unavailable().retry_after(until_heard(service)),
                };
                Err((Verdict::Answer(own), counters))
            }
        }
    }

    /// Who gets the copy. Nobody who has to be waited for.
    fn mirror(&mut self, head: &RequestHead<'_>, (target, manner): (&Target, Manner<'_>)) -> Option<Seat> {
        let (name, manner) = match target {
            Target::Url { address, protocol } => return Some(self.workers.at(address, *protocol)),
            Target::Service(name) => (name, manner),
            Target::Version { service, version } => (service, manner.of_version(version)),
            // A copy has no key.
            Target::Keyspace(_) => return None,
        };
        let service = self.sight.view.service(name.as_str())?;
        let wish = Wish { tried: &[], ..wish((head, manner), &self.terms, self.now) };
        let (_, picked) = self.services.choice_for(service, self.workers, &wish);
        picked.map(|entrant| entrant.seat)
    }
}

/// What an address is spoken to in that does not say so itself: calls of gRPC are nothing but HTTP/2, and the sandbox
/// proxy's documents have no word for that. (A route has, `protocol`.)
fn spoken_to(known: &Known, head: &RequestHead<'_>) -> Option<Spoken> {
    (known.is_sandbox() && grpc::is_call(head.headers)).then_some(Spoken::H2)
}

/// What a request wants of a service.
fn wish<'a>((head, manner): (&'a RequestHead<'a>, Manner<'a>), terms: &Terms<'a>, now: u32) -> Wish<'a> {
    let ask = Ask { entropy: head.entropy, model: wanted_model(head.headers) };
    Wish { ask, head, manner, tried: terms.tried, now }
}

/// The addresses of a route that have a share of its requests, with their places among its destinations.
fn addresses(destinations: &[Share]) -> impl Iterator<Item = (usize, &Target, u32)> {
    let shares = destinations.iter().enumerate().filter(|(_, one)| one.weight > 0);
    shares.map(|(nth, one)| (nth, &one.target, one.weight))
}

impl Papers {
    /// The addresses of a route that were not tried: places, seats and weights. Two that differ in their path only are
    /// one endpoint.
    fn untried(&mut self, plan: &Plan, tried: &[Arc<Outstanding>]) -> Vec<(usize, Seat, u32)> {
        let seats = addresses(plan.known.destinations()).filter_map(|(nth, target, weight)| match target {
            Target::Url { address, protocol } => {
                Some((nth, self.workers.at(address, protocol.or(plan.speaks)), weight))
            }
            Target::Service(_) | Target::Version { .. } | Target::Keyspace(_) => None,
        });
        let is_tried = |seat: &Seat| {
            let this = &seat.outstanding;
            tried.iter().any(|one| Arc::ptr_eq(one, this) || one.worker == this.worker)
        };
        seats.filter(|(_, seat, _)| !is_tried(seat)).collect()
    }
}

/// One of them, by weight.
fn drawn(from: Vec<(usize, Seat, u32)>, entropy: u64) -> Option<(usize, Seat)> {
    let total: u64 = from.iter().map(|(.., weight)| u64::from(*weight)).sum();
    // The high half times the total, shifted: there are at most 64 weights of a million.
    let mut draw = ((entropy >> 32) * total) >> 32;
    for (nth, seat, weight) in from {
        match draw.checked_sub(weight.into()) {
            Some(left) => draw = left,
            None => return Some((nth, seat)),
        }
    }
    None
}

impl Desk {
    /// After a destination's endpoint has failed a routed request: the next one, on the newest View. `None`: there is no
    /// other. A service stays the destination, and what is sticky stays there; after an address another one of the
    /// route's addresses follows.
    pub fn another(
        &self,
        plan: &Arc<Plan>,
        head: &RequestHead<'_>,
        (now, terms): (u32, Terms<'_>),
    ) -> Option<Decided> {
        let mut papers = self.papers();
        papers.read();
        let entropy = quorate_routing::pick::next_random(&mut papers.entropy);
        let head = RequestHead { entropy, ..*head };
        let (plan, seat, care) = match plan.destination()? {
            Target::Url { .. } => {
                let (nth, seat) = drawn(papers.untried(plan, terms.tried), entropy)?;
                (Arc::new(Plan { nth, ..Plan::clone(plan) }), seat, Some(plan.known.attempt()))
            }
            Target::Service(name) | Target::Version { service: name, .. } => {
                let Papers { view, workers, services, .. } = &mut *papers;
                let service = view.load().service(name.as_str())?;
                let wish = wish((&head, plan.manner()), &terms, now);
                let (choice, picked) = services.choice_for(service, workers, &wish);
                let entrant = picked?;
                let care = choice.send_to(&entrant, now).by(plan.known.again());
                (plan.clone(), entrant.seat, Some(care))
            }
            Target::Keyspace(name) => {
                let Papers { view, workers, .. } = &mut *papers;
                let owner = view.load().keyspace(name.as_str())?.claimant(plan.partition)?;
                (plan.clone(), owner.takes_requests().then(|| workers.owner(owner))?, None)
            }
        };
        if terms.tried.iter().any(|one| Arc::ptr_eq(one, &seat.outstanding)) {
            return None;
        }
        let (endpoint, ticket) = seat.take(now);
        let to = Destination { endpoint, ticket, by: By::Route(plan.clone()), care };
        let (verdict, finish) = (Verdict::Forward(to), Finish::ByRoute(plan.clone()));
        let path = PathTemplate::Route;
        Some(Decided { verdict, index: papers.index.1.clone(), service: None, finish, path })
    }

    /// Who of a routed request's destination is left that was not tried.
    pub fn left(&self, plan: &Plan, tried: &[Arc<Outstanding>], now: u32) -> Option<Left> {
        let mut papers = self.papers();
        match plan.destination()? {
            Target::Service(name) | Target::Version { service: name, .. } => {
                let Papers { view, workers, services, .. } = &mut *papers;
                let service = view.load().service(name.as_str())?;
                services.choice(service, workers, (plan.manner(), now)).left(tried)
            }
            Target::Url { .. } => {
                let count = papers.untried(plan, tried).len();
                (count > 0).then_some(Left { count, others: Others::Live })
            }
            Target::Keyspace(_) => None,
        }
    }
}

/// A path that one server reads as one route's and another one as another's.
pub(super) fn ambiguous(why: quorate_routing::route::AmbiguousPath) -> Own {
    answer::bad_request(&why.to_string())
}
