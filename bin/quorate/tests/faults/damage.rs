//! R7: one bit of one file of one node changes while the node is down.
//!
//! A folder is put back only where the node refused it: one that has gone on from it must never see an older copy of
//! it again. That would be another fault, which no node can notice.

use crate::{
    machine,
    support::{cluster::Cluster, eventually, figure, http::Ask, machine_to_itself, node::Node, within},
    writers::Writers,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// A snapshot is taken after so many entries; so long they may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);
/// A node starts, or says that it will not, well within.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// The bit that changes.
const BIT: u8 = 0x10;
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

/// What a file is, without the numbers in its name.
fn kind(file: &Path) -> String {
    let name = file.to_str().expect("UTF-8");
    match name.split_once("snap.") {
        Some((folder, _)) => format!("{folder}snap"),
        None => name.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
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
    file.write_all_at(&[byte[0] ^ BIT], at).expect("written");
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
    let mut cluster = Cluster::formed_with(&["--snapshot-entries", "100"]);
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

enum Outcome {
    Harmless,
    Refused,
}

/// Flips one bit of the node, which is down before and after; `None`: there is no such file any more, or nothing in
/// it. Leaves the folder without the damage.
fn trial(cluster: &mut Cluster, victim: usize, wanted: &str, (nth, count): (u64, u64)) -> Option<Outcome> {
    let folder = cluster.nodes[victim].data.clone();
    let whole = content(&folder);
    let candidates: Vec<_> = whole.iter().filter(|(file, _)| kind(file) == wanted).collect();
    let (file, bytes) = candidates.get(usize::try_from(nth).expect("few") % candidates.len().max(1))?;
    let at = *places(bytes, count).get(usize::try_from(nth).expect("few"))?;
    let what = format!("{} at {at}", file.display());
    let path = folder.join(file);
    flip(&path, at);
    let damaged = content(&folder);
    let other = (victim + 1) % 3;
    if starts(&mut cluster.nodes[victim]) {
        assert_eq!(picture(&cluster.nodes[victim]), picture(&cluster.nodes[other]), "{what}");
        cluster.nodes[victim].kill();
        // It has gone on from there, so the copy is out of date. Where the bit is still there it is put right.
        if fs::read(&path).is_ok_and(|now| now.get(at) == Some(&(bytes[at] ^ BIT))) {
            flip(&path, at);
        }
        return Some(Outcome::Harmless);
    }
    // The engine mends its own file as far as it can before we see what is missing: that must not make the next
    // start take it for whole.
    let after = content(&folder);
    let changed = changed(&damaged, &after);
    assert!(changed.iter().all(|file| file.starts_with("log")), "{what}: {changed:?}");
    assert!(!starts(&mut cluster.nodes[victim]), "{what}: taken the second time");
    cluster.nodes[other].register("meanwhile", "http://127.0.0.1:1", &[]).ok();
    put_back(&folder, &whole);
    Some(Outcome::Refused)
}

#[test]
fn r7_a_flipped_bit_in_any_file_is_refused_or_harmless_and_the_others_go_on() {
    let _alone = machine_to_itself();
    let mut cluster = filled();
    let victim = cluster.followers()[0];
    cluster.nodes[victim].kill();
    let folder = cluster.nodes[victim].data.clone();
    let kinds: BTreeSet<_> = content(&folder).keys().map(|file| kind(file)).collect();
    let mut counts = BTreeMap::<String, (u32, u32)>::new();
    for kind in kinds {
        let count = if kind == "log/db" { PLACES_LOG } else { PLACES } * machine::rounds(1);
        for nth in 0..count {
            let Some(outcome) = trial(&mut cluster, victim, &kind, (nth, count)) else { break };
            let counts = counts.entry(kind.clone()).or_default();
            match outcome {
                Outcome::Harmless => counts.0 += 1,
                Outcome::Refused => counts.1 += 1,
            }
        }
    }
    figure(&format!("(harmless, refused) by file: {counts:?}"));
    let refused =
        |name: &str| counts.iter().filter(|(kind, _)| kind.starts_with(name)).map(|(_, c)| c.1).sum::<u32>();
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
