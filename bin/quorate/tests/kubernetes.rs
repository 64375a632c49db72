//! `docs/kubernetes.md`, run: its commands, in its order, on real processes in the place of pods.
//!
//! The processes get the environment that the manifests give to pods, and what replaces and restarts them behaves as a
//! StatefulSet does ([`stateful_set`]). What is not here is an API server, DNS and a network of pods: names of pods are
//! replaced by addresses on loopback.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "kubernetes/bad_starts.rs"]
mod bad_starts;
#[path = "kubernetes/page.rs"]
mod page;
#[path = "kubernetes/stateful_set.rs"]
mod stateful_set;
#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;

use serde_json::json;
use stateful_set::{Overlay, StatefulSet};
use std::{collections::BTreeSet, time::Duration};
use support::{eventually, http::Ask, machine_shared};

/// A worker whose lease needs no heartbeats here.
fn register(set: &StatefulSet, at: usize, id: &str) {
    let body = json!({"address": "http://127.0.0.1:9", "ttl": "1h"});
    let ask = Ask::json("PUT", &format!("/v1/workers/{id}"), &body);
    // Leadership may just be going round.
    eventually("it registers", || (set.pods[at].ask(&ask).status == 200).then_some(()));
}

fn has_workers(set: &StatefulSet, at: usize, ids: &[&str]) {
    let list = set.pods[at].get("/v1/workers?consistent=true");
    let items = list["items"].as_array().expect("a list").iter();
    let found: BTreeSet<_> = items.map(|worker| worker["id"].as_str().expect("text")).collect();
    assert_eq!(found, ids.iter().copied().collect());
}

#[test]
fn pods_form_a_cluster_from_what_the_manifests_tell_them_and_end_in_time() {
    let _shared = machine_shared();
    let mut set = StatefulSet::planned();
    set.settings_as_they_are();
    set.apply(&Overlay::production());
    set.rolled_out();
    assert_eq!(set.voters(0), set.names(3));
    // Drain delay and all, in less than the pod is given.
    set.pods[2].signal("TERM");
    let (status, took) = set.pods[2].ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(set.grace_seconds()), "{took:?}");
    set.pods[2].start();
    set.rolled_out();
}

#[test]
fn three_become_five_and_three_again_as_the_page_says_and_once_more() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    register(&set, 1, "before");
    let commands = page::commands("Scale");
    let (up, down): (Vec<_>, Vec<_>) = (commands[..5].to_vec(), commands[5..].to_vec());
    assert!(up[0].ends_with("overlays/five") && down[2].ends_with("overlays/production"), "{commands:?}");
    // The second time the two have their old volumes.
    for id in ["first", "second"] {
        set.run_all(&up);
        assert_eq!(set.voters(4), set.names(5));
        register(&set, 4, id);
        set.run_all(&down);
        assert_eq!(set.voters(0), set.names(3));
    }
    has_workers(&set, 2, &["before", "first", "second"]);
}

#[test]
fn pods_that_were_scaled_away_without_leaving_may_leave_later() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    let commands = page::commands("Scale");
    set.run_all(&commands[..5]);
    set.apply(&Overlay::production());
    assert_eq!(set.voters(0), set.names(5), "nobody is removed because a pod went away");
    register(&set, 0, "with-a-bare-majority");
    set.run_all(&commands[5..]);
    assert_eq!(set.voters(0), set.names(3));
    has_workers(&set, 1, &["with-a-bare-majority"]);
}

#[test]
fn a_lost_volume_is_replaced_as_the_page_says() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    register(&set, 0, "kept");
    let before = set.member_id("quorate-1");
    set.run_all(&page::commands("Replace a node whose volume is lost")[..3]);
    set.rolled_out();
    set.eventually_member(0, "quorate-1", |member| member["id"] != before && member["role"] == "follower");
    assert_eq!(set.voters(0), set.names(3));
    has_workers(&set, 1, &["kept"]);
}

#[test]
fn a_lost_majority_is_recovered_as_the_page_says() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    register(&set, 2, "kept");
    has_workers(&set, 0, &["kept"]);
    let commands = page::commands("Recover from a lost majority");
    let yes = commands.iter().position(|command| command.contains("delete persistentvolumeclaim"));
    let (first, then) = commands.split_at(yes.expect("the other claims are deleted"));
    set.run_all(first);
    // In words on the page: the same Job, with `--yes`.
    set.recover(true);
    set.run_all(then);
    set.rolled_out();
    assert_eq!(set.voters(2), set.names(3));
    has_workers(&set, 2, &["kept"]);
}

#[test]
fn a_backup_comes_back_in_a_new_cluster_as_the_page_says() {
    let _shared = machine_shared();
    let commands = page::commands("Back up");
    let [save, restore] = &commands[..] else { panic!("{commands:?}") };
    let mut set = StatefulSet::formed();
    register(&set, 1, "kept");
    set.run(save);
    let backup = set.folder.path().join("quorate.snapshot");
    let mut new = StatefulSet::formed();
    std::fs::copy(backup, new.folder.path().join("quorate.snapshot")).expect("copied");
    new.run(restore);
    has_workers(&new, 2, &["kept"]);
}

#[test]
fn every_pod_may_be_ended_at_once_and_the_cluster_is_the_same() {
    let _shared = machine_shared();
    let mut set = StatefulSet::formed();
    register(&set, 0, "kept");
    let cluster = set.pods[0].get("/v1/cluster")["cluster_id"].clone();
    let scale = page::commands("Change the secret");
    set.run(&scale[0]);
    set.renew_secret();
    set.run(scale.last().expect("pods come back"));
    set.rolled_out();
    assert_eq!(set.pods[1].get("/v1/cluster")["cluster_id"], cluster);
    has_workers(&set, 1, &["kept"]);
}
