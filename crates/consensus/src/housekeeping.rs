//! What has to be done now and then: name a new cluster, learn its id, say where this node is, look who answers.

use crate::{
    consensus::Consensus,
    forming,
    membership::{self, Picture},
    peer::wire,
    replacing,
    roster::Seen,
};
use futures_util::future::join_all;
use quorate_model::{ClusterId, Command, LogIndex, NodeId, NodeName};
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
            membership::look_for_ourselves(&consensus).await;
            replacements.look(&consensus).await;
            membership::tend(&consensus).await;
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

/// Asks all who they are: the members, and whom the operator named.
async fn look_around(consensus: &Consensus) {
    let shared = consensus.shared();
    let picture = Picture::of(shared);
    let directory = &shared.forwarder.directory;
    directory.keep(|id| picture.members.contains_key(&id.0));
    let members =
        picture.members.iter().filter(|(id, _)| **id != shared.me.id.0).filter_map(|(id, member)| {
            let address = directory.learn(NodeId(*id), &member.name, &member.peer);
            Some((NodeName::parse(&member.name).ok()?, Some(NodeId(*id)), address))
        });
    let unknown = directory.book().iter().filter(|(name, _)| {
        **name != shared.me.name && picture.members.values().all(|member| member.name != name.as_str())
    });
    let unknown = unknown.map(|(name, address)| (name.clone(), None, address.to_owned()));
    let asked: Vec<_> = members.chain(unknown).collect();
    let hellos = asked.iter().map(|(_, _, address)| forming::hello(&shared.forwarder.links, address));
    let answers = join_all(hellos).await;
    for ((name, id, address), answer) in asked.into_iter().zip(answers) {
        let found = answer.as_ref().is_ok_and(|hello| id.is_none_or(|id| hello.id == id));
        if let Some(id) = id.filter(|_| !found) {
            directory.failed(id, &address);
        }
        match answer {
            Ok(wire::Hello { id, name: said, initialized, applied, .. }) if said == name => {
                shared.roster.saw(name, Seen { id, initialized, applied, reachable: true });
            }
            Ok(_) | Err(_) => shared.roster.missed(name.as_str()),
        }
    }
}
