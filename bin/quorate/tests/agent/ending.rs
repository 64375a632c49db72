//! How an agent ends.

use crate::{
    process::{Agent, offers, record},
    service::Service,
    support::{
        PATIENCE, cluster::Cluster, eventually, http::Ask, machine_shared, node::Node, within, worker::Worker,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

fn settings(service: &Service, more: &str) -> String {
    format!("{more}services:\n- {{name: a, port: {}}}\n", service.address.port())
}

fn is_offered(node: &Node, service: &Service) {
    offers(node, "m1", &[("a", format!("http://{}", service.address))]);
}

#[test]
fn after_a_signal_its_worker_is_gone_on_all_nodes_and_its_next_start_serves() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::formed();
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let service = Service::start();
    for signal in ["TERM", "INT"] {
        let mut agent = Agent::start("m1", folder.path(), &nodes, &settings(&service, ""));
        nodes.iter().for_each(|node| is_offered(node, &service));
        agent.signal(signal);
        assert_eq!(agent.ended(), 0, "{}", agent.log());
        for node in &nodes {
            eventually("it is unregistered", || record(node, "m1").is_none().then_some(()));
        }
    }
}

#[test]
fn without_routers_it_ends_within_its_drain_timeout() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new("n1", folder.path());
    let service = Service::start();
    let mut agent =
        Agent::start("m1", folder.path(), &[&node], &settings(&service, "drain_timeout: 300ms\n"));
    agent.says("trying on");
    agent.signal("TERM");
    assert_eq!(agent.ended(), 0, "{}", agent.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    let service = Service::start();
    let mut agent = Agent::start("m1", folder.path(), &[&node], &settings(&service, "drain_timeout: 1h\n"));
    is_offered(&node, &service);
    // It has a lease, and nobody answers its wish to draw back.
    node.signal("STOP");
    agent.signal("TERM");
    agent.says("ending");
    agent.signal("TERM");
    assert_eq!(agent.ended(), 143, "{}", agent.log());
    node.signal("CONT");
}

/// Its own drain does not outlive it, even if it is killed before it could take it back; an operator's does.
#[test]
fn the_next_start_takes_back_a_drain_that_was_its_own() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::formed();
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let node = nodes[0];
    let worker = Worker::start("w1");
    let state_file = folder.path().join("agent-id");
    let mark = folder.path().join("agent-id.draining");
    let settings = format!(
        "drain_timeout: 1h\nstate_file: {}\nservices:\n- {{name: a, port: {}}}\n",
        state_file.display(),
        worker.address.port()
    );
    let start = || {
        let agent = Agent::start("m1", folder.path(), &nodes, &settings);
        offers(node, "m1", &[("a", worker.url())]);
        agent
    };
    let duty_is = |duty: &str| eventually(duty, || (record(node, "m1")?["duty"] == duty).then_some(()));
    let mut agent = start();
    let held = hold(&nodes, &worker);
    agent.signal("TERM");
    duty_is("draining");
    assert!(mark.exists());
    agent.signal("TERM");
    assert_eq!(agent.ended(), 143, "{}", agent.log());
    duty_is("draining");

    let mut agent = start();
    duty_is("in_service");
    eventually("there is no mark", || (!mark.exists()).then_some(()));
    worker.let_go();
    for thread in held {
        thread.join().expect("it does not panic");
    }
    assert_eq!(node.operate(&["workers", "drain", "m1"]).code, Some(0));
    agent.signal("TERM");
    assert_eq!(agent.ended(), 0, "{}", agent.log());

    let agent = start();
    agent.says("quorate workers resume m1");
    assert_eq!(record(node, "m1").expect("registered")["duty"], "draining");
}

/// Clients that ask for the service all the while, one at each node.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    pub fn start(nodes: &[&Node]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |node: &&Node| {
            let (stop, routing) = (stop.clone(), node.routing);
            std::thread::spawn(move || {
                let (mut served, mut failed) = (0, Vec::new());
                while !stop.load(Ordering::SeqCst) {
                    match Ask::get("/api/service/a/hello").send(routing) {
                        Ok(answer) if answer.status == 200 => served += 1,
                        Ok(answer) => failed.push(format!("{} {}", answer.status, answer.text())),
                        Err(e) => failed.push(e.to_string()),
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                (served, failed)
            })
        };
        let threads = nodes.iter().map(client).collect();
        Self { stop, threads }
    }

    /// What failed; each client was served at least once.
    pub fn failed(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let clients = self.threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        let clients: Vec<_> = clients.collect();
        assert!(clients.iter().all(|(served, _)| *served > 0), "{clients:?}");
        clients.into_iter().flat_map(|(_, failed)| failed).collect()
    }
}

/// Requests that are held until their workers let them go, one after the other until the first worker has one.
fn hold(nodes: &[&Node], worker: &Worker) -> Vec<JoinHandle<u16>> {
    let mut held = Vec::new();
    for node in nodes.iter().cycle().take(30) {
        let routing = node.routing;
        let ask = move || {
            let limit = 4 * PATIENCE;
            Ask::get("/api/service/a/held").send_within(routing, limit).map_or(0, |answer| answer.status)
        };
        held.push(std::thread::spawn(ask));
        if within(Duration::from_secs(1), || (worker.held() > 0).then_some(())).is_some() {
            return held;
        }
    }
    panic!("none of {} requests came to {}", held.len(), worker.id);
}

#[test]
fn no_request_fails_when_it_draws_back_and_its_next_start_serves() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::formed();
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let workers = ["w1", "w2"].map(Worker::start);
    let start = |id: &str, worker: &Worker| {
        let settings =
            format!("drain_timeout: 5m\nservices:\n- {{name: a, port: {}}}\n", worker.address.port());
        let agent = Agent::start(id, folder.path(), &nodes, &settings);
        nodes.iter().for_each(|node| offers(node, id, &[("a", worker.url())]));
        agent
    };
    let (mut first, _second) = (start("m1", &workers[0]), start("m2", &workers[1]));
    let load = Load::start(&nodes);
    let held = hold(&nodes, &workers[0]);

    first.signal("TERM");
    for node in &nodes {
        let is_draining = || (record(node, "m1")?["duty"] == "draining").then_some(());
        eventually("it is drained", is_draining);
        for _ in 0..10 {
            assert_eq!(Ask::get("/api/service/a/hello").send(node.routing).expect("served").worker(), "w2");
        }
    }
    assert!(first.is_running() && workers[0].held() > 0, "it waits for what is in flight");
    workers.iter().for_each(Worker::let_go);
    assert_eq!(first.ended(), 0, "{}", first.log());
    first.says("no request was in flight");
    for thread in held {
        assert_eq!(thread.join().expect("it does not panic"), 200);
    }

    // What it has said of itself does not greet its next start.
    let _again = start("m1", &workers[0]);
    let served =
        || (Ask::get("/api/service/a/hello").send(nodes[0].routing).ok()?.worker() == "w1").then_some(());
    eventually("it serves again", served);
    assert_eq!(load.failed(), [""; 0]);
}
