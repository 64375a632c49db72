//! Three nodes that know each other, and workers for them.

use super::{eventually, node::Node, worker::Worker};

/// Partitions of the default keyspace, as every cluster here starts.
pub const PARTITIONS: u32 = 12;

/// Workspaces that reach every third of twelve partitions: with the partition (of 12, of 64) that the contract's
/// table has for each, which comes from Kafka's own client.
pub const WORKSPACES: [(&str, u32, u32); 6] = [
    ("workspace-1", 2, 2),
    ("clzj8r5ck000008l7h9gm3k3v", 1, 29),
    ("test-workspace", 5, 45),
    ("clzj8r5ck000108l7d2we8h4a", 7, 39),
    ("my-workspace", 9, 1),
    ("550e8400-e29b-41d4-a716-446655440000", 11, 63),
];

/// Three nodes. Dropping it kills them and removes their data.
pub struct Cluster {
    pub nodes: [Node; 3],
    /// Behind the nodes: they are gone when it goes.
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Planned, not started.
    pub fn planned() -> Self {
        Self::planned_with(&[])
    }

    /// Planned, with more flags for each node.
    pub fn planned_with(flags: &[&str]) -> Self {
        Self::planned_as(flags, |_, _| {})
    }

    /// Planned, with more flags; `arrange` changes where and how each node, by its place, will run.
    pub fn planned_as(flags: &[&str], mut arrange: impl FnMut(usize, &mut Node)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut nodes = ["n1", "n2", "n3"].map(|name| Node::new(name, folder.path()));
        nodes.iter_mut().enumerate().for_each(|(place, node)| arrange(place, node));
        let peers: Vec<_> = nodes.iter().map(|node| format!("{}={}", node.name, node.peer)).collect();
        for node in &mut nodes {
            // Workers of tests send no heartbeats unless a test says so: the longest lease spares them.
            let common = ["--peers", &peers.join(","), "--worker-ttl", "1h", "--log-format", "text"];
            node.args.extend(common.iter().chain(flags).map(|arg| (*arg).to_owned()));
        }
        Self { nodes, _folder: folder }
    }

    /// Started, and all nodes are ready.
    pub fn formed() -> Self {
        Self::formed_with(&[])
    }

    /// The same with more flags for each node.
    pub fn formed_with(flags: &[&str]) -> Self {
        let mut cluster = Self::planned_with(flags);
        cluster.nodes.iter_mut().for_each(Node::start);
        cluster.ready();
        cluster
    }

    /// Waits until all nodes are ready, have the default keyspace, and have risen to their feature level: the last entry
    /// that a new cluster writes by itself.
    pub fn ready(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.becomes("ready"));
        self.leader();
        let newest = quorate_model::FeatureLevel::NEWEST.get();
        for node in self.running() {
            let risen = || (node.get("/v1/cluster")["feature_level"] == newest).then_some(());
            eventually("the feature level is raised", risen);
        }
    }

    /// Three workers, each registered at another node with its third of the partitions.
    pub fn with_workers(&self) -> [Worker; 3] {
        let workers = ["w1", "w2", "w3"].map(Worker::start);
        let share = PARTITIONS / 3;
        for ((worker, node), nth) in workers.iter().zip(&self.nodes).zip(0..) {
            let partitions: Vec<_> = (nth * share..(nth + 1) * share).collect();
            node.register(&worker.id, &worker.url(), &partitions).ok();
        }
        self.catch_up();
        workers
    }

    /// Waits until every running node has applied all that was acknowledged.
    pub fn catch_up(&self) {
        for node in self.running() {
            node.get("/v1/cluster?consistent=true");
        }
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.runs())
    }

    /// The place of the leader, once all that run agree on one of them.
    pub fn leader(&self) -> usize {
        eventually("all agree on a leader", || {
            let said: Vec<_> = self.running().map(|node| node.get("/v1/cluster")["leader"].clone()).collect();
            let place = self.nodes.iter().position(|node| node.runs() && said[0] == node.name.as_str())?;
            said.iter().all(|name| *name == said[0]).then_some(place)
        })
    }

    /// The places of the others.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.nodes.len()).filter(|place| *place != leader && self.nodes[*place].runs()).collect()
    }
}
