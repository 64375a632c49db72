//! The first start of a cluster.
//!
//! Node ids are random, so nobody can know the membership before everybody has spoken. Each node asks all the
//! others who they are; once all have answered, agree on the list of names and have no log, the one with the
//! first name writes the initial membership. Before that it looks who answers at its own address: of two processes
//! with the first name, each would write a membership with the same others, who would vote in both. The order and time
//! of the starts do not matter. A node that finds its log written has nothing to do here.

use crate::{
    consensus::{Shared, StartError},
    peer::{
        address_book::{AddressBook, SelfId},
        client::{CallError, Dialler, Links},
        path, wire,
    },
};
use futures_util::future::join_all;
use quorate_model::{NodeId, NodeName};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_storage::Member;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const HELLO_WITHIN: Duration = Duration::from_millis(500);
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often a wait is explained in the log, in rounds.
const EXPLAIN_EVERY: u32 = 25;

/// Asks one peer who it is.
pub(crate) async fn hello(links: &Links, address: &str) -> Result<wire::Hello, CallError> {
    let answer = links.call(None, address, (path::HELLO, Vec::new()), HELLO_WITHIN).await?;
    wire::decode_hello(&answer)
        .map_err(|e| CallError::Broken { target: address.into(), source: std::io::Error::other(e) })
}

/// A disk of one cluster among peers of another must not start: it would serve routes that nobody meant for it.
/// Ask before the disk is opened for writing, so that a refused one stays as it is.
pub async fn refuse_other_cluster(me: &SelfId, book: &AddressBook) -> Result<(), StartError> {
    let Some(ours) = me.cluster.get().copied() else { return Ok(()) };
    let others: Vec<_> = book.iter().filter(|(name, _)| **name != me.name).collect();
    // Asked without our cluster's header, or they would refuse to say.
    let asked = Links::new(Dialler::new(me.clone())).anonymous();
    let answers = join_all(others.iter().map(|(_, address)| hello(&asked, address))).await;
    for ((peer, _), answer) in others.iter().zip(answers) {
        if let Ok(wire::Hello { cluster: Some(theirs), .. }) = answer
            && theirs != ours
        {
            return Err(StartError::OtherCluster { ours, theirs, peer: (*peer).clone() });
        }
    }
    Ok(())
}

/// Forms the cluster, if it has to be formed; ends when this node has a log.
pub(crate) async fn form(shared: Arc<Shared>, mut shutdown: Shutdown) {
    for round in 0u32.. {
        match shared.raft.is_initialized().await {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
        match members(&shared).await {
            Ok(members) => initialize(&shared, members).await,
            Err(wait) => {
                shared.waits_for(wait.is_outside().then(|| wait.to_string()));
                if round % EXPLAIN_EVERY == EXPLAIN_EVERY - 1 {
                    explain(&shared, wait).await;
                }
            }
        }
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = time::sleep(ASK_EVERY) => {}
        }
    }
}

async fn explain(shared: &Shared, wait: Wait) {
    // A member that runs has the place that this node waits for.
    let wait = match wait {
        Wait::HasLog { .. } => alone(shared).await.err().unwrap_or(wait),
        other => other,
    };
    tracing::warn!(%wait, "the cluster is not formed yet");
}

/// Refuses to go on where somebody else answers at this node's own address. Nobody, and somebody who can't be spoken
/// to, are no reason: not every network lets a node reach itself.
async fn alone(shared: &Shared) -> Result<(), Wait> {
    let me = &shared.me;
    let Some(address) = shared.options.book.address(me.name.as_str()) else { return Ok(()) };
    match hello(&shared.forwarder.links.to_ourselves(), address).await {
        Ok(there) if there.id == me.id => Ok(()),
        Ok(there) if there.name == me.name => {
            Err(Wait::Twin { name: me.name.clone(), address: address.to_owned() })
        }
        Ok(there) => {
            Err(Wait::OtherName { address: address.to_owned(), wanted: me.name.clone(), got: there.name })
        }
        Err(_) => Ok(()),
    }
}

/// Why the cluster can't be formed now.
#[derive(Debug, thiserror::Error)]
enum Wait {
    #[error("{name} at {address} has not answered: {source}")]
    Silent { name: NodeName, address: String, source: CallError },
    #[error("{address} was given as {wanted}, but {got} answers there")]
    OtherName { address: String, wanted: NodeName, got: NodeName },
    #[error("{name} was started with other --peers: it names {theirs:?}, this node names {ours:?}")]
    OtherPeers { name: NodeName, ours: Vec<NodeName>, theirs: Vec<NodeName> },
    #[error(
        "{name} already has a log: this node waits to be let in, by `quorate cluster join`, or in the place of a node of its name that does not answer any more"
    )]
    HasLog { name: NodeName },
    #[error("another process answers as {name} at {address}: two have this name; stop the wrong one")]
    Twin { name: NodeName, address: String },
    #[error("the node with the first name forms the cluster")]
    NotFirst,
}

impl Wait {
    /// Whether there is a cluster already, only without this node.
    fn is_outside(&self) -> bool {
        matches!(self, Self::HasLog { .. } | Self::Twin { .. })
    }
}

async fn members(shared: &Shared) -> Result<BTreeMap<u64, Member>, Wait> {
    let (me, book) = (&shared.me, &shared.options.book);
    if book.is_empty() {
        return Ok(BTreeMap::from([member(me.id, &me.name, &shared.options.record.peer)]));
    }
    let ours: BTreeSet<_> = book.iter().map(|(name, _)| name.clone()).collect();
    let mut members = BTreeMap::new();
    for (name, address) in book.iter() {
        if *name == me.name {
            members.extend([member(me.id, name, address)]);
            continue;
        }
        let silent = |source| Wait::Silent { name: name.clone(), address: address.into(), source };
        let hello = hello(&shared.forwarder.links, address).await.map_err(silent)?;
        if hello.name != *name {
            return Err(Wait::OtherName { address: address.into(), wanted: name.clone(), got: hello.name });
        }
        if hello.initialized {
            return Err(Wait::HasLog { name: name.clone() });
        }
        let theirs: BTreeSet<_> = hello.members.iter().cloned().collect();
        if theirs != ours {
            let (ours, theirs) = (ours.into_iter().collect(), hello.members);
            return Err(Wait::OtherPeers { name: name.clone(), ours, theirs });
        }
        members.extend([member(hello.id, name, address)]);
    }
    if ours.first() != Some(&me.name) {
        return Err(Wait::NotFirst);
    }
    alone(shared).await?;
    Ok(members)
}

fn member(id: NodeId, name: &NodeName, peer: &str) -> (u64, Member) {
    (id.0, Member { name: name.to_string(), peer: peer.to_owned() })
}

async fn initialize(shared: &Shared, members: BTreeMap<u64, Member>) {
    let count = members.len();
    match shared.raft.initialize(members).await {
        Ok(()) => tracing::info!(members = count, "the cluster is formed"),
        // A leader reached us first, or the disk failed: the next round sees which.
        Err(e) => tracing::debug!(error = %e, "the initial membership was not written"),
    }
}
