//! The objects of the sandbox API: what the routing proxy that Quorate replaces called sandboxes, route groups and
//! local workloads.
//!
//! Whoever puts one gets it back as it was put, so its text is kept as it came. What the cluster acts on is read out
//! of that text once, where the object comes in, and is kept beside it as [`ObjectSpec`]: nothing behind that point
//! reads a text. Fields that the cluster does nothing by (containers, resources) are checked there and are text from
//! then on.
//!
//! An object is known by its resource, its namespace and its name. Its life has an epoch: one that was taken away and
//! made anew is another one, with another [`StoredObject::uid`].

mod spec;
mod stored;

pub use spec::{GroupRoute, LocalWorkloadSpec, ObjectSpec, RouteGroupSpec, SandboxSpec};
pub use stored::{ObjectEnd, StoredObject};

use crate::{
    address::Address,
    limit,
    name::{DnsLabel, Invalid, ServiceName, TunnelName},
    number::LogIndex,
    weight,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Which kind of objects, as paths name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// What requests of a routing key are sent to.
    Sandboxes,
    /// Which requests are sent to which sandbox.
    RouteGroups,
    /// A service of a sandbox that runs on a developer's machine.
    LocalWorkloads,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sandboxes, Self::RouteGroups, Self::LocalWorkloads];

    /// As paths name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandboxes => "sandboxes",
            Self::RouteGroups => "routegroups",
            Self::LocalWorkloads => "localworkloads",
        }
    }

    /// What one of them calls itself.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Sandboxes => "Sandbox",
            Self::RouteGroups => "RouteGroup",
            Self::LocalWorkloads => "LocalWorkload",
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Of which kind.
    pub resource: Resource,
    /// Where its name is known.
    pub namespace: DnsLabel,
    /// Its name.
    pub name: DnsLabel,
}

impl ObjectId {
    /// The tunnel that whoever runs a local workload of this id is to hold. Labels have no dots: no two have the same.
    pub fn tunnel(&self) -> TunnelName {
        TunnelName::parse(&format!("{}.{}", self.namespace, self.name)).expect("two labels make a name")
    }
}

const _: () =
    assert!(2 * limit::DNS_LABEL_BYTES_MAX < limit::TUNNEL_NAME_BYTES_MAX, "and it is not too long");

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.resource.as_str(), self.namespace, self.name)
    }
}

/// A part of an object as it was put: JSON, which nothing below the API reads.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectText(Arc<str>);

impl ObjectText {
    /// Checks its length ([`limit::OBJECT_BYTES_MAX`]); the error is about `field`.
    pub fn new(field: &str, text: &str) -> Result<Self, Invalid> {
        let max = limit::OBJECT_BYTES_MAX;
        if text.len() <= max {
            return Ok(Self(text.into()));
        }
        Err(Invalid::new(field, format!("has {} bytes as JSON", text.len()), format!("at most {max}")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object as it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which. Its resource is that of `spec`.
    id: ObjectId,
    /// What lists are chosen by.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Kept for whoever put it.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
    /// What the cluster acts on.
    spec: ObjectSpec,
    /// All of the spec, as it was put.
    pub text: ObjectText,
}

impl Object {
    /// One without labels.
    pub fn new(namespace: DnsLabel, name: DnsLabel, spec: ObjectSpec, text: ObjectText) -> Self {
        let id = ObjectId { resource: spec.resource(), namespace, name };
        Self { id, labels: BTreeMap::new(), annotations: BTreeMap::new(), spec, text }
    }

    /// Which.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// What the cluster acts on.
    pub fn spec(&self) -> &ObjectSpec {
        &self.spec
    }

    /// About how many bytes it keeps in memory, for bounds: more than the truth.
    pub fn weight(&self) -> usize {
        /// What a pair of a map takes besides its texts.
        const PAIR: usize = 96;
        let pairs = self.labels.iter().chain(&self.annotations);
        let pairs = pairs.map(|(name, text)| PAIR + name.len() + text.len()).sum::<usize>();
        // The names are in each table that finds it.
        let names = 4 * (self.id.namespace.as_str().len() + self.id.name.as_str().len());
        weight::OBJECT + names + pairs + self.spec.weight() + self.text.as_str().len()
    }
}

/// What whoever looks after an object says of how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStatus {
    /// Of a sandbox: where its services answer, as it was said.
    pub endpoints: Vec<(ServiceName, Address)>,
    /// All of it, as it was put.
    pub text: ObjectText,
}

impl ObjectStatus {
    /// About how many bytes it keeps in memory, for bounds.
    pub fn weight(&self) -> usize {
        const EACH: usize = 160;
        let endpoints =
            self.endpoints.iter().map(|(name, at)| EACH + name.as_str().len() + at.as_str().len());
        weight::OBJECT_STATUS + self.text.as_str().len() + endpoints.sum::<usize>()
    }
}

/// Which version of an object a change is meant for; what is not said is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectPrecondition {
    /// The log index of its last change.
    pub changed: Option<LogIndex>,
    /// Which life of it.
    pub uid: Option<u128>,
}

/// A change of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectCommand {
    /// One that must not be there yet.
    Create(
        /// It.
        Box<Object>,
    ),
    /// One that is there says something else from now on. Its status stays.
    Replace {
        /// As it is to be.
        object: Box<Object>,
        /// Which version is meant.
        precondition: ObjectPrecondition,
    },
    /// Whoever looks after one says how it is.
    ReplaceStatus {
        /// Which.
        id: ObjectId,
        /// How it is.
        status: ObjectStatus,
        /// Which version is meant.
        precondition: ObjectPrecondition,
    },
    /// One is taken away.
    Delete {
        /// Which.
        id: ObjectId,
        /// Which version is meant.
        precondition: ObjectPrecondition,
    },
    /// The time of some is over, as the leader sees it.
    End(
        /// At most [`limit::OBJECT_ENDS_MAX`].
        Vec<ObjectEnd>,
    ),
}

impl ObjectCommand {
    /// The object that it is about; `None`: many.
    pub fn subject(&self) -> Option<&ObjectId> {
        match self {
            Self::Create(object) | Self::Replace { object, .. } => Some(object.id()),
            Self::ReplaceStatus { id, .. } | Self::Delete { id, .. } => Some(id),
            Self::End(_) => None,
        }
    }
}

/// Why an object was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectRefusal {
    /// There is none.
    #[error("there is no object {id}")]
    Unknown {
        /// Which.
        id: ObjectId,
    },
    /// There is one already.
    #[error("object {id} exists already")]
    Exists {
        /// Which.
        id: ObjectId,
    },
    /// It has changed.
    #[error("object {id} last changed at index {current}")]
    Changed {
        /// Which.
        id: ObjectId,
        /// The log index of its last change.
        current: LogIndex,
    },
    /// Another one has its name by now.
    #[error("object {id} is another one by now")]
    Other {
        /// Which.
        id: ObjectId,
    },
    /// A bound of [`crate::limit`] is reached.
    #[error("the limit of {max} {what} is reached")]
    Full {
        /// What there is too much of.
        what: ObjectBound,
        /// The bound.
        max: u64,
    },
    /// A backup is restored only where there is nothing to lose: here are objects.
    #[error("the cluster is not empty; objects: {objects}")]
    NotEmpty {
        /// How many.
        objects: u64,
    },
}

/// A thing that [`ObjectRefusal::Full`] can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectBound {
    /// [`limit::OBJECTS_MAX`].
    Objects,
    /// [`limit::OBJECTS_BYTES_MAX`].
    Bytes,
    /// [`limit::OBJECT_RULES_BYTES_MAX`].
    RuleBytes,
    /// [`limit::OBJECT_RULES_PER_KEY_MAX`].
    RulesPerKey,
    /// [`limit::OBJECT_KEYS_PER_SANDBOX_MAX`].
    KeysPerSandbox,
    /// [`limit::LOCAL_WORKLOADS_PER_SANDBOX_MAX`].
    LocalWorkloadsPerSandbox,
}

impl fmt::Display for ObjectBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Objects => "objects",
            Self::Bytes => "bytes of objects, with this one",
            Self::RuleBytes => "bytes of rules that objects make, with this one",
            Self::RulesPerKey => "rules that objects make for one routing key, with this one",
            Self::KeysPerSandbox => "routing keys that lead to one sandbox, with this one",
            Self::LocalWorkloadsPerSandbox => "local workloads of one sandbox, with this one",
        })
    }
}

#[cfg(test)]
mod tests;
