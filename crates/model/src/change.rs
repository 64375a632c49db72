//! What a log entry changed, as those who watch the cluster are told.
//!
//! A change carries the record as it stood after its entry, not as it stands when somebody is told: every node
//! applies the same entries, so every node tells the same changes, under the same positions, in the same order.
//! Whoever watched one node can therefore go on at another one, and neither misses nor repeats anything.

use crate::{
    address::Address,
    health::Verdict,
    keyspace::{Keyspace, PartitionCount},
    level::FeatureLevel,
    name::{Invalid, NodeName, RouteName, RoutingKey, ServiceName, TunnelName, WorkerId},
    node::NodeRecord,
    number::{LogIndex, Partition},
    object::StoredObject,
    presence::{Gateway, TunnelHolder},
    route::StoredRoute,
    sandbox::StoredSandbox,
    service::{Delegate, StoredPolicy},
    worker::{Capability, Status, Worker},
};
use std::{fmt, str::FromStr, sync::Arc};

/// Where a change stands: the entry, and which of the entry's changes it is. The last one of an entry (most have
/// one only) stands at the entry's end and is written as the index alone, so `57` means "entry 57 and all before
/// it", and `57.0` the first of several changes of entry 57.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The entry.
    pub index: LogIndex,
    place: u32,
}

impl Position {
    /// What a position looks like.
    pub const ALLOWED: &'static str = "a log index such as 57, or the id of an event such as 57.0";

    /// Behind all changes of the entry at `index`.
    pub fn end_of(index: LogIndex) -> Self {
        Self { index, place: u32::MAX }
    }

    /// Change number `nth`, from 0, of the `count` changes of the entry at `index`.
    pub fn of(index: LogIndex, nth: usize, count: usize) -> Self {
        let place = if nth + 1 >= count { u32::MAX } else { u32::try_from(nth).unwrap_or(u32::MAX - 1) };
        Self { index, place }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            u32::MAX => write!(f, "{}", self.index),
            place => write!(f, "{}.{place}", self.index),
        }
    }
}

impl FromStr for Position {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("from", "is no position", Self::ALLOWED);
        // `parse` takes a plus sign, which nobody means.
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        let (index, place) = text.split_once('.').map_or((text, None), |(index, place)| (index, Some(place)));
        if !digits(index) || !place.is_none_or(digits) {
            return Err(wrong());
        }
        let index = LogIndex(index.parse().map_err(|_| wrong())?);
        match place {
            None => Ok(Self::end_of(index)),
            Some(place) => Ok(Self { index, place: place.parse().map_err(|_| wrong())? }),
        }
    }
}

/// What a change is about. Also the name of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A worker's record: its status, what it offers, the partitions that it holds, what an operator decided.
    Worker,
    /// A keyspace's count or source.
    Keyspace,
    /// What an operator decided about a service.
    Service,
    /// A route.
    Route,
    /// A sandbox.
    Sandbox,
    /// Who sends heartbeats for a whole group.
    Delegate,
    /// What a node says about itself.
    Node,
    /// What all members can do.
    Level,
    /// A node's lease for the long-lived connections that it holds.
    Gateway,
    /// A tunnel.
    Tunnel,
    /// An object of the sandbox API.
    Object,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Worker,
        Self::Keyspace,
        Self::Service,
        Self::Route,
        Self::Sandbox,
        Self::Delegate,
        Self::Node,
        Self::Level,
        Self::Gateway,
        Self::Tunnel,
        Self::Object,
    ];

    /// As in events and parameters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Keyspace => "keyspace",
            Self::Service => "service",
            Self::Route => "route",
            Self::Sandbox => "sandbox",
            Self::Delegate => "delegate",
            Self::Node => "node",
            Self::Level => "level",
            Self::Gateway => "gateway",
            Self::Tunnel => "tunnel",
            Self::Object => "object",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub position: Position,
    /// What changed.
    pub what: What,
}

/// What changed, with the record as it stood after the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A worker's record.
    Worker {
        /// As it is now. One that departed is as good as gone.
        record: Arc<Worker>,
        /// How many partitions its keyspace has, if known.
        count: Option<PartitionCount>,
        /// What happened to it.
        how: WorkerChange,
    },
    /// A worker's record was forgotten for good.
    WorkerForgotten {
        /// Whose.
        id: WorkerId,
    },
    /// A keyspace has a new count or source.
    Keyspace(Keyspace),
    /// A service has another policy, or none any more.
    Service {
        /// Which.
        name: ServiceName,
        /// What was decided.
        policy: Option<Box<StoredPolicy>>,
    },
    /// A route is another one, or none any more.
    Route {
        /// Which.
        name: RouteName,
        /// What it says.
        route: Option<Arc<StoredRoute>>,
    },
    /// A sandbox is another one, or none any more.
    Sandbox {
        /// Which.
        key: RoutingKey,
        /// What it says.
        sandbox: Option<Arc<StoredSandbox>>,
    },
    /// Health checks have found a service's endpoint well, or not.
    Health {
        /// Which service.
        service: ServiceName,
        /// Who.
        worker: WorkerId,
        /// How it is.
        verdict: Verdict,
    },
    /// A group has another delegate, or none any more.
    Delegate {
        /// Which group.
        group: Box<str>,
        /// Who.
        delegate: Option<Arc<Delegate>>,
    },
    /// A node described itself anew: it has started, or moved.
    Node(Arc<NodeRecord>),
    /// All members can do more than before.
    Level(FeatureLevel),
    /// An object of the sandbox API is another one, or none any more.
    Object {
        /// Its id, as people write it.
        name: Box<str>,
        /// What it says.
        object: Option<Arc<StoredObject>>,
    },
    /// A backup took the place of the state: everything may be different. Whoever watches has to read anew.
    Replaced,
    /// A node has another lease for the connections that it holds, or none any more. What it held by the one before is
    /// gone, and is not told one by one.
    Gateway {
        /// Whose.
        node: NodeName,
        /// The one that stands.
        gateway: Option<Arc<Gateway>>,
    },
    /// A tunnel hangs on another gateway, or on none any more.
    Tunnel {
        /// What it is called.
        name: TunnelName,
        /// Who holds it.
        holder: Option<TunnelHolder>,
    },
}

/// What happened to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerChange {
    /// It registered.
    Registered,
    /// Its status changed.
    Status {
        /// From.
        from: Status,
        /// To.
        to: Status,
    },
    /// A newer registration took partitions from it.
    Lost {
        /// Whose.
        to: WorkerId,
        /// How many.
        count: usize,
    },
    /// An operator decided anew about it.
    Intent,
}

impl What {
    /// What it is about; `None`: everything.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Worker { .. } | Self::WorkerForgotten { .. } => Some(Kind::Worker),
            Self::Keyspace(_) => Some(Kind::Keyspace),
            Self::Service { .. } | Self::Health { .. } => Some(Kind::Service),
            Self::Route { .. } => Some(Kind::Route),
            Self::Sandbox { .. } => Some(Kind::Sandbox),
            Self::Delegate { .. } => Some(Kind::Delegate),
            Self::Node(_) => Some(Kind::Node),
            Self::Level(_) => Some(Kind::Level),
            Self::Gateway { .. } => Some(Kind::Gateway),
            Self::Tunnel { .. } => Some(Kind::Tunnel),
            Self::Object { .. } => Some(Kind::Object),
            Self::Replaced => None,
        }
    }

    /// The name of what it is about; empty where there is only one.
    pub fn name(&self) -> &str {
        match self {
            Self::Worker { record, .. } => record.id().as_str(),
            Self::WorkerForgotten { id } => id.as_str(),
            Self::Keyspace(keyspace) => keyspace.name.as_str(),
            Self::Service { name, .. } | Self::Health { service: name, .. } => name.as_str(),
            Self::Route { name, .. } => name.as_str(),
            Self::Sandbox { key, .. } => key.as_str(),
            Self::Delegate { group, .. } => group,
            Self::Node(node) => node.name.as_str(),
            Self::Gateway { node, .. } => node.as_str(),
            Self::Tunnel { name, .. } => name.as_str(),
            Self::Object { name, .. } => name,
            Self::Level(_) | Self::Replaced => "",
        }
    }

    /// About how many bytes it keeps in memory. Records share much with each other, so this is more than the truth:
    /// that is what makes it a bound.
    pub fn weight(&self) -> usize {
        const EACH: usize = 256;
        EACH + match self {
            Self::Worker { record, .. } => weight_of(record),
            Self::Route { route, .. } => route.as_ref().map_or(0, |stored| stored.route.weight()),
            Self::Sandbox { sandbox, .. } => sandbox.as_ref().map_or(0, |stored| stored.sandbox.weight()),
            Self::Object { object, .. } => object.as_ref().map_or(0, |stored| stored.weight()),
            Self::Node(node) => node.peer.len() + node.management.len() + node.version.len(),
            // Names, which are short, and numbers.
            Self::WorkerForgotten { .. }
            | Self::Keyspace(_)
            | Self::Service { .. }
            | Self::Health { .. }
            | Self::Delegate { .. }
            | Self::Level(_)
            | Self::Gateway { .. }
            | Self::Tunnel { .. }
            | Self::Replaced => 0,
        }
    }
}

fn weight_of(record: &Worker) -> usize {
    /// What a pair of a map, or one of a list, takes besides its texts.
    const PAIR: usize = 96;
    let offer = &record.registration;
    let extras = offer.extras();
    let length = |address: &Address| address.as_str().len();
    let services = offer.services.iter().map(|service| {
        service.name.as_str().len() + service.version.len() + service.url.as_ref().map_or(0, length)
    });
    let labels = offer.labels.iter().map(|(name, text)| name.len() + text.len());
    let capabilities = offer.capabilities.iter().map(|(name, fact)| {
        name.len()
            + match fact {
                Capability::Flag(_) => 0,
                Capability::Number(text) | Capability::Text(text) => text.len(),
            }
    });
    let unhealthy = extras.unhealthy.iter().map(|name| name.as_str().len());
    let pairs = services.chain(labels).chain(capabilities).chain(unhealthy).map(|texts| PAIR + texts);
    offer.id.as_str().len()
        + length(&offer.address)
        + extras.tunnel.as_ref().map_or(0, length)
        + size_of::<Partition>() * (offer.partitions.len() + record.lost.len())
        + pairs.sum::<usize>()
}

#[cfg(test)]
mod tests;
