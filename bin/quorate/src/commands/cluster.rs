//! `quorate cluster`

use super::{block_on, operator, recover, secret, status};
use crate::{
    args::{ClusterArgs, ClusterVerb, Remote},
    failure::Failure,
    output::{Rows, done, or_dash, say, show},
};
use quorate_client::{
    Error,
    operator::{Cluster, Node},
};
use std::time::{Duration, Instant};

/// How long a node may take to catch up before `--wait` gives up. The node goes on.
const VOTE_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub fn run(args: &ClusterArgs) -> Result<(), Failure> {
    match &args.verb {
        ClusterVerb::List => list(&args.remote),
        ClusterVerb::TransferLeader { to } => transfer_leader(&args.remote, to.as_deref()),
        ClusterVerb::Join { name, peer, wait } => join(&args.remote, name, peer, *wait),
        ClusterVerb::Leave { name } => leave(&args.remote, name),
        ClusterVerb::Recover(recovery) => recover::run(recovery, args.remote.output),
        ClusterVerb::Secret { verb } => secret::run(verb),
    }
}

fn list(remote: &Remote) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.cluster().await?;
        show(remote.output, &told.json, || rows(&told.value.nodes))?;
        warn(&told.value);
        Ok(())
    })
}

/// A list of members must not look well where nothing works: said on stderr, where no program reads.
fn warn(cluster: &Cluster) {
    if let Some(lost) = cluster.quorum.filter(|quorum| !quorum.held) {
        say(&format!("{}: quorum {}", cluster.node, status::quorum(&lost)));
    }
    if cluster.status.as_deref().is_some_and(|word| word != "ready") {
        say(&format!("{}: {}", cluster.node, status::condition(cluster)));
    }
}

fn transfer_leader(remote: &Remote, to: Option<&str>) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.transfer_leader(to).await?;
        done(remote.output, &told, &format!("leadership goes to {}", to.unwrap_or("another node")))
    })
}

fn join(remote: &Remote, name: &str, peer: &str, wait: bool) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.join(name, peer).await?;
        let role = told["role"].as_str().unwrap_or("member");
        done(remote.output, &told, &format!("{name} is a {role} of the cluster"))?;
        if wait { has_its_vote(&operator, name).await } else { Ok(()) }
    })
}

/// Looks again and again; a node that does not answer in between, such as one that elects, is asked again.
async fn has_its_vote(operator: &quorate_client::Operator, name: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    while begun.elapsed() < VOTE_WITHIN {
        match operator.cluster().await {
            Ok(told) => match told.value.nodes.iter().find(|node| node.name == name) {
                Some(node) if node.role != "learner" => {
                    say(&format!("{name} has its vote"));
                    return Ok(());
                }
                Some(_) => {}
                None => return Err(Failure::Failed(format!("{name} is no member any more"))),
            },
            Err(Error::Unreachable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::Failed(format!("{name} is still a learner after {} s", VOTE_WITHIN.as_secs())))
}

fn leave(remote: &Remote, name: &str) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let told = operator.leave(name).await?;
        done(remote.output, &told, &format!("{name} is no member of the cluster any more"))
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
