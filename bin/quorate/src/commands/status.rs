//! `quorate status`

use super::{block_on, operator};
use crate::{
    args::Remote,
    failure::Failure,
    output::{Rows, or_dash, show},
};
use quorate_client::operator::{Cluster, Keyspace, WorkerRecord};
use serde_json::json;

pub fn run(remote: &Remote) -> Result<(), Failure> {
    let operator = operator(remote)?;
    block_on(async {
        let cluster = operator.cluster().await?;
        let workers = operator.workers().await?.value;
        let keyspaces = operator.keyspaces().await?;
        let counts = Counts::of(&workers);
        let json = json!({
            "cluster": cluster.json,
            "workers": {"live": counts.live, "suspect": counts.suspect, "expired": counts.expired},
            "keyspaces": keyspaces.json["items"],
        });
        show(remote.output, &json, || rows(&cluster.value, &counts, &keyspaces.value))
    })
}

struct Counts {
    live: usize,
    suspect: usize,
    expired: usize,
}

impl Counts {
    fn of(workers: &[WorkerRecord]) -> Self {
        let count = |status: &str| workers.iter().filter(|worker| worker.status == status).count();
        Self { live: count("live"), suspect: count("suspect"), expired: count("expired") }
    }
}

fn rows(cluster: &Cluster, workers: &Counts, keyspaces: &[Keyspace]) -> Rows {
    let mut rows = Rows::new(["what", "is"]);
    let mut line = |what: &str, is: String| rows.push([what.into(), is]);
    line("cluster", or_dash(cluster.cluster_id.as_ref()));
    line("answered by", format!("{} at index {}", cluster.node, cluster.applied_index));
    line("leader", format!("{} in term {}", or_dash(cluster.leader.as_ref()), cluster.term));
    for node in &cluster.nodes {
        let seen = match node.reachable {
            Some(true) => "reachable",
            Some(false) => "not reachable",
            None => "not known",
        };
        line("node", format!("{}, {}, {seen}", node.name, node.role));
    }
    line(
        "workers",
        format!("{} live, {} suspect, {} expired", workers.live, workers.suspect, workers.expired),
    );
    for keyspace in keyspaces {
        let count = or_dash(keyspace.partitions);
        line("keyspace", format!("{}, {count} partitions, {}", keyspace.name, keyspace.source));
    }
    rows
}
