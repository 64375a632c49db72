//! Clusters of any size, whose nodes come and go.

use crate::support::{
    eventually,
    http::Ask,
    node::{Node, Ran},
};
use serde_json::json;
use std::collections::BTreeSet;

/// Nodes of one cluster, as many as a test wants.
pub struct Group {
    pub nodes: Vec<Node>,
    pub folder: tempfile::TempDir,
}

impl Group {
    /// Formed of `count` nodes, all ready.
    pub fn formed(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let nodes = (1..=count).map(|nth| Node::new(&format!("n{nth}"), folder.path())).collect();
        let mut group = Self { nodes, folder };
        for place in 0..count {
            group.know_each_other(place);
            group.nodes[place].start();
        }
        group.nodes.iter_mut().for_each(|node| node.becomes("ready"));
        group
    }

    /// The `--peers` of a node: all that there are.
    pub fn know_each_other(&mut self, place: usize) {
        let peers: Vec<_> = self.nodes.iter().map(|node| format!("{}={}", node.name, node.peer)).collect();
        self.nodes[place].args = starting(&peers.join(","));
    }

    /// A node that was started to join this cluster, and waits.
    pub fn newcomer(&mut self) -> usize {
        let name = format!("n{}", self.nodes.len() + 1);
        self.nodes.push(Node::new(&name, self.folder.path()));
        let place = self.nodes.len() - 1;
        self.know_each_other(place);
        self.nodes[place].start();
        self.nodes[place].becomes("starting");
        place
    }

    /// `quorate cluster join --wait`, asked of another node.
    pub fn join(&self, place: usize, asked: usize) -> Ran {
        let (name, peer) = (&self.nodes[place].name, self.nodes[place].peer.to_string());
        self.nodes[asked].operate(&["cluster", "join", name, "--peer", &peer, "--wait"])
    }

    /// Where a node stands.
    pub fn place(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.name == name).expect("one of ours")
    }

    /// The leader's place, as `asked` sees it.
    pub fn leader(&self, asked: usize) -> usize {
        let name = eventually("a leader is known", || {
            self.nodes[asked].get("/v1/cluster")["leader"].as_str().map(str::to_owned)
        });
        self.place(&name)
    }

    /// Its disk is lost.
    pub fn wipe(&self, place: usize) {
        std::fs::remove_dir_all(&self.nodes[place].data).expect("it was there");
    }
}

/// What `serve` is told.
pub fn starting(peers: &str) -> Vec<String> {
    // Workers of these tests send no heartbeats: the longest lease spares them.
    ["--peers", peers, "--worker-ttl", "1h", "--log-format", "text"].map(str::to_owned).into()
}

/// The names of the members with a vote, as a node sees them.
pub fn voters(node: &Node) -> BTreeSet<String> {
    let cluster = node.get("/v1/cluster");
    let members = cluster["nodes"].as_array().expect("a list").iter();
    let voters = members.filter(|member| member["role"] != "learner");
    voters.map(|member| member["name"].as_str().expect("text").to_owned()).collect()
}

/// As a set.
pub fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The ids of all workers, as new as any write.
pub fn workers(node: &Node) -> BTreeSet<String> {
    let list = node.get("/v1/workers?limit=1000&consistent=true");
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|worker| worker["id"].as_str().expect("text").to_owned()).collect()
}

/// Registers a worker; the status.
pub fn register(node: &Node, id: &str) -> u16 {
    let body = json!({"address": "http://127.0.0.1:9", "ttl": "1h"});
    node.ask(&Ask::json("PUT", &format!("/v1/workers/{id}"), &body)).status
}
