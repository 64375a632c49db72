//! The life of a cluster in containers, under load from its first second to its last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bad_input;
use super::clock::{eventually, now, sleep};
use super::cluster::{Cluster, routed};
use super::faults::{cut_off, deleted, killed};
use super::ledger::{Allowed, Ledger};
use super::load::{End, Load};
use super::machine::PATIENCE;
use super::maintenance::{nothing_is_lost, roll, scale};
use super::watch::Watch;
use crate::workspace::Failure;

pub const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Those that join later too.
pub const ALL: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
/// How long nothing is wrong before and after the faults.
pub const CALM: Duration = Duration::from_secs(3);

/// What was measured besides the ledger.
#[derive(Default)]
pub struct Figures {
    /// From the first `docker run` to the last node that is ready.
    pub formed: Duration,
    /// From `docker run` on a used volume to ready.
    pub restarts: Vec<Duration>,
}

/// Everything, in order. Whatever clients saw is in the ledger, and judged by the caller.
pub fn run(cluster: &Cluster<'_>, ledger: &Ledger, watch: &Watch) -> Result<Figures, Failure> {
    let load = Load::new(cluster.service, ledger);
    let mut figures = Figures::default();
    load.around(|clients| {
        form(cluster, &mut figures)?;
        cluster.start_workers()?;
        routed_by_all(cluster)?;
        clients();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _end = End(&ended);
            scope.spawn(|| watch.look(cluster.service, &|| ended.load(Ordering::Relaxed)));
            live(cluster, ledger, &mut figures)
        })
    })?;
    Ok(figures)
}

fn live(cluster: &Cluster<'_>, ledger: &Ledger, figures: &mut Figures) -> Result<(), Failure> {
    ledger.phase("calm", Allowed::Nothing, || calm(cluster))?;
    let leader = known(&cluster.leader("n1")?)?;
    let address = cluster.endpoint(leader)?.ip;
    ledger.phase("the leader is cut off", Allowed::Around(leader), || cut_off(cluster, ledger, leader))?;
    // The same one: while it was cut off it reached the workers at other addresses, and may still have connections
    // to these, which its end puts an end to.
    ledger.phase("kill -9 of the leader, new address", Allowed::Around(leader), || {
        killed(cluster, figures, leader, cluster.new_address())
    })?;
    let victim = other_than(leader);
    // At the address of the one that was killed: whoever kept that would take it for the wrong node.
    ledger.phase("container deleted, made anew", Allowed::Around(victim), || {
        deleted(cluster, figures, victim, address)
    })?;
    ledger.phase("rolling restart", Allowed::Nothing, || roll(cluster, figures))?;
    ledger.phase("scale from 3 to 5 to 3", Allowed::WritesTo(&["n4", "n5"]), || scale(cluster))?;
    ledger.phase("bad inputs beside it", Allowed::Nothing, || bad_input::run(cluster, &cluster.folder))?;
    ledger.phase("calm again", Allowed::Nothing, || calm(cluster))?;
    nothing_is_lost(cluster, ledger)
}

fn known(node: &str) -> Result<&'static str, Failure> {
    let found = ALL.into_iter().find(|known| *known == node);
    found.ok_or_else(|| Failure::Check(format!("`{node}` is no node of this test")))
}

pub fn other_than(node: &str) -> &'static str {
    if node == NODES[0] { NODES[1] } else { NODES[0] }
}

/// In an order and with pauses that differ from run to run.
fn form(cluster: &Cluster<'_>, figures: &mut Figures) -> Result<(), Failure> {
    let chance = std::process::id() as usize ^ since_the_epoch();
    let mut left = NODES.to_vec();
    let mut started = BTreeMap::new();
    let first = now();
    for nth in 0..NODES.len() {
        let node = left.remove((chance >> (4 * nth)) % left.len());
        eprintln!("containers: {node} starts");
        started.insert(node, cluster.start(node, cluster.new_address())?);
        sleep(Duration::from_millis(((chance >> (8 * nth)) % 1_500) as u64));
    }
    for (node, at) in started {
        cluster.becomes_ready(node, at)?;
    }
    cluster.agrees(&NODES)?;
    figures.formed = first.elapsed();
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "chance for a test that is not replayed; it is printed what it chose"
)]
fn since_the_epoch() -> usize {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.subsec_nanos() as usize
}

/// Every partition has a worker, on every node.
fn routed_by_all(cluster: &Cluster<'_>) -> Result<(), Failure> {
    for node in NODES {
        let endpoint = cluster.endpoint(node)?;
        eventually(&format!("{node} routes to both workers"), PATIENCE, || {
            (0..40).try_for_each(|nth| routed(&endpoint, &format!("/v1/workspaces/w{nth}/hello")).map(drop))
        })?;
    }
    Ok(())
}

fn calm(cluster: &Cluster<'_>) -> Result<(), Failure> {
    sleep(CALM);
    for node in NODES {
        eventually(&format!("Docker calls {node} healthy"), PATIENCE, || {
            let inspected = cluster.engine.inspect(node).map_err(|e| e.to_string())?;
            let health = &inspected["State"]["Health"];
            if health["Status"] == "healthy" { Ok(()) } else { Err(health.to_string()) }
        })?;
    }
    Ok(())
}
