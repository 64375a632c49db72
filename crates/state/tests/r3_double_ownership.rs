//! R3: the holder of a partition stands still for longer than its lease, another one takes over, and the first one
//! wakes up and goes on as if nothing had been. A lease alone excludes nobody; the fencing token does: each grant has
//! a larger one than every grant before, and whatever names an older one is void, on every replica.

mod support;

use quorate_model::{Epoch, Refusal, Reply};
use support::Scene;

/// The holder of partition 0 and its token.
fn holder(scene: &Scene) -> Option<(String, Epoch)> {
    let keyspace = scene.state.default_keyspace()?;
    keyspace.claimant(0).map(|worker| (worker.id().to_string(), worker.epoch))
}

/// w1 was granted partition 0, fell silent, and w2 took over; and both tokens.
fn taken_over() -> (Scene, Epoch, Epoch) {
    let mut scene = Scene::formed();
    scene.run("@1 register w1 0,1");
    let (first, old) = holder(&scene).expect("granted");
    assert_eq!(first, "w1");
    scene.run("@31 expire w1; @32 register w2 0");
    let (second, new) = holder(&scene).expect("granted");
    assert_eq!(second, "w2");
    assert!(new > old, "each grant has a larger token: {old}, {new}");
    (scene, old, new)
}

#[test]
fn r3_whatever_names_the_older_token_is_void() {
    for late in ["unregister w1 lease=2", "expire w1 epoch=2", "revive w1 epoch=99", "suspect w2 epoch=2"] {
        let (mut scene, _, new) = taken_over();
        scene.run(late);
        assert_eq!(holder(&scene), Some(("w2".into(), new)), "{late}");
    }
}

#[test]
fn r3_a_holder_that_wakes_up_gets_a_new_token_and_not_what_it_lost() {
    let (mut scene, old, new) = taken_over();
    scene.run("@33 revive w1");
    let woken = scene.state.worker("w1").expect("kept").clone();
    assert!(woken.epoch > new && woken.epoch > old, "a token larger than all before: {}", woken.epoch);
    assert!(woken.registration.partitions.iter().all(|p| p.0 != 0), "partition 0 is w2's");
    assert_eq!(holder(&scene), Some(("w2".into(), new)));
    // Its former self says goodbye to a lease that stands, which is its right; w2 is not touched.
    scene.run("unregister w1 lease=2");
    assert_eq!(holder(&scene), Some(("w2".into(), new)));
}

#[test]
fn r3_an_older_life_is_refused_by_a_replica_that_came_from_a_snapshot_too() {
    let (mut scene, old, _) = taken_over();
    scene.run("@33 register w1 1; snapshot");
    let replies = scene.run(&format!("unregister w1 lease={old}"));
    assert!(
        matches!(replies[..], [Reply::Refused(Refusal::StaleEpoch { got, .. })] if got == old),
        "{replies:?}"
    );
}
