//! What is under way at a worker, over all members.
//!
//! Each node counts its own requests. A count means something only where the node no longer sends new ones, so each
//! node first applies the drain that the question is about. A node that can't be asked, or that lags, is told apart
//! from one that has nothing: whoever stops a worker on a guess breaks somebody's request.

use crate::{
    consensus::{Consensus, Shared},
    membership::Picture,
    peer::{client::CallError, path, wire},
};
use futures_util::future::join_all;
use http::StatusCode;
use quorate_model::{LogIndex, NodeId, NodeName, WorkerId};
use quorate_rt::time;
use std::{sync::Arc, time::Duration};

/// How many requests and tunnels this node has at a worker that are not done.
pub type Counter = Arc<dyn Fn(&str) -> u64 + Send + Sync>;

/// How long a node may take to apply the drain.
const WITHIN: Duration = Duration::from_secs(2);
/// A peer never waits longer, whoever asks.
const WITHIN_MAX: Duration = Duration::from_secs(30);
/// An answer that is given at the last moment has so long to arrive.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// One that did not answer lately is given so long.
const SILENT_WITHIN: Duration = Duration::from_millis(300);
/// How long the connection is trusted beyond that. A call that times out takes its connection with it, and others wait
/// on the same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// Why it is not known what a member has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// Nothing is heard of it.
    #[error("it does not answer")]
    Silent,
    /// It has not applied the drain yet.
    #[error("it is at index {at}")]
    Behind {
        /// Where it is.
        at: LogIndex,
    },
    /// It has just started.
    #[error("it does not route yet")]
    Starting,
    /// It has another version.
    #[error("its version does not count requests by worker")]
    CannotTell,
}

/// A member, how far it had applied, and what it has under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which.
    pub node: NodeName,
    /// How far it had applied, if it answered.
    pub applied: Option<LogIndex>,
    /// Its count.
    pub count: Result<u64, Uncounted>,
}

impl Consensus {
    /// From now on `counter` says what this node has under way. Once: a second one is not heard.
    pub fn count_in_flight_by(&self, counter: Counter) {
        let _ = self.shared().counter.set(counter);
    }

    /// Asks all members what they have under way at `worker`, once they have applied `index`. By name.
    pub async fn in_flight(&self, worker: &WorkerId, index: LogIndex) -> Vec<Count> {
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let asked = members.iter().filter_map(|(id, member)| {
            let node = NodeName::parse(&member.name).ok()?;
            let heard = shared.roster.get(&member.name).is_none_or(|seen| seen.reachable);
            let within = if heard { WITHIN } else { SILENT_WITHIN };
            let asked = wire::InFlightAsked { worker: worker.clone(), index, within };
            Some(async move {
                let told = if NodeId(*id) == shared.me.id {
                    Ok(tell(shared, &asked).await)
                } else {
                    let address = shared.forwarder.directory.learn(NodeId(*id), &member.name, &member.peer);
                    ask(shared, (NodeId(*id), &address), &asked).await
                };
                counted(node, told, index)
            })
        });
        let mut counts = join_all(asked).await;
        counts.sort_by(|a, b| a.node.cmp(&b.node));
        counts
    }
}

fn counted(node: NodeName, told: Result<wire::InFlight, Uncounted>, index: LogIndex) -> Count {
    match told {
        Err(why) => Count { node, applied: None, count: Err(why) },
        Ok(wire::InFlight { applied, .. }) if applied < index => {
            Count { node, applied: Some(applied), count: Err(Uncounted::Behind { at: applied }) }
        }
        Ok(wire::InFlight { applied, count }) => {
            Count { node, applied: Some(applied), count: count.ok_or(Uncounted::Starting) }
        }
    }
}

async fn ask(
    shared: &Shared,
    (id, address): (NodeId, &str),
    asked: &wire::InFlightAsked,
) -> Result<wire::InFlight, Uncounted> {
    let question = (path::IN_FLIGHT, wire::encode_in_flight_asked(asked));
    // Not on the connection of proposals, which must not queue behind those that wait.
    let call = shared.waiting.call(Some(id), address, question, asked.within + LINK_WITHIN);
    match time::timeout(asked.within + ON_THE_WAY, call).await {
        Ok(Ok(answer)) => wire::decode_in_flight(&answer).map_err(|_| Uncounted::CannotTell),
        Ok(Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => Err(Uncounted::CannotTell),
        Ok(Err(_)) | Err(_) => Err(Uncounted::Silent),
    }
}

/// The asked node's part. It counts last: what it has applied before, it heeds.
pub(crate) async fn tell(shared: &Shared, asked: &wire::InFlightAsked) -> wire::InFlight {
    shared.applied.wait_for(asked.index, asked.within.min(WITHIN_MAX)).await;
    let applied = shared.applied.view().get().index();
    wire::InFlight { applied, count: shared.counter.get().map(|counter| counter(asked.worker.as_str())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_from_before_the_drain_means_nothing() {
        let node = || NodeName::parse("n2").expect("valid");
        let told = |applied, count| {
            counted(node(), Ok(wire::InFlight { applied: LogIndex(applied), count }), LogIndex(9))
        };
        assert_eq!(told(8, Some(0)).count, Err(Uncounted::Behind { at: LogIndex(8) }));
        assert_eq!(told(9, Some(0)).count, Ok(0));
        assert_eq!(told(9, None).count, Err(Uncounted::Starting));
        assert_eq!(counted(node(), Err(Uncounted::Silent), LogIndex(9)).applied, None);
    }
}
