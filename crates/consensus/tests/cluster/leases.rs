//! Leases across leader changes, over real sockets.

use super::*;

/// A suspect's heartbeat is answered only when the log says that it is back: a leader that falls right after its
/// answer leaves a successor who knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_is_told_that_it_lives_once_the_log_says_so() {
    let cluster = Cluster::formed(3).await;
    cluster.consensus(0).propose(register("w", &[1])).await.expect("a quorum is up");
    cluster.until(|c| status(c, 0) == Some("suspect")).await;
    let outcomes = cluster.consensus(1).heartbeat(beat("w")).await.expect("a quorum is up");
    let leader = cluster.leader().expect("there is one");
    assert_eq!(status(&cluster, leader), Some("live"), "before it is answered");
    let epoch = cluster.consensus(leader).view().get().worker("w").expect("known").epoch;
    assert_eq!(outcomes, [HeartbeatOutcome::Ok { epoch }]);
    cluster.until(|c| status(c, 0) == Some("expired")).await;
    let outcomes = cluster.consensus(1).heartbeat(beat("w")).await.expect("a quorum is up");
    let revived = cluster.consensus(leader).view().get().worker("w").expect("known").epoch;
    assert!(revived > epoch);
    assert_eq!(outcomes, [HeartbeatOutcome::Ok { epoch: revived }], "with the token that stands");
}

fn status(cluster: &Cluster, i: usize) -> Option<&'static str> {
    cluster.consensus(i).view().get().worker("w").map(|w| w.status().as_str())
}

/// Leadership goes round faster than a third of the TTL. Without the hand-over each leader would begin anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_worker_goes_though_leadership_goes_round() {
    let cluster = Cluster::formed(3).await;
    let ttl = Ttl::new(Duration::from_secs(6)).expect("valid");
    let address = Address::parse("http://h:1").expect("valid");
    let registration =
        RegistrationParts::new(WorkerId::parse("w").expect("valid"), address, ttl).validate().expect("valid");
    let command = Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None };
    cluster.consensus(0).propose(command).await.expect("a quorum is up");
    let silent = time::Instant::now();
    time::sleep(Duration::from_millis(2_600)).await;
    while status(&cluster, 0) != Some("expired") {
        assert!(silent.elapsed() < Duration::from_secs(10), "the TTL, and a little for each change");
        cluster.until(|c| c.leader().is_some()).await;
        let leader = cluster.leader().expect("there is one");
        // One that is refused is only one change less.
        let _ = cluster.consensus(leader).transfer_leader(None).await;
        time::sleep(Duration::from_millis(1_000)).await;
    }
    assert!(silent.elapsed() >= Duration::from_secs(6), "never before its TTL: {:?}", silent.elapsed());
}
