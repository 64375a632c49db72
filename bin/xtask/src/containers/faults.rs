//! One node is cut off, killed, deleted: the others go on, and it comes back as the one that it was.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::clock::{eventually, now, sleep};
use super::cluster::{Cluster, EDGE, NETWORK, get, routed};
use super::http::{self, Request};
use super::ledger::Ledger;
use super::machine::PATIENCE;
use super::scenario::{CALM, Figures, NODES, other_than};
use super::service::Endpoint;
use crate::workspace::Failure;

/// A cut-off node is asked here.
const EDGE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 90, 0, 200));
/// Writes that the others take while a node is cut off.
const WRITES_WITHOUT_IT: usize = 50;

/// It routes on by what it knew, says so, and changes nothing; the others go on without it.
pub fn cut_off(cluster: &Cluster<'_>, ledger: &Ledger, node: &str) -> Result<(), Failure> {
    let before = cluster.endpoint(node)?;
    cluster.engine.docker(["network", "disconnect", NETWORK, node])?;
    cluster.engine.docker(["network", "connect", "--ip", &EDGE_ADDRESS.to_string(), EDGE, node])?;
    let edge = Endpoint { node: node.to_owned(), ip: EDGE_ADDRESS };
    eventually(&format!("{node} routes alone and says for how long"), PATIENCE, || {
        let answer = routed(&edge, "/v1/workspaces/w1/hello")?;
        let stale = answer.header("x-quorate-stale").and_then(|seconds| seconds.parse::<u64>().ok());
        stale.filter(|seconds| *seconds >= 1).map(drop).ok_or_else(|| "it says nothing".to_owned())
    })?;
    eventually(&format!("{node} says that it is degraded"), PATIENCE, || {
        let answer = get(&edge, "/readyz")?;
        let degraded = answer.status == 200 && answer.json()?["status"] == "degraded";
        if degraded { Ok(()) } else { Err(answer.text()) }
    })?;
    let said = cluster.operate(node, &["healthcheck"])?;
    if !said.contains("degraded") {
        return Err(Failure::Check(format!("`quorate healthcheck` of a cut-off node says `{said}`")));
    }
    refuses_changes(&edge)?;
    let known = ledger.acks().len();
    eventually("the others take changes", PATIENCE, || {
        let taken = ledger.acks().len() - known;
        if taken >= WRITES_WITHOUT_IT { Ok(()) } else { Err(format!("{taken} so far")) }
    })?;
    cluster.engine.docker(["network", "disconnect", EDGE, node])?;
    cluster.engine.docker(["network", "connect", "--ip", &before.ip.to_string(), NETWORK, node])?;
    let goal = applied(&cluster.endpoint(other_than(node))?).map_err(Failure::Check)?;
    cluster.becomes_ready(node, now())?;
    eventually(&format!("{node} has caught up"), PATIENCE, || {
        let index = applied(&before)?;
        let stale = routed(&before, "/v1/workspaces/w1/hello")?.header("x-quorate-stale").is_some();
        if index >= goal && !stale { Ok(()) } else { Err(format!("it is at {index} of {goal}")) }
    })?;
    cluster.agrees(&NODES)
}

fn applied(endpoint: &Endpoint) -> Result<u64, String> {
    let view = get(endpoint, "/v1/cluster")?.json()?;
    view["applied_index"].as_u64().ok_or_else(|| view.to_string())
}

fn refuses_changes(endpoint: &Endpoint) -> Result<(), Failure> {
    let body = serde_json::json!({"address": "http://192.0.2.1:8100"});
    let request = Request { method: "PUT", path: "/v1/workers/nobody", body: Some(&body) };
    let answer = http::ask(endpoint.management(), &request, Duration::from_secs(10));
    match answer {
        Ok(answer) if answer.status == 503 => Ok(()),
        Ok(answer) => Err(Failure::Check(format!("a cut-off node answers a change with {}", answer.text()))),
        Err(e) => Err(Failure::Check(format!("a cut-off node does not answer a change: {e}"))),
    }
}

/// The leader again, which shows that it has caught up. The same disk, so the same node: it is found by its name.
pub fn killed(cluster: &Cluster<'_>, figures: &mut Figures, node: &str, ip: IpAddr) -> Result<(), Failure> {
    let id = id_of(cluster, node)?;
    // Refused while there is an election, such as one that the node called when it came back.
    eventually(&format!("{node} is given the lead"), PATIENCE, || {
        let asked = cluster.operate(other_than(node), &["cluster", "transfer-leader", "--to", node]);
        asked.map_err(|e| e.to_string())
    })?;
    cluster.engine.docker(["kill", "--signal", "KILL", node])?;
    sleep(CALM);
    cluster.remove(node)?;
    figures.restarts.push(cluster.becomes_ready(node, cluster.start(node, ip)?)?);
    cluster.agrees(&NODES)?;
    same_node(cluster, node, &id)
}

/// As a StatefulSet does with a pod that somebody deleted: the container is gone with its address, the volume is not.
pub fn deleted(cluster: &Cluster<'_>, figures: &mut Figures, node: &str, ip: IpAddr) -> Result<(), Failure> {
    let id = id_of(cluster, node)?;
    cluster.remove(node)?;
    figures.restarts.push(cluster.becomes_ready(node, cluster.start(node, ip)?)?);
    cluster.agrees(&NODES)?;
    same_node(cluster, node, &id)
}

fn id_of(cluster: &Cluster<'_>, node: &str) -> Result<String, Failure> {
    let view = cluster.view(node)?;
    let members = view["nodes"].as_array().into_iter().flatten();
    let found = members.filter(|member| member["name"] == node).find_map(|member| member["id"].as_str());
    found.map(str::to_owned).ok_or_else(|| Failure::Check(format!("{node} does not show itself: {view}")))
}

fn same_node(cluster: &Cluster<'_>, node: &str, id: &str) -> Result<(), Failure> {
    let now = id_of(cluster, node)?;
    if now == id { Ok(()) } else { Err(Failure::Check(format!("{node} was {id} and came back as {now}"))) }
}
