//! One sample of everything, and strategies for more.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod any_traffic;
mod later;
pub mod objects;
pub mod past;
pub mod presence;
pub mod ramps;
pub mod replies;
pub mod sandboxes;
pub mod services;
pub mod sessions;
mod snapshots;
mod strategies;
pub mod traffic;
pub mod versions;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub use snapshots::{keyspace_records, later_snapshot, restoring, snapshot, workers};
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use strategies::*;

#[allow(unused_imports, reason = "for the modules of this folder")]
use proptest::{collection, option, prelude::*};
use quorate_codec::log::{LogId, LogRecord, MemberNode, Membership, Payload};
use quorate_codec::snapshot::SnapshotMeta;
use quorate_model::{
    Address, BootId, Capability, ClusterId, Command, Entry, Epoch, Extras, FeatureLevel, Intent, Keyspace,
    KeyspaceName, KeyspaceSource, LeaseChange, LeaseEvent, Lifecycle, LogIndex, LogTime, NodeId, NodeName,
    NodeRecord, Origin, Partition, PartitionCount, PartitionRange, Proposal, Refusal, Registration,
    RegistrationParts, Reply, RestoreId, RestoreStep, ServiceName, ServiceOffer, Ttl, Worker, WorkerId,
    reply::Bounded,
};
use quorate_state::{Parts, PresenceParts, RestoringParts, WindowParts};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub fn worker_id(text: &str) -> WorkerId {
    WorkerId::parse(text).expect("valid")
}

pub fn keyspace(text: &str) -> KeyspaceName {
    KeyspaceName::parse(text).expect("valid")
}

pub fn registration() -> Registration {
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let parts = RegistrationParts::new(
        worker_id("w1"),
        Address::parse("http://10.0.0.7:8081/base").expect("valid"),
        ttl,
    );
    let service = |name: &str, url: Option<&str>| ServiceOffer {
        name: ServiceName::parse(name).expect("valid"),
        version: "1.2".into(),
        url: url.map(|u| Address::parse(u).expect("valid")),
    };
    RegistrationParts {
        keyspace: keyspace("other"),
        partitions: [-1, 0, 7].map(Partition).into(),
        services: vec![service("echo", None), service("chat", Some("https://chat.example"))],
        labels: BTreeMap::from([("zone".into(), "a".into())]).into(),
        capabilities: BTreeMap::from([
            ("gpu".into(), Capability::Flag(true)),
            ("ram".into(), Capability::Number("1.50".into())),
            ("os".into(), Capability::Text("linux".into())),
        ])
        .into(),
        weight: 50,
        ..parts
    }
    .validate()
    .expect("valid")
}

pub fn node_record() -> NodeRecord {
    NodeRecord {
        id: NodeId(7),
        name: NodeName::parse("n1").expect("valid"),
        boot: BootId(8),
        peer: "n1:7000".into(),
        management: "n1:9090".into(),
        version: "0.1.0".into(),
    }
}

/// One command of each kind; a new kind does not compile until it has a sample.
pub fn commands() -> Vec<(&'static str, Command)> {
    let count = PartitionCount::new(12).ok();
    let change = |id: &str, event| LeaseChange { id: worker_id(id), epoch: Epoch(5), event };
    let mut commands = vec![
        Command::FormCluster { cluster: ClusterId(0xfeed), partitions: count, source: KeyspaceSource::Kafka },
        Command::RegisterWorker {
            registration: registration(),
            range: PartitionRange::Lenient,
            if_index: Some(LogIndex(3)),
        },
        Command::AdoptWorker { registration: registration() },
        unregister(),
        Command::ChangeLeases(vec![
            change("a", LeaseEvent::Suspected),
            change("b", LeaseEvent::Recovered),
            change("c", LeaseEvent::Expired),
            change("d", LeaseEvent::Revived),
        ]),
        Command::PutKeyspace {
            name: keyspace("other"),
            partitions: None,
            source: KeyspaceSource::Static,
            hold: None,
            if_index: Some(LogIndex(0)),
        },
        Command::ObservePartitions { keyspace: keyspace("default"), partitions: count.expect("valid") },
        Command::DescribeNode(node_record()),
    ];
    commands.extend(later::commands());
    commands.extend([
        restore(RestoreStep::Begin {
            keyspaces: keyspace_records(),
            policies: Vec::new(),
            last_epoch: Epoch(30),
        }),
        restore(RestoreStep::Workers { batch: 3, workers: workers() }),
        restore(RestoreStep::Finish { batches: 4, workers: 5 }),
        restore(RestoreStep::Abandon),
    ]);
    let mut named: Vec<_> = commands.into_iter().map(|c| (command_name(&c), c)).collect();
    named.extend(services::commands());
    named.extend(traffic::commands());
    named.extend(sandboxes::commands());
    named.extend(past::commands());
    named.extend(presence::commands());
    named.extend(ramps::commands());
    named.extend(objects::commands());
    named.extend(versions::commands());
    named.extend(sessions::commands());
    named
}

fn unregister() -> Command {
    Command::UnregisterWorker { id: worker_id("w1"), epoch: Some(Epoch(4)), if_index: None }
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::FormCluster { .. } => "form-cluster",
        Command::RegisterWorker { .. } => "register-worker",
        Command::AdoptWorker { .. } => "adopt-worker",
        Command::UnregisterWorker { .. } => "unregister-worker",
        Command::ChangeLeases(_) => "change-leases",
        Command::PutKeyspace { .. } => "put-keyspace",
        Command::ObservePartitions { .. } => "observe-partitions",
        Command::DescribeNode(_) => "describe-node",
        Command::RaiseLevel { .. } => "raise-level",
        Command::HandOverLeases { .. } => "hand-over-leases",
        Command::SetDuty { .. } => "set-duty",
        Command::SetWeight { .. } => "set-weight",
        Command::PutService { .. } => "put-service",
        Command::DeleteService { .. } => "delete-service",
        Command::PutRoute { .. } => "put-route",
        Command::DeleteRoute { .. } => "delete-route",
        Command::Configure { .. } => "configure",
        Command::ChangeHealth(_) => "change-health",
        Command::RollBack { .. } => "roll-back",
        Command::Restore { step: RestoreStep::Begin { .. }, .. } => "restore-begin",
        Command::Restore { step: RestoreStep::Routes { .. }, .. } => "restore-routes",
        Command::Restore { step: RestoreStep::Sandboxes { .. }, .. } => "restore-sandboxes",
        Command::PutSandbox { .. } | Command::DeleteSandbox { .. } => "sandbox",
        Command::ExtendSandbox { .. } | Command::EndSandboxes(_) | Command::Ramp(_) => "in-time",
        Command::Restore { step: RestoreStep::Objects { .. }, .. } | Command::Object(_) => "object",
        Command::Restore { step: RestoreStep::Workers { .. }, .. } => "restore-workers",
        Command::Restore { step: RestoreStep::Finish { .. }, .. } => "restore-finish",
        Command::Restore { step: RestoreStep::Abandon, .. } => "restore-abandon",
        Command::Presence(_) => "presence",
    }
}

/// One reply of each kind.
pub fn replies() -> Vec<(&'static str, Reply)> {
    let refusals = vec![
        Refusal::UnknownWorker { id: worker_id("w") },
        Refusal::StaleEpoch { id: worker_id("w"), current: Epoch(9), got: Epoch(8) },
        Refusal::UnknownKeyspace { name: keyspace("k") },
        Refusal::PartitionOutOfRange { keyspace: keyspace("k"), partition: Partition(-3), count: 12 },
        Refusal::PartitionCountUnknown { name: keyspace("k") },
        Refusal::PreconditionFailed { current: LogIndex(4), wanted: LogIndex(3) },
        Refusal::Full { what: Bounded::Workers, max: 10 },
        Refusal::Full { what: Bounded::Keyspaces, max: 11 },
        Refusal::AlreadyFormed,
        Refusal::Forgotten,
        Refusal::NotEmpty { workers: 2, keyspaces: 1 },
        Refusal::RestoreVoid,
        Refusal::RestoreUnsound { why: "w1 is there twice".into() },
        Refusal::UnknownService { name: services::service("chat") },
        Refusal::HasPolicies { policies: 3 },
        Refusal::Full { what: Bounded::ServicePolicies, max: 12 },
        Refusal::UnknownRoute { name: traffic::route_name("r") },
        Refusal::HasRoutes { routes: 4 },
        Refusal::Full { what: Bounded::Routes, max: 13 },
        Refusal::Full { what: Bounded::RegexRoutes, max: 14 },
        Refusal::Full { what: Bounded::RouteBytes, max: 15 },
        Refusal::Full { what: Bounded::ConfigObjects, max: 16 },
    ];
    let mut replies = vec![Reply::Done, Reply::Unchanged, Reply::Registered { epoch: Epoch(5) }];
    replies.extend(
        refusals
            .into_iter()
            .chain(sandboxes::refusals())
            .chain(past::refusals())
            .chain(presence::refusals())
            .chain(ramps::refusals())
            .map(Reply::Refused),
    );
    let mut named: Vec<_> = replies.into_iter().map(|r| (reply_name(&r), r)).collect();
    named.extend(objects::refusals().into_iter().map(|(name, refusal)| (name, Reply::Refused(refusal))));
    named.push(("sessions", sessions::reply()));
    named
}

fn reply_name(reply: &Reply) -> &'static str {
    let refusal = match reply {
        Reply::Done => return "done",
        Reply::Unchanged => return "unchanged",
        Reply::Registered { .. } => return "registered",
        Reply::Sessions(_) => return "sessions",
        Reply::Refused(refusal) => refusal,
    };
    match refusal {
        Refusal::UnknownWorker { .. } => "unknown-worker",
        Refusal::StaleEpoch { .. } => "stale-epoch",
        Refusal::UnknownKeyspace { .. } => "unknown-keyspace",
        Refusal::PartitionOutOfRange { .. } => "partition-out-of-range",
        Refusal::PartitionCountUnknown { .. } => "partition-count-unknown",
        Refusal::PreconditionFailed { .. } => "precondition-failed",
        Refusal::Full { what, .. } => replies::full_name(*what),
        Refusal::NotInHistory { .. } => "not-in-history",
        Refusal::AlreadyFormed => "already-formed",
        Refusal::Forgotten => "forgotten",
        Refusal::NotEmpty { .. } => "not-empty",
        Refusal::RestoreVoid => "restore-void",
        Refusal::RestoreUnsound { .. } => "restore-unsound",
        Refusal::UnknownService { .. } => "unknown-service",
        Refusal::HasPolicies { .. } => "has-policies",
        Refusal::UnknownRoute { .. } => "unknown-route",
        Refusal::HasRoutes { .. } => "has-routes",
        Refusal::UnknownSandbox { .. } => "unknown-sandbox",
        Refusal::HasSandboxes { .. } => "has-sandboxes",
        Refusal::GatewayEnded { .. } => "gateway-ended",
        Refusal::NoRamp { .. } => "no-ramp",
        Refusal::RampOver { .. } => "ramp-over",
        Refusal::Object(_) => "object",
    }
}

pub fn proposal(sequence: u64, command: Command) -> Proposal {
    Proposal { origin: Origin { boot: BootId(0xb007), sequence }, command }
}

pub fn membership() -> Membership {
    let node = |name: &str| MemberNode { name: name.into(), peer: format!("{name}:7000") };
    Membership {
        configs: vec![[1, 2].into(), [1, 3].into()],
        nodes: BTreeMap::from([(1, node("n1")), (2, node("n2")), (3, node("n3")), (4, node("n4"))]),
    }
}

/// One log record of each kind.
pub fn records() -> Vec<(&'static str, LogRecord)> {
    let entry = Entry { at: LogTime(1_790_000_000_000), proposals: vec![proposal(1, unregister())] };
    let payloads = vec![Payload::Blank, Payload::Normal(entry), Payload::Membership(membership())];
    let record = |payload| LogRecord { term: 2, leader: 7, index: 41, payload };
    payloads.into_iter().map(|p| (payload_name(&p), record(p))).collect()
}

fn payload_name(payload: &Payload) -> &'static str {
    match payload {
        Payload::Blank => "blank",
        Payload::Normal(_) => "normal",
        Payload::Membership(_) => "membership",
    }
}

fn restore(step: RestoreStep) -> Command {
    Command::Restore { id: RestoreId(0xbac), step }
}
