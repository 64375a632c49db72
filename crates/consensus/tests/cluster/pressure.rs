//! More than a node takes: an answer at once, and never a queue without a bound.

use super::*;
use futures_util::future::join_all;
use quorate_consensus::options::QUEUE_MAX;

/// The queues can't drain: there is no quorum.
async fn without_quorum() -> (Cluster, usize) {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    cluster.consensus(leader).propose(register("healthy", &[])).await.expect("registered");
    cluster.crash((leader + 1) % 3).await;
    cluster.crash((leader + 2) % 3).await;
    time::sleep(Duration::from_millis(600)).await;
    (cluster, leader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_beyond_the_queue_are_turned_away_at_once() {
    let (cluster, node) = without_quorum().await;
    let begun = time::Instant::now();
    // One batch leaves the queue while they come in.
    let asked = (0..QUEUE_MAX + 2_000).map(|i| {
        let consensus = cluster.consensus(node);
        async move {
            let result = consensus.propose(register(&format!("w{i}"), &[])).await;
            (result, begun.elapsed())
        }
    });
    let answers = join_all(asked).await;
    assert!(begun.elapsed() < Duration::from_secs(7), "everybody is answered: {:?}", begun.elapsed());
    let busy: Vec<_> = answers.iter().filter(|(result, _)| *result == Err(Unavailable::Busy)).collect();
    assert!((500..QUEUE_MAX).contains(&busy.len()), "{} were turned away", busy.len());
    assert!(busy.iter().all(|(_, after)| *after < Duration::from_secs(3)), "without waiting for a leader");
    assert!(answers.iter().all(|(result, _)| result.is_err()), "nothing was done without a quorum");
    let turned_away = cluster.count(node, "quorate_raft_commands_total{stage=\"turned_away\"}");
    assert_eq!(turned_away, busy.len() as u64);
}

/// Answers to so many heartbeats at once, after how long, and how many were turned away.
async fn beats_at_once(cluster: &Cluster, node: usize, worker: &str, count: usize) -> usize {
    let begun = time::Instant::now();
    let asked = (0..count).map(|_| cluster.consensus(node).heartbeat(beat(worker)));
    let answers = join_all(asked).await;
    assert!(begun.elapsed() < Duration::from_secs(7), "everybody is answered: {:?}", begun.elapsed());
    assert!(answers.iter().all(Result::is_err), "nobody is told to live without a quorum");
    let busy = answers.iter().filter(|result| **result == Err(Unavailable::Busy)).count();
    assert_eq!(cluster.count(node, "quorate_lease_heartbeats_total{outcome=\"busy\"}"), busy as u64);
    busy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_beyond_the_queue_are_turned_away_at_once() {
    let (cluster, node) = without_quorum().await;
    // One call is under way and the next one waits for it; the queue stands behind them.
    let busy = beats_at_once(&cluster, node, "healthy", QUEUE_MAX + 4_000).await;
    assert!((2_000..=4_000).contains(&busy), "{busy} were turned away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_of_workers_that_were_away_have_a_bound_of_their_own() {
    let (cluster, node) = without_quorum().await;
    // 64 calls of at most 1,000 each, and the queue: how full the calls are is a matter of scheduling.
    let busy = beats_at_once(&cluster, node, "unknown", QUEUE_MAX + 64_000 + 4_000).await;
    assert!(busy >= 4_000, "{busy} were turned away");
}
