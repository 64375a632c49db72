//! A request that a route is for.

use super::{By, Case, Decided, Desk, Destination, Papers, Terms, Verdict};
use crate::{
    answer::{self, Own},
    destination::{Outstanding, Seat},
    hold::{Awaited, Held},
    resilience::{Care, Keys},
    routes::{Finish, Plan},
    services::{Left, Wish},
};
use http::Uri;
use quorate_model::{StoredRoute, route::Target};
use quorate_routing::{
    RequestHead,
    decide::Homeless,
    pick::{Ask, wanted_model},
    route::{Aim, Outcome, Routed, Sent, cors, rewrite},
    vacancy,
};
use quorate_telemetry::ServiceCounters;
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

impl Case<'_> {
    pub(super) fn routed(&mut self, head: &RequestHead<'_>, routed: &Routed<'_, '_>) -> Ruled {
        let here = |own| (Verdict::Answer(own), Finish::AsItIs, None);
        match &routed.outcome {
            Outcome::Redirect(redirection) => here(answer::route::redirect(redirection)),
            Outcome::Preflight(headers) => here(answer::route::preflight(headers.clone())),
            Outcome::Forward(sent) => self.send(head, routed.route, sent),
        }
    }

    fn send(&mut self, head: &RequestHead<'_>, stored: &Arc<StoredRoute>, sent: &Sent<'_, '_>) -> Ruled {
        let Aimed { seat, partition, care, counters } = match self.aim(head, &sent.aim) {
            Ok(aimed) => aimed,
            Err((verdict, counters)) => {
                let plan = self.plan(head, stored, (sent, 0));
                return (verdict, Finish::ByRoute(Arc::new(plan)), counters);
            }
        };
        let plan = Arc::new(self.plan(head, stored, (sent, partition)));
        let (endpoint, ticket) = seat.take(self.now);
        let destination = Destination { endpoint, ticket, by: By::Route(plan.clone()), care };
        (Verdict::Forward(destination), Finish::ByRoute(plan), counters)
    }

    fn plan(
        &mut self,
        head: &RequestHead<'_>,
        stored: &Arc<StoredRoute>,
        (sent, partition): (&Sent<'_, '_>, u32),
    ) -> Plan {
        let forwarding = sent.forwarding;
        let target = rewrite::target(&stored.route, forwarding.rewrite.path.as_ref(), head);
        let own = forwarding.timeouts.total_ms.map(|ms| Duration::from_millis(ms.into()));
        let timeout = own.or(match &sent.aim {
            Aim::Service(_, Some(service)) => {
                service.stored_policy().and_then(|stored| stored.policy.timeout())
            }
            Aim::Service(_, None) | Aim::Url(..) | Aim::Nobody | Aim::Owner(..) => None,
        });
        Plan {
            known: self.routes.known(stored, self.now),
            nth: sent.nth,
            partition,
            // A path that was part of a valid target, behind one that was checked, is a valid target.
            target: target.and_then(|target| target.parse::<Uri>().ok()),
            timeout,
            copy: sent.mirror.and_then(|target| self.mirror(head, target)),
            origin: forwarding.cors.as_ref().and_then(|cors| cors::allowed_origin(cors, head.headers)),
        }
    }

    /// Who gets the request.
    fn aim(
        &mut self,
        head: &RequestHead<'_>,
        aim: &Aim<'_, '_>,
    ) -> Result<Aimed, (Verdict, Option<Arc<ServiceCounters>>)> {
        let unserved = || Verdict::Answer(answer::route::unavailable());
        match aim {
            Aim::Url(address, protocol) => Ok(Aimed::at(self.workers.at(address, *protocol), 0)),
            Aim::Service(_, None) | Aim::Nobody => Err((unserved(), None)),
            Aim::Service(name, Some(service)) => {
                let wish = wish(head, &self.terms, self.now);
                let (choice, picked) = self.services.choice_for(service, self.workers, &wish);
                if self.terms.tried.is_empty() {
                    choice.count_request(self.now);
                }
                let counters = Some(choice.counters.clone());
                match (picked, self.may_wait(vacancy::of_service(service))) {
                    (Some(entrant), _) => {
                        let care = Some(choice.send_to(&entrant, self.now));
                        Ok(Aimed { care, counters, ..Aimed::at(entrant.seat, 0) })
                    }
                    (None, Some(vacancy)) => {
                        let awaited = Awaited::Service((*name).clone());
                        Err((Verdict::Hold(Held { awaited, vacancy }), counters))
                    }
                    (None, None) => Err((unserved(), counters)),
                }
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

    /// Who gets the copy. Nobody who has to be waited for.
    fn mirror(&mut self, head: &RequestHead<'_>, target: &Target) -> Option<Seat> {
        match target {
            Target::Url { address, protocol } => Some(self.workers.at(address, *protocol)),
            Target::Service(name) => {
                let service = self.view.service(name.as_str())?;
                let wish = Wish { tried: &[], ..wish(head, &self.terms, self.now) };
                let (_, picked) = self.services.choice_for(service, self.workers, &wish);
                picked.map(|entrant| entrant.seat)
            }
            Target::Keyspace(_) => None,
        }
    }
}

/// What a request wants of a service.
fn wish<'a>(head: &RequestHead<'a>, terms: &Terms<'a>, now: u32) -> Wish<'a> {
    let ask = Ask { entropy: head.entropy, model: wanted_model(head.headers) };
    let keys = Keys { headers: head.headers, path: head.path, query: terms.query, client: terms.client };
    Wish { ask, keys, tried: terms.tried, now }
}

impl Desk {
    /// After a destination's endpoint has failed a routed request: the next one of the same destination, on the newest
    /// View. `None`: there is no other. The destination stays: what is sticky stays where it is.
    pub fn another(
        &self,
        plan: &Arc<Plan>,
        head: &RequestHead<'_>,
        (now, terms): (u32, Terms<'_>),
    ) -> Option<Decided> {
        let mut papers = self.papers();
        papers.read();
        let Papers { view, workers, services, entropy, index, .. } = &mut *papers;
        let view = view.load();
        let head = RequestHead { entropy: quorate_routing::pick::next_random(entropy), ..*head };
        let (seat, care) = match plan.destination()? {
            Target::Url { .. } => return None,
            Target::Service(name) => {
                let service = view.service(name.as_str())?;
                let (choice, picked) = services.choice_for(service, workers, &wish(&head, &terms, now));
                let entrant = picked?;
                let care = choice.send_to(&entrant, now);
                (entrant.seat, Some(care))
            }
            Target::Keyspace(name) => {
                let owner = view.keyspace(name.as_str())?.claimant(plan.partition)?;
                (owner.takes_requests().then(|| workers.owner(owner))?, None)
            }
        };
        if terms.tried.iter().any(|one| Arc::ptr_eq(one, &seat.outstanding)) {
            return None;
        }
        let (endpoint, ticket) = seat.take(now);
        let to = Destination { endpoint, ticket, by: By::Route(plan.clone()), care };
        let (verdict, finish) = (Verdict::Forward(to), Finish::ByRoute(plan.clone()));
        Some(Decided { verdict, index: index.1.clone(), service: None, finish })
    }

    /// Who of a routed request's destination is left that was not tried.
    pub fn left(&self, plan: &Plan, tried: &[Arc<Outstanding>], now: u32) -> Option<Left> {
        let mut papers = self.papers();
        let Papers { view, workers, services, .. } = &mut *papers;
        match plan.destination()? {
            Target::Service(name) => {
                let service = view.load().service(name.as_str())?;
                services.choice(service, workers, now).left(tried)
            }
            Target::Url { .. } | Target::Keyspace(_) => None,
        }
    }
}

/// A path that one server reads as one route's and another one as another's.
pub(super) fn ambiguous(why: quorate_routing::route::AmbiguousPath) -> Own {
    answer::bad_request(&why.to_string())
}
