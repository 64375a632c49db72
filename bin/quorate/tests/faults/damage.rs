//! R7: one bit of one file of one node changes while the node is down.
//!
//! The other two are up all the time and have everything, so each trial may begin with the same copy of the folder
//! although the node has gone on from it in the trial before.

use crate::{
    machine,
    support::{cluster::Cluster, eventually, figure, http::Ask, machine_to_itself, node::Node, within},
    writers::Writers,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// A snapshot is taken after so many entries; so long they may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);
/// A node starts, or says that it will not, well within.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Places in each file; the log gets more.
const PLACES: u64 = 3;
const PLACES_LOG: u64 = 12;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    let mut found: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Files of a folder, by their names inside it.
type Content = BTreeMap<PathBuf, Vec<u8>>;

fn content(folder: &Path) -> Content {
    let inside = |path: &PathBuf| path.strip_prefix(folder).expect("inside").to_owned();
    files(folder).iter().map(|path| (inside(path), fs::read(path).expect("readable"))).collect()
}

fn put_back(folder: &Path, content: &Content) {
    fs::remove_dir_all(folder).expect("removed");
    for (inside, bytes) in content {
        let path = folder.join(inside);
        fs::create_dir_all(path.parent().expect("not the root")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// Places that are not zero, spread over the file: the beginning and the end among them.
fn places(bytes: &[u8], count: u64) -> Vec<usize> {
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let count = usize::try_from(count).expect("few").min(used.len());
    (0..count).map(|nth| used[nth * (used.len() - 1) / (count - 1).max(1)]).collect()
}

fn flip(path: &Path, at: usize) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let (mut byte, at) = ([0], u64::try_from(at).expect("a place in a file"));
    file.read_exact_at(&mut byte, at).expect("inside");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
}

fn changed<'a>(before: &'a Content, after: &Content) -> Vec<&'a Path> {
    before
        .iter()
        .filter(|(file, bytes)| after.get(*file) != Some(bytes))
        .map(|(file, _)| file.as_path())
        .collect()
}

/// Everything that a node says of workers and partitions.
fn picture(node: &Node) -> (Value, Value) {
    let workers = node.get("/v1/workers?limit=1000&consistent=true")["items"].clone();
    (workers, node.get("/v1/keyspaces/default/partitions?limit=1000&consistent=true")["items"].clone())
}

/// Whether the node started; else it has refused, with a reason.
fn starts(node: &mut Node) -> bool {
    let said = node.log().len();
    node.start();
    let settled = within(SETTLED_WITHIN, || {
        if let Some(status) = node.has_ended() {
            return Some(Err(status));
        }
        let ready = Ask::get("/readyz").send(node.management).ok()?;
        (ready.json()["status"] == "ready").then_some(Ok(()))
    });
    match settled.expect("it neither starts nor refuses") {
        Ok(()) => true,
        Err(status) => {
            let reason = node.log()[said..].to_owned();
            assert_eq!(status.code(), Some(2), "{reason}");
            let named =
                ["is damaged", "has a gap", "ends at", "the vote on disk", "no snapshot", "can't be read"];
            assert!(
                named.iter().any(|name| reason.contains(name)) && reason.contains("it rejoins"),
                "{reason}"
            );
            node.kill();
            false
        }
    }
}

fn filled() -> Cluster {
    let mut cluster = Cluster::formed_with(&["--snapshot-every", "100"]);
    let writers = Writers::start(&cluster.nodes, "filler", 1, 0);
    let snapshots = |node: &Node| fs::read_dir(node.data.join("snapshots")).map_or(0, Iterator::count);
    let taken =
        within(SNAPSHOT_WITHIN, || cluster.nodes.iter().all(|node| snapshots(node) > 0).then_some(()));
    let promised = writers.end();
    assert!(taken.is_some(), "{} writes, and no snapshot", promised.count);
    let _gone = cluster.with_workers();
    cluster.ready();
    cluster
}

#[test]
fn r7_a_flipped_bit_in_any_file_is_refused_or_harmless_and_the_others_go_on() {
    let _alone = machine_to_itself();
    let mut cluster = filled();
    let victim = cluster.followers()[0];
    cluster.nodes[victim].kill();
    let whole = content(&cluster.nodes[victim].data);
    let folder = cluster.nodes[victim].data.clone();
    let mut counts = BTreeMap::<PathBuf, (u32, u32)>::new();
    let factor = machine::rounds(1);
    for (file, bytes) in &whole {
        let count = if file.ends_with("log/db") { PLACES_LOG } else { PLACES };
        for at in places(bytes, count * factor) {
            put_back(&folder, &whole);
            flip(&folder.join(file), at);
            let before = content(&folder);
            let counts = counts.entry(file.clone()).or_default();
            if starts(&mut cluster.nodes[victim]) {
                counts.0 += 1;
                let (mine, theirs) = (&cluster.nodes[victim], &cluster.nodes[(victim + 1) % 3]);
                assert_eq!(picture(mine), picture(theirs), "{} at {at}", file.display());
                cluster.nodes[victim].kill();
            } else {
                counts.1 += 1;
                // The engine mends its own file as far as it can before we see what is missing: that must not make
                // the next start take it for whole.
                let changed = changed(&before, &content(&folder));
                assert!(
                    changed.iter().all(|file| file.starts_with("log")),
                    "{} at {at}: {changed:?}",
                    file.display()
                );
                assert!(
                    !starts(&mut cluster.nodes[victim]),
                    "{} at {at}: taken the second time",
                    file.display()
                );
            }
            let other = &cluster.nodes[(victim + 1) % 3];
            other.register("meanwhile", "http://127.0.0.1:1", &[]).ok();
        }
    }
    figure(&format!("(harmless, refused) by file: {counts:?}"));
    let refused =
        |name: &str| counts.iter().filter(|(file, _)| file.starts_with(name)).map(|(_, c)| c.1).sum::<u32>();
    assert!(refused("log") > 0 && refused("identity") > 0, "nothing of it is checked");
    // The remedy of each refusal.
    fs::remove_dir_all(&folder).expect("removed");
    cluster.nodes[victim].start();
    cluster.nodes[victim].becomes("ready");
    eventually("it is a member again, with everything", || {
        let [mine, theirs] = [victim, (victim + 1) % 3].map(|place| picture(&cluster.nodes[place]));
        (mine == theirs).then_some(())
    });
}
