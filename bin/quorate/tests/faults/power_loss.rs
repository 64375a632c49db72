//! R6: the power fails, of one node or of all at once, at any moment of heavy writing.

use crate::{
    machine,
    power::{self, Disk, Loss, lose_power},
    reigns::Reigns,
    support::{cluster::Cluster, eventually, figure, http::Ask, machine_to_itself, node::Node, within},
    writers::{Promised, Writers},
};
use serde_json::Value;
use std::{
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    time::{Duration, Instant},
};

/// Writes in each round before the power fails, about.
const WRITES: usize = 200;
/// A node is back within five seconds; more is for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(15);

struct OnForgetfulDisks {
    cluster: Cluster,
    _library: tempfile::TempDir,
}

fn started(disk: Disk) -> OnForgetfulDisks {
    let folder = tempfile::tempdir().expect("a folder");
    let library: PathBuf = power::library(folder.path());
    let put = |_, node: &mut Node| power::put_on_forgetful_disk(node, &library, disk);
    let mut cluster = Cluster::planned_as(&[], put);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    OnForgetfulDisks { cluster, _library: folder }
}

/// The vote by which the cluster is led: term, and name of the leader. A quorum has this vote on its disks, so whoever
/// leads after a power loss has one of a later term, unless votes were forgotten.
fn vote(cluster: &Cluster) -> (u64, String) {
    eventually("all say the same of the leader", || {
        let said: Vec<_> = cluster.running().map(|node| node.get("/v1/cluster")).collect();
        let of = |said: &Value| Some((said["term"].as_u64()?, said["leader"].as_str()?.to_owned()));
        let votes: Vec<_> = said.iter().map(of).collect::<Option<_>>()?;
        votes.iter().all(|vote| *vote == votes[0]).then(|| votes[0].clone())
    })
}

/// Writes until somewhere near [`WRITES`], then takes the power of these nodes.
fn write_and_lose_power(cluster: &mut Cluster, victims: &[usize], round: u64, loss: Loss) -> Promised {
    let writers = Writers::start(&cluster.nodes, &format!("round{round}"), 3, 1);
    let chance = usize::try_from(RandomState::new().hash_one(round) % 100).expect("small");
    eventually("writes are acknowledged", || (writers.count() >= WRITES - 50 + chance).then_some(()));
    std::thread::sleep(Duration::from_micros(u64::try_from(chance).expect("small") * 37));
    for victim in victims {
        // All of them before the first one's disk is looked at: it takes a while.
        cluster.nodes[*victim].kill();
    }
    victims.iter().for_each(|victim| lose_power(&mut cluster.nodes[*victim], loss));
    writers.end()
}

#[test]
fn r6_a_power_loss_of_one_node_or_of_all_loses_nothing_that_was_acknowledged() {
    let _alone = machine_to_itself();
    if let Some(reason) = power::missing() {
        return machine::skip(reason);
    }
    let mut world = started(Disk::Honest);
    let cluster = &mut world.cluster;
    let (mut written, mut slowest, mut all) = (0, Duration::ZERO, Vec::new());
    let rounds = machine::rounds(6);
    let reigns = Reigns::watch(&cluster.nodes);
    for round in 0..rounds {
        let victims = match round % 4 {
            0 | 2 => vec![0, 1, 2],
            1 => vec![cluster.leader()],
            _ => vec![cluster.followers()[0]],
        };
        let loss = if round / 2 % 2 == 0 { Loss::Everything } else { Loss::Some };
        figure(&format!("round {round}: {victims:?} lose {loss:?}"));
        let before = vote(cluster);
        let promised = write_and_lose_power(cluster, &victims, round, loss);
        let start = Instant::now();
        victims.iter().for_each(|victim| cluster.nodes[*victim].start());
        cluster.ready();
        slowest = slowest.max(start.elapsed());
        let after = vote(cluster);
        // The others may have kept their leader.
        assert!(
            after.0 > before.0 || (after == before && victims.len() == 1),
            "{after:?} after {before:?}: votes are lost"
        );
        promised.is_kept(cluster);
        written += promised.count;
        all.push(promised);
    }
    // Nor has a later round taken away what an earlier one left.
    all.iter().for_each(|promised| promised.is_kept(cluster));
    let terms = reigns.end();
    // All nodes lose power in every other round.
    assert!(terms as u64 > rounds / 2, "{terms} terms were seen");
    figure(&format!(
        "power lost {rounds} times: {written} writes kept, {terms} terms of one leader each; back after {slowest:?} at most"
    ));
    assert!(slowest < BACK_WITHIN, "{slowest:?}");
}

/// What makes the test above worth anything: a disk that lies about its syncs is found out.
#[test]
fn r6_control_a_disk_that_lies_about_syncs_is_found_out() {
    let _alone = machine_to_itself();
    if let Some(reason) = power::missing() {
        return machine::skip(reason);
    }
    let mut world = started(Disk::Lying);
    let cluster = &mut world.cluster;
    let promised = write_and_lose_power(cluster, &[0, 1, 2], 0, Loss::Everything);
    cluster.nodes.iter_mut().for_each(Node::start);
    let found = within(BACK_WITHIN, || {
        if cluster.nodes.iter_mut().any(|node| node.has_ended().is_some()) {
            return Some(true);
        }
        let ready = |node: &Node| {
            Ask::get("/readyz").send(node.management).is_ok_and(|a| a.json()["status"] == "ready")
        };
        cluster.nodes.iter().all(ready).then(|| !promised.broken_at(&cluster.nodes[0]).is_empty())
    });
    // Not even ready: that is noticed too.
    assert!(found != Some(false), "{} writes were kept on a disk that keeps none", promised.count);
}
