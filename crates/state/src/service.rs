//! A service with its derived list: who offers it, and who of them gets requests.

use imbl::OrdMap;
use quorate_model::{LogIndex, ServiceName, ServiceOffer, ServicePolicy, StoredPolicy, Worker, WorkerId};
use std::{ops::Bound, sync::Arc};

/// A service: what an operator decided about it, and the workers that offer it. The workers are derived from their
/// records inside `apply`: a worker that comes back to life is back in its services at the same index.
#[derive(Clone, Debug)]
pub struct ServiceView {
    name: ServiceName,
    policy: Option<StoredPolicy>,
    endpoints: OrdMap<WorkerId, Endpoint>,
    serving: usize,
    vacant_since: Option<LogIndex>,
}

/// A worker that offers a service, whether it gets requests or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    worker: Arc<Worker>,
    /// Which of its offers.
    offer: usize,
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
        self.worker.serves(self.offer())
    }
}

impl ServiceView {
    pub(crate) fn new(name: ServiceName) -> Self {
        Self { name, policy: None, endpoints: OrdMap::new(), serving: 0, vacant_since: None }
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

    /// How many workers get requests for it.
    pub fn serving_count(&self) -> usize {
        self.serving
    }

    /// The log index at which the last one that got requests went away; `None`: one does, or this node has not
    /// seen one go. Not part of a snapshot: it matters for seconds only.
    pub fn vacant_since(&self) -> Option<LogIndex> {
        self.vacant_since
    }

    pub(crate) fn set_policy(&mut self, policy: Option<StoredPolicy>) {
        self.policy = policy;
    }

    pub(crate) fn put(&mut self, worker: &Arc<Worker>, offer: usize, index: LogIndex) {
        let endpoint = Endpoint { worker: worker.clone(), offer };
        let serves = endpoint.serves();
        let old = self.endpoints.insert(worker.id().clone(), endpoint);
        self.count(old.is_some_and(|e| e.serves()), serves, index);
    }

    pub(crate) fn remove(&mut self, id: &WorkerId, index: LogIndex) {
        let old = self.endpoints.remove(id);
        self.count(old.is_some_and(|e| e.serves()), false, index);
    }

    fn count(&mut self, before: bool, after: bool, index: LogIndex) {
        self.serving = self.serving + usize::from(after) - usize::from(before);
        if self.serving > 0 {
            self.vacant_since = None;
        } else if before {
            self.vacant_since = Some(index);
        }
    }

    /// Whether nothing would be lost without it.
    pub(crate) fn is_empty(&self) -> bool {
        self.policy.is_none() && self.endpoints.is_empty()
    }
}
