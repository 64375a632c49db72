//! Bad input: refused by name, with the remedy, and nothing is half-done.

use crate::strangers::hello;
use crate::support::{
    PATIENCE,
    cluster::Cluster,
    machine_shared,
    node::{Node, Ran, quorate, ran},
    within,
};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Every file with its content and the time of its last change.
fn tree(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).expect("a folder") {
        let path = entry.expect("readable").path();
        let changed = fs::metadata(&path).and_then(|m| m.modified()).expect("readable");
        if path.is_dir() {
            files.insert(path.clone(), (Vec::new(), changed));
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), (fs::read(&path).expect("readable"), changed));
        }
    }
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("readable").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("copied");
        }
    }
}

/// A node on its own, with data, ended in order.
fn used(workers: usize) -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.args = vec!["--worker-ttl".into(), "1h".into()];
    node.start();
    node.becomes("ready");
    for nth in 0..workers {
        node.register(&format!("w{nth}"), &format!("http://127.0.0.1:{}", 1_000 + nth), &[]).ok();
    }
    node.signal("TERM");
    assert_eq!(node.ended().0.code(), Some(0));
    (folder, node)
}

/// Refused as the operator's mistake, in these words, and the folder is what it was, byte for byte.
fn is_refused_untouched(node: &Node, words: &[&str]) {
    let before = tree(&node.data);
    let ran = ran(node.command());
    is_refused(&ran, 2, words);
    let after = tree(&node.data);
    let changed: Vec<_> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

fn is_refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{}", ran.err);
    for word in words {
        assert!(ran.err.contains(word), "`{word}` in {}", ran.err);
    }
}

#[test]
fn a_data_folder_of_another_node_is_refused_and_left_as_it_was() {
    let _shared = machine_shared();
    let (_folder, mut node) = used(1);
    node.name = "n2".into();
    is_refused_untouched(&node, &["belongs to node `n1`, this node is `n2`", "mount the right folder"]);
}

#[test]
fn a_data_folder_of_a_newer_format_is_refused_and_left_as_it_was() {
    let _shared = machine_shared();
    let (_folder, node) = used(1);
    let identity = node.data.join("identity");
    let text = fs::read_to_string(&identity).expect("text");
    assert!(text.contains("\"format\": 1"), "{text}");
    fs::write(&identity, text.replace("\"format\": 1", "\"format\": 2")).expect("written");
    is_refused_untouched(&node, &["has format 2, this version knows 1", "run the newer version again"]);
}

#[test]
fn a_data_folder_with_a_damaged_identity_is_refused_and_left_as_it_was() {
    let _shared = machine_shared();
    let (_folder, node) = used(1);
    let identity = node.data.join("identity");
    let text = fs::read_to_string(&identity).expect("text");
    fs::write(&identity, text.replace("\"n1\"", "\"n7\"")).expect("written");
    is_refused_untouched(
        &node,
        &["the identity of the data folder", "remove its data folder and start it again"],
    );
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_as_it_was() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new("n1", folder.path());
    fs::create_dir(&node.data).expect("made");
    fs::write(node.data.join("thesis.tex"), "\\documentclass").expect("written");
    is_refused_untouched(&node, &["is no data folder of Quorate", "`thesis.tex`", "name an empty folder"]);
}

#[test]
fn a_data_folder_of_another_cluster_is_refused_and_left_as_it_was() {
    let _shared = machine_shared();
    let (folder, node) = used(3);
    let mut cluster = Cluster::formed();
    cluster.nodes[0].kill();
    fs::remove_dir_all(&cluster.nodes[0].data).expect("removed");
    copy(&node.data, &cluster.nodes[0].data);
    let ours = fs::read_to_string(node.data.join("identity")).expect("text");
    let ours = ours.lines().find(|line| line.contains("cluster_id")).and_then(|line| line.split('"').nth(3));
    // Known to both that are asked.
    let theirs = hello(&cluster.nodes[1]).cluster.and(hello(&cluster.nodes[2]).cluster);
    let theirs = theirs.expect("it has a cluster").to_string();
    let words = [ours.expect("it has a cluster"), &theirs, "start with the data folder of that cluster"];
    is_refused_untouched(&cluster.nodes[0], &words);
    drop(folder);
}

#[test]
fn a_port_in_use_is_code_1_and_names_the_flag() {
    let _shared = machine_shared();
    for flag in ["--routing", "--management", "--peer"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = Node::new("n1", folder.path());
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        match flag {
            "--routing" => node.routing = address,
            "--management" => node.management = address,
            _ => node.peer = address,
        }
        is_refused(&ran(node.command()), 1, &[&format!("{flag} {address}"), "in use"]);
    }
}

#[test]
fn bad_flags_are_code_2_name_the_flag_and_touch_nothing() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    for (args, words) in [
        (&["--no-such-flag", "1"][..], &["--no-such-flag"][..]),
        (
            &["--https", "127.0.0.1:8443"],
            &["--https", "the listener has no certificate; allowed: --tls-cert and --tls-key with it"],
        ),
        (&["--peers", "n1"], &["--peers", "n1"]),
        (&["--peers", "n1=127.0.0.1"], &["--peers", "127.0.0.1"]),
        (&["--peers", "n1=127.0.0.1:0"], &["--peers", "127.0.0.1:0"]),
        (&["--peers", "n1=127.0.0.1:7071,n1=127.0.0.1:7072"], &["--peers", "n1"]),
        (&["--peers", "n2=127.0.0.1:7071,n3=127.0.0.1:7072"], &["--peers", "n1"]),
        (&["--peers", "n1=10.0.0.1:7070,n2=10.0.0.2:7070"], &["--peers", "--cluster-secret-file"]),
        (&["--partitions", "0"], &["--partitions", "1 to 100000"]),
        (&["--drain-delay", "2h"], &["--drain-delay", "0s to 1h"]),
        (&["--drain-delay", "5"], &["--drain-delay", "no unit"]),
        (&["--worker-ttl", "0s"], &["--worker-ttl", "1s to 24h"]),
        (&["--management", "example.com:9090"], &["--management", "example.com:9090"]),
        (
            &["--election-timeout", "200ms"],
            &["--election-timeout", "at least three heartbeat intervals, 300ms"],
        ),
    ] {
        let mut command = quorate(&["serve", "--node-name", "n1", "--data-dir"]);
        command.arg(folder.path().join("data")).args(args);
        is_refused(&ran(command), 2, words);
        assert!(!folder.path().join("data").exists(), "{args:?}");
    }
}

#[test]
fn a_cluster_secret_that_cannot_be_read_is_refused() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.args = vec!["--cluster-secret-file".into(), folder.path().join("none").display().to_string()];
    is_refused(&ran(node.command()), 2, &["--cluster-secret-file"]);
}

/// R7: with one bit of the log flipped a node refuses, with the remedy, or has everything. What a young log holds lies
/// in the journal.
#[test]
fn a_damaged_log_is_refused_or_nothing_is_missing() {
    const WORKERS: usize = 40;
    let _shared = machine_shared();
    let (folder, mut node) = used(WORKERS);
    let sound = node.data.clone();
    let bytes = fs::read(sound.join("journal")).expect("the log");
    let used: Vec<u64> = (0..).zip(&bytes).filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let mut refused = 0;
    for nth in 0..8 {
        let at = used[used.len() * (2 * nth + 1) / 16];
        node.data = folder.path().join(format!("damaged-{nth}"));
        copy(&sound, &node.data);
        let log = fs::OpenOptions::new().write(true).open(node.data.join("journal")).expect("there");
        let flipped = bytes[usize::try_from(at).expect("small")] ^ 0x10;
        log.write_all_at(&[flipped], at).expect("written");
        drop(log);
        if has_everything(&mut node, WORKERS) {
            node.kill();
        } else {
            refused += 1;
            let ran = ran(node.command());
            is_refused(&ran, 2, &["remove its data folder and start it again"]);
        }
    }
    assert!(refused > 0, "most of a log is not harmless");
}

/// Whether the node starts; then nothing may be missing.
fn has_everything(node: &mut Node, workers: usize) -> bool {
    node.start();
    let ready = within(PATIENCE, || {
        if node.has_ended().is_some() {
            return Some(false);
        }
        let ready = crate::support::http::Ask::get("/readyz").send(node.management).ok()?;
        (ready.status == 200).then_some(true)
    });
    if !ready.expect("it starts or it ends") {
        node.kill();
        return false;
    }
    let there = node.get("/v1/workers?limit=1000");
    let there = there["items"].as_array().expect("a list");
    for nth in 0..workers {
        let (id, url) = (format!("w{nth}"), format!("http://127.0.0.1:{}", 1_000 + nth));
        assert!(there.iter().any(|w| w["id"] == *id && w["address"] == *url), "{id} is gone");
    }
    assert_eq!(there.len(), workers);
    true
}
