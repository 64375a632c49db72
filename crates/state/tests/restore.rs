//! A backup is restored as a whole or not at all, and nothing that the old cluster granted is granted again.

mod support;

use quorate_model::{
    Command, Epoch, Keyspace, Lifecycle, LogIndex, LogTime, Refusal, Reply, RestoreId, RestoreStep, Worker,
    limit,
};
use quorate_state::{Parts, State};
use std::sync::Arc;
use support::Scene;

const ID: RestoreId = RestoreId(1);

/// What a cluster held when its backup was made: a live, a suspect and an expired worker, and one that left.
fn backup() -> Parts {
    let mut scene = Scene::formed();
    scene.run("register a 0,1; register b 2,3; register c 4; register d 5");
    scene.run("suspect b; expire c; unregister d");
    scene.state.parts()
}

fn begin(parts: &Parts) -> RestoreStep {
    RestoreStep::Begin {
        keyspaces: parts.keyspaces.clone(),
        policies: parts.policies.clone(),
        last_epoch: parts.last_epoch,
    }
}

fn workers(batch: u32, workers: &[Arc<Worker>]) -> RestoreStep {
    RestoreStep::Workers { batch, workers: workers.to_vec() }
}

fn take(scene: &mut Scene, id: RestoreId, step: RestoreStep) -> Reply {
    scene.apply(vec![(None, Command::Restore { id, step })]).replies.remove(0)
}

fn refused(scene: &mut Scene, step: RestoreStep) -> Refusal {
    match take(scene, ID, step) {
        Reply::Refused(refusal) => refusal,
        reply => panic!("{reply:?}"),
    }
}

/// All steps, one worker a batch.
fn restore(scene: &mut Scene, parts: &Parts) -> Reply {
    assert_eq!(take(scene, ID, begin(parts)), Reply::Done);
    for (batch, worker) in (0..).zip(&parts.workers) {
        assert_eq!(take(scene, ID, workers(batch, std::slice::from_ref(worker))), Reply::Done);
    }
    let count = parts.workers.len();
    let batches = u32::try_from(count).expect("few");
    take(scene, ID, RestoreStep::Finish { batches, workers: count as u64 })
}

fn empty(state: &State) -> bool {
    state.workers().count() == 0
}

#[test]
fn a_restored_state_is_that_of_the_backup_with_every_lease_in_full() {
    let (parts, mut scene) = (backup(), Scene::formed());
    assert_eq!(restore(&mut scene, &parts), Reply::Done);
    let index = scene.state.index();
    for old in &parts.workers {
        let new = scene.state.worker(old.id().as_str()).expect("it came back");
        let lifecycle = match &old.lifecycle {
            Lifecycle::Suspect { .. } => Lifecycle::Live,
            other => other.clone(),
        };
        assert!(new.changed <= index && new.changed > LogIndex(1), "an index of this log: {}", new.changed);
        assert_eq!(**new, Worker { lifecycle, changed: new.changed, ..(**old).clone() });
    }
    assert_eq!(scene.state.worker_count(), 2);
    assert_eq!(
        scene.state.default_keyspace().expect("it has one").claimant(3).expect("held").id().as_str(),
        "b"
    );
}

/// Scenario: a policy was changed at index 40 of the old cluster. The restored one reaches index 40 too, where somebody
/// changes it; an `If-Match` of the backup's time must not pass for that change.
#[test]
fn what_operators_decided_stands_at_an_index_of_this_log() {
    let mut old = Scene::formed();
    old.run(&"@1 tick; ".repeat(40));
    old.run("service upload hold=3; register a - svc=upload");
    let (parts, mut scene) = (old.state.parts(), Scene::formed());
    assert!(parts.policies[0].changed > LogIndex(40), "{:?}", parts.policies);
    assert_eq!(restore(&mut scene, &parts), Reply::Done);
    let index = scene.state.index();
    let [restored] = &scene.state.parts().policies[..] else { panic!("one policy") };
    assert_eq!((&restored.policy, restored.changed), (&parts.policies[0].policy, index));
    let all = scene.state.parts().keyspaces;
    assert!(all.iter().all(|keyspace| keyspace.changed == index), "{all:?}");
    let reply = scene.run(&format!("service upload if={}", parts.policies[0].changed)).remove(0);
    assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    let reply = scene.run("service other").remove(0);
    assert!(!matches!(reply, Reply::Refused(_)), "still counted right: {reply:?}");
}

#[test]
fn nobody_sees_a_restore_before_its_last_step() {
    let (parts, mut scene) = (backup(), Scene::formed());
    take(&mut scene, ID, begin(&parts));
    take(&mut scene, ID, workers(0, &parts.workers));
    assert!(empty(&scene.state));
    assert!(scene.state.default_keyspace().expect("it has one").claimant(0).is_none());
    assert_eq!(scene.state.parts().restoring.expect("under way").workers.len(), 4, "it is in a snapshot");
    assert_eq!(take(&mut scene, ID, RestoreStep::Abandon), Reply::Done);
    assert!(scene.state.parts().restoring.is_none());
    assert_eq!(refused(&mut scene, RestoreStep::Finish { batches: 1, workers: 4 }), Refusal::RestoreVoid);
}

/// Scenario: a backup is made at epoch 5; then the cluster grants 6 to 9 and is lost. What is granted after the
/// restore must be larger than those too, or a paused holder of 9 and a new one would both be right.
#[test]
fn grants_after_a_restore_are_above_all_that_the_old_cluster_can_have_made() {
    let (parts, mut scene) = (backup(), Scene::formed());
    restore(&mut scene, &parts);
    let before = parts.last_epoch;
    let reply = scene.run("register a 0,1").remove(0);
    let Reply::Registered { epoch } = reply else { panic!("{reply:?}") };
    assert_eq!(epoch, Epoch(before.0 + limit::RESTORE_EPOCH_GAP + 1));
}

#[test]
fn only_an_empty_cluster_is_restored_also_if_it_was_empty_when_the_restore_began() {
    let (parts, mut scene) = (backup(), Scene::formed());
    take(&mut scene, ID, begin(&parts));
    take(&mut scene, ID, workers(0, &parts.workers));
    scene.run("register early 0");
    let finish = RestoreStep::Finish { batches: 1, workers: 4 };
    assert_eq!(refused(&mut scene, finish), Refusal::NotEmpty { workers: 1, keyspaces: 0 });
    assert!(scene.state.worker("early").is_some() && scene.state.worker("a").is_none());
    let again = begin(&parts);
    assert_eq!(refused(&mut scene, again), Refusal::NotEmpty { workers: 1, keyspaces: 0 });
    // Whoever said goodbye is no obstacle.
    scene.run("unregister early");
    assert_eq!(restore(&mut scene, &parts), Reply::Done);
}

#[test]
fn steps_that_are_not_the_next_one_are_void() {
    let (parts, mut scene) = (backup(), Scene::formed());
    assert_eq!(refused(&mut scene, workers(0, &parts.workers)), Refusal::RestoreVoid);
    take(&mut scene, ID, begin(&parts));
    assert_eq!(refused(&mut scene, workers(1, &parts.workers)), Refusal::RestoreVoid);
    take(&mut scene, ID, workers(0, &parts.workers));
    assert_eq!(refused(&mut scene, workers(0, &parts.workers)), Refusal::RestoreVoid, "not twice");
    // Another one takes its place.
    assert_eq!(take(&mut scene, RestoreId(2), begin(&parts)), Reply::Done);
    assert_eq!(refused(&mut scene, RestoreStep::Finish { batches: 1, workers: 4 }), Refusal::RestoreVoid);
    assert!(empty(&scene.state));
}

#[test]
fn an_incomplete_or_contradictory_backup_changes_nothing() {
    let (parts, mut scene) = (backup(), Scene::formed());
    take(&mut scene, ID, begin(&parts));
    take(&mut scene, ID, workers(0, &parts.workers[..2]));
    assert_eq!(refused(&mut scene, RestoreStep::Finish { batches: 1, workers: 4 }), Refusal::RestoreVoid);
    let twice = [parts.workers[0].clone(), parts.workers[0].clone()];
    take(&mut scene, ID, begin(&parts));
    assert!(matches!(refused(&mut scene, workers(0, &twice)), Refusal::RestoreUnsound { .. }));
    assert!(scene.state.parts().restoring.is_none(), "what was gathered is gone");
    let late = Worker { epoch: Epoch(parts.last_epoch.0 + 1), ..(*parts.workers[0]).clone() };
    take(&mut scene, ID, begin(&parts));
    assert!(matches!(refused(&mut scene, workers(0, &[Arc::new(late)])), Refusal::RestoreUnsound { .. }));
    // An epoch without a successor would stop every node at the next grant.
    let end = RestoreStep::Begin {
        keyspaces: parts.keyspaces.clone(),
        policies: parts.policies.clone(),
        last_epoch: Epoch(u64::MAX),
    };
    assert!(matches!(refused(&mut scene, end), Refusal::RestoreUnsound { .. }));
    let none: Vec<Keyspace> = Vec::new();
    let nowhere = RestoreStep::Begin { keyspaces: none, policies: Vec::new(), last_epoch: Epoch(1) };
    assert!(matches!(refused(&mut scene, nowhere), Refusal::RestoreUnsound { .. }));
    assert!(empty(&scene.state));
}

#[test]
fn a_restore_that_rests_is_thrown_away() {
    let (parts, mut scene) = (backup(), Scene::formed());
    take(&mut scene, ID, begin(&parts));
    let touched = scene.state.parts().restoring.expect("under way").touched;
    let over = LogTime(touched.0 + limit::RESTORE_RESTS_MS);
    scene.run(&format!("@{} tick", over.0 / 1_000 - 1));
    assert!(scene.state.parts().restoring.is_some());
    scene.run(&format!("@{} tick", over.0 / 1_000));
    assert!(scene.state.parts().restoring.is_none());
}
