//! Making equal values one and the same.
//!
//! A fleet states the same labels, capabilities and names a million times, and each entry brings its own copies: more
//! than a third of a worker's record. Whoever keeps records for long passes their entries through here first. An
//! entry is afterwards what it was before, in less memory.

use crate::{
    command::{Command, Entry},
    facts::Facts,
    name::{KeyspaceName, ServiceName},
    restore::RestoreStep,
    worker::{Capability, Registration, RegistrationParts},
};
use std::{collections::BTreeSet, sync::Arc};

/// So many different values of a kind are remembered; then it begins anew.
const VALUES_MAX: usize = 1_024;

/// What was stated of late.
#[derive(Debug, Default)]
pub struct Sharing {
    keyspaces: Stated<KeyspaceName>,
    services: Stated<ServiceName>,
    labels: Stated<Facts<Box<str>>>,
    capabilities: Stated<Facts<Capability>>,
}

impl Sharing {
    /// Replaces what was stated before by what is there already.
    pub fn share(&mut self, entry: &mut Entry) {
        for proposal in &mut entry.proposals {
            match &mut proposal.command {
                Command::RegisterWorker { registration, .. } | Command::AdoptWorker { registration } => {
                    self.registration(registration);
                }
                Command::Restore { step: RestoreStep::Workers { workers, .. }, .. } => {
                    // Somebody else who holds one reads it: then it stays as it is.
                    let own = workers.iter_mut().filter_map(Arc::get_mut);
                    let registrations = own.filter_map(|worker| Arc::get_mut(&mut worker.registration));
                    registrations.for_each(|registration| self.registration(registration));
                }
                // They carry nothing that others state.
                _ => {}
            }
        }
    }

    fn registration(&mut self, registration: &mut Registration) {
        let RegistrationParts { keyspace, services, labels, capabilities, .. } = registration.parts_mut();
        self.keyspaces.share(keyspace);
        for service in services {
            self.services.share(&mut service.name);
        }
        self.labels.share(labels);
        self.capabilities.share(capabilities);
    }
}

#[derive(Debug)]
struct Stated<T>(BTreeSet<T>);

impl<T> Default for Stated<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Clone> Stated<T> {
    fn share(&mut self, value: &mut T) {
        if let Some(known) = self.0.get(value) {
            *value = known.clone();
            return;
        }
        if self.0.len() >= VALUES_MAX {
            self.0.clear();
        }
        self.0.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Address, BootId, Epoch, Intent, LogIndex, LogTime, Origin, Partition, Proposal, RestoreId,
        ServiceOffer, Ttl, Worker, WorkerId, command::PartitionRange, worker::Lifecycle,
    };
    use std::time::Duration;

    fn registration(id: usize) -> Registration {
        let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
        let address = Address::parse("http://h:1").expect("valid");
        let service =
            ServiceOffer { name: ServiceName::parse("echo").expect("valid"), version: "1".into(), url: None };
        let parts = RegistrationParts {
            partitions: vec![Partition(1)],
            services: vec![service],
            labels: [("zone".into(), "a".into())].into_iter().collect(),
            capabilities: [("gpu".into(), Capability::Flag(true))].into_iter().collect(),
            ..RegistrationParts::new(WorkerId::parse(&format!("w{id}")).expect("valid"), address, ttl)
        };
        parts.validate().expect("valid")
    }

    fn worker(id: usize) -> Worker {
        Worker {
            registration: Arc::new(registration(id)),
            lost: Vec::new(),
            epoch: Epoch(1),
            incarnation: Epoch(1),
            registered_at: LogTime(1),
            lifecycle: Lifecycle::Live,
            intent: Intent::default(),
            changed: LogIndex(1),
        }
    }

    fn entry(first: usize) -> Entry {
        let commands = [
            Command::RegisterWorker {
                registration: registration(first),
                range: PartitionRange::Strict,
                if_index: None,
            },
            Command::AdoptWorker { registration: registration(first + 1) },
            Command::Restore {
                id: RestoreId(1),
                step: RestoreStep::Workers { batch: 0, workers: vec![Arc::new(worker(first + 2))] },
            },
        ];
        let origin = Origin { boot: BootId(1), sequence: 1 };
        let proposals = commands.map(|command| Proposal { origin, command }).into();
        Entry { at: LogTime(1), proposals }
    }

    /// Where the shared values of each registration lie.
    fn places(entry: &Entry) -> Vec<[*const u8; 4]> {
        let place = |r: &Registration| {
            [
                r.keyspace.as_str().as_ptr(),
                r.services[0].name.as_str().as_ptr(),
                r.labels["zone"].as_ptr(),
                std::ptr::from_ref(&r.capabilities["gpu"]).cast(),
            ]
        };
        let of = |proposal: &Proposal| match &proposal.command {
            Command::RegisterWorker { registration, .. } | Command::AdoptWorker { registration } => {
                place(registration)
            }
            Command::Restore { step: RestoreStep::Workers { workers, .. }, .. } => {
                place(&workers[0].registration)
            }
            other => panic!("{other:?}"),
        };
        entry.proposals.iter().map(of).collect()
    }

    #[test]
    fn what_is_stated_again_is_the_same_and_in_the_same_place() {
        let mut sharing = Sharing::default();
        let mut entries = [entry(0), entry(10)];
        let before = [entry(0), entry(10)];
        entries.iter_mut().for_each(|entry| sharing.share(entry));
        assert_eq!(entries, before);
        let places: BTreeSet<_> = entries.iter().flat_map(places).collect();
        assert_eq!(places.len(), 1, "{places:?}");
    }

    #[test]
    fn a_fleet_of_which_each_states_its_own_is_not_remembered() {
        let mut stated = Stated::default();
        for zone in 0..3 * VALUES_MAX {
            stated.share(&mut zone.to_string());
        }
        assert!(stated.0.len() <= VALUES_MAX);
    }
}
