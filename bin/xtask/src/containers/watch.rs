//! Looks at the membership all the while, through every node: what must never be seen, even for a moment.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::clock::sleep;
use super::http::{self, Request};
use super::scenario::ALL;
use super::service::Service;

const ASK_EVERY: Duration = Duration::from_millis(250);
const ASK_LIMIT: Duration = Duration::from_secs(2);
const VOTERS_MIN: usize = 3;
/// Whatever is done to one node: the others are a quorum, and take the requests.
const READY_MIN: usize = 2;

/// What was seen and must not be.
#[derive(Default)]
pub struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    clusters: BTreeSet<String>,
    wrong: BTreeSet<String>,
    looks: u64,
    /// Nodes that clients could be sent to, at the worst moment.
    ready_min: Option<usize>,
}

impl Watch {
    /// Looks until `ended`.
    pub fn look(&self, service: &Service, ended: &dyn Fn() -> bool) {
        while !ended() {
            self.count(service.ready().len());
            for endpoint in service.all() {
                let asked = http::ask(endpoint.management(), &Request::get("/v1/cluster"), ASK_LIMIT);
                // A node that is down or starts says nothing, and nothing wrong.
                if let Ok(view) = asked.map_err(|e| e.to_string()).and_then(|answer| answer.json()) {
                    self.judge(&endpoint.node, &view);
                }
            }
            sleep(ASK_EVERY);
        }
    }

    fn count(&self, ready: usize) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.ready_min = Some(seen.ready_min.map_or(ready, |min| min.min(ready)));
    }

    fn judge(&self, node: &str, view: &Value) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looks += 1;
        seen.clusters.extend(view["cluster_id"].as_str().map(str::to_owned));
        let wrong = wrong(view);
        seen.wrong.extend(wrong.into_iter().map(|what| format!("{node} showed {what}")));
    }

    /// Everything wrong that was ever seen.
    pub fn verdict(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<_> = seen.wrong.iter().cloned().collect();
        if seen.clusters.len() != 1 {
            told.push(format!("{} clusters were seen, not one: {:?}", seen.clusters.len(), seen.clusters));
        }
        if let Some(ready) = seen.ready_min.filter(|ready| *ready < READY_MIN) {
            told.push(format!("only {ready} nodes were ready at one moment"));
        }
        if seen.looks == 0 {
            told.push("nobody looked at the membership".to_owned());
        }
        told
    }
}

/// Members are `n1` to `n5`, known by name and never by address, and three of them at least have a vote. A node
/// that has not heard of its cluster yet shows no members.
fn wrong(view: &Value) -> Vec<String> {
    let members: Vec<_> = view["nodes"].as_array().into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for member in &members {
        let name = member["name"].as_str().unwrap_or_default();
        if !ALL.contains(&name) {
            wrong.push(format!("a member `{name}`"));
        }
        for (key, port) in [("peer", 7070), ("management", 9090)] {
            // Empty while a node has not said where its management is.
            let address = member[key].as_str().unwrap_or_default();
            if !address.is_empty() && address != format!("{name}:{port}") {
                wrong.push(format!("{name} with the {key} address `{address}`"));
            }
        }
    }
    let voters = members.iter().filter(|member| member["role"] != "learner").count();
    if !members.is_empty() && voters < VOTERS_MIN {
        wrong.push(format!("{voters} voters"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(name: &str, peer: &str, role: &str) -> Value {
        json!({"name": name, "peer": peer, "management": "", "role": role})
    }

    #[test]
    fn an_address_in_the_place_of_a_name_is_noticed() {
        let all = |peer| json!({"nodes": [member("n1", "n1:7070", "leader"), member("n2", peer, "follower"), member("n3", "n3:7070", "follower")]});
        assert_eq!(wrong(&all("n2:7070")), [""; 0]);
        assert_eq!(wrong(&all("10.89.0.7:7070")), ["n2 with the peer address `10.89.0.7:7070`"]);
    }

    #[test]
    fn a_voter_that_disappears_and_a_stranger_are_noticed() {
        let two = json!({"nodes": [member("n1", "n1:7070", "leader"), member("n2", "n2:7070", "follower")]});
        assert_eq!(wrong(&two), ["2 voters"]);
        let learner = json!({"nodes": [member("n9", "n9:7070", "learner")]});
        assert_eq!(wrong(&learner), ["a member `n9`", "0 voters"]);
        assert_eq!(wrong(&json!({"nodes": []})), [""; 0]);
    }

    #[test]
    fn a_second_cluster_is_noticed() {
        let watch = Watch::default();
        watch.judge("n1", &json!({"cluster_id": "a", "nodes": []}));
        assert_eq!(watch.verdict(), [""; 0]);
        watch.judge("n2", &json!({"cluster_id": "b", "nodes": []}));
        assert_eq!(watch.verdict().len(), 1);
    }
}
