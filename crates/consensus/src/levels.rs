//! What all members can do ([`quorate_model::level`]).
//!
//! Each node asks the others, once a second, for the highest level that they can. The leader raises the cluster's
//! level when every member, learners included, has answered in one round. A node that can less than the cluster's
//! level does not run: it could not read the log. That is checked by its data folder and by its peers at its start, and
//! once a second while it runs.

use crate::{
    consensus::{Consensus, Shared, StartError},
    forward::Unavailable,
    options::Options,
    peer::{
        client::{CallError, Dialler, Links},
        path, wire,
    },
};
use futures_util::future::join_all;
use quorate_model::{Command, FeatureLevel, NodeId, NodeLevels};
use quorate_rt::{shutdown::Shutdown, time};
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const ASK_EVERY: Duration = Duration::from_secs(1);
/// While the cluster could do more as far as this node knows: a new cluster comes to its level soon.
const ASK_SOON: Duration = Duration::from_millis(200);
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The highest level of each peer, as it said last.
#[derive(Debug, Default)]
pub(crate) struct Levels(Mutex<BTreeMap<NodeId, FeatureLevel>>);

impl Levels {
    pub(crate) fn max_of(&self, id: NodeId) -> Option<FeatureLevel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    fn nobody_is_behind(&self, max: FeatureLevel) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().all(|said| *said >= max)
    }

    fn said(&self, all: BTreeMap<NodeId, FeatureLevel>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }
}

/// Whether every member can read `command`.
pub(crate) fn require(command: &Command, stands: FeatureLevel) -> Result<(), Unavailable> {
    let needs = command.feature_level();
    if needs <= stands { Ok(()) } else { Err(Unavailable::FeatureLevel { needs, stands }) }
}

/// A binary that can less than what its disk holds must not start.
pub(crate) fn refuse_older(options: &Options, in_snapshot: FeatureLevel) -> Result<(), StartError> {
    let NodeLevels { max, cluster } = options.levels;
    let stands = cluster.max(in_snapshot);
    if stands <= max {
        return Ok(());
    }
    Err(StartError::FeatureLevel { who: "the data folder belongs to a cluster at".into(), stands, max })
}

/// Nor may it join a cluster that has gone further. A peer that does not answer is no reason to wait.
pub(crate) async fn refuse_newer_peers(options: &Options) -> Result<(), StartError> {
    let links = Links::new(Dialler::new(options.me.clone()));
    let others = options.book.iter().filter(|(name, _)| **name != options.me.name);
    let asked = others.map(|(name, address)| {
        let links = &links;
        async move { (name, ask(links, None, address).await) }
    });
    let max = options.levels.max;
    for (name, answer) in join_all(asked).await {
        if let Ok(NodeLevels { cluster: stands, .. }) = answer
            && stands > max
        {
            return Err(StartError::FeatureLevel {
                who: format!("the cluster of {name} is at"),
                stands,
                max,
            });
        }
    }
    Ok(())
}

/// Resolves when the cluster has come to a level that this binary does not know, with the reason.
pub(crate) async fn left_behind(shared: &Shared) -> String {
    let max = shared.options.levels.max;
    loop {
        let stands = shared.applied.view().get().feature_level();
        if stands > max {
            let who = "the cluster has come to".into();
            return StartError::FeatureLevel { who, stands, max }.to_string();
        }
        time::sleep(ASK_EVERY).await;
    }
}

/// Whether a node that is no member yet can read what the log holds.
pub(crate) async fn can_join(shared: &Shared, id: NodeId, address: &str) -> bool {
    let max = level_of(ask(&shared.forwarder.links, Some(id), address).await);
    max.is_some_and(|max| max >= shared.applied.view().get().feature_level())
}

/// Asks the others, and raises the level while this node leads; runs until the shutdown.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = time::sleep(pause(&consensus)) => {}
        }
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = look(&consensus) => {}
        }
    }
}

/// Nobody is asked more often only because one member stays behind.
fn pause(consensus: &Consensus) -> Duration {
    let shared = consensus.shared();
    let behind = consensus.feature_level() < shared.options.levels.max;
    if behind && shared.levels.nobody_is_behind(shared.options.levels.max) { ASK_SOON } else { ASK_EVERY }
}

async fn look(consensus: &Consensus) {
    let shared = consensus.shared();
    let me = shared.me.id.0;
    let metrics = consensus.metrics();
    let members = metrics.membership_config.membership();
    let asked = members.nodes().filter(|(id, _)| **id != me).map(|(id, member)| async move {
        let address = shared.forwarder.directory.learn(NodeId(*id), &member.name, &member.peer);
        (NodeId(*id), level_of(ask(&shared.forwarder.links, Some(NodeId(*id)), &address).await))
    });
    let answers = join_all(asked).await;
    let all = answers.iter().map(|(_, max)| *max).collect::<Option<Vec<_>>>();
    shared.levels.said(answers.into_iter().filter_map(|(id, max)| Some((id, max?))).collect());
    shared.applied.control().set_feature_level(consensus.feature_level().get());
    let Some(all) = all else { return };
    let to = all.into_iter().fold(shared.options.levels.max, FeatureLevel::min);
    // Somebody who joined meanwhile was not asked.
    let asked_all = consensus.metrics().membership_config.log_id() == metrics.membership_config.log_id();
    let higher = to > consensus.feature_level() && asked_all;
    if higher && consensus.speaks_for_quorum() && consensus.cluster().is_some() {
        tracing::info!(to = to.get(), "every member can do more: the feature level is raised");
        // Not done: the next round looks again.
        let _ = consensus.propose(Command::RaiseLevel { to }).await;
    }
}

/// A peer that knows no such question is of the first release.
fn level_of(answer: Result<NodeLevels, CallError>) -> Option<FeatureLevel> {
    match answer {
        Ok(levels) => Some(levels.max),
        Err(CallError::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => {
            Some(FeatureLevel::FIRST)
        }
        Err(
            CallError::Refused { .. }
            | CallError::Unreachable { .. }
            | CallError::Broken { .. }
            | CallError::Timeout { .. }
            | CallError::Unproven { .. },
        ) => None,
    }
}

async fn ask(links: &Links, to: Option<NodeId>, address: &str) -> Result<NodeLevels, CallError> {
    let answer = links.call(to, address, (path::FEATURE_LEVEL, Vec::new()), ANSWER_WITHIN).await?;
    wire::decode_levels(&answer)
        .map_err(|e| CallError::Broken { target: address.into(), source: io::Error::other(e) })
}
