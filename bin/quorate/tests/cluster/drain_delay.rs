//! A node that ends while requests still come: those who send them learn of it some time later.

use crate::support::{
    cluster::{Cluster, WORKSPACES},
    eventually,
    http::{Ask, Connection},
    machine_shared,
    node::Node,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const DELAY: Duration = Duration::from_secs(12);
/// What a request may take on a busy machine. What began so long before the end of the delay has to be answered.
const MARGIN: Duration = Duration::from_secs(5);
/// How often a load balancer looks.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Between two requests, so that the nodes have the machine and not this test.
const REQUEST_EVERY: Duration = Duration::from_millis(5);

/// Requests as a Kubernetes Service sends them: on new connections, to nodes that were ready at the last look, each
/// once.
struct Service {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(nodes: &[Node]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let places: Vec<(SocketAddr, SocketAddr)> = nodes.iter().map(|n| (n.routing, n.management)).collect();
        let ready: Arc<Vec<AtomicBool>> = Arc::new(places.iter().map(|_| AtomicBool::new(true)).collect());
        let mut threads = Vec::new();
        for (place, (_, management)) in places.iter().enumerate() {
            let (stop, ready, management) = (stop.clone(), ready.clone(), *management);
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let said = Ask::get("/readyz").send(management);
                    ready[place].store(said.is_ok_and(|answer| answer.status == 200), Ordering::Relaxed);
                    std::thread::sleep(PROBE_EVERY);
                }
            }));
        }
        let (ended, count) = (stop.clone(), answered.clone());
        threads.push(std::thread::spawn(move || {
            for nth in 0.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(REQUEST_EVERY);
                let place = nth % places.len();
                if !ready[place].load(Ordering::Relaxed) {
                    continue;
                }
                let (workspace, ..) = WORKSPACES[nth % WORKSPACES.len()];
                let answer = Ask::workspace(workspace).send(places[place].0).expect("a ready node answers");
                assert_eq!(answer.status, 200, "{}", answer.text());
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        Self { stop, answered, threads }
    }

    /// A failed request fails the test here.
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no request failed"));
    }
}

#[test]
fn for_the_drain_delay_a_leader_is_not_ready_does_not_lead_and_answers_all_the_same() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed_with(&["--drain-delay", &format!("{}s", DELAY.as_secs())]);
    let _workers = cluster.with_workers();
    let (leader, other) = (cluster.leader(), cluster.followers()[0]);
    let (name, routing) = (cluster.nodes[leader].name.clone(), cluster.nodes[leader].routing);
    let mut kept = Connection::open(routing).expect("it listens");
    kept.exchange(&Ask::workspace("my-workspace")).expect("answered").ok();
    let service = Service::start(&cluster.nodes);
    eventually("the service works", || (service.answered.load(Ordering::Relaxed) > 10).then_some(()));

    let asked = Instant::now();
    cluster.nodes[leader].signal("TERM");
    let until = asked + DELAY - MARGIN;
    cluster.nodes[leader].becomes("draining");
    eventually("another one leads", || {
        let said = cluster.nodes[other].get("/v1/cluster")["leader"].clone();
        (said.is_string() && said != name.as_str()).then_some(())
    });
    assert!(asked.elapsed() < DELAY, "leadership goes first: {:?}", asked.elapsed());
    let body = json!({"workerId": "late", "httpAddress": "http://127.0.0.1:1", "partitions": []});
    let mut answered = 0;
    while Instant::now() < until {
        let answer = cluster.nodes[leader].route("my-workspace").ok();
        assert_eq!(answer.header("connection"), Some("close"), "clients are asked to leave");
        let ready = cluster.nodes[leader].ask(&Ask::get("/readyz"));
        assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("draining")));
        cluster.nodes[leader].ask(&Ask::json("POST", "/register", &body)).ok();
        answered += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answered > 0, "the machine was too busy to ask even once within {DELAY:?}");
    let last =
        kept.exchange(&Ask::workspace("my-workspace")).expect("a connection from before is served too");
    assert_eq!(last.ok().header("connection"), Some("close"));

    let (status, _) = cluster.nodes[leader].ended();
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() >= DELAY, "it ended after {:?}", asked.elapsed());
    let before = service.answered.load(Ordering::Relaxed);
    eventually("the service goes on", || {
        (service.answered.load(Ordering::Relaxed) > before + 10).then_some(())
    });
    service.end();
}

#[test]
fn a_second_signal_ends_the_drain_delay_at_once() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.args = vec!["--drain-delay".into(), "1h".into()];
    node.start();
    node.becomes("ready");
    node.signal("TERM");
    node.becomes("draining");
    node.signal("TERM");
    assert_eq!(node.ended().0.code(), Some(143));
}
