//! Circuit breakers that opened, told from node to node.

use super::*;
use quorate_model::{Opening, ServiceName};

fn opening(worker: &str, left_ms: u32) -> Opening {
    Opening {
        service: ServiceName::parse("s").expect("valid"),
        worker: WorkerId::parse(worker).expect("valid"),
        epoch: Epoch(3),
        left_ms,
    }
}

/// Who is left alone as node `i` knows it, sorted.
fn known(cluster: &Cluster, i: usize) -> Vec<String> {
    let openings = cluster.consensus(i).published_openings().get();
    openings.0.iter().map(|told| told.opening.worker.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_is_told_and_one_that_starts_later_asks() {
    let mut cluster = Cluster::formed(3).await;
    cluster.crash(2).await;
    cluster.consensus(0).hear_opening(&opening("w1", 3_600_000));
    cluster.consensus(1).hear_opening(&opening("w2", 3_600_000));
    for i in 0..2 {
        cluster.until(|c| known(c, i) == ["w1", "w2"]).await;
    }
    let left = cluster.consensus(1).published_openings().get().0[0].opening.left_ms;
    assert!((3_500_000..=3_600_000).contains(&left), "as long as at the node that opened it: {left}");
    cluster.start(2).await;
    cluster.until(|c| known(c, 2) == ["w1", "w2"]).await;
    cluster.consensus(2).hear_opening(&opening("w3", 3_600_000));
    for i in 0..3 {
        cluster.until(|c| known(c, i) == ["w1", "w2", "w3"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_forgotten_everywhere() {
    let cluster = Cluster::formed(3).await;
    cluster.consensus(0).hear_opening(&opening("short", 1_500));
    cluster.consensus(0).hear_opening(&opening("long", 3_600_000));
    for i in 0..3 {
        cluster.until(|c| known(c, i) == ["long"]).await;
    }
}
