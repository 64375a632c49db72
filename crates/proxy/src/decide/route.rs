//! A request that a route is for.

use super::{By, Case, Decided, Desk, Destination, Papers, Terms, Verdict};
use crate::{
    answer::{self, Own},
    destination::{Outstanding, Seat, Workers},
    hold::{Awaited, Held},
    routes::{Finish, Plan},
    services::Services,
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
use quorate_state::View;
use quorate_telemetry::ServiceCounters;
use std::{sync::Arc, time::Duration};

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
        let (seat, partition, counters) = match self.aim(head, &sent.aim) {
            Ok(aimed) => aimed,
            Err((verdict, counters)) => {
                let plan = self.plan(head, stored, (sent, 0));
                return (verdict, Finish::ByRoute(Arc::new(plan)), counters);
            }
        };
        let plan = Arc::new(self.plan(head, stored, (sent, partition)));
        let (endpoint, ticket) = seat.take(self.now);
        let destination = Destination { endpoint, ticket, by: By::Route(plan.clone()) };
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
    #[expect(clippy::type_complexity, reason = "read at one place")]
    fn aim(
        &mut self,
        head: &RequestHead<'_>,
        aim: &Aim<'_, '_>,
    ) -> Result<(Seat, u32, Option<Arc<ServiceCounters>>), (Verdict, Option<Arc<ServiceCounters>>)> {
        let unserved = || Verdict::Answer(answer::route::unavailable());
        match aim {
            Aim::Url(address, protocol) => Ok((self.workers.at(address, *protocol), 0, None)),
            Aim::Service(_, None) | Aim::Nobody => Err((unserved(), None)),
            Aim::Service(name, Some(service)) => {
                let ask = Ask { entropy: head.entropy, model: wanted_model(head.headers) };
                let wanted = (ask, self.terms.tried);
                let choice = self.services.choice_for(service, self.workers, self.now, wanted);
                let counters = Some(choice.counters.clone());
                match choice.pick(ask, self.terms.tried) {
                    Some(seat) => Ok((seat.clone(), 0, counters)),
                    None => match self.may_wait(vacancy::of_service(service)) {
                        Some(vacancy) => {
                            let awaited = Awaited::Service((*name).clone());
                            Err((Verdict::Hold(Held { awaited, vacancy }), counters))
                        }
                        None => Err((unserved(), counters)),
                    },
                }
            }
            Aim::Owner(_, Ok(forward)) => {
                let worker = forward.worker;
                let seat = self.workers.owner(worker);
                Ok((seat, forward.partition, None))
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
                let ask = Ask { entropy: head.entropy, model: wanted_model(head.headers) };
                let choice = self.services.choice_for(service, self.workers, self.now, (ask, &[]));
                choice.pick(ask, &[]).cloned()
            }
            Target::Keyspace(_) => None,
        }
    }
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
        let entropy = quorate_routing::pick::next_random(entropy);
        let ask = Ask { entropy, model: wanted_model(head.headers) };
        let seat = other_seat(plan, view, (workers, services), (now, ask, terms.tried))?;
        if terms.tried.iter().any(|one| Arc::ptr_eq(one, &seat.outstanding)) {
            return None;
        }
        let (endpoint, ticket) = seat.take(now);
        let to = Destination { endpoint, ticket, by: By::Route(plan.clone()) };
        let (verdict, finish) = (Verdict::Forward(to), Finish::ByRoute(plan.clone()));
        Some(Decided { verdict, index: index.1.clone(), service: None, finish })
    }
}

fn other_seat(
    plan: &Plan,
    view: &View,
    (workers, services): (&mut Workers, &mut Services),
    (now, ask, tried): (u32, Ask<'_>, &[Arc<Outstanding>]),
) -> Option<Seat> {
    match plan.destination()? {
        Target::Url { .. } => None,
        Target::Service(name) => {
            let service = view.service(name.as_str())?;
            let choice = services.choice_for(service, workers, now, (ask, tried));
            choice.pick(ask, tried).cloned()
        }
        Target::Keyspace(name) => {
            let owner = view.keyspace(name.as_str())?.claimant(plan.partition)?;
            owner.takes_requests().then(|| workers.owner(owner))
        }
    }
}

/// A path that one server reads as one route's and another one as another's.
pub(super) fn ambiguous(why: quorate_routing::route::AmbiguousPath) -> Own {
    answer::bad_request(&why.to_string())
}
