//! A service with its derived list: who offers it, and who of them gets requests.

use imbl::OrdMap;
use quorate_model::{
    Ailment, Duty, Load, LogIndex, LogTime, ServiceName, ServiceOffer, ServicePolicy, StoredPolicy, Worker,
    WorkerId,
};
use std::{ops::Bound, sync::Arc};

/// A service: what an operator decided about it, and the workers that offer it. The workers are derived from their
/// records inside `apply`: a worker that comes back to life is back in its services at the same index.
#[derive(Clone, Debug)]
pub struct ServiceView {
    name: ServiceName,
    policy: Option<StoredPolicy>,
    endpoints: OrdMap<WorkerId, Endpoint>,
    /// Of those who are asked by default.
    counts: Counts,
    vacant_since: Option<LogIndex>,
    /// The one that got requests last, and whether an operator wants it offline.
    last: Option<WorkerId>,
    last_is_offline: bool,
}

/// How many endpoints there are that requests without a version may go to. Derived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    all: usize,
    /// How many of them get requests.
    serving: usize,
    /// How many of them an operator wants offline.
    offline: usize,
}

/// A worker that offers a service, whether it gets requests or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    worker: Arc<Worker>,
    /// Which of its offers.
    offer: usize,
    /// Since when health checks find it unwell.
    ailing_since: Option<LogTime>,
}

impl Endpoint {
    /// Its record.
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// What it offers under the service's name.
    pub fn offer(&self) -> &ServiceOffer {
        &self.worker.registration.services[self.offer]
    }

    /// Whether new requests may go to it.
    pub fn serves(&self) -> bool {
        !self.is_ailing() && self.worker.serves(self.offer())
    }

    /// The same, with what its worker says about itself now.
    pub fn serves_now(&self, load: Option<&Load>) -> bool {
        !self.is_ailing() && self.worker.serves_now(self.offer(), load)
    }

    /// Whether health checks have found that it is not well.
    pub fn is_ailing(&self) -> bool {
        self.ailing_since.is_some()
    }

    /// Since when health checks find it unwell.
    pub fn ailing_since(&self) -> Option<LogTime> {
        self.ailing_since
    }
}

impl ServiceView {
    pub(crate) fn new(name: ServiceName) -> Self {
        Self {
            name,
            policy: None,
            endpoints: OrdMap::new(),
            counts: Counts::default(),
            vacant_since: None,
            last: None,
            last_is_offline: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// What an operator decided; `None`: nothing.
    pub fn stored_policy(&self) -> Option<&StoredPolicy> {
        self.policy.as_ref()
    }

    /// What an operator decided, or nothing.
    pub fn policy(&self) -> ServicePolicy {
        self.policy.as_ref().map(|stored| stored.policy.clone()).unwrap_or_default()
    }

    /// The workers that offer it, by id, expired and drained ones included.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// The same with ids after `cursor`.
    pub fn endpoints_after(&self, cursor: &str) -> impl Iterator<Item = &Endpoint> {
        self.endpoints
            .range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded))
            .map(|(_, endpoint)| endpoint)
    }

    /// The worker `id`, if it offers it.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.endpoints.get(id)
    }

    /// How many workers offer it, expired and drained ones included.
    pub fn endpoint_count(&self) -> usize {
        self.endpoints.len()
    }

    /// The version whose workers get the requests that name none, as the policy says; `None`: all do.
    pub fn default_version(&self) -> Option<&str> {
        self.policy.as_ref()?.policy.default_version.as_deref()
    }

    /// Whether requests that name no version may go there.
    pub fn is_asked_by_default(&self, endpoint: &Endpoint) -> bool {
        self.default_version().is_none_or(|version| *version == *endpoint.offer().version)
    }

    /// How many workers get the requests for it that name no version.
    pub fn serving_count(&self) -> usize {
        self.counts.serving
    }

    /// The log index at which the last one that got such requests went away; `None`: one does, or this node has not
    /// seen one go. Not part of a snapshot: it matters for seconds only.
    pub fn vacant_since(&self) -> Option<LogIndex> {
        self.vacant_since
    }

    /// Whether nobody gets requests because an operator took the last one that did offline, and whoever else offers
    /// it. That stays so when they unregister afterwards.
    pub fn was_taken_offline(&self) -> bool {
        self.counts.serving == 0 && self.last_is_offline && self.counts.offline == self.counts.all
    }

    pub(crate) fn set_policy(&mut self, policy: Option<StoredPolicy>) {
        let before = self.policy.take().and_then(|stored| stored.policy.default_version);
        self.policy = policy;
        if before.as_deref() != self.default_version() {
            self.counts = Counts::default();
            for endpoint in self.endpoints.values() {
                self.counts = self.counts.with(self.counts_of(endpoint));
            }
            // Those who went were others: of these nobody has gone.
            self.forget_vacancy();
        }
    }

    pub(crate) fn put(&mut self, worker: &Arc<Worker>, offer: usize, index: LogIndex) {
        // What was found is about one life of a worker.
        let known = self.endpoints.get(worker.id()).filter(|e| e.worker.incarnation == worker.incarnation);
        let ailing_since = known.and_then(|endpoint| endpoint.ailing_since);
        self.enter(worker.id(), Some(Endpoint { worker: worker.clone(), offer, ailing_since }), index);
        if self.last.as_ref() == Some(worker.id()) {
            self.last_is_offline = is_offline(worker);
        }
    }

    pub(crate) fn set_ailing(&mut self, id: &WorkerId, ailing_since: Option<LogTime>, index: LogIndex) {
        let Some(old) = self.endpoints.get(id).cloned() else { return };
        self.enter(id, Some(Endpoint { ailing_since, ..old }), index);
    }

    /// When the last one went is not known.
    pub(crate) fn forget_vacancy(&mut self) {
        (self.vacant_since, self.last, self.last_is_offline) = (None, None, false);
    }

    /// Its endpoints that are not well.
    pub(crate) fn ailments(&self) -> impl Iterator<Item = Ailment> {
        self.endpoints.values().filter_map(|endpoint| {
            Some(Ailment {
                service: self.name.clone(),
                worker: endpoint.worker.id().clone(),
                incarnation: endpoint.worker.incarnation,
                since: endpoint.ailing_since?,
            })
        })
    }

    pub(crate) fn remove(&mut self, id: &WorkerId, index: LogIndex) {
        self.enter(id, None, index);
    }

    /// Puts an endpoint in the place of the one of this worker; `None`: there is none any more.
    fn enter(&mut self, id: &WorkerId, endpoint: Option<Endpoint>, index: LogIndex) {
        let new = endpoint.as_ref().map_or(Counts::default(), |endpoint| self.counts_of(endpoint));
        let old = match endpoint {
            Some(endpoint) => self.endpoints.insert(id.clone(), endpoint),
            None => self.endpoints.remove(id),
        };
        let old = old.map_or(Counts::default(), |old| self.counts_of(&old));
        self.counts = self.counts.with(new).without(old);
        if self.counts.serving > 0 {
            self.forget_vacancy();
        } else if old.serving > 0 {
            (self.vacant_since, self.last, self.last_is_offline) = (Some(index), Some(id.clone()), false);
        }
    }

    fn counts_of(&self, endpoint: &Endpoint) -> Counts {
        if !self.is_asked_by_default(endpoint) {
            return Counts::default();
        }
        Counts { all: 1, serving: endpoint.serves().into(), offline: is_offline(endpoint.worker()).into() }
    }

    /// Whether nothing would be lost without it.
    pub(crate) fn is_empty(&self) -> bool {
        self.policy.is_none() && self.endpoints.is_empty()
    }
}

impl Counts {
    fn with(self, other: Self) -> Self {
        let Self { all, serving, offline } = self;
        Self { all: all + other.all, serving: serving + other.serving, offline: offline + other.offline }
    }

    fn without(self, other: Self) -> Self {
        let Self { all, serving, offline } = self;
        Self { all: all - other.all, serving: serving - other.serving, offline: offline - other.offline }
    }
}

fn is_offline(worker: &Worker) -> bool {
    worker.intent.duty == Duty::Offline
}
