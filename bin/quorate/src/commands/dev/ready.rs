//! When the cluster is worth playing with.

use super::plan::Plan;
use crate::failure::Failure;
use quorate_client::Operator;
use std::{future::Future, time::Duration};

const PAUSE: Duration = Duration::from_millis(25);

/// Waits until every node knows a leader and into how many partitions it hashes. No limit of its own.
pub async fn formed(plan: &Plan) -> Result<(), Failure> {
    each(plan, |node| async move {
        let led = node.cluster().await.is_ok_and(|told| told.value.leader.is_some());
        led && node.keyspaces().await.is_ok_and(|told| told.value.iter().any(|k| k.partitions.is_some()))
    })
    .await
}

/// Waits until every node routes to all workers. No limit of its own.
pub async fn registered(plan: &Plan) -> Result<(), Failure> {
    let all = plan.workers.len();
    each(plan, |node| async move {
        node.workers().await.is_ok_and(|told| told.value.iter().filter(|w| w.status == "live").count() == all)
    })
    .await
}

/// A node that does not answer is not ready yet; it may still be starting.
async fn each<F: Future<Output = bool>>(plan: &Plan, holds: impl Fn(Operator) -> F) -> Result<(), Failure> {
    for node in &plan.nodes {
        let urls = quorate_client::routers(&node.management_url())?;
        while !holds(Operator::new(urls.clone(), None)?).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}
