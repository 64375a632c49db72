//! Ramps: whoever leads begins their steps, and stops those that lead to failures.

use super::*;
use quorate_model::{
    ErrorsSeen, OnErrors, OnErrorsThen, Ramp, RampCause, RampCounted, RampPhase, RampState, RampStep,
    RampSubject, RouteName, RouteParts,
    route::{Action, Destination, Forwarding, Target},
};
use std::sync::atomic::{AtomicU64, Ordering};

fn subject() -> RampSubject {
    RampSubject::Route(RouteName::parse("web").expect("valid"))
}

/// The new one has nothing, then this much of a hundred after each of these times.
fn put_route(steps_ms: &[(u64, u32)], on_errors: Option<OnErrors>) -> Command {
    let step = |(after_ms, of_new): &(u64, u32)| RampStep {
        after_ms: *after_ms,
        weights: vec![100 - of_new, *of_new],
    };
    let to = |(name, weight)| Destination { target: Target::parse("t", name).expect("valid"), weight };
    let forwarding = Forwarding {
        destinations: [("old", 100), ("new", 0)].map(to).into(),
        ramp: Some(Ramp { steps: steps_ms.iter().map(step).collect(), on_errors }),
        ..Forwarding::default()
    };
    let parts = RouteParts { action: Action::from(forwarding), ..RouteParts::default() };
    let route = parts.validate(RouteName::parse("web").expect("valid")).expect("valid");
    Command::PutRoute { route: Box::new(route), if_index: None }
}

fn state(cluster: &Cluster, i: usize) -> Option<RampState> {
    Some(cluster.consensus(i).view().get().ramp(&subject())?.state)
}

/// From now on a node has counted so many failures and requests of the new one, whatever step stands.
fn count(cluster: &Cluster, i: usize, failures: u64) -> Arc<AtomicU64> {
    let (requests, consensus) = (Arc::new(AtomicU64::new(0)), cluster.consensus(i).clone());
    let counted = requests.clone();
    cluster.consensus(i).count_ramps_by(Arc::new(move || {
        let Some(ramping) = consensus.view().get().ramp(&subject()).cloned() else { return Vec::new() };
        let requests = counted.load(Ordering::Relaxed);
        let seen = ErrorsSeen { destination: 1, failures: failures.min(requests), requests };
        let RampState { epoch, entered, .. } = ramping.state;
        vec![RampCounted { subject: subject(), epoch, entered, seen: vec![seen] }]
    }));
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_begins_the_steps_that_are_left() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    let put = put_route(&[(0, 5), (300, 50), (3_300, 100)], None);
    cluster.consensus(leader).propose(put).await.expect("a quorum is up");
    cluster.until(|c| state(c, leader).is_some_and(|state| state.entered >= 2)).await;
    cluster.crash(leader).await;
    let survivor = (leader + 1) % 3;
    cluster.until(|c| state(c, survivor).is_some_and(|state| state.entered == 3)).await;
    cluster.start(leader).await;
    cluster.until(|c| (0..3).all(|i| state(c, i) == state(c, survivor))).await;
    let view = cluster.consensus(leader).view().get();
    let weights: Vec<_> = view
        .routes()
        .get("web")
        .map_or_else(Vec::new, |stored| stored.destinations().iter().map(|one| one.weight).collect());
    assert_eq!(weights, [0, 100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_all_nodes_together_stop_a_ramp_also_under_a_successor() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    let then = OnErrorsThen::Pause;
    let on_errors = OnErrors { per_million: 500_000, min_requests: 100, window_ms: 3_600_000, then };
    let put = put_route(&[(0, 5), (3_600_000, 100)], Some(on_errors));
    cluster.consensus(leader).propose(put).await.expect("a quorum is up");
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    let counts = [count(&cluster, a, 30), count(&cluster, b, 30)];
    cluster.crash(leader).await;
    // None of them has seen enough by itself.
    counts[0].store(60, Ordering::Relaxed);
    let told = |c: &Cluster, i: usize| c.consensus(i).ramp_seen(&subject());
    cluster.until(|c| [a, b].into_iter().all(|i| told(c, i).iter().any(|seen| seen.requests == 60))).await;
    assert!(state(&cluster, a).is_some_and(|state| matches!(state.phase, RampPhase::Running { .. })));
    counts[1].store(60, Ordering::Relaxed);
    let seen = ErrorsSeen { destination: 1, failures: 60, requests: 120 };
    let is_paused = |state: Option<RampState>| matches!(state.map(|state| state.phase), Some(RampPhase::Paused { by: RampCause::Errors(by), .. }) if by == seen);
    cluster.until(|c| is_paused(state(c, a)) && is_paused(state(c, b))).await;
}
