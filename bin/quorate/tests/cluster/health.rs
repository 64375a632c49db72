//! `quorate healthcheck`, as a supervisor runs it, through the life of a node.

use crate::support::{
    eventually, free_address, machine_shared,
    node::{Node, Ran, quorate, ran},
};

/// As a container asks about itself: nothing but its own settings.
fn checked(node: &Node, args: &[&str]) -> Ran {
    let patient = if args.contains(&"--timeout") { &[][..] } else { &["--timeout", "20s"] };
    let mut command = quorate(&[&["healthcheck"], args, patient].concat());
    command.env("QUORATE_MANAGEMENT", format!("0.0.0.0:{}", node.management.port()));
    ran(command)
}

fn says(ran: &Ran, code: i32, out: &str, err: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), out), "{}", ran.err);
    assert!(ran.err.contains(err) && ran.err.lines().count() <= 1, "{}", ran.err);
}

#[test]
fn a_healthcheck_tells_starting_ready_draining_and_gone_apart() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    says(&checked(&node, &[]), 3, "", "no node answers");

    node.args = vec!["--peers".into(), format!("n1={},n2={}", node.peer, free_address())];
    node.start();
    node.becomes("starting");
    says(&checked(&node, &[]), 1, "", "says starting: the cluster is not formed yet");
    says(&checked(&node, &["--live"]), 0, "ok\n", "");
    node.kill();

    node.data = folder.path().join("alone");
    node.args = vec!["--drain-delay".into(), "60s".into()];
    node.start();
    node.becomes("ready");
    says(&checked(&node, &[]), 0, "ready\n", "");
    says(&checked(&node, &["--live"]), 0, "ok\n", "");
    let url = format!("http://{}", node.management);
    says(&node.operate(&["healthcheck"]), 0, "ready\n", "");
    says(&ran(quorate(&["healthcheck", "--server", &url])), 0, "ready\n", "");

    node.signal("TERM");
    node.becomes("draining");
    says(&checked(&node, &[]), 1, "", "says draining: the node is about to end");
    says(&checked(&node, &["--live"]), 0, "ok\n", "");
    node.kill();
    says(&checked(&node, &[]), 3, "", "no node answers");
}

#[test]
fn a_healthcheck_does_not_wait_for_a_node_that_stands_still() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    node.signal("STOP");
    says(&checked(&node, &["--timeout", "300ms"]), 3, "", "no answer within 300ms");
    node.signal("CONT");
    eventually("it goes on", || (checked(&node, &[]).code == Some(0)).then_some(()));
}
