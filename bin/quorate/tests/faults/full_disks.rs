//! R8: disks that fill up, of one node or of all, slowly or at once. Each node has a small file system of its own.

use crate::{
    machine::{self, works},
    support::{
        cluster::{Cluster, WORKSPACES},
        eventually, figure,
        http::Ask,
        machine_to_itself,
        node::Node,
        within,
    },
    writers::Writers,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const DISK_BYTES: u64 = 96 << 20;
/// A quarter of such a disk is too little to lead, an eighth too little to follow.
const TOO_LITTLE_TO_LEAD: u64 = DISK_BYTES / 6;
const TOO_LITTLE_TO_FOLLOW: u64 = DISK_BYTES / 16;
/// After there is room again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// A refusal never takes longer, once leadership stays where it is.
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);

/// Small file systems, which go with this value.
struct Disks(tempfile::TempDir);

impl Disks {
    fn mounted() -> Option<Self> {
        let disks = Self(tempfile::tempdir().expect("a folder"));
        let mount = |place| {
            let folder = disks.folder(place);
            fs::create_dir(&folder).expect("made");
            let size = format!("size={DISK_BYTES}");
            works("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.to_str().expect("UTF-8")])
        };
        (0..3).all(mount).then_some(disks)
    }

    fn folder(&self, place: usize) -> PathBuf {
        self.0.path().join(place.to_string())
    }

    fn ballast(&self, place: usize) -> PathBuf {
        self.folder(place).join("ballast")
    }

    /// Leaves so much room on a disk.
    fn fill(&self, place: usize, leave: u64) {
        let stat = rustix::fs::statvfs(self.folder(place)).expect("it is there");
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(leave);
        let bytes = vec![1; usize::try_from(bytes).expect("a small disk")];
        let mut ballast =
            fs::OpenOptions::new().create(true).append(true).open(self.ballast(place)).expect("a file");
        // The node may have been faster: full is full.
        let _ = ballast.write_all(&bytes);
    }

    fn free(&self, place: usize) {
        fs::remove_file(self.ballast(place)).expect("it was filled");
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for place in 0..3 {
            // Lazily: a node may not be gone yet. What was never mounted stays.
            let _ = Command::new("umount").arg("-l").arg(self.folder(place)).status();
        }
    }
}

/// Nodes on small disks, with workers; drops before the disks.
fn started(disks: &Disks, flags: &[&str]) -> Cluster {
    let mut cluster = Cluster::planned_as(flags, |place, node| node.data = disks.folder(place).join("data"));
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    cluster
}

fn on_small_disks(flags: &[&str], test: impl FnOnce(&Disks, Cluster)) {
    let _alone = machine_to_itself();
    let Some(disks) = Disks::mounted() else {
        return machine::skip("a tmpfs can't be mounted: that needs root");
    };
    let cluster = started(&disks, flags);
    test(&disks, cluster);
}

fn writes(node: &Node) -> bool {
    node.register("written", "http://127.0.0.1:1", &[]).status == 200
}

fn routes(node: &Node) {
    for (workspace, partition, _) in WORKSPACES {
        assert_eq!(node.route(workspace).worker(), format!("w{}", partition / 4 + 1), "{}", node.name);
    }
}

fn write_resumes(node: &Node, why: &str) -> Duration {
    let start = Instant::now();
    let resumed = within(RECOVERED_WITHIN, || writes(node).then(|| start.elapsed()));
    resumed
        .unwrap_or_else(|| panic!("no write through {} within {RECOVERED_WITHIN:?} after {why}", node.name))
}

fn free_bytes(node: &Node) -> f64 {
    let text = node.ask(&Ask::get("/metrics")).ok().text();
    let line = text.lines().find_map(|line| line.strip_prefix("quorate_disk_free_bytes "));
    line.expect("it is there").parse().expect("a number")
}

fn all_run(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        assert_eq!(node.has_ended(), None, "{} has ended", node.name);
    }
}

#[test]
fn r8_a_leader_whose_disk_fills_up_hands_over_and_a_follower_falls_behind() {
    on_small_disks(&[], |disks, mut cluster| {
        let _workers = cluster.with_workers();
        let old = cluster.leader();
        disks.fill(old, TOO_LITTLE_TO_LEAD);
        eventually("somebody else leads", || (cluster.leader() != old).then_some(()));
        // Through the full one too: it follows.
        let resumed = cluster.nodes.iter().map(|node| write_resumes(node, "the hand-over")).max();
        // It may have looked when the disk was only half as full, and that was too little to lead as well.
        let known = || (free_bytes(&cluster.nodes[old]) <= TOO_LITTLE_TO_LEAD as f64).then_some(());
        eventually("its metric says how little is left", known);

        disks.fill(old, TOO_LITTLE_TO_FOLLOW);
        cluster.nodes[old].becomes("degraded");
        let stale = || cluster.nodes[old].route("my-workspace").header("x-quorate-stale").map(str::to_owned);
        eventually("it says how old its table is", stale);
        for (place, node) in cluster.nodes.iter().enumerate() {
            routes(node);
            assert!(place == old || writes(node), "{}", node.name);
        }
        let target = "/v1/workers/meanwhile";
        let body = json!({"address": "http://127.0.0.1:1"});
        cluster.nodes[(old + 1) % 3].ask(&Ask::json("PUT", target, &body)).ok();
        all_run(&mut cluster);

        disks.free(old);
        let start = Instant::now();
        let caught_up = within(RECOVERED_WITHIN, || {
            (cluster.nodes[old].ask(&Ask::get(target)).status == 200).then(|| start.elapsed())
        });
        let caught_up = caught_up.expect("it catches up once there is room");
        cluster.ready();
        assert!(cluster.nodes.iter().all(writes));
        figure(&format!(
            "a full leader: writes after {resumed:?}; with room again it caught up after {caught_up:?}"
        ));
    });
}

fn refused(node: &Node) -> Value {
    let start = Instant::now();
    let answer =
        node.ask(&Ask::json("PUT", "/v1/workers/refused", &json!({"address": "http://127.0.0.1:1"})));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(start.elapsed() < REFUSAL_WITHIN + Duration::from_secs(1), "{:?}", start.elapsed());
    answer.json()["code"].clone()
}

#[test]
fn r8_with_all_disks_full_changes_are_refused_and_reads_and_routing_go_on() {
    on_small_disks(&[], |disks, mut cluster| {
        let _workers = cluster.with_workers();
        (0..3).for_each(|place| disks.fill(place, TOO_LITTLE_TO_LEAD));
        let full = |node: &Node| free_bytes(node) <= TOO_LITTLE_TO_LEAD as f64;
        eventually("all have noticed", || cluster.nodes.iter().all(full).then_some(()));
        std::thread::sleep(Duration::from_secs(1));
        let codes: Vec<_> = std::thread::scope(|threads| {
            let asked: Vec<_> = cluster.nodes.iter().map(|node| threads.spawn(|| refused(node))).collect();
            asked.into_iter().map(|asked| asked.join().expect("refused in time")).collect()
        });
        // Where leadership changes meanwhile, one of them may not know better.
        let known = ["disk_full", "no_quorum", "outcome_unknown"];
        assert!(codes.iter().all(|code| known.iter().any(|known| code == known)), "{codes:?}");
        for node in &cluster.nodes {
            let named = || (refused(node) == "disk_full").then_some(());
            eventually(&format!("{} names the reason", node.name), named);
        }
        for node in &cluster.nodes {
            routes(node);
            let read =
                || Some(node.ask(&Ask::get("/v1/workers?consistent=true"))).filter(|a| a.status == 200);
            assert!(within(REFUSAL_WITHIN, read).is_some(), "no consistent read through {}", node.name);
        }
        all_run(&mut cluster);
        (0..3).for_each(|place| disks.free(place));
        let resumed = cluster.nodes.iter().map(|node| write_resumes(node, "there was room")).max();
        let lost = cluster.nodes[0].ask(&Ask::get("/v1/workers/refused?consistent=true"));
        assert_eq!(lost.status, 404, "a refused change came true: {}", lost.text());
        figure(&format!("all disks full: refused as {codes:?}; with room again writes after {resumed:?}"));
    });
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map_or(Vec::new(), |entries| entries.map(|entry| entry.expect("readable").path()).collect())
}

/// Faster than the node can notice, in the middle of appends, snapshots (after each hundred entries) and purges.
#[test]
fn r8_a_disk_that_is_full_at_once_costs_at_most_its_node_until_there_is_room() {
    on_small_disks(&["--snapshot-entries", "100"], |disks, mut cluster| {
        let _workers = cluster.with_workers();
        let mut stopped = 0;
        let rounds = machine::rounds(2);
        for round in 0..rounds {
            let leader = cluster.leader();
            let victim = if round % 2 == 0 { leader } else { (leader + 1) % 3 };
            let writers = Writers::start(&cluster.nodes, &format!("full{round}"), 3, 40);
            eventually("writes are acknowledged", || (writers.count() > 100).then_some(()));
            disks.fill(victim, 0);
            let others: Vec<_> = (0..3).filter(|place| *place != victim).collect();
            for place in &others {
                write_resumes(&cluster.nodes[*place], "a disk was full at once");
                routes(&cluster.nodes[*place]);
            }
            std::thread::sleep(Duration::from_secs(2));
            let ended = cluster.nodes[victim].has_ended();
            if let Some(status) = ended {
                assert_eq!(status.code(), Some(1), "{status}");
                cluster.nodes[victim].kill();
                stopped += 1;
            } else {
                routes(&cluster.nodes[victim]);
            }
            disks.free(victim);
            if ended.is_some() {
                // As its supervisor does.
                cluster.nodes[victim].start();
            }
            let start = Instant::now();
            cluster.nodes[victim].becomes("ready");
            assert!(start.elapsed() < RECOVERED_WITHIN, "ready {:?} after there was room", start.elapsed());
            let promised = writers.end();
            promised.is_kept(&cluster);
            // Nothing half written is left to be taken for a snapshot.
            for node in &cluster.nodes {
                let names = files(&node.data.join("snapshots"));
                assert!(names.iter().all(|name| name.extension() == Some("snapshot".as_ref())), "{names:?}");
            }
        }
        figure(&format!("full at once, {rounds} times: {stopped} nodes stopped, with code 1"));
    });
}
