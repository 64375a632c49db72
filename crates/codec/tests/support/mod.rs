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
mod snapshots;
pub mod traffic;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub use snapshots::{keyspace_records, later_snapshot, restoring, snapshot, workers};

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
    named
}

fn reply_name(reply: &Reply) -> &'static str {
    let refusal = match reply {
        Reply::Done => return "done",
        Reply::Unchanged => return "unchanged",
        Reply::Registered { .. } => return "registered",
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

fn name_strategy() -> impl Strategy<Value = String> {
    "[a-z日é]([a-z0-9 ._/日-]{0,20}[a-z0-9])?"
}

fn ids() -> impl Strategy<Value = WorkerId> {
    name_strategy().prop_map(|text| worker_id(&text))
}

fn keyspaces() -> impl Strategy<Value = KeyspaceName> {
    name_strategy().prop_map(|text| keyspace(&text))
}

fn addresses() -> impl Strategy<Value = Address> {
    ("https?", "[a-z][a-z0-9-]{0,10}[a-z0-9]", option::of(1u16..), "(/[a-z]{0,4}){0,2}").prop_map(
        |(scheme, host, port, path)| {
            let port = port.map_or(String::new(), |p| format!(":{p}"));
            Address::parse(&format!("{scheme}://{host}{port}{path}")).expect("valid")
        },
    )
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[ -~é日]{0,30}".prop_map(Into::into)
}

fn capabilities() -> impl Strategy<Value = Capability> {
    prop_oneof![
        any::<bool>().prop_map(Capability::Flag),
        any::<f64>()
            .prop_map(|n| Capability::Number(n.to_string().chars().take(200).collect::<String>().into())),
        text().prop_map(Capability::Text),
    ]
}

fn offers() -> impl Strategy<Value = ServiceOffer> {
    (name_strategy(), text(), option::of(addresses())).prop_map(|(name, version, url)| ServiceOffer {
        name: ServiceName::parse(&name).expect("valid"),
        version,
        url,
    })
}

pub fn registrations() -> impl Strategy<Value = Registration> {
    let who = (ids(), addresses(), keyspaces(), 1_000u64..86_400_000, 0u32..1_000_001);
    let what = (
        collection::vec(any::<i32>(), 0..50),
        collection::vec(offers(), 0..4),
        collection::btree_map(text(), text(), 0..4),
        collection::btree_map(text(), capabilities(), 0..4),
    );
    (who, what).prop_map(
        |((id, address, keyspace, ttl, weight), (partitions, services, labels, capabilities))| {
            RegistrationParts {
                id,
                address,
                keyspace,
                partitions: partitions.into_iter().map(Partition).collect(),
                services,
                labels: labels.into(),
                capabilities: capabilities.into(),
                ttl: Ttl::new(Duration::from_millis(ttl)).expect("valid"),
                weight,
                extras: None,
            }
            .validate()
            .expect("valid")
        },
    )
}

fn counts() -> impl Strategy<Value = PartitionCount> {
    (1u32..=100_000).prop_map(|n| PartitionCount::new(n).expect("valid"))
}

fn sources() -> impl Strategy<Value = KeyspaceSource> {
    prop_oneof![Just(KeyspaceSource::Static), Just(KeyspaceSource::Kafka)]
}

fn indexes() -> impl Strategy<Value = Option<LogIndex>> {
    option::of(any::<u64>().prop_map(LogIndex))
}

fn lease_changes() -> impl Strategy<Value = LeaseChange> {
    let events = prop_oneof![
        Just(LeaseEvent::Suspected),
        Just(LeaseEvent::Recovered),
        Just(LeaseEvent::Expired),
        Just(LeaseEvent::Revived)
    ];
    (ids(), any::<u64>(), events).prop_map(|(id, epoch, event)| LeaseChange {
        id,
        epoch: Epoch(epoch),
        event,
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let ranges = prop_oneof![Just(PartitionRange::Strict), Just(PartitionRange::Lenient)];
    prop_oneof![
        (any::<u128>(), option::of(counts()), sources()).prop_map(|(cluster, partitions, source)| {
            Command::FormCluster { cluster: ClusterId(cluster), partitions, source }
        }),
        (registrations(), ranges, indexes()).prop_map(|(registration, range, if_index)| {
            Command::RegisterWorker { registration, range, if_index }
        }),
        registrations().prop_map(|registration| Command::AdoptWorker { registration }),
        (ids(), option::of(any::<u64>()), indexes()).prop_map(|(id, epoch, if_index)| {
            Command::UnregisterWorker { id, epoch: epoch.map(Epoch), if_index }
        }),
        collection::vec(lease_changes(), 0..5).prop_map(Command::ChangeLeases),
        (keyspaces(), option::of(counts()), sources(), indexes()).prop_map(
            |(name, partitions, source, if_index)| {
                Command::PutKeyspace { name, partitions, source, hold: None, if_index }
            }
        ),
        (keyspaces(), counts())
            .prop_map(|(keyspace, partitions)| Command::ObservePartitions { keyspace, partitions }),
        (any::<(u64, u64)>(), name_strategy(), text(), text(), text()).prop_map(
            |((id, boot), name, peer, management, version)| {
                let name = NodeName::parse(&name).expect("valid");
                Command::DescribeNode(NodeRecord {
                    id: NodeId(id),
                    name,
                    boot: BootId(boot),
                    peer,
                    management,
                    version,
                })
            }
        ),
        later::any_command(),
        services::any_command(),
        any_traffic::any_command(),
        sandboxes::any_command(),
        past::any_command(),
        presence::any_command(),
        ramps::any_command(),
        objects::any_command(),
    ]
}

pub fn any_proposal() -> impl Strategy<Value = Proposal> {
    (any::<u64>(), any::<u64>(), any_command()).prop_map(|(boot, sequence, command)| Proposal {
        origin: Origin { boot: BootId(boot), sequence },
        command,
    })
}
