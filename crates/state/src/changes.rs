//! The events of one entry, as those who watch are told them: with positions, and with the records as they stand
//! after the entry. Derived from nothing but the state and the entry, so it is the same on every node.

use crate::{keyspace::KeyspaceView, state::State};
use quorate_model::{
    Change, Event, FeatureLevel, Position, PresenceEvent, Status, What, WorkerChange, WorkerId,
};

impl State {
    /// What `events`, those of the entry that was applied last, tell to watchers.
    pub fn changes(&self, events: &[Event]) -> Vec<Change> {
        let told: Vec<_> = events.iter().filter_map(|event| self.told(event)).collect();
        let count = told.len();
        let placed = |(nth, what)| Change { position: Position::of(self.index(), nth, count), what };
        told.into_iter().enumerate().map(placed).collect()
    }

    fn told(&self, event: &Event) -> Option<What> {
        Some(match event {
            Event::WorkerRegistered { id, .. } => self.told_worker(id, WorkerChange::Registered),
            Event::WorkerStatus { id, from, to, .. } => {
                self.told_worker(id, WorkerChange::Status { from: *from, to: *to })
            }
            Event::PartitionsTaken { from, to, count } => {
                self.told_worker(from, WorkerChange::Lost { to: to.clone(), count: *count })
            }
            // Who has departed is gone for watchers since then.
            Event::WorkerForgotten { was: Status::Departed, .. } if self.keeps_quiet() => return None,
            Event::WorkerForgotten { id, .. } => What::WorkerForgotten { id: id.clone() },
            Event::KeyspaceChanged { name, .. } => {
                What::Keyspace(self.keyspace(name.as_str())?.keyspace().clone())
            }
            // A decision about one that has departed waits for its return, and is told with that.
            Event::IntentChanged { id, .. } if self.keeps_quiet() && self.has_departed(id) => return None,
            Event::IntentChanged { id, .. } => self.told_worker(id, WorkerChange::Intent),
            Event::ServiceChanged { name } => {
                let service = self.service(name.as_str());
                let policy = service.and_then(|service| service.stored_policy().cloned()).map(Box::new);
                What::Service { name: name.clone(), policy }
            }
            Event::RouteChanged { name } => {
                What::Route { name: name.clone(), route: self.routes.get(name.as_str()).cloned() }
            }
            Event::SandboxChanged { key } | Event::SandboxEnded { key } => {
                let sandbox = self.sandboxes.get(key.as_str()).map(|compiled| compiled.stored().clone());
                What::Sandbox { key: key.clone(), sandbox }
            }
            Event::HealthChanged { service, worker, verdict } => {
                What::Health { service: service.clone(), worker: worker.clone(), verdict: *verdict }
            }
            Event::DelegateChanged { group, .. } => {
                What::Delegate { group: group.clone(), delegate: self.delegate(group).cloned() }
            }
            Event::NodeDescribed { name } => {
                What::Node(self.nodes().find(|node| node.name == *name)?.clone())
            }
            Event::LevelRaised { to } => What::Level(*to),
            Event::Restored { .. } => What::Replaced,
            Event::Presence(event) => self.told_presence(event),
            Event::ObjectChanged { id } | Event::ObjectEnded { id } => {
                What::Object { name: id.to_string().into(), object: self.objects.get(id).cloned() }
            }
            // What leaders tell each other.
            Event::LeasesHandedOver { .. } => return None,
            // Its route or sandbox is told.
            Event::RampFailed { .. } => return None,
        })
    }

    /// Whether what happens to those who have departed is not told. Positions count what is told, and a watcher may go
    /// on at a node of another version: so it is left out only once no member can be of one that tells it.
    fn keeps_quiet(&self) -> bool {
        self.feature_level() >= FeatureLevel::FOURTH
    }

    fn has_departed(&self, id: &WorkerId) -> bool {
        self.worker(id.as_str()).is_some_and(|worker| worker.status() == Status::Departed)
    }

    fn told_presence(&self, event: &PresenceEvent) -> What {
        match event {
            PresenceEvent::GatewayOpened { node, .. } | PresenceEvent::GatewayEnded { node, .. } => {
                What::Gateway { node: node.clone(), gateway: self.presence.gateway(node.as_str()).cloned() }
            }
            PresenceEvent::TunnelOpened { name, .. } | PresenceEvent::TunnelClosed { name, .. } => {
                What::Tunnel { name: name.clone(), holder: self.presence.get(name.as_str()).cloned() }
            }
        }
    }

    fn told_worker(&self, id: &WorkerId, how: WorkerChange) -> What {
        match self.worker(id.as_str()) {
            Some(record) => {
                let keyspace = self.keyspace(record.registration.keyspace.as_str());
                What::Worker { record: record.clone(), count: keyspace.and_then(KeyspaceView::count), how }
            }
            None => What::WorkerForgotten { id: id.clone() },
        }
    }
}
