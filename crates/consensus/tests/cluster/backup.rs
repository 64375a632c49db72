//! Backups with more in them than one log entry holds.

use super::*;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use quorate_codec::snapshot::{self, SnapshotMeta};
use quorate_consensus::backup;
use quorate_model::{
    Keyspace, KeyspaceName, LogIndex, RouteName, RouteParts, ServiceName, ServicePolicy, StoredPolicy,
    StoredRoute,
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
        action: Action::Forward(Box::new(Forwarding { destinations, ..Forwarding::default() })),
        priority: 0,
    };
    let name = RouteName::parse(&format!("r{number:04}")).expect("valid");
    let route = parts.validate(name).expect("valid");
    // The later by name, the older: their age can't be taken from their order.
    Arc::new(StoredRoute { route, created: LogIndex(5_000 - number), changed: LogIndex(5_000) })
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
