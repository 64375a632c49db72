//! What health checks have found.

use crate::{service::ServiceView, state::State};
use quorate_model::{Ailment, Event, HealthChange, Reply, ServiceName, Verdict};

impl State {
    /// A change is void if the worker lives another life by now, does not offer the service any more, or nobody wants
    /// to know.
    pub(super) fn change_health(&mut self, changes: &[HealthChange], events: &mut Vec<Event>) -> Reply {
        let before = events.len();
        for HealthChange { service, worker, incarnation, verdict } in changes {
            let is_about = |view: &ServiceView| {
                let endpoint = view.endpoint(worker.as_str());
                view.stored_policy().is_some_and(|stored| stored.policy.health.is_some())
                    && endpoint.is_some_and(|endpoint| {
                        endpoint.worker().incarnation == *incarnation
                            && endpoint.is_ailing() != (*verdict == Verdict::Unhealthy)
                    })
            };
            if !self.services.get(service).is_some_and(|view| is_about(view)) {
                continue;
            }
            let (now, index) = (self.now, self.index);
            let ailing = (*verdict == Verdict::Unhealthy).then_some(now);
            self.change_service(service, |view| view.set_ailing(worker, ailing, index));
            let (service, worker) = (service.clone(), worker.clone());
            events.push(Event::HealthChanged { service, worker, verdict: *verdict });
        }
        if events.len() == before { Reply::Unchanged } else { Reply::Done }
    }

    /// Nobody checks a service any more: what was found is void.
    pub(super) fn forget_ailments(&mut self, service: &ServiceName, events: &mut Vec<Event>) {
        let ailing: Vec<_> = self.ailments_of(service).map(|ailment| ailment.worker).collect();
        let index = self.index;
        for worker in ailing {
            self.change_service(service, |view| view.set_ailing(&worker, None, index));
            let (service, verdict) = (service.clone(), Verdict::Healthy);
            events.push(Event::HealthChanged { service, worker, verdict });
        }
    }

    fn ailments_of(&self, service: &ServiceName) -> impl Iterator<Item = Ailment> {
        self.services.get(service).into_iter().flat_map(|view| view.ailments())
    }

    /// Every endpoint that is not well, by service and worker.
    pub fn ailments(&self) -> impl Iterator<Item = Ailment> {
        self.services.values().flat_map(|view| view.ailments())
    }

    /// As [`Self::ailments`] has told it.
    pub(crate) fn take_ailment(&mut self, ailment: &Ailment) {
        let index = self.index;
        let Ailment { service, worker, incarnation, since } = ailment;
        let stands = self.services.get(service).and_then(|view| view.endpoint(worker.as_str()));
        if stands.is_some_and(|endpoint| endpoint.worker().incarnation == *incarnation) {
            self.change_service(service, |view| {
                view.set_ailing(worker, Some(*since), index);
                view.forget_vacancy();
            });
        }
    }
}
