//! The oracle hands everything to the right invariant, and says which one does not hold.

use super::{
    Answer, Ask, Look, OpId, Oracle, Reached, Reading,
    tests::{TTL_MS, look, register, registered, registers},
};
use quorate_model::LogIndex;
use std::collections::BTreeSet;

/// A worker that registered as operation 1, at index 5, and was seen on the leader n1.
fn begun() -> (Oracle, quorate_state::State) {
    let (mut oracle, state) = (Oracle::default(), registered(&[(5, "w1", &[0], 1)]));
    oracle.asked(OpId(1), 0, registers("w1"));
    oracle.answered(OpId(1), 10, Answer::Registered { incarnation: 5, index: 5 });
    oracle.looked(&leads(&state, 20)).expect("all is well");
    (oracle, state)
}

fn leads(state: &quorate_state::State, at_ms: u128) -> Look<'_> {
    Look { leads_in: Some(1), speaks_for_quorum: true, ..look("n1", state, at_ms) }
}

#[track_caller]
fn violates(result: Result<(), String>, invariant: &str) {
    let why = result.expect_err("a violation");
    assert!(why.starts_with(&format!("{invariant}: ")), "{why}");
}

#[test]
fn a_run_in_which_all_is_well_passes() {
    let (mut oracle, state) = begun();
    let read = Ask::ReadWorker { worker: "w1".into(), reading: Reading::Consistent };
    oracle.asked(OpId(2), 30, read);
    oracle.answered(OpId(2), 40, Answer::Worker { written_by: Some(OpId(1)), index: 5 });
    let heartbeat = Ask::Heartbeat { worker: "w1".into(), incarnation: 5 };
    oracle.asked(OpId(3), 50, heartbeat);
    oracle.answered(OpId(3), 60, Answer::Alive);
    oracle.asked(OpId(4), 61, Ask::Heartbeat { worker: "w1".into(), incarnation: 4 });
    oracle.answered(OpId(4), 62, Answer::NotAlive);
    let reached = Reached { worker: "w1".into(), via: "n1".into(), index: 5, stale: false, sent_ms: 70 };
    oracle.worker_reached(&reached);
    assert_eq!(oracle.looked(&leads(&state, 80)), Ok(()));
    assert_eq!(oracle.finish(&BTreeSet::from(["n1".to_owned()])), Ok(()));
}

#[test]
fn each_violation_names_its_invariant() {
    let (mut oracle, state) = begun();
    violates(oracle.looked(&Look { node: "n2", raft_id: 2, ..leads(&state, 30) }), "leadership");

    let (mut oracle, _) = begun();
    violates(oracle.looked(&look("n1", &registered(&[]), 30)), "served_index");

    let (mut oracle, mut state) = begun();
    register(&mut state, 6, "w1", &[0], 1);
    violates(oracle.looked(&look("n1", &state, 30)), "exactly_once");

    let (mut oracle, _) = begun();
    let mut other = registered(&[(4, "w1", &[0], 1)]);
    other.skip(LogIndex(5));
    violates(oracle.looked(&look("n2", &other, 30)), "agreement");

    let (mut oracle, _) = begun();
    let read = Ask::ReadWorker { worker: "w1".into(), reading: Reading::Consistent };
    oracle.asked(OpId(2), 30, read);
    oracle.answered(OpId(2), 40, Answer::Worker { written_by: None, index: 5 });
    violates(oracle.finish(&BTreeSet::from(["n1".to_owned()])), "linearizable");

    let (mut oracle, state) = begun();
    violates(oracle.looked(&leads(&state, TTL_MS * 4)), "silence");
}

#[test]
fn what_was_seen_where_nobody_could_be_told_is_told_at_the_next_look() {
    let (mut oracle, state) = begun();
    let late = 4 * TTL_MS + 1_000;
    let reached = Reached { worker: "w1".into(), via: "n2".into(), index: 5, stale: false, sent_ms: late };
    oracle.worker_reached(&reached);
    violates(oracle.looked(&look("n2", &state, late)), "silence");
    violates(oracle.finish(&BTreeSet::from(["n1".to_owned()])), "silence");
}
