//! Mistakes that operators make: each ends, or waits, with one clear line, and none makes a second cluster.

use crate::{
    group::Group,
    support::{
        eventually,
        http::Ask,
        machine_shared,
        node::{Node, ran},
    },
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// What nobody may write to, root neither: a name, the folder, and what the node is started through.
fn unwritable(folder: &Path) -> Vec<(&'static str, PathBuf, Vec<String>)> {
    let file = folder.join("file");
    std::fs::write(&file, "no folder").expect("written");
    let mut all = vec![
        ("no folder", file, Vec::new()),
        ("the kernel's own", PathBuf::from("/sys/kernel/quorate-test"), Vec::new()),
    ];
    let (read_only, script) = (folder.join("read-only"), r#"mount -t tmpfs -o ro tmpfs "$0" && exec "$@""#);
    std::fs::create_dir(&read_only).expect("made");
    let private = Command::new("unshare").args(["-m", "true"]).output();
    if private.is_ok_and(|output| output.status.success()) {
        let launcher = ["/usr/bin/unshare", "-m", "sh", "-c", script, &read_only.display().to_string()];
        all.push(("a read-only volume", read_only, launcher.map(str::to_owned).into()));
    } else {
        eprintln!("skipped: a read-only volume, since mount namespaces are not allowed here");
    }
    all
}

#[test]
fn a_data_folder_that_cannot_be_written_is_code_2_and_names_the_folder_and_the_remedy() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    for (what, data, launcher) in unwritable(folder.path()) {
        let mut node = Node::new("n1", folder.path());
        (node.data, node.launcher) = (data, launcher);
        let ran = ran(node.command());
        assert_eq!((ran.code, ran.err.lines().count()), (Some(2), 1), "{what}: {}", ran.err);
        let named = format!("the data folder {} can't be used", node.data.display());
        assert!(
            ran.err.contains(&named) && ran.err.contains("a folder that it may read and write"),
            "{}",
            ran.err
        );
    }
}

/// Each node's list of peers, by the names that it names.
fn planned(lists: &[(&str, &[&str])], folder: &Path) -> Vec<Node> {
    let mut nodes: Vec<_> = lists.iter().map(|(name, _)| Node::new(name, folder)).collect();
    let everybody: Vec<_> = nodes.iter().map(|node| (node.name.clone(), node.peer)).collect();
    for (node, (_, names)) in nodes.iter_mut().zip(lists) {
        let known = everybody.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let peers: Vec<_> = known.map(|(name, peer)| format!("{name}={peer}")).collect();
        node.args = vec!["--peers".into(), peers.join(","), "--log-format".into(), "text".into()];
    }
    nodes
}

fn cluster_id(node: &Node) -> Option<String> {
    Ask::get("/v1/cluster").send(node.management).ok()?.json()["cluster_id"].as_str().map(str::to_owned)
}

#[test]
fn lists_of_peers_that_differ_form_no_cluster_and_each_node_goes_on_to_say_so() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let all: &[&str] = &["n1", "n2", "n3"];
    let mut nodes = planned(&[("n1", all), ("n2", &["n1", "n2"]), ("n3", all)], folder.path());
    nodes.iter_mut().for_each(Node::start);
    for node in &nodes {
        // Again and again: whoever looks later finds it too.
        eventually("it says so twice", || {
            let said = node.log().matches("was started with other --peers").count();
            (said >= 2).then_some(())
        });
    }
    for node in &mut nodes {
        node.becomes("starting");
        assert_eq!(cluster_id(node), None, "{} has made a cluster", node.name);
    }
    nodes[1].kill();
    nodes[1].args[1] = nodes[0].args[1].clone();
    nodes[1].start();
    nodes.iter_mut().for_each(|node| node.becomes("ready"));
    let ids: BTreeSet<_> = nodes.iter().map(|node| cluster_id(node).expect("formed")).collect();
    assert_eq!(ids.len(), 1, "the remedy makes one cluster");
}

#[test]
fn a_peer_that_is_nobody_is_waited_for_by_name_and_address() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let all: &[&str] = &["n1", "n2", "n3"];
    let mut nodes = planned(&[("n1", all), ("n2", all), ("n3", all)], folder.path());
    let nobody = nodes.pop().expect("three").peer;
    nodes.iter_mut().for_each(Node::start);
    for node in &mut nodes {
        let words = format!("n3 at {nobody} has not answered");
        eventually("it says so twice", || (node.log().matches(&words).count() >= 2).then_some(()));
        node.becomes("starting");
        assert_eq!(cluster_id(node), None);
    }
}

#[test]
fn two_processes_with_one_name_make_no_second_cluster() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let before = group.nodes[1].get("/v1/cluster?consistent=true");
    // Of the same name and list, with a folder and addresses of its own, as a second pod would have.
    let mut twin = Node::new("n1", &group.nodes[0].data.join(".."));
    twin.data = group.nodes[0].data.with_file_name("twin");
    twin.args = group.nodes[0].args.clone();
    twin.args.extend(["--advertise-peer".into(), twin.peer.to_string()]);
    twin.start();
    twin.becomes("starting");
    let words = format!("another process answers as n1 at {}", group.nodes[0].peer);
    eventually("it says why it waits, twice", || (twin.log().matches(&words).count() >= 2).then_some(()));
    twin.becomes("starting");
    assert_eq!(cluster_id(&twin), None);
    let after = group.nodes[1].get("/v1/cluster?consistent=true");
    for same in ["cluster_id", "changed_index"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    group.nodes[0].becomes("ready");
    // Both on one folder is refused outright.
    twin.kill();
    twin.data = group.nodes[0].data.clone();
    let ran = ran(twin.command());
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("is in use by another process: stop that one first"), "{}", ran.err);
}

/// Scenario: two processes have the first name, the one that forms the cluster, when all start for the first time.
/// Each could gather one of the other two votes, and the same term would have two leaders of two clusters.
#[test]
fn two_processes_with_one_name_at_the_first_start_make_one_cluster() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s".repeat(40)).expect("written");
    let all: &[&str] = &["n1", "n2", "n3"];
    let mut nodes = planned(&[("n1", all), ("n2", all), ("n3", all)], folder.path());
    for node in &mut nodes {
        node.args.extend(["--cluster-secret-file".into(), secret.display().to_string()]);
    }
    let (own, others) = (folder.path().join("own"), &mut nodes[..]);
    std::fs::create_dir(&own).expect("made");
    let mut twin = Node::new("n1", &own);
    twin.args = others[0].args.clone();
    others[0].start();
    others[0].becomes("starting");
    twin.start();
    twin.becomes("starting");
    others[1].start();
    others[2].start();
    others.iter_mut().for_each(|node| node.becomes("ready"));
    let ids: BTreeSet<_> = others.iter().map(|node| cluster_id(node).expect("formed")).collect();
    assert_eq!(ids.len(), 1, "two clusters: {ids:?}");
    let words = format!("another process answers as n1 at {}", others[0].peer);
    eventually("the other one says what is wrong", || twin.log().contains(&words).then_some(()));
    twin.becomes("starting");
    assert_eq!(cluster_id(&twin), None);
    let asks = "is the cluster secret the same on both nodes?";
    assert!(!others[0].log().contains(asks), "who finds itself at its own address complains about nobody");
}
