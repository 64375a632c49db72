//! How a process ends that is asked to, as by SIGTERM.

use madsim::time::{Duration, sleep};
use quorate_node::Node;
use std::sync::Arc;

/// Resolves once it has.
pub async fn end_in_order(mut node: Arc<Node>) {
    // Whoever looks at it has it for that moment only.
    let node = loop {
        match Arc::try_unwrap(node) {
            Ok(node) => break node,
            Err(shared) => node = shared,
        }
        sleep(Duration::from_millis(1)).await;
    };
    node.shutdown().await;
}
