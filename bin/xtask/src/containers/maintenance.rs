//! What operators do on purpose, by the documented steps; nobody outside may notice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::{eventually, sleep};
use super::cluster::{Cluster, get};
use super::ledger::Ledger;
use super::load::BEATING;
use super::machine::PATIENCE;
use super::scenario::{ALL, Figures, NODES};
use super::service::Endpoint;
use crate::workspace::Failure;

const PAGE: usize = 1_000;

/// One after the other: SIGTERM, its end, a new container on the same volume, ready. Each at the address that the
/// one before it had.
pub fn roll(cluster: &Cluster<'_>, figures: &mut Figures) -> Result<(), Failure> {
    let mut free = cluster.new_address();
    for node in NODES {
        let next = cluster.endpoint(node)?.ip;
        cluster.stop(node)?;
        figures.restarts.push(cluster.becomes_ready(node, cluster.start(node, free)?)?);
        cluster.agrees(&NODES)?;
        free = next;
    }
    Ok(())
}

/// As docs/compose.md has it.
pub fn scale(cluster: &Cluster<'_>) -> Result<(), Failure> {
    for (nth, node) in ALL.into_iter().enumerate().skip(NODES.len()) {
        let at = cluster.start(node, cluster.new_address())?;
        // Refused as long as it does not listen yet.
        eventually(&format!("{node} joins"), PATIENCE, || {
            let peer = format!("{node}:7070");
            let joined = cluster.operate("n1", &["cluster", "join", node, "--peer", &peer, "--wait"]);
            joined.map_err(|e| e.to_string())
        })?;
        cluster.becomes_ready(node, at)?;
        cluster.agrees(&ALL[..=nth])?;
    }
    sleep(Duration::from_secs(1));
    for (nth, node) in ALL.into_iter().enumerate().skip(NODES.len()).rev() {
        cluster.leaves(node, "n1")?;
        cluster.agrees(&ALL[..nth])?;
        cluster.stop(node)?;
        cluster.service.forget(node);
    }
    Ok(())
}

/// Every registration that was acknowledged is on every node, and those that live by heartbeats never died.
pub fn nothing_is_lost(cluster: &Cluster<'_>, ledger: &Ledger) -> Result<(), Failure> {
    let acks = ledger.acks();
    for node in NODES {
        let workers = workers(&cluster.endpoint(node)?).map_err(Failure::Check)?;
        for ack in &acks {
            match workers.get(&ack.worker) {
                Some((epoch, status)) if *epoch == ack.epoch && status == "live" => {}
                Some((epoch, status)) => {
                    let is = format!("is {status} at epoch {epoch} on {node}; acknowledged at {}", ack.epoch);
                    return Err(Failure::Check(format!("{} {is}", ack.worker)));
                }
                None => {
                    let what = format!("{} was acknowledged at epoch {}", ack.worker, ack.epoch);
                    return Err(Failure::Check(format!("{what}, and {node} has not got it")));
                }
            }
        }
    }
    let beating = acks.iter().filter(|ack| ack.worker.starts_with("beating-")).count();
    if beating != BEATING {
        return Err(Failure::Check(format!(
            "{beating} of {BEATING} workers with heartbeats were registered"
        )));
    }
    eprintln!("containers: all {} acknowledged registrations are on all nodes", acks.len());
    Ok(())
}

/// All workers with epoch and status, by a read that has seen everything acknowledged before it.
fn workers(endpoint: &Endpoint) -> Result<BTreeMap<String, (u64, String)>, String> {
    let mut all = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/workers?limit={PAGE}&consistent=true{cursor}");
        let page = get(endpoint, &path)?.json()?;
        let items = page["items"].as_array().ok_or_else(|| page.to_string())?;
        for item in items {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            all.insert(text("id"), (item["epoch"].as_u64().unwrap_or_default(), text("status")));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}
