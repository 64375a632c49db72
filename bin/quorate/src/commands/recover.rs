//! `quorate cluster recover`: what is left of a cluster becomes a new one, on one node that does not run.

use super::block_on;
use crate::{
    args::{Format, RecoverArgs},
    failure::Failure,
    output::{Rows, say, show},
};
use quorate_model::{NodeName, PeerAddress};
use quorate_storage::{
    OpenError,
    folder::recovery::{Holdings, RecoverError, look, recover},
};
use serde_json::{Value, json};

pub fn run(args: &RecoverArgs, output: Format) -> Result<(), Failure> {
    let name = NodeName::parse(&args.node_name).map_err(|e| Failure::Usage(format!("--node-name: {e}")))?;
    let peer = args.advertise_peer.as_deref().map(PeerAddress::parse).transpose();
    let peer =
        peer.map_err(|e| Failure::Usage(format!("--advertise-peer: {}; allowed: {}", e.problem, e.allowed)))?;
    let folder = &args.data_dir;
    if !args.yes {
        let kept = look(folder, &name)?;
        show(output, &told(&kept), || rows(&kept))?;
        return Err(Failure::Usage(
            "nothing was changed; with --yes this node becomes a cluster of its own with what is shown, \
             and every other node of its cluster stays out of it for ever"
                .into(),
        ));
    }
    let before = look(folder, &name)?;
    let peer = peer.as_ref().map(PeerAddress::as_str);
    let kept = block_on(async { Ok(recover(folder, &name, peer).await?) })?;
    show(output, &told(&kept), || rows(&kept))?;
    say(&format!(
        "{name} is a cluster of its own: {} is now {}. The old data is in {}, and can be removed.",
        before.cluster,
        kept.cluster,
        folder.join("before-recovery").display(),
    ));
    say("Start it, with --peers that name no node of the old cluster which still has its data; \
         let others join with empty data folders.");
    Ok(())
}

fn told(kept: &Holdings) -> Value {
    json!({
        "cluster_id": kept.cluster.to_string(),
        "node_id": kept.node.to_string(),
        "last_index": kept.last.0,
        "last_term": kept.last_term,
        "term": kept.term,
        "members": kept.members,
        "workers": kept.workers,
        "keyspaces": kept.keyspaces,
    })
}

fn rows(kept: &Holdings) -> Rows {
    let mut rows = Rows::new(["what", "is"]);
    let mut line = |what: &str, is: String| rows.push([what.into(), is]);
    line("cluster", kept.cluster.to_string());
    line("members", kept.members.iter().cloned().collect::<Vec<_>>().join(", "));
    line("last log record", format!("term {}, index {}", kept.last_term, kept.last));
    line("workers", kept.workers.to_string());
    line("keyspaces", kept.keyspaces.to_string());
    rows
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        let text = error.to_string();
        match error {
            RecoverError::Open(OpenError::Io { .. }) | RecoverError::Write(_) => Self::Failed(text),
            RecoverError::Open(_) | RecoverError::Missing(_) | RecoverError::NoCluster(_) => {
                Self::Usage(text)
            }
        }
    }
}
