//! Backups with more in them than one log entry holds.

use super::*;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use quorate_codec::snapshot::{self, SnapshotMeta};
use quorate_consensus::backup;
use quorate_model::{
    Change, DnsLabel, Keyspace, KeyspaceName, LogIndex, LogTime, Object, Position, RouteName, RouteParts,
    RoutingKey, SandboxParts, SandboxRule, ServiceName, ServicePolicy, StoredObject, StoredPolicy,
    StoredRoute, StoredSandbox, What,
    object::{GroupRoute, ObjectSpec, ObjectText, RouteGroupSpec, SandboxSpec},
    route::{Action, Destination, Forwarding, PathMatch, RouteMatch, Target},
};
use quorate_state::Parts;

/// More than are written in one go.
const ROUTES: u64 = 1_200;

fn service() -> ServiceName {
    ServiceName::parse("echo").expect("valid")
}

fn route(number: u64) -> Arc<StoredRoute> {
    let destinations = vec![Destination { target: Target::Service(service()), weight: 1 }];
    let parts = RouteParts {
        matches: RouteMatch {
            path: PathMatch::prefix(&format!("/{number}")).expect("valid"),
            ..RouteMatch::default()
        },
        action: Action::from(Forwarding { destinations, ..Forwarding::default() }),
        priority: 0,
    };
    let name = RouteName::parse(&format!("r{number:04}")).expect("valid");
    let route = parts.validate(name).expect("valid");
    // The later by name, the older: their age can't be taken from their order.
    Arc::new(StoredRoute { route, created: LogIndex(5_000 - number), changed: LogIndex(5_000), ramp: None })
}

fn parts() -> Parts {
    let keyspace = Keyspace {
        name: KeyspaceName::default(),
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Static,
        hold: None,
        changed: LogIndex(1),
    };
    let policy = ServicePolicy { prefer_zone: true, ..ServicePolicy::default() };
    Parts {
        index: LogIndex(5_000),
        level: FeatureLevel::FOURTH,
        keyspaces: vec![keyspace],
        policies: vec![StoredPolicy { service: service(), policy, changed: LogIndex(7) }],
        routes: (0..ROUTES).map(route).collect(),
        config_changed: LogIndex(5_000),
        ..Parts::default()
    }
}

/// Sandboxes that end at these times; `None`: not by themselves.
fn sandboxes(ends: &[(&str, Option<LogTime>)]) -> Parts {
    let destinations = vec![Destination { target: Target::Service(service()), weight: 1 }];
    let rules = vec![SandboxRule { destinations, ..SandboxRule::default() }];
    let sandbox = Arc::new(SandboxParts { rules, ttl: None }.validate().expect("valid"));
    let stored = |(key, ends): &(&str, Option<LogTime>)| {
        let (key, sandbox, at) = (RoutingKey::parse(key).expect("valid"), sandbox.clone(), LogIndex(7));
        Arc::new(StoredSandbox {
            key,
            sandbox,
            created: at,
            changed: at,
            ends: *ends,
            ramps: Default::default(),
        })
    };
    Parts { level: FeatureLevel::FIFTH, sandboxes: ends.iter().map(stored).collect(), ..parts() }
}

/// The leader ends what is over, one entry for all of it, and leaves the rest. Every node tells the end at one index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sandboxes_of_a_backup_whose_time_is_over_end_at_one_index() {
    let cluster = Cluster::formed(3).await;
    let (over, later) = (Some(LogTime(1)), Some(LogTime(u64::MAX)));
    let parts = sandboxes(&[("for-good", None), ("later", later), ("over-1", over), ("over-2", over)]);
    let parts = Parts { routes: Vec::new(), ..parts };
    let file = Bytes::from(snapshot::encode(&SnapshotMeta::default(), &parts));
    let body = stream::iter([Ok::<_, std::io::Error>(file)]);
    let restored = backup::restore(cluster.consensus(1), body).await.expect("it is empty");
    let mut ends = Vec::new();
    for i in 0..3 {
        cluster.until(|c| c.consensus(i).view().get().sandboxes().len() == 2).await;
        let view = cluster.consensus(i).view().get();
        let keys: Vec<_> = view.sandboxes().iter().map(|stored| stored.key.as_str()).collect();
        assert_eq!(keys, ["for-good", "later"], "at {}", name(i));
        let told = cluster.consensus(i).changes_after(Position::end_of(restored.index), usize::MAX);
        let ended = |change: &&Arc<Change>| matches!(change.what, What::Sandbox { sandbox: None, .. });
        let told = told.expect("of late").changes;
        ends.push(told.iter().filter(ended).map(|change| change.position).collect::<Vec<_>>());
    }
    assert_eq!(ends[0].len(), 2, "{ends:?}");
    assert_eq!(ends[0][0].index, ends[0][1].index, "one entry");
    assert!(ends.iter().all(|one| *one == ends[0]), "{ends:?}");
}

/// A sandbox of the sandbox API that has ended, one that has not, and a group that leads to both.
fn objects() -> Parts {
    let label = |text| DnsLabel::parse(text).expect("valid");
    let object = |name, spec, epoch, ends| {
        let text = ObjectText::new("spec", "{}").expect("short");
        Arc::new(StoredObject {
            object: Arc::new(Object::new(label("ns"), label(name), spec, text)),
            status: None,
            uid: u128::from(epoch),
            epoch: Epoch(epoch),
            generation: 1,
            created_at: LogTime(1),
            changed: LogIndex(7),
            ends,
        })
    };
    let sandbox = || {
        let services = vec![service()];
        ObjectSpec::Sandbox(SandboxSpec { services, ..SandboxSpec::default() })
    };
    let route = |key, target| GroupRoute {
        key: RoutingKey::parse(key).expect("valid"),
        target: label(target),
        path_prefixes: Vec::new(),
        paths_exact: Vec::new(),
        add_headers: Vec::new(),
    };
    let routes = vec![route("k", "over"), route("l", "stays")];
    let group = ObjectSpec::RouteGroup(RouteGroupSpec { routes, ..RouteGroupSpec::default() });
    let objects = vec![
        object("over", sandbox(), 3, Some(LogTime(1))),
        object("stays", sandbox(), 4, Some(LogTime(u64::MAX))),
        object("group", group, 5, None),
    ];
    let last_epoch = Epoch(9);
    Parts { level: FeatureLevel::SIXTH, last_epoch, objects, routes: Vec::new(), ..parts() }
}

/// The leader ends it, and all that it routed goes with it, at one index on every node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_come_back_from_a_backup_and_end_at_one_index() {
    let cluster = Cluster::formed(3).await;
    let file = Bytes::from(snapshot::encode(&SnapshotMeta::default(), &objects()));
    let body = stream::iter([Ok::<_, std::io::Error>(file)]);
    let restored = backup::restore(cluster.consensus(1), body).await.expect("it is empty");
    let mut ends = Vec::new();
    for i in 0..3 {
        cluster.until(|c| c.consensus(i).view().get().objects().len() == 2).await;
        let view = cluster.consensus(i).view().get();
        let found = ["k", "l"].map(|key| view.sandboxes().of_requests(key).is_some());
        assert_eq!(found, [false, true], "at {}", name(i));
        let told = cluster.consensus(i).changes_after(Position::end_of(restored.index), usize::MAX);
        let ended = |change: &&Arc<Change>| matches!(change.what, What::Object { object: None, .. });
        let told = told.expect("of late").changes;
        ends.push(told.iter().filter(ended).map(|change| change.position).collect::<Vec<_>>());
    }
    assert_eq!(ends[0].len(), 1, "{ends:?}");
    assert!(ends.iter().all(|one| *one == ends[0]), "{ends:?}");
}

/// What each says, and how old it is.
fn told(parts: &Parts) -> Vec<(quorate_model::Route, LogIndex)> {
    parts.routes.iter().map(|stored| (stored.route.clone(), stored.created)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_come_back_from_a_backup_as_old_as_they_were() {
    let cluster = Cluster::formed(3).await;
    let file = Bytes::from(snapshot::encode(&SnapshotMeta::default(), &parts()));
    let body = stream::iter([Ok::<_, std::io::Error>(file)]);
    let restored = backup::restore(cluster.consensus(1), body).await.expect("it is empty");
    for i in 0..3 {
        cluster.until(|c| c.consensus(i).view().get().index() >= restored.index).await;
        let head = cluster.consensus(i).view().get().head();
        assert_eq!(told(&head), told(&parts()), "at {}", name(i));
        assert!(head.policies[0].policy.prefer_zone);
    }
    let view = cluster.consensus(2).view().get();
    let pieces: Vec<Bytes> = backup::export(view.clone()).try_collect().await.expect("it is read quickly");
    let (_, again) = snapshot::decode(&pieces.concat()).expect("a whole backup");
    assert_eq!(again.routes, view.head().routes);
}
