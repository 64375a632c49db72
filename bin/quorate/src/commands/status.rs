//! `quorate status`

use super::{block_on, operator};
use crate::{
    args::Remote,
    failure::Failure,
    output::{Rows, counted, or_dash, show},
};
use quorate_client::operator::{Cluster, Keyspace, Quorum, WorkerRecord};
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
    line("status", condition(cluster));
    let quorum = cluster.quorum.as_ref().filter(|_| cluster.status.as_deref() != Some("removed"));
    line("quorum", quorum.map_or_else(|| "-".into(), self::quorum));
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
        let count = keyspace.partitions.map_or_else(|| "- partitions".into(), |n| counted(n, "partition"));
        line("keyspace", format!("{}, {count}, {}", keyspace.name, keyspace.source));
    }
    rows
}

/// How the answering node is, and why.
pub fn condition(cluster: &Cluster) -> String {
    match (&cluster.status, &cluster.reason) {
        // Some reasons begin with the word.
        (Some(status), Some(reason)) if reason.starts_with(status.as_str()) => reason.clone(),
        (Some(status), Some(reason)) => format!("{status}: {reason}"),
        (Some(status), None) => status.clone(),
        (None, _) => "-".into(),
    }
}

/// Whether most voters answer.
pub fn quorum(quorum: &Quorum) -> String {
    let voters = format!("{} of {}", quorum.reachable, counted(quorum.voters, "voter"));
    match quorum {
        Quorum { voters: 0, .. } => "none: this node is no member of a cluster yet".into(),
        Quorum { held: true, .. } => format!("held, {voters} reachable"),
        Quorum { held: false, .. } => format!("lost, {voters} reachable: nothing can be changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_held_or_lost_in_so_many_words() {
        let of = |held, reachable, voters| quorum(&Quorum { held, voters, reachable });
        assert_eq!(of(true, 2, 3), "held, 2 of 3 voters reachable");
        assert_eq!(of(true, 1, 1), "held, 1 of 1 voter reachable");
        assert_eq!(of(false, 1, 3), "lost, 1 of 3 voters reachable: nothing can be changed");
        assert_eq!(of(false, 0, 0), "none: this node is no member of a cluster yet");
    }
}
