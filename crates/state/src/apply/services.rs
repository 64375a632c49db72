//! What operators decide about services and workers, and what is derived from the workers' records for them: who
//! offers what, and who may send heartbeats for a whole group.

use super::require_index;
use crate::{service::ServiceView, state::State};
use quorate_model::{
    Became, Delegate, Duty, Event, Former, Intent, LogIndex, Refusal, Reply, ServiceName, ServicePolicy,
    Status, StoredPolicy, Worker, WorkerId, limit, reply::Bounded,
};
use std::sync::Arc;

impl State {
    pub(super) fn set_duty(
        &mut self,
        id: &WorkerId,
        duty: Duty,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let worker = self.decided_about(id, if_index)?;
        let since = if duty == worker.intent.duty { worker.intent.since } else { self.now };
        Ok(self.set_intent(&worker, Intent { duty, since, ..worker.intent }, events))
    }

    pub(super) fn set_weight(
        &mut self,
        id: &WorkerId,
        weight: Option<u32>,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let worker = self.decided_about(id, if_index)?;
        Ok(self.set_intent(&worker, Intent { weight, ..worker.intent }, events))
    }

    /// Whom an operator may decide about: who is registered, and who has said goodbye under a decision that would wait
    /// for its return. Otherwise a worker that was drained and stopped could not be resumed before it is back.
    fn decided_about(&self, id: &WorkerId, if_index: Option<LogIndex>) -> Result<Arc<Worker>, Refusal> {
        let waits = |w: &Worker| w.intent.duty != Duty::InService || w.intent.weight.is_some();
        let known = self.workers.get(id).filter(|w| w.status() != Status::Departed || waits(w));
        let worker = known.cloned().ok_or_else(|| Refusal::UnknownWorker { id: id.clone() })?;
        require_index(if_index, worker.changed)?;
        Ok(worker)
    }

    fn set_intent(&mut self, worker: &Worker, intent: Intent, events: &mut Vec<Event>) -> Reply {
        if worker.intent == intent {
            return Reply::Unchanged;
        }
        let Intent { duty, weight, .. } = intent;
        events.push(Event::IntentChanged { id: worker.id().clone(), duty, weight });
        self.store_worker(Worker { intent, changed: self.index, ..worker.clone() });
        Reply::Done
    }

    pub(super) fn put_service(
        &mut self,
        name: &ServiceName,
        policy: &ServicePolicy,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.stored_policy(name);
        require_index(if_index, standing.map_or(LogIndex(0), |stored| stored.changed))?;
        let was = standing.map(|stored| Arc::new(stored.policy.clone()));
        if standing.is_some_and(|stored| stored.policy == *policy) {
            return Ok(Reply::Unchanged);
        }
        if standing.is_none() && self.policies >= limit::SERVICE_POLICIES_MAX {
            let max = limit::SERVICE_POLICIES_MAX as u64;
            return Err(Refusal::Full { what: Bounded::ServicePolicies, max });
        }
        let stored = StoredPolicy { service: name.clone(), policy: policy.clone(), changed: self.index };
        self.store_policy(stored);
        self.remember(Former::Service { name: name.clone(), was }, Became::Set);
        if policy.health.is_none() {
            self.forget_ailments(name, events);
        }
        events.push(Event::ServiceChanged { name: name.clone() });
        Ok(Reply::Done)
    }

    pub(super) fn delete_service(
        &mut self,
        name: &ServiceName,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.stored_policy(name);
        let standing = standing.ok_or_else(|| Refusal::UnknownService { name: name.clone() })?;
        require_index(if_index, standing.changed)?;
        let was = Some(Arc::new(standing.policy.clone()));
        self.forget_ailments(name, events);
        self.change_service(name, |service| service.set_policy(None));
        self.policies -= 1;
        self.remember(Former::Service { name: name.clone(), was }, Became::Removed);
        events.push(Event::ServiceChanged { name: name.clone() });
        Ok(Reply::Done)
    }

    fn stored_policy(&self, name: &ServiceName) -> Option<&StoredPolicy> {
        self.services.get(name)?.stored_policy()
    }

    pub(crate) fn store_policy(&mut self, stored: StoredPolicy) {
        self.policies += usize::from(self.stored_policy(&stored.service).is_none());
        let name = stored.service.clone();
        self.change_service(&name, |service| service.set_policy(Some(stored)));
    }

    pub(super) fn change_service(&mut self, name: &ServiceName, change: impl FnOnce(&mut ServiceView)) {
        if let Some(service) = self.services.get_mut(name) {
            change(Arc::make_mut(service));
            if service.is_empty() {
                self.services.remove(name);
            }
            return;
        }
        let mut service = ServiceView::new(name.clone());
        change(&mut service);
        if !service.is_empty() {
            self.services.insert(name.clone(), Arc::new(service));
        }
    }

    /// Brings the services up to a change of one worker's record; `None`: there is no record (any more).
    pub(crate) fn follow_offers(&mut self, old: Option<&Worker>, new: Option<&Arc<Worker>>) {
        let index = self.index;
        let stays = new.filter(|worker| worker.status() != Status::Departed);
        if let Some(old) = old.filter(|worker| worker.status() != Status::Departed) {
            for offer in &old.registration.services {
                let offered = |new: &&Arc<Worker>| {
                    // Most changes of a record leave its registration alone.
                    std::ptr::eq(&*new.registration, &*old.registration)
                        || new.registration.services.iter().any(|o| o.name == offer.name)
                };
                if stays.filter(offered).is_none() {
                    self.change_service(&offer.name, |service| service.remove(old.id(), index));
                }
            }
        }
        if let Some(worker) = stays {
            // Of two offers under one name the first counts: it is put last.
            for (nth, offer) in worker.registration.services.iter().enumerate().rev() {
                self.change_service(&offer.name, |service| service.put(worker, nth, index));
            }
        }
    }

    /// Brings the candidates up to a change of one worker's record.
    pub(crate) fn follow_candidates(&mut self, old: Option<&Worker>, new: Option<&Worker>) {
        let [old, new] = [old, new].map(|w| w.filter(|worker| worker.stands_for_delegate()));
        if let (Some(old), Some(new)) = (old, new)
            && (old.incarnation, old.group()) == (new.incarnation, new.group())
        {
            return;
        }
        if let Some(old) = old
            && let Some(group) = self.candidates.get_mut(old.group())
        {
            group.remove(&(old.incarnation, old.id().clone()));
            if group.is_empty() {
                self.candidates.remove(old.group());
            }
            self.unsettled.push(old.group().into());
        }
        if let Some(new) = new {
            let group = self.candidates.entry(new.group().into()).or_default();
            group.insert((new.incarnation, new.id().clone()));
            self.unsettled.push(new.group().into());
        }
    }

    /// Sees to it that each group whose candidates changed has the delegate that it should have. Whoever has the role
    /// keeps it; the oldest registration is next. Nothing else decides, so no two nodes can differ about it.
    pub(crate) fn settle_delegates(&mut self, events: &mut Vec<Event>) {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        unsettled.sort_unstable();
        unsettled.dedup();
        for group in unsettled {
            let candidates = self.candidates.get(&group);
            let stands = self.delegates.get(&group).is_some_and(|delegate| {
                let id = (delegate.incarnation, delegate.worker.clone());
                candidates.is_some_and(|all| all.contains(&id))
            });
            if stands {
                continue;
            }
            let next = candidates.and_then(|all| all.get_min()).cloned();
            if let Some((incarnation, worker)) = next {
                let epoch = self.next_epoch();
                events
                    .push(Event::DelegateChanged { group: group.clone(), to: Some((worker.clone(), epoch)) });
                let delegate = Delegate { group: group.clone(), worker, incarnation, epoch, since: self.now };
                self.delegates.insert(group, Arc::new(delegate));
            } else if self.delegates.remove(&group).is_some() {
                events.push(Event::DelegateChanged { group, to: None });
            }
        }
    }
}
