//! How a node ends when it is asked to.

use crate::support::{
    cluster::Cluster,
    eventually, figure,
    http::{Answer, Ask, Connection},
    machine_shared, machine_to_itself,
    node::Node,
    within,
    worker::Worker,
};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The longest time between two acknowledged writes while leadership goes over.
const GAP_MAX: Duration = Duration::from_millis(500);
/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Asks for something that the worker holds back; returns once it does.
fn in_flight(node: &Node, worker: &Worker) -> JoinHandle<std::io::Result<Answer>> {
    let (to, before) = (node.routing, worker.held());
    let ask = Ask::get("/held").header("x-workspace-id", "my-workspace");
    let request = std::thread::spawn(move || ask.send(to));
    eventually("the request has reached the worker", || (worker.held() > before).then_some(()));
    request
}

/// Writes through `to` until it is told to stop; the longest time between two acknowledgements.
fn writer(to: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<Duration> {
    std::thread::spawn(move || {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        let body = json!({"workerId": "writer", "httpAddress": "http://127.0.0.1:1", "partitions": []});
        while !stop.load(Ordering::Relaxed) {
            let answer = Ask::json("POST", "/register", &body).send(to).expect("a survivor answers");
            assert_eq!(answer.status, 200, "{}", answer.text());
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest
    })
}

/// Ends the leader with a request in flight; the longest gap between writes through another node.
fn leader_is_asked_to_end(cluster: &mut Cluster, worker: &Worker) -> Duration {
    let (leader, survivor) = (cluster.leader(), cluster.followers()[0]);
    let name = cluster.nodes[leader].name.clone();
    let request = in_flight(&cluster.nodes[leader], worker);
    let stop = Arc::new(AtomicBool::new(false));
    let writes = writer(cluster.nodes[survivor].management, stop.clone());

    cluster.nodes[leader].signal("TERM");
    let others: Vec<_> = (0..3).filter(|place| *place != leader).collect();
    for other in others {
        eventually("another one leads", || {
            let said = cluster.nodes[other].get("/v1/cluster")["leader"].clone();
            (said.is_string() && said != name.as_str()).then_some(())
        });
    }
    assert!(cluster.nodes[leader].has_ended().is_none(), "leadership is handed over before the process ends");
    let ready = cluster.nodes[leader].ask(&Ask::get("/readyz"));
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("draining")));
    assert_eq!(cluster.nodes[leader].ask(&Ask::get("/livez")).status, 200);
    let routing = cluster.nodes[leader].routing;
    eventually("no new connection is taken", || TcpStream::connect(routing).is_err().then_some(()));

    worker.let_go();
    let answer = request.join().expect("it does not panic").expect("it is answered");
    assert_eq!((answer.worker(), answer.node()), (worker.id.clone(), name.as_str()));
    let (status, _) = cluster.nodes[leader].ended();
    assert_eq!(status.code(), Some(0));
    stop.store(true, Ordering::Relaxed);
    writes.join().expect("every write through a survivor is acknowledged")
}

#[test]
fn a_leader_that_gets_sigterm_hands_over_finishes_its_requests_and_ends_with_code_0() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let [_, _, worker] = cluster.with_workers();
    let mut gap = leader_is_asked_to_end(&mut cluster, &worker);
    if gap >= GAP_MAX {
        let mut cluster = Cluster::formed();
        let [_, _, worker] = cluster.with_workers();
        gap = gap.min(leader_is_asked_to_end(&mut cluster, &worker));
    }
    figure(&format!("SIGTERM of the leader: at most {gap:?} between two acknowledged writes"));
    assert!(gap < GAP_MAX, "{gap:?} without an acknowledged write");
}

/// A node on its own with a worker for everything.
fn alone(flags: &[&str]) -> (tempfile::TempDir, Node, Worker) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut node, worker) = (Node::new("n1", folder.path()), Worker::start("w1"));
    node.args = flags.iter().map(|flag| (*flag).to_owned()).collect();
    node.start();
    node.becomes("ready");
    let all: Vec<_> = (0..12).collect();
    node.register("w1", &worker.url(), &all).ok();
    (folder, node, worker)
}

#[test]
fn a_second_signal_ends_a_node_at_once_with_128_and_the_signals_number() {
    let _shared = machine_shared();
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130), ("INT", "TERM", 143)] {
        let (_folder, mut node, worker) = alone(&[]);
        let request = in_flight(&node, &worker);
        node.signal(first);
        node.becomes("draining");
        node.signal(second);
        let (status, took) = node.ended();
        assert_eq!(status.code(), Some(code), "{first}, {second}");
        assert!(took < AT_ONCE, "{took:?}");
        request.join().expect("it does not panic").expect_err("it was cut off");
    }
}

#[test]
fn a_request_that_does_not_end_holds_a_node_up_no_longer_than_the_drain_limit() {
    let _shared = machine_shared();
    let (_folder, mut node, worker) = alone(&["--drain-limit", "1s"]);
    let request = in_flight(&node, &worker);
    node.signal("TERM");
    let (status, took) = node.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
    request.join().expect("it does not panic").expect_err("it was cut off");
}

/// A management request of this node, certainly under way: others on newer connections were answered meanwhile.
fn under_way(node: &Node, ask: Ask) -> JoinHandle<std::io::Result<Answer>> {
    let mut connection = Connection::open(node.management).expect("it listens");
    connection.send(&ask).expect("sent");
    for _ in 0..10 {
        node.ask(&Ask::get("/livez")).ok();
    }
    std::thread::spawn(move || connection.answer())
}

#[test]
fn management_requests_that_are_under_way_at_sigterm_are_answered() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let follower = cluster.followers()[0];
    let index = cluster.nodes[follower].ask(&Ask::get("/v1/workers")).index();
    let others: Vec<_> = (0..3).filter(|place| *place != follower).collect();
    // A write that can't be carried out before the others go on, and a wait for a change.
    others.iter().for_each(|other| cluster.nodes[*other].signal("STOP"));
    let body = json!({"workerId": "w1", "httpAddress": "http://127.0.0.1:1", "partitions": []});
    let write = under_way(&cluster.nodes[follower], Ask::json("POST", "/register", &body));
    let wait = under_way(&cluster.nodes[follower], Ask::get(&format!("/v1/workers?index={index}&wait=60s")));
    cluster.nodes[follower].signal("TERM");
    // Shorter than any election; long enough for the node to be on its way out.
    std::thread::sleep(Duration::from_millis(300));
    assert!(cluster.nodes[follower].has_ended().is_none(), "it waits for its requests");
    others.iter().for_each(|other| cluster.nodes[*other].signal("CONT"));
    for request in [write, wait] {
        request.join().expect("it does not panic").expect("it is answered").ok();
    }
    assert_eq!(cluster.nodes[follower].ended().0.code(), Some(0));
}

#[test]
fn a_node_that_ended_in_order_comes_back_with_everything_and_without_an_election() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let follower = cluster.followers()[0];
    let before = cluster.nodes[follower].get("/v1/cluster");
    cluster.nodes[follower].signal("TERM");
    assert_eq!(cluster.nodes[follower].ended().0.code(), Some(0));
    cluster.nodes[follower].start();
    cluster.nodes[follower].becomes("ready");
    let after = cluster.nodes[follower].get("/v1/cluster?consistent=true");
    for same in ["cluster_id", "leader", "term"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(cluster.nodes[follower].get("/v1/workers")["items"].as_array().map(Vec::len), Some(3));
    assert!(within(Duration::from_secs(1), || cluster.nodes[follower].has_ended()).is_none());
}
