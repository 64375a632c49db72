//! The nouns of Quorate, and nothing that moves.
//!
//! Everything here is validated when it is made, so that no later layer has to doubt it: a [`WorkerId`] is
//! bounded and printable, an [`Address`] is an absolute http(s) URL, a [`Registration`] has no partition twice.
//! The crate is pure: no clock, no randomness, no I/O, no serialisation (bytes belong to `codec`, JSON to `api`).
//!
//! | module | nouns |
//! |---|---|
//! | [`name`] | bounded, printable names and ids |
//! | [`number`] | log indexes, epochs, log time, random ids |
//! | [`address`] | where a worker is reached |
//! | [`facts`] | names with values that a fleet states alike |
//! | [`worker`] | registrations, leases, the worker record |
//! | [`service`] | operator intent, service policies, delegates |
//! | [`route`] | which requests go where |
//! | [`sandbox`] | where requests that carry a routing key go instead |
//! | [`object`] | the objects of the sandbox API |
//! | [`policy`] | balancing, retries, breakers, health checks, limits |
//! | [`health`] | what health checks have found |
//! | [`config`] | all that operators declare, as one document |
//! | [`declared`] | what they declared before |
//! | [`keyspace`] | partition counts and where they come from |
//! | [`node`], [`peer_address`] | what a router node says about itself, and where it is dialled |
//! | [`membership`] | joining and leaving the cluster |
//! | [`change`] | what a log entry changed, as watchers are told |
//! | [`command`] | what can be asked of the replicated state |
//! | [`reply`] | what it answers, and the events that an apply causes |
//! | [`level`] | what all members can do together |
//! | [`restore`] | the steps of a restore from a backup |
//! | [`heartbeat`], [`load`], [`opening`] | liveness, how busy a worker is, whom a node leaves alone: none of it ever enters the log |
//! | [`observation`] | what one node makes of a service's workers |
//! | [`key_trace`] | where a routing key was on its way, and where it was lost |
//! | [`own`] | addresses that are the router's own |
//! | [`presence`] | who holds which long-lived connection |
//! | [`session`] | users of the WebSocket gateway and their connections |
//! | [`tier`] | what kind of machine a worker is |
//! | [`sharing`] | equal values made one and the same |
//! | [`limit`] | every bound, by name |

pub mod address;
pub mod change;
pub mod command;
pub mod config;
pub mod declared;
pub mod facts;
pub mod health;
pub mod heartbeat;
pub mod key_trace;
pub mod keyspace;
pub mod level;
pub mod limit;
pub mod load;
pub mod membership;
pub mod name;
pub mod node;
pub mod number;
pub mod object;
pub mod observation;
pub mod opening;
pub mod own;
pub mod peer_address;
pub mod policy;
pub mod presence;
pub mod ramp;
pub mod reply;
pub mod restore;
pub mod route;
pub mod sandbox;
pub mod service;
pub mod session;
pub mod sharing;
pub mod tier;
mod tunnelled;
mod weight;
pub mod worker;

pub use address::{Address, Scheme};
pub use change::{Change, Kind, Position, What, WorkerChange};
pub use command::{Command, Entry, LeaseChange, LeaseEvent, Origin, PartitionRange, Proposal, Silence};
pub use config::{Config, ConfigMode, KeyspaceConfig};
pub use declared::{Became, DeclaredChange, Former, FormerSandbox};
pub use facts::Facts;
pub use health::{Ailment, HealthChange, Verdict};
pub use heartbeat::{Heartbeat, HeartbeatOutcome, LeaseInfo};
pub use keyspace::{Keyspace, KeyspaceSource, PartitionCount};
pub use level::{FeatureLevel, NodeLevels};
pub use load::{Load, LoadReport, Milli};
pub use membership::{Join, Leave, MemberChange, MemberRefusal};
pub use name::{
    DnsLabel, Invalid, KeyspaceName, NodeName, RouteName, RoutingKey, ServiceName, TunnelName, WorkerId,
    shown_key,
};
pub use node::NodeRecord;
pub use number::{BootId, ClusterId, Epoch, LogIndex, LogTime, NodeId, Partition, RestoreId, Ttl};
pub use object::{
    Object, ObjectCommand, ObjectEnd, ObjectId, ObjectPrecondition, ObjectRefusal, ObjectStatus, Resource,
    StoredObject,
};
pub use observation::{
    BreakerObservation, BreakerPhase, EjectionCause, EjectionObservation, EndpointObservation, Observation,
    OpeningCause,
};
pub use opening::{NumberedOpening, Opening, Openings};
pub use own::{OwnAddresses, points_at_self};
pub use peer_address::PeerAddress;
pub use policy::{
    Backoff, Balancing, Breaker, EndpointLimits, HealthCheck, HealthProbe, KeySource, Outlier, Protocol,
    Retries, RetryBudget,
};
pub use presence::{Gateway, GatewayEnd, PresenceCommand, PresenceEvent, SessionsChanged, TunnelHolder};
pub use ramp::{
    ErrorsSeen, OnErrors, OnErrorsThen, Ramp, RampAdvance, RampCause, RampCommand, RampCounted, RampErrors,
    RampOrder, RampPhase, RampState, RampStep, RampSubject, Ramping,
};
pub use reply::{Event, Refusal, Reply};
pub use restore::RestoreStep;
pub use route::{Route, RouteParts, StoredRoute};
pub use sandbox::{Sandbox, SandboxEnd, SandboxParts, SandboxRule, SandboxTtl, StoredSandbox};
pub use service::{Delegate, Duty, Extras, Hold, Intent, ServicePolicy, StoredPolicy};
pub use session::{ConnectionId, SecondLogin, Session, SessionChange, SessionOutcome, UserId};
pub use sharing::Sharing;
pub use tier::Tier;
pub use worker::{Capability, Lifecycle, Registration, RegistrationParts, ServiceOffer, Status, Worker};
