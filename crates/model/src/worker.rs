//! What a worker offers, and what the cluster holds about it.

use crate::{
    address::Address,
    facts::Facts,
    limit,
    load::Load,
    name::{Invalid, KeyspaceName, ServiceName, WorkerId, excerpt, shown_key},
    number::{Epoch, LogIndex, LogTime, Partition, Ttl},
    service::{DEFAULT_GROUP, Duty, Extras, Intent, NO_EXTRAS},
};
use std::sync::Arc;

/// A service that a worker offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOffer {
    /// Its name.
    pub name: ServiceName,
    /// Its version; empty where none was given.
    pub version: Box<str>,
    /// Where it is reached, if not at the worker's own address.
    pub url: Option<Address>,
}

/// A fact about a machine. Numbers stay as they were written, so that every replica holds the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// true or false.
    Flag(bool),
    /// A JSON number, as text.
    Number(Box<str>),
    /// Text.
    Text(Box<str>),
}

/// What a worker registers. Made by [`RegistrationParts::validate`] only, so it is always valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    parts: RegistrationParts,
}

/// The fields of a [`Registration`], before they were looked at as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationParts {
    /// Who.
    pub id: WorkerId,
    /// Where.
    pub address: Address,
    /// Whose partitions.
    pub keyspace: KeyspaceName,
    /// Which partitions it serves; sorted and without repeats once validated.
    pub partitions: Vec<Partition>,
    /// Which services it offers.
    pub services: Vec<ServiceOffer>,
    /// Free text for people and policies.
    pub labels: Facts<Box<str>>,
    /// What the machine can do.
    pub capabilities: Facts<Capability>,
    /// How long it lives without a heartbeat.
    pub ttl: Ttl,
    /// Its share of the traffic; 100 is usual, 0 is none while others serve.
    pub weight: u32,
    /// What only some say; `None`: this one says none of it ([`Extras::boxed`]).
    pub extras: Option<Box<Extras>>,
}

impl RegistrationParts {
    /// A worker with nothing but an id, an address and a lease.
    pub fn new(id: WorkerId, address: Address, ttl: Ttl) -> Self {
        Self {
            id,
            address,
            ttl,
            keyspace: KeyspaceName::default(),
            partitions: Vec::new(),
            services: Vec::new(),
            labels: Facts::default(),
            capabilities: Facts::default(),
            weight: 100,
            extras: None,
        }
    }

    /// What only some say.
    pub fn extras(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }

    /// Checks the bounds of all fields and lists each that is wrong.
    pub fn validate(mut self) -> Result<Registration, Vec<Invalid>> {
        let mut wrong = Vec::new();
        self.partitions.sort_unstable();
        self.partitions.dedup();
        at_most(&mut wrong, "partitions", self.partitions.len(), limit::PARTITIONS_PER_WORKER_MAX);
        at_most(&mut wrong, "services", self.services.len(), limit::SERVICES_PER_WORKER_MAX);
        at_most(&mut wrong, "labels", self.labels.len(), limit::LABELS_PER_WORKER_MAX);
        at_most(&mut wrong, "capabilities", self.capabilities.len(), limit::CAPABILITIES_PER_WORKER_MAX);
        for (key, value) in &self.labels {
            short(&mut wrong, || format!("labels.{}", shown_key(key)), key);
            short(&mut wrong, || format!("labels.{}", shown_key(key)), value);
        }
        for (key, value) in &self.capabilities {
            short(&mut wrong, || format!("capabilities.{}", shown_key(key)), key);
            if let Capability::Number(text) | Capability::Text(text) = value {
                short(&mut wrong, || format!("capabilities.{}", shown_key(key)), text);
            }
        }
        for (i, service) in self.services.iter().enumerate() {
            short(&mut wrong, || format!("services[{i}].version"), &service.version);
        }
        wrong.extend(check_weight(self.weight).err());
        let offered = |name: &ServiceName| self.services.iter().any(|offer| offer.name == *name);
        if let Some(name) = self.extras().unhealthy.iter().find(|name| !offered(name)) {
            wrong.push(Invalid::new("unhealthy", format!("names {name}"), "services that it offers"));
        }
        if wrong.is_empty() { Ok(Registration { parts: self }) } else { Err(wrong) }
    }
}

/// Checks a share of the traffic; the error is about the field `weight`.
pub fn check_weight(weight: u32) -> Result<u32, Invalid> {
    if weight <= limit::WEIGHT_MAX {
        Ok(weight)
    } else {
        Err(Invalid::new("weight", format!("is {weight}"), format!("0 to {}", limit::WEIGHT_MAX)))
    }
}

fn at_most(wrong: &mut Vec<Invalid>, field: &str, count: usize, max: usize) {
    if count > max {
        wrong.push(Invalid::new(field, format!("has {count} items"), format!("at most {max}")));
    }
}

/// `field` is made for an error only: a large snapshot is validated too, text by text.
fn short(wrong: &mut Vec<Invalid>, field: impl FnOnce() -> String, text: &str) {
    if text.len() > limit::LABEL_BYTES_MAX || text.chars().any(char::is_control) {
        let allowed = format!("at most {} bytes of printable text", limit::LABEL_BYTES_MAX);
        wrong.push(Invalid::new(field(), format!("{} is too long or not printable", excerpt(text)), allowed));
    }
}

impl Registration {
    /// The fields again, to change and validate anew.
    pub fn into_parts(self) -> RegistrationParts {
        self.parts
    }

    /// To make equal parts one and the same; what they say does not change.
    pub(crate) fn parts_mut(&mut self) -> &mut RegistrationParts {
        &mut self.parts
    }

    /// The same worker without some of its partitions: a newer registration took them.
    #[must_use]
    pub fn without(&self, lost: impl Fn(Partition) -> bool) -> Self {
        let mut parts = self.parts.clone();
        parts.partitions.retain(|p| !lost(*p));
        Self { parts }
    }
}

impl std::ops::Deref for Registration {
    type Target = RegistrationParts;

    fn deref(&self) -> &RegistrationParts {
        &self.parts
    }
}

/// Where a worker is in its life. Each change is a log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Heartbeats arrive.
    Live,
    /// Past two thirds of its TTL without a heartbeat: serves only when no live one is left.
    Suspect {
        /// Since when.
        since: LogTime,
    },
    /// Past its TTL: routes nothing, and can be revived by a heartbeat.
    Expired {
        /// Since when.
        at: LogTime,
    },
    /// Newer registrations took all its partitions. Kept for a while so that its own late heartbeats are told.
    Displaced {
        /// Since when.
        at: LogTime,
    },
    /// Said goodbye. Kept for a while so that a late heartbeat of its last life does not bring it back.
    Unregistered {
        /// Since when.
        at: LogTime,
    },
}

/// The word for a [`Lifecycle`] that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// See [`Lifecycle::Live`].
    Live,
    /// See [`Lifecycle::Suspect`].
    Suspect,
    /// See [`Lifecycle::Expired`].
    Expired,
    /// Displaced or unregistered: as good as unknown to clients.
    Departed,
}

impl Status {
    /// Lower case, as in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Suspect => "suspect",
            Self::Expired => "expired",
            Self::Departed => "departed",
        }
    }
}

/// What the cluster holds about one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// What it offers, less the partitions that it lost.
    pub registration: Arc<Registration>,
    /// Partitions that it registered and that newer registrations took. Without them nobody could tell a worker
    /// that repeats its old list from one that wants more.
    pub lost: Vec<Partition>,
    /// Its fencing token: granted at its registration, and anew at each revival.
    pub epoch: Epoch,
    /// The epoch of its registration, which revivals don't change: the id of its lease, by which it says which
    /// of its lives a heartbeat belongs to.
    pub incarnation: Epoch,
    /// When it registered.
    pub registered_at: LogTime,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// What an operator decided about it.
    pub intent: Intent,
    /// The log index of the last change of this record, for `If-Match`.
    pub changed: LogIndex,
}

impl Worker {
    /// Its id.
    pub fn id(&self) -> &WorkerId {
        &self.registration.id
    }

    /// The word for its lifecycle.
    pub fn status(&self) -> Status {
        match self.lifecycle {
            Lifecycle::Live => Status::Live,
            Lifecycle::Suspect { .. } => Status::Suspect,
            Lifecycle::Expired { .. } => Status::Expired,
            Lifecycle::Displaced { .. } | Lifecycle::Unregistered { .. } => Status::Departed,
        }
    }

    /// Whether `partitions` (sorted, unique) is the list that it registered, what it lost since included.
    pub fn registered_exactly(&self, partitions: &[Partition]) -> bool {
        let mut registered = [&self.registration.partitions[..], &self.lost[..]].concat();
        registered.sort_unstable();
        registered == partitions
    }

    /// Whether its lease stands. Whether it gets requests, an operator decides as well ([`Self::takes_requests`]).
    pub fn is_routable(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Live | Lifecycle::Suspect { .. })
    }

    /// Whether new requests may go to it.
    pub fn takes_requests(&self) -> bool {
        self.is_routable() && self.intent.duty == Duty::InService
    }

    /// Whether new requests for one of its services may go to it.
    pub fn serves(&self, offer: &ServiceOffer) -> bool {
        self.takes_requests() && !self.registration.extras().unhealthy.contains(&offer.name)
    }

    /// The same, with what it says about itself now.
    pub fn serves_now(&self, offer: &ServiceOffer, load: Option<&Load>) -> bool {
        self.serves(offer) && load.is_none_or(|load| load.takes(offer.name.as_str()))
    }

    /// Its share of the traffic: an operator's, else the registered one.
    pub fn weight(&self) -> u32 {
        self.intent.weight.unwrap_or(self.registration.weight)
    }

    /// Whether it has what records did not have before there were services.
    pub fn has_more(&self) -> bool {
        self.intent != Intent::default() || self.registration.extras.is_some()
    }

    /// With whom it shares a delegate: its label `group`.
    pub fn group(&self) -> &str {
        self.registration.labels.get("group").map_or(DEFAULT_GROUP, |group| group)
    }

    /// Whether it may become the delegate of its group.
    pub fn stands_for_delegate(&self) -> bool {
        self.registration.extras().wants_delegate
            && !self.registration.services.is_empty()
            && self.takes_requests()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parts() -> RegistrationParts {
        RegistrationParts::new(
            WorkerId::parse("w1").expect("valid"),
            Address::parse("http://h:1").expect("valid"),
            Ttl::new(Duration::from_secs(30)).expect("valid"),
        )
    }

    #[test]
    fn partitions_are_sorted_and_unique() {
        let r = RegistrationParts { partitions: [3, 1, 3, -2].map(Partition).into(), ..parts() }
            .validate()
            .expect("valid");
        assert_eq!(r.partitions, [-2, 1, 3].map(Partition));
    }

    #[test]
    fn every_wrong_field_is_listed() {
        let mut p = RegistrationParts { weight: 1_000_001, ..parts() };
        p.labels.insert("k".into(), "v".repeat(257).into());
        let fields: Vec<_> = p.validate().expect_err("two are wrong").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["labels.k", "weight"]);
    }
}
