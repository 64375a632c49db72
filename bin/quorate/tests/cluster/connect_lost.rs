//! `quorate connect` whose only gateway is gone: it can be ended, it ends with its input, and it says what it did not say.

use super::connect::{Ear, gateways, message, said};
use crate::support::{eventually, machine_shared, node::Node};
use std::path::Path;

/// A node that lets users in.
fn gateway(folder: &Path) -> Node {
    let mut node = Node::new("n1", folder);
    node.start();
    node.becomes("ready");
    let address = gateways(&[&node]);
    eventually("users are let in", || (said("first", &address, "").0 == Some(0)).then_some(()));
    node
}

#[test]
fn a_gateway_that_is_gone_keeps_nobody() {
    let _machine = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = gateway(folder.path());
    let address = gateways(&[&node]);
    let names = ["interrupted", "terminated", "quitting", "silent", "talking", "flooding", "idle"];
    let mut ears = names.map(|user| Ear::open(user, &address));
    node.kill();
    ears.iter().for_each(|ear| ear.told("dialling again"));
    let [interrupted, terminated, quitting, silent, talking, flooding, idle] = &mut ears;
    talking.says("bob: hi\ncarol: ho\n");
    talking.hangs_up();
    silent.hangs_up();
    // More than may wait, and the input does not end.
    flooding.says(&"bob: hi\n".repeat(500));
    interrupted.signal("INT");
    terminated.signal("TERM");
    quitting.says("/quit\n");
    for ear in [interrupted, terminated, quitting] {
        let (code, err) = ear.ended();
        assert_eq!(code, Some(0), "{err}");
        assert!(!err.contains("no gateway has answered"), "at once: {err}");
    }
    let (code, err) = talking.ended();
    assert_eq!(code, Some(3), "{err}");
    let last = "not sent: bob: hi\nnot sent: carol: ho\nerror: no gateway has answered for 10 s\n";
    assert!(err.ends_with(last), "{err}");
    let (code, err) = silent.ended();
    assert_eq!(code, Some(3), "{err}");
    assert!(!err.contains("not sent"), "{err}");
    let (code, err) = flooding.ended();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.ends_with("; the rest of the input is not sent either\n"), "{err}");
    idle.told("still dialling after ");
    assert!(idle.runs(), "whoever may still have something to say goes on");
    idle.signal("INT");
    assert_eq!(idle.ended().0, Some(0));
}

#[test]
fn what_is_typed_without_a_gateway_is_said_once_there_is_one_again() {
    let _machine = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = gateway(folder.path());
    let mut alice = Ear::open("alice", &gateways(&[&node]));
    node.kill();
    alice.told("dialling again");
    alice.says("alice: still there?\n");
    node.start();
    node.becomes("ready");
    assert_eq!(alice.heard(1), [message("alice", "still there?")]);
    alice.hangs_up();
    let (code, err) = alice.ended();
    assert_eq!(code, Some(0), "{err}");
}
