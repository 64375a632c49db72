//! Agents of one group, whose heartbeats one of them sends for all.

use crate::{
    ending::Load,
    process::{Agent, offers, record},
    support::{
        PATIENCE, cluster::Cluster, eventually, free_address, http::Ask, machine_shared, node::Node, within,
        worker::Worker,
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const TTL: &str = "6s";
/// A group that was disturbed by a busy machine needs some intervals to come together again.
const LIMIT: Duration = PATIENCE.saturating_mul(4);

/// A heartbeat request, as it went to a node.
#[derive(Clone, Debug, PartialEq)]
enum Beat {
    /// Of one worker.
    Single,
    /// On behalf; the body.
    Batch(String),
}

/// What stands between agents and nodes, and sees which heartbeats pass.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<Beat>>>);

impl Wire {
    /// In front of a node.
    fn tap(&self, node: &Node) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let (wire, to) = (self.clone(), node.management);
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for asks in listener.incoming().map_while(Result::ok) {
                // A node that is away closes what comes to it.
                let Ok(answers) = TcpStream::connect(to) else { continue };
                let [from, back] = [&asks, &answers].map(|tcp| tcp.try_clone().expect("it can be shared"));
                let wire = wire.clone();
                std::thread::spawn(move || copy(from, answers, |bytes| wire.note(bytes)));
                std::thread::spawn(move || copy(back, asks, |_| {}));
            }
        });
        address
    }

    /// A body may come apart from its head: the one tells single heartbeats, the other those on behalf.
    fn note(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.contains("/heartbeat HTTP/1.1") {
            beats.push(Beat::Single);
        }
        if text.contains("\"on_behalf\":true") {
            beats.push(Beat::Batch(text.into_owned()));
        }
    }

    /// Waits until three heartbeat requests in a row, from now on, are calls of this delegate that name all these and
    /// nobody else: for two intervals the routers hear nothing else.
    fn hears_only(&self, delegate: &str, epoch: u64, ids: &[&str]) {
        let past = self.0.lock().expect("sound").len();
        let body = json!({"epoch": epoch, "on_behalf": true, "worker": delegate, "workers": ids}).to_string();
        let is_whole = |beat: &Beat| matches!(beat, Beat::Batch(text) if text.contains(&body));
        let heard = within(LIMIT, || {
            let beats = self.0.lock().expect("sound");
            beats[past..].windows(3).any(|three| three.iter().all(is_whole)).then_some(())
        });
        assert!(heard.is_some(), "no three calls {body}: {:?}", self.0.lock().expect("sound"));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        note(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Already closed, where the other side went first.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// One that would be the delegate.
fn start(id: &str, cluster: &Cluster, wire: &Wire, worker: &Worker, folder: &std::path::Path) -> Agent {
    let servers: Vec<_> = cluster.nodes.iter().map(|node| format!("http://{}", wire.tap(node))).collect();
    let settings = format!(
        "ttl: {TTL}\ngroup: g\ndelegate: {{listen: '{}'}}\nservices:\n- {{name: a, port: {}, check: tcp}}\n",
        free_address(),
        worker.address.port()
    );
    let agent = Agent::start_at(id, folder, &servers.join(","), &settings);
    // One after the other, so that the first one is the oldest.
    cluster.nodes.iter().for_each(|node| offers(node, id, &[("a", worker.url())]));
    agent
}

fn delegate(node: &Node) -> Option<(String, u64)> {
    let list = Ask::get("/v1/delegates").send(node.management).ok()?.json();
    let item = list["items"].get(0)?;
    Some((item["worker"].as_str()?.to_owned(), item["epoch"].as_u64()?))
}

/// Waits for another delegate than the one of this epoch.
fn next_delegate(node: &Node, after: u64) -> (String, u64) {
    let next =
        within(LIMIT, || delegate(node).filter(|(_, epoch)| *epoch != after)).expect("a next delegate");
    assert!(next.1 > after, "{next:?}");
    next
}

/// What became of a worker: its lease's life and its fencing token.
fn life(node: &Node, id: &str) -> (Value, Value) {
    let record = record(node, id).expect("it is registered");
    (record["lease"].clone(), record["epoch"].clone())
}

/// The changes of workers' status since an index that lead to `status`: whose.
fn became(node: &Node, status: &str, since: u64) -> Vec<String> {
    let since = since.to_string();
    let told =
        node.operate(&["watch", "--from", &since, "--kinds", "worker", "--until-synced", "--output", "json"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let events = told.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let changed = events.filter(|event| event["data"]["to"] == status);
    changed.map(|event| event["data"]["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn one_agent_sends_the_heartbeats_of_all_and_nobody_misses_it_when_it_is_killed() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::formed();
    let (node, wire) = (&cluster.nodes[1], Wire::default());
    let ids = ["a1", "a2", "a3", "a4"];
    let workers = ids.map(Worker::start);
    let mut agents: BTreeMap<_, _> = ids
        .iter()
        .zip(&workers)
        .map(|(id, worker)| (*id, start(id, &cluster, &wire, worker, folder.path())))
        .collect();
    let (first, epoch) = eventually("there is a delegate", || delegate(node));
    assert_eq!(first, "a1", "the oldest");
    wire.hears_only("a1", epoch, &ids);
    agents["a1"].says("delegate: heartbeats of the group are sent from here");
    agents["a4"].says("heartbeats go by the delegate of the group worker=\"a1\"");
    let before = ids.map(|id| life(node, id));
    let index = node.get("/v1/cluster?consistent=true")["applied_index"].as_u64().expect("a number");

    let load = Load::start(&cluster.nodes.iter().collect::<Vec<_>>());
    agents["a1"].signal("KILL");
    assert_eq!(agents.get_mut("a1").expect("started").ended(), 137);
    agents["a2"].says("heartbeats go to the routers");
    let (second, later) = next_delegate(node, epoch);
    let rest: Vec<_> = ids.into_iter().filter(|id| *id != "a1").collect();
    wire.hears_only(&second, later, &rest);
    assert_eq!(became(node, "expired", index), ["a1"]);
    let now = ids.map(|id| life(node, id));
    assert_eq!(now[1..], before[1..], "nobody had to register again or was revived");

    // An operator takes the role from the second one. It says so to its members, and becomes one.
    assert_eq!(node.operate(&["workers", "drain", &second]).code, Some(0));
    let (third, last) = next_delegate(node, later);
    wire.hears_only(&third, last, &rest);
    agents[&*second].says(&format!("heartbeats go by the delegate of the group worker=\"{third}\""));
    let body = json!({"on_behalf": true, "worker": second, "epoch": later, "workers": rest});
    for node in &cluster.nodes {
        let answer = node.ask(&Ask::json("POST", "/v1/heartbeats", &body));
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("delegate_stale")));
    }
    assert_eq!(delegate(node), Some((third, last)));
    assert_eq!(became(node, "expired", index), ["a1"]);
    for id in rest {
        let is_live = || (record(node, id)?["status"] == "live").then_some(());
        eventually("the others are live", is_live);
    }
    assert_eq!(load.failed(), [""; 0]);
}
