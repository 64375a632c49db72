//! `kill -9`, for real: of one node, and of all of them.

use crate::support::{
    cluster::{Cluster, WORKSPACES},
    eventually, figure,
    http::{Ask, Connection},
    machine_to_itself,
    node::Node,
    worker::Worker,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Writes go on within this time after any node was killed.
const WRITES_RESUME_WITHIN: Duration = Duration::from_secs(2);

/// Clients that route all the while; every answer must be the right worker's.
struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(u64, Vec<String>)>>,
}

impl Traffic {
    /// Two clients for each address: one keeps its connection, one opens a new one each time.
    fn start<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for address in nodes.into_iter().map(|node| node.routing) {
            for keep in [true, false] {
                let stop = stop.clone();
                clients.push(std::thread::spawn(move || client(address, keep, &stop)));
            }
        }
        Self { stop, clients }
    }

    /// How many requests were answered; no one may have failed.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut asked = 0;
        for client in self.clients {
            let (count, failures) = client.join().expect("a client does not panic");
            assert_eq!(failures, [""; 0], "of {count} requests");
            asked += count;
        }
        asked
    }
}

fn client(address: SocketAddr, keep: bool, stop: &AtomicBool) -> (u64, Vec<String>) {
    let (mut asked, mut failures, mut kept) = (0, Vec::new(), None);
    for (workspace, partition, _) in WORKSPACES.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        asked += 1;
        let ask = Ask::workspace(workspace);
        let answer = if keep { exchange(&mut kept, address, &ask) } else { ask.send(address) };
        let wanted = format!("\"worker\":\"w{}\"", partition / 4 + 1);
        match answer {
            Ok(answer) if answer.status == 200 && answer.text().contains(&wanted) => {}
            Ok(answer) => {
                failures.push(format!("{}: {workspace}: {} {}", answer.node(), answer.status, answer.text()))
            }
            Err(e) => failures.push(format!("{address}: {workspace}: {e}")),
        }
        // Not to measure the machine: the nodes share its cores.
        std::thread::sleep(Duration::from_millis(2));
    }
    (asked, failures)
}

fn exchange(
    kept: &mut Option<Connection>,
    to: SocketAddr,
    ask: &Ask,
) -> std::io::Result<crate::support::http::Answer> {
    if kept.is_none() {
        *kept = Some(Connection::open(to)?);
    }
    let answer = kept.as_mut().expect("was opened above").exchange(ask);
    if answer.is_err() {
        *kept = None;
    }
    answer
}

/// Writes through each of `nodes` until one is acknowledged there; how long that took at the slowest.
fn writes_resume<'a>(nodes: impl Iterator<Item = &'a Node>, tag: &str) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let write = |node: &'a Node| {
            let id = format!("{tag}-at-{}", node.name);
            move || {
                eventually("a write is acknowledged", || {
                    (node.register(&id, "http://127.0.0.1:1", &[]).status == 200).then(|| start.elapsed())
                })
            }
        };
        let writers: Vec<_> = nodes.map(|node| scope.spawn(write(node))).collect();
        writers.into_iter().map(|writer| writer.join().expect("it ends")).max().expect("there are nodes")
    })
}

fn worker_ids(node: &Node) -> BTreeSet<String> {
    let workers = node.get("/v1/workers?limit=1000");
    workers["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|w| w["id"].as_str().expect("text").into())
        .collect()
}

/// Kills one node under traffic through the other two, brings it back; after how long writes went on.
fn round(cluster: &mut Cluster, victim: usize, tag: &str) -> Duration {
    let name = cluster.nodes[victim].name.clone();
    let role = if cluster.leader() == victim { "leader" } else { "follower" };
    let survivors: Vec<_> = (0..3).filter(|place| *place != victim).collect();
    let traffic = Traffic::start(survivors.iter().map(|place| &cluster.nodes[*place]));
    cluster.nodes[victim].kill();
    let resumed = writes_resume(cluster.running(), tag);
    cluster.nodes[victim].start();
    cluster.nodes[victim].becomes("ready");
    cluster.catch_up();
    let asked = traffic.end();
    let everything = worker_ids(&cluster.nodes[survivors[0]]);
    assert!(everything.iter().filter(|id| id.starts_with(tag)).count() == 2, "{everything:?}");
    for node in &cluster.nodes {
        assert_eq!(worker_ids(node), everything, "{}", node.name);
        for (workspace, partition, _) in WORKSPACES {
            assert_eq!(node.route(workspace).worker(), format!("w{}", partition / 4 + 1), "{}", node.name);
        }
    }
    figure(&format!(
        "kill -9 of {name} ({role}): writes resumed after {resumed:?}; {asked} requests, none failed"
    ));
    resumed
}

#[test]
fn a_killed_node_never_disturbs_routing_through_the_others_and_writes_resume_within_two_seconds() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let _workers: [Worker; 3] = cluster.with_workers();
    let leader = cluster.leader();
    // The leader, then one that follows whoever leads then, then the one that is left.
    let follower =
        |cluster: &Cluster| *cluster.followers().iter().find(|place| **place != leader).expect("one is left");
    let mut killed = vec![leader];
    for nth in 0..3 {
        let victim = match nth {
            0 => leader,
            1 => follower(&cluster),
            _ => (0..3).find(|place| !killed.contains(place)).expect("one is left"),
        };
        killed.push(victim);
        let mut resumed = round(&mut cluster, victim, &format!("round{nth}"));
        if resumed >= WRITES_RESUME_WITHIN {
            // A machine that did something else meanwhile is no fault of the cluster; twice in a row is.
            let victim = if nth == 0 { cluster.leader() } else { victim };
            resumed = round(&mut cluster, victim, &format!("again{nth}"));
        }
        assert!(resumed < WRITES_RESUME_WITHIN, "{resumed:?}");
    }
}

/// Registers up to `count` workers through all nodes at once; those that were acknowledged, with their addresses.
struct Registrations {
    acknowledged: Arc<Mutex<BTreeMap<String, String>>>,
    writers: Vec<JoinHandle<()>>,
}

impl Registrations {
    fn start(cluster: &Cluster, tag: &str, count: usize) -> Self {
        let (acknowledged, next) = (Arc::<Mutex<BTreeMap<_, _>>>::default(), Arc::new(AtomicUsize::new(0)));
        let write = |nodes: [SocketAddr; 3], tag: String| {
            let (acknowledged, next) = (acknowledged.clone(), next.clone());
            move || loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= count {
                    return;
                }
                let (id, url) = (format!("{tag}-{nth}"), format!("http://127.0.0.1:{}", 10_000 + nth));
                let body = serde_json::json!({"workerId": id, "httpAddress": url, "partitions": []});
                let answer = Ask::json("POST", "/register", &body).send(nodes[nth % 3]);
                if answer.is_ok_and(|answer| answer.status == 200) {
                    acknowledged.lock().expect("no writer panics").insert(id, url);
                }
            }
        };
        let nodes = [0, 1, 2].map(|place| cluster.nodes[place].management);
        let writers = (0..4).map(|_| std::thread::spawn(write(nodes, tag.into()))).collect();
        Self { acknowledged, writers }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no writer panics").len()
    }

    fn end(self) -> BTreeMap<String, String> {
        self.writers.into_iter().for_each(|writer| writer.join().expect("no writer panics"));
        std::mem::take(&mut self.acknowledged.lock().expect("no writer panics"))
    }
}

#[test]
fn killing_all_three_loses_nothing_that_was_acknowledged() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let mut all = BTreeMap::new();
    for round in 0..3 {
        // Another moment in each run, and said, so that a failure can be told from luck.
        let moment = 5 + usize::try_from(RandomState::new().hash_one(round) % 36).expect("small");
        let registrations = Registrations::start(&cluster, &format!("round{round}"), 50);
        eventually("registrations are acknowledged", || (registrations.count() >= moment).then_some(()));
        cluster.nodes.iter_mut().for_each(Node::kill);
        let acknowledged = registrations.end();
        figure(&format!(
            "all three killed after {moment} of 50 registrations; {} acknowledged",
            acknowledged.len()
        ));
        all.extend(acknowledged);
        cluster.nodes.iter_mut().for_each(Node::start);
        cluster.ready();
        for node in &cluster.nodes {
            let there = node.get("/v1/workers?limit=1000&consistent=true");
            let there: BTreeMap<_, _> = there["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|w| (w["id"].as_str().expect("text"), w["address"].as_str().expect("text")))
                .collect();
            for (id, url) in &all {
                assert_eq!(there.get(id.as_str()), Some(&url.as_str()), "{id} at {}", node.name);
            }
        }
    }
}
