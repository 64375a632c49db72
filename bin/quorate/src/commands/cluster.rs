//! `quorate cluster`

use super::{block_on, operator, secret};
use crate::{
    args::{ClusterArgs, ClusterVerb, Remote},
    failure::Failure,
    output::{Rows, done, or_dash, show},
};
use quorate_client::operator::Node;

pub fn run(args: &ClusterArgs) -> Result<(), Failure> {
    match &args.verb {
        ClusterVerb::List => list(&args.remote),
        ClusterVerb::TransferLeader { to } => transfer_leader(&args.remote, to.as_deref()),
        ClusterVerb::Secret { verb } => secret::run(verb),
    }
}

fn list(remote: &Remote) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.cluster().await?;
        show(remote.output, &told.json, || rows(&told.value.nodes))
    })
}

fn transfer_leader(remote: &Remote, to: Option<&str>) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.transfer_leader(to).await?;
        done(remote.output, &told, &format!("leadership goes to {}", to.unwrap_or("another node")))
    })
}

fn rows(nodes: &[Node]) -> Rows {
    let mut rows = Rows::new(["name", "role", "reachable", "applied", "peer", "management"]);
    for node in nodes {
        rows.push([
            node.name.clone(),
            node.role.clone(),
            or_dash(node.reachable.map(|reachable| if reachable { "yes" } else { "no" })),
            or_dash(node.applied_index),
            or_dash(node.peer.as_ref()),
            or_dash(node.management.as_ref()),
        ]);
    }
    rows
}
