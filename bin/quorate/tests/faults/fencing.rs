//! R3: a lease alone is no mutual exclusion. Its holder may be paused for longer than the lease, and knows nothing of
//! it when it goes on. What keeps two holders apart is the epoch, which grows with each grant.

use crate::support::{
    cluster::Cluster,
    eventually, free_address,
    http::Ask,
    machine_to_itself,
    node::{Node, quorate},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Where the two want to be owner.
const PARTITION: &str = "/v1/keyspaces/default/partitions?limit=1";

/// A worker process.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // Already gone, where it ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Holder {
    fn start(cluster: &Cluster, id: &str) -> Self {
        let routers: Vec<_> =
            cluster.nodes.iter().map(|node| format!("http://{}", node.management)).collect();
        let mut command = quorate(&["demo-worker", "--id", id, "--listen", &free_address().to_string()]);
        command.args(["--routers", &routers.join(","), "--partitions", "0"]);
        Self(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts"),
        )
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }
}

/// Which owner each epoch had, as any node has ever told it.
#[derive(Default)]
struct Grants(BTreeMap<u64, String>);

impl Grants {
    /// Looks at a node; the owner there.
    fn look(&mut self, node: &Node) -> Option<String> {
        let partition = node.get(PARTITION)["items"][0].clone();
        let owner = partition["owner"].as_str()?.to_owned();
        let epoch = partition["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch: {partition}"));
        let known = self.0.entry(epoch).or_insert_with(|| owner.clone());
        assert_eq!(*known, owner, "two owners of epoch {epoch}");
        Some(owner)
    }

    fn all_say(&mut self, cluster: &Cluster, id: &str) {
        eventually("all nodes have the owner", || {
            cluster.nodes.iter().all(|node| self.look(node).as_deref() == Some(id)).then_some(())
        });
    }
}

fn worker(node: &Node, id: &str) -> Value {
    node.get(&format!("/v1/workers/{id}?consistent=true"))
}

fn is_refused_everywhere(cluster: &Cluster, id: &str, epoch: u64) {
    for node in &cluster.nodes {
        let body = serde_json::json!({"lease": epoch, "sequence": 1_000_000});
        let beat = node.ask(&Ask::json("POST", &format!("/v1/workers/{id}/heartbeat"), &body));
        assert!([404, 409].contains(&beat.status), "{}: {}", node.name, beat.text());
        let goodbye = node.ask(&Ask::new("DELETE", &format!("/v1/workers/{id}?lease={epoch}")));
        assert!([404, 409].contains(&goodbye.status), "{}: {}", node.name, goodbye.text());
    }
}

#[test]
fn r3_a_holder_that_was_paused_for_longer_than_its_lease_is_fenced_off() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::planned();
    for node in &mut cluster.nodes {
        let ttl = node.args.iter().position(|arg| arg == "--worker-ttl").expect("it is given");
        "2s".clone_into(&mut node.args[ttl + 1]);
        node.start();
    }
    cluster.ready();
    let mut grants = Grants::default();
    let old = Holder::start(&cluster, "old");
    grants.all_say(&cluster, "old");
    let first = worker(&cluster.nodes[0], "old")["epoch"].as_u64().expect("a number");

    old.signal("STOP");
    eventually("its lease has ended everywhere", || {
        let expired = |node: &Node| node.get("/v1/workers/old")["status"] == "expired";
        cluster.nodes.iter().all(expired).then_some(())
    });
    let _new = Holder::start(&cluster, "new");
    grants.all_say(&cluster, "new");
    let second = worker(&cluster.nodes[0], "new")["epoch"].as_u64().expect("a number");
    assert!(second > first, "{second} after {first}");

    // It believes to be the owner.
    old.signal("CONT");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        for node in &cluster.nodes {
            // An old grant is not looked at again: from here on an owner has the new epoch or a later one.
            grants.look(node);
            assert!(worker(node, "new")["epoch"].as_u64() >= Some(second));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    is_refused_everywhere(&cluster, "old", first);
    grants.all_say(&cluster, "new");
    let epochs: Vec<_> = grants.0.iter().map(|(epoch, owner)| (*epoch, owner.as_str())).collect();
    assert_eq!(
        epochs,
        [(first, "old"), (second, "new")],
        "each epoch has one owner, and the older one came back never"
    );
}
