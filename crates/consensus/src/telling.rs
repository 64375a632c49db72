//! What nodes tell each other outside of the log: each peer hears what it has not heard yet.

use crate::consensus::Consensus;
use futures_util::future::join_all;
use quorate_model::NodeId;
use std::{collections::BTreeMap, future::Future};

/// Tells all other members at once. `peers` holds how far each of them is told; who left is forgotten. `tell_one` is
/// given a peer, where it is, and how far it was told before.
pub(crate) async fn tell_all<T, F>(
    consensus: &Consensus,
    peers: &mut BTreeMap<NodeId, T>,
    tell_one: impl Fn((NodeId, String), T) -> F,
) where
    T: Copy + Default,
    F: Future<Output = T>,
{
    let shared = consensus.shared();
    let metrics = consensus.metrics();
    let members = metrics.membership_config.membership();
    let others: Vec<_> = members.nodes().filter(|(id, _)| **id != shared.me.id.0).collect();
    peers.retain(|peer, _| others.iter().any(|(id, _)| **id == peer.0));
    let told = others.into_iter().map(|(id, member)| {
        let id = NodeId(*id);
        let before = peers.get(&id).copied().unwrap_or_default();
        let address = shared.forwarder.directory.learn(id, &member.name, &member.peer);
        let telling = tell_one((id, address), before);
        async move { (id, telling.await) }
    });
    let told = join_all(told).await;
    peers.extend(told);
}
