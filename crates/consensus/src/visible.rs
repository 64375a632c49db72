//! Which members have applied an entry.
//!
//! A write answers once it is applied on the node that took it; the others follow within a heartbeat. Who wants to
//! ask *any* node right afterwards has all of them asked first: each tells when it is there. Nothing depends on
//! the answers, so a node that can't be asked costs no more than the time that the caller allowed.

use crate::{
    consensus::{Consensus, Shared},
    membership::Picture,
    peer::{client::CallError, path, wire},
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;
use quorate_model::{LogIndex, NodeId, NodeName};
use quorate_rt::time;
use std::time::Duration;

/// A peer never waits longer for an index, whoever asks.
pub const WITHIN_MAX: Duration = Duration::from_secs(30);
/// An answer that is given at the last moment has so long to arrive.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// One that did not answer lately is given so long, lest every write waits in vain while it is away.
const SILENT_WITHIN: Duration = Duration::from_millis(300);
/// How long the connection is trusted beyond that. A call that times out takes its connection with it, and others wait
/// on the same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// Why a member has not applied an entry, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Nothing is heard of it.
    #[error("it does not answer")]
    Silent,
    /// It answers, but lags.
    #[error("it is at index {at}")]
    Behind {
        /// Where it is.
        at: LogIndex,
    },
    /// It has another version.
    #[error("its version does not tell how far it has applied")]
    CannotTell,
}

/// A member, and whether it has applied the entry.
pub type Seen = (NodeName, Result<(), Missing>);

impl Consensus {
    /// Asks all members whether they have applied `index`; each has `within` to get there. By name.
    pub async fn applied_on(&self, index: LogIndex, within: Duration) -> Vec<Seen> {
        let within = within.min(WITHIN_MAX);
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let asked = members.iter().filter_map(|(id, member)| {
            let name = NodeName::parse(&member.name).ok()?;
            Some(async move {
                let seen = if NodeId(*id) == shared.me.id {
                    here(shared, index, within).await
                } else {
                    let address = shared.forwarder.directory.learn(NodeId(*id), &member.name, &member.peer);
                    let heard = shared.roster.get(&member.name).is_none_or(|seen| seen.reachable);
                    let within = if heard { within } else { within.min(SILENT_WITHIN) };
                    there(shared, (NodeId(*id), &address), index, within).await
                };
                (name, seen)
            })
        });
        let mut seen = join_all(asked).await;
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        seen
    }
}

async fn here(shared: &Shared, index: LogIndex, within: Duration) -> Result<(), Missing> {
    if shared.applied.wait_for(index, within).await {
        return Ok(());
    }
    Err(Missing::Behind { at: shared.applied.view().get().index() })
}

async fn there(
    shared: &Shared,
    (id, address): (NodeId, &str),
    index: LogIndex,
    within: Duration,
) -> Result<(), Missing> {
    let question = wire::encode_applied_asked(&wire::AppliedAsked { index, within });
    let call = shared.waiting.call(Some(id), address, (path::APPLIED, question), within + LINK_WITHIN);
    read(index, time::timeout(within + ON_THE_WAY, call).await.ok())
}

/// What an answer says; `None`: there was none in time.
fn read(index: LogIndex, answer: Option<Result<Bytes, CallError>>) -> Result<(), Missing> {
    match answer {
        Some(Ok(answer)) => match wire::decode_applied(&answer) {
            Ok(at) if at >= index => Ok(()),
            Ok(at) => Err(Missing::Behind { at }),
            Err(_) => Err(Missing::CannotTell),
        },
        // A version that does not know the path.
        Some(Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => Err(Missing::CannotTell),
        Some(Err(_)) | None => Err(Missing::Silent),
    }
}

/// The asked node's part: how far it has applied, once that is far enough or the wait is over.
pub(crate) async fn tell(shared: &Shared, asked: wire::AppliedAsked) -> LogIndex {
    shared.applied.wait_for(asked.index, asked.within.min(WITHIN_MAX)).await;
    shared.applied.view().get().index()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_is_far_enough_counts() {
        let at = |at| Some(Ok(Bytes::from(wire::encode_applied(LogIndex(at)))));
        let refused =
            |status| Some(Err(CallError::Refused { target: "n2".into(), status, why: "no".into() }));
        let read = |answer| super::read(LogIndex(7), answer);
        assert_eq!([read(at(7)), read(at(8))], [Ok(()), Ok(())]);
        assert_eq!(read(at(6)), Err(Missing::Behind { at: LogIndex(6) }));
        assert_eq!(read(None), Err(Missing::Silent));
        assert_eq!(read(refused(StatusCode::NOT_FOUND)), Err(Missing::CannotTell), "an older version");
        assert_eq!(read(refused(StatusCode::MISDIRECTED_REQUEST)), Err(Missing::Silent), "another node");
        assert_eq!(read(Some(Ok(Bytes::from_static(b"?")))), Err(Missing::CannotTell));
    }
}
