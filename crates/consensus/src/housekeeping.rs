//! What has to be done now and then: name a new cluster, learn its id, say where this node is, look who answers.

use crate::{consensus::Consensus, forming, peer::wire, replacing, roster::Seen};
use futures_util::future::join_all;
use quorate_model::{ClusterId, Command, LogIndex};
use quorate_rt::{rng, shutdown::Shutdown, time};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(200);
/// Peers are asked in each this many rounds.
const PEERS_EVERY: u32 = 5;

/// Runs until the shutdown.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    let mut replacements = replacing::Replacements::default();
    for round in 0u32.. {
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = time::sleep(EVERY) => {}
        }
        name_cluster(&consensus).await;
        describe(&consensus).await;
        if round % PEERS_EVERY == 0 {
            tokio::select! {
                biased;
                () = shutdown.wait() => return,
                () = look_around(&consensus) => {}
            }
            replacements.look(&consensus).await;
        }
    }
}

async fn name_cluster(consensus: &Consensus) {
    let view = consensus.view().get();
    if consensus.cluster().is_none() && consensus.speaks_for_quorum() && view.index() > LogIndex(0) {
        let options = &consensus.shared().options;
        let cluster = ClusterId(u128::from(rng::random_u64()) << 64 | u128::from(rng::random_u64()));
        let command =
            Command::FormCluster { cluster, partitions: options.partitions, source: options.source };
        // Refused or failed: the next round looks again.
        let _ = consensus.propose(command).await;
    }
}

/// Makes the replicated description of this node true, once it can.
async fn describe(consensus: &Consensus) {
    let view = consensus.view().get();
    let record = &consensus.shared().options.record;
    let known = view.nodes().any(|node| **node == *record);
    if known || view.cluster().is_none() || consensus.leader().is_none() {
        return;
    }
    let _ = consensus.propose(Command::DescribeNode(record.clone())).await;
}

async fn look_around(consensus: &Consensus) {
    let shared = consensus.shared();
    let others: Vec<_> = shared.options.book.iter().filter(|(name, _)| **name != shared.me.name).collect();
    let answers =
        join_all(others.iter().map(|(_, address)| forming::hello(&shared.forwarder.links, address))).await;
    for ((name, _), answer) in others.iter().zip(answers) {
        match answer {
            Ok(hello) => {
                let wire::Hello { id, initialized, applied, .. } = hello;
                let seen = Seen { id, initialized, applied, reachable: true };
                shared.roster.saw((*name).clone(), seen);
            }
            Err(_) => shared.roster.missed(name.as_str()),
        }
    }
}
