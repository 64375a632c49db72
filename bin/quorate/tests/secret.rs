//! The cluster's secret, as an operator meets it: made by one command, given to every node as a file.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use support::{
    cluster::Cluster,
    eventually,
    http::Ask,
    node::{Node, quorate, ran},
    within,
};

/// A new secret in a file, with this mode; the file and the secret.
fn secret(folder: &Path, name: &str, mode: u32) -> (PathBuf, String) {
    let mut command = quorate(&["cluster", "secret", "new"]);
    // No node is asked: it does not matter that this one can't be.
    command.env("QUORATE_SERVER", "nonsense");
    let made = ran(command);
    assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
    let digits = made.out.trim_end().to_owned();
    assert!(digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
    let path = folder.join(name);
    fs::write(&path, &made.out).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    (path, digits)
}

fn guard(node: &mut Node, file: &Path) {
    node.args.retain(|arg| !arg.starts_with("--cluster-secret-file="));
    node.args.push(format!("--cluster-secret-file={}", file.display()));
}

#[test]
fn nodes_with_one_secret_listen_to_the_world_and_one_with_another_secret_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, digits) = secret(folder.path(), "secret", 0o600);
    let (other_file, other_digits) = secret(folder.path(), "other", 0o644);
    assert_ne!(digits, other_digits);
    let mut cluster = Cluster::planned();
    for node in &mut cluster.nodes {
        node.peer.set_ip([0, 0, 0, 0].into());
        guard(node, &file);
        node.start();
    }
    cluster.ready();
    cluster.nodes[0].register("w1", "http://127.0.0.1:1", &[1]).ok();
    cluster.catch_up();
    assert_eq!(cluster.nodes[2].get("/v1/workers/w1")["id"], "w1");

    cluster.nodes[2].kill();
    guard(&mut cluster.nodes[2], &other_file);
    cluster.nodes[2].start();
    let [inside, _, outside] = &cluster.nodes;
    eventually("both sides say it", || {
        let said = outside.log().contains("is the cluster secret the same on both nodes?");
        (said && inside.log().contains("a connection to the peer listener was refused")).then_some(())
    });
    inside.register("w2", "http://127.0.0.1:2", &[2]).ok();
    let joined = within(Duration::from_secs(2), || {
        let status = Ask::get("/v1/workers/w2").send(outside.management).ok()?.status;
        (status == 200).then_some(())
    });
    assert!(joined.is_none(), "it has heard of a write without the secret");
    assert!(outside.log().contains("chmod 600"), "its file can be read by others");
    assert!(!inside.log().contains("chmod 600"), "this one can't");
    for node in &cluster.nodes {
        assert!(!node.log().contains(&digits) && !node.log().contains(&other_digits), "no log tells it");
    }

    cluster.nodes[2].kill();
    guard(&mut cluster.nodes[2], &file);
    cluster.nodes[2].start();
    eventually("it is back", || {
        let status = Ask::get("/v1/workers/w2").send(cluster.nodes[2].management).ok()?.status;
        (status == 200).then_some(())
    });
}

#[test]
fn without_a_good_secret_no_node_listens_to_the_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.peer.set_ip([0, 0, 0, 0].into());
    let without = ran(node.command());
    assert_eq!(without.code, Some(2));
    assert!(without.err.contains("is not on loopback, and there is no cluster secret"), "{}", without.err);

    let short = folder.path().join("short");
    fs::write(&short, format!("{}\n\n", "x".repeat(31))).expect("a file");
    let missing = folder.path().join("missing");
    for (file, why) in [(&short, "31 bytes"), (&missing, "No such file")] {
        guard(&mut node, file);
        let refused = ran(node.command());
        assert_eq!(refused.code, Some(2));
        let named = format!("--cluster-secret-file {}: {why}", file.display());
        assert!(refused.err.contains(&named) && refused.err.contains("at least 32 bytes"), "{}", refused.err);
    }
    assert!(!node.data.exists(), "nothing was written");
}
