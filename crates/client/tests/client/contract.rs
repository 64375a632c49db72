//! The library and the API's own types agree: what one writes, the other reads.

use crate::support::{Router, Say, granted};
use quorate_api::{answer::Page, cluster, heartbeat, intent, keyspace, lease, problem, service, worker};
use quorate_client::{Operator, ServiceOffer, WorkerClient};
use quorate_model::{
    Address, Epoch, Keyspace, KeyspaceName, KeyspaceSource, LeaseInfo, Lifecycle, LogIndex, LogTime,
    Partition, PartitionCount, Registration, RegistrationParts, ServiceName, Status, Ttl, Verdict, Worker,
    WorkerId,
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(30)).expect("valid")
}

fn id() -> WorkerId {
    WorkerId::parse("w1").expect("valid")
}

fn json(body: impl Serialize) -> Value {
    serde_json::to_value(body).expect("serialises")
}

fn a_worker() -> Worker {
    let address = Address::parse("http://h:1").expect("valid");
    let parts =
        RegistrationParts { partitions: vec![Partition(3)], ..RegistrationParts::new(id(), address, ttl()) };
    Worker {
        registration: Arc::new(parts.validate().expect("valid")),
        epoch: Epoch(9),
        incarnation: Epoch(7),
        registered_at: LogTime(0),
        lifecycle: Lifecycle::Live,
        lost: Vec::new(),
        intent: quorate_model::Intent::default(),
        changed: LogIndex(9),
    }
}

/// What the worker library sends, read as a router reads it.
async fn sent() -> (Registration, quorate_model::Heartbeat) {
    let router = Router::start(|seen| match seen.line.as_str() {
        "PUT /v1/workers/w1" => granted(7, "20ms"),
        _ => Say::Answer(200, json(heartbeat::Heard::new(Epoch(8), None))),
    })
    .await;
    let handle = WorkerClient::builder([router.url.clone()], "w1", "http://h:1")
        .partitions([3, 1])
        .keyspace("k")
        .services([ServiceOffer { url: Some("http://s:1".into()), ..ServiceOffer::new("upload") }])
        .labels(BTreeMap::from([("zone".into(), "a".into())]))
        .ttl(Duration::from_millis(1_500))
        .weight(50)
        .start()
        .await
        .expect("registered");
    crate::support::eventually("a heartbeat", || router.seen().len() >= 2).await;
    drop(handle);
    let body = |nth: usize| router.seen()[nth].body.as_object().expect("an object").clone();
    let registration = worker::registration(id(), body(0), ttl()).expect("the API takes every field");
    (registration, heartbeat::heartbeat(id(), body(1)).expect("the API takes every field"))
}

#[tokio::test]
async fn a_router_reads_what_a_worker_sends() {
    let (registration, beat) = sent().await;
    assert_eq!(registration.partitions, [1, 3].map(Partition));
    assert_eq!((registration.keyspace.as_str(), registration.weight), ("k", 50));
    assert_eq!(registration.ttl.as_ms(), 1_500);
    assert_eq!(registration.services[0].name.as_str(), "upload");
    assert_eq!((beat.incarnation, beat.sequence), (Some(Epoch(7)), Some(1)));
}

#[tokio::test]
async fn a_worker_reads_what_a_router_grants() {
    let lease = worker::LeaseGrant::new(&id(), Epoch(7), ttl());
    let grant = worker::Registered {
        lease,
        index: 7,
        visible: None,
        heartbeat_delegate: None,
        heartbeat_delegate_url: None,
    };
    let router = Router::start(move |_| Say::Answer(200, json(&grant))).await;
    let handle =
        WorkerClient::builder([router.url.clone()], "w1", "http://h:1").start().await.expect("registered");
    assert_eq!(handle.state(), quorate_client::WorkerState::Registered { epoch: 7 });
}

fn offer() -> quorate_model::ServiceOffer {
    let name = ServiceName::parse("upload").expect("valid");
    quorate_model::ServiceOffer { name, version: "2".into(), url: None }
}

fn page(item: impl Serialize) -> Say {
    Say::Answer(200, json(Page { items: vec![json(item)], next_cursor: None, index: 9 }))
}

fn answer(line: &str) -> Say {
    let keyspace = || {
        keyspace::KeyspaceBody::from(&Keyspace {
            name: KeyspaceName::default(),
            partitions: Some(PartitionCount::new(12).expect("valid")),
            source: KeyspaceSource::Kafka,
            hold: None,
            changed: LogIndex(1),
        })
    };
    match line.split('?').next().unwrap_or_default() {
        "GET /v1/workers" => page(worker::WorkerBody::new(&a_worker(), |_| Some(true))),
        "GET /v1/keyspaces" => page(keyspace()),
        "GET /v1/keyspaces/default" => Say::Answer(200, json(keyspace())),
        "GET /v1/keyspaces/default/partitions" => page(keyspace::PartitionBody::new(3, Some(&a_worker()))),
        "GET /v1/services" => page(
            service::ServiceShown::new(&ServiceName::parse("upload").expect("valid"), None, (1, 1))
                .with_endpoints(
                    [service::EndpointBody::new(&a_worker(), &offer(), None, Verdict::Healthy)].into_iter(),
                    10,
                ),
        ),
        "GET /v1/workers/w1/in-flight" => Say::Answer(
            200,
            json(intent::InFlightBody::new(vec![intent::NodeInFlight {
                node: "n1".into(),
                in_flight: Some(3),
                applied_index: Some(9),
                why: None,
            }])),
        ),
        "GET /v1/leases" => page(lease::LeaseBody::from(&LeaseInfo {
            id: id(),
            epoch: Epoch(9),
            incarnation: Epoch(7),
            ttl: ttl(),
            status: Status::Suspect,
            remaining: Duration::from_secs(4),
        })),
        "GET /v1/cluster" => Say::Answer(
            200,
            json(cluster::ClusterBody {
                feature_level: 2,
                cluster_id: Some("c".into()),
                node: "n1".into(),
                leader: None,
                term: 3,
                applied_index: 9,
                changed_index: 3,
                status: "degraded".into(),
                reason: Some("no leader".into()),
                quorum: cluster::QuorumBody { held: false, voters: 3, reachable: 1 },
                gateway: Some("wss://n1:8082/ws".into()),
                nodes: vec![cluster::NodeBody {
                    feature_level_max: Some(2),
                    name: "n1".into(),
                    id: "5".into(),
                    role: cluster::RoleBody::Learner,
                    peer: "p:1".into(),
                    management: "m:1".into(),
                    applied_index: Some(9),
                    reachable: true,
                }],
            }),
        ),
        _ => Say::Answer(400, json(problem::Problem::of_field("query.limit", "is 0", "1 to 1000"))),
    }
}

#[tokio::test]
async fn an_operator_reads_what_a_router_shows() {
    let router = Router::start(|seen| answer(&seen.line)).await;
    let operator = Operator::new(vec![router.url.clone()], None).expect("valid");
    let worker = &operator.workers().await.expect("read").value[0];
    assert_eq!((worker.id.as_str(), worker.status.as_str(), worker.epoch), ("w1", "live", 9));
    assert_eq!((worker.keyspace.as_deref(), &worker.partitions[..]), (Some("default"), &[3][..]));
    assert_eq!((worker.duty.as_deref(), worker.weight), (Some("in_service"), Some(100)));
    let service = &operator.services().await.expect("read").value[0];
    assert_eq!((service.name.as_str(), service.endpoint_count, service.serving_count), ("upload", 1, 1));
    let endpoint = &service.endpoints[0];
    assert_eq!(
        (endpoint.worker.as_str(), endpoint.status.as_str(), endpoint.url.as_str(), endpoint.weight),
        ("w1", "live", "http://h:1", 100)
    );
    assert_eq!(endpoint.version.as_deref(), Some("2"));
    let in_flight = operator.in_flight("w1", 9).await.expect("read").value;
    assert_eq!((in_flight.in_flight, in_flight.nodes[0].in_flight), (Some(3), Some(3)));
    let keyspace = &operator.keyspaces().await.expect("read").value[0];
    assert_eq!(keyspace, &operator.keyspace("default").await.expect("read").value);
    assert_eq!((keyspace.partitions, keyspace.source.as_str()), (Some(12), "kafka"));
    let partition = &operator.partitions("default").await.expect("read").value[0];
    assert_eq!((partition.partition, partition.owner.as_deref(), partition.epoch), (3, Some("w1"), Some(9)));
    let lease = &operator.leases().await.expect("read").value[0];
    assert_eq!(
        (lease.holder.as_str(), lease.status.as_str(), lease.remaining.as_str()),
        ("w1", "suspect", "4s")
    );
    let cluster = operator.cluster().await.expect("read").value;
    assert_eq!((cluster.leader, cluster.term, cluster.nodes[0].role.as_str()), (None, 3, "learner"));
    let quorum = cluster.quorum.map(|quorum| (quorum.held, quorum.voters, quorum.reachable));
    assert_eq!((cluster.status.as_deref(), quorum), (Some("degraded"), Some((false, 3, 1))));
    let error = operator.remove_worker("w1").await.expect_err("refused");
    let problem = error.problem().expect("a problem");
    assert_eq!((problem.code.as_str(), problem.errors[0].field.as_str()), ("invalid_request", "query.limit"));
    assert_eq!(problem.errors[0].detail, "is 0; allowed: 1 to 1000");
}
