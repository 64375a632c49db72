//! What each member makes of a service's workers: breakers, ejections and the like are each node's own.
//!
//! Whoever asks one node is told of all of them. One that can't be asked is told apart from one that finds nothing wrong.

use crate::{
    consensus::{Consensus, Shared},
    membership::Picture,
    peer::{client::CallError, path, wire},
};
use futures_util::future::{BoxFuture, join_all};
use http::StatusCode;
use quorate_model::{NodeId, NodeName, Observation, ServiceName, WorkerId};
use quorate_rt::time;
use std::{sync::Arc, time::Duration};

/// Says what this node makes of workers of a service. It ends by itself within [`WITHIN`].
pub type Teller = Arc<dyn Fn(ServiceName, Vec<WorkerId>) -> BoxFuture<'static, Observation> + Send + Sync>;

/// How long a node may take to tell.
pub const WITHIN: Duration = Duration::from_secs(1);
/// An answer that is given at the last moment has so long to arrive.
pub(crate) const ON_THE_WAY: Duration = Duration::from_millis(250);
/// One that did not answer lately is given so long.
pub(crate) const SILENT_WITHIN: Duration = Duration::from_millis(300);
/// How long the connection is trusted. A call that times out takes its connection with it, and others wait on the same
/// one.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// Why it is not known what a member makes of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unobserved {
    /// Nothing is heard of it.
    #[error("it does not answer")]
    Silent,
    /// It has just started.
    #[error("it does not route yet")]
    Starting,
    /// It has another version.
    #[error("its version does not tell")]
    CannotTell,
}

impl Consensus {
    /// From now on `teller` says what this node makes of workers. Once: a second one is not heard.
    pub fn observe_by(&self, teller: Teller) {
        let _ = self.shared().teller.set(teller);
    }

    /// Asks all members what they make of `workers` of `service`. By name.
    pub async fn observations(
        &self,
        service: &ServiceName,
        workers: Vec<WorkerId>,
    ) -> Vec<(NodeName, Result<Observation, Unobserved>)> {
        let shared = self.shared();
        let asked = wire::ObservationAsked { service: service.clone(), workers };
        let message = wire::encode_observation_asked(&asked);
        of_each(shared, |member| {
            let (asked, message) = (asked.clone(), message.clone());
            async move {
                let Some(member) = member else {
                    return tell(shared, asked).await.ok_or(Unobserved::Starting);
                };
                ask(shared, member, (path::OBSERVATION, message), wire::decode_observation).await
            }
        })
        .await
    }
}

/// A member that is asked, and how long it is given.
pub(crate) struct Asked {
    id: NodeId,
    address: String,
    within: Duration,
}

/// What comes of asking each member, by name; `ask` is given none for this node itself.
pub(crate) async fn of_each<T, F: Future<Output = Result<T, Unobserved>>>(
    shared: &Shared,
    ask: impl Fn(Option<Asked>) -> F,
) -> Vec<(NodeName, Result<T, Unobserved>)> {
    let members = Picture::of(shared).members;
    let all = members.iter().filter_map(|(id, member)| {
        let (node, id) = (NodeName::parse(&member.name).ok()?, NodeId(*id));
        let told = ask((id != shared.me.id).then(|| {
            let heard = shared.roster.get(&member.name).is_none_or(|seen| seen.reachable);
            let within = if heard { WITHIN + ON_THE_WAY } else { SILENT_WITHIN };
            let address = shared.forwarder.directory.learn(id, &member.name, &member.peer);
            Asked { id, address, within }
        }));
        Some(async move { (node, told.await) })
    });
    let mut told = join_all(all).await;
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

/// Asks a member for something that only it knows.
pub(crate) async fn ask<T>(
    shared: &Shared,
    Asked { id, address, within }: Asked,
    message: (&'static str, Vec<u8>),
    decode: impl FnOnce(&[u8]) -> Result<Option<T>, wire::WireError>,
) -> Result<T, Unobserved> {
    // Not on the connection of proposals, which must not queue behind those that wait.
    let call = shared.waiting.call(Some(id), &address, message, LINK_WITHIN);
    match time::timeout(within, call).await {
        Ok(Ok(answer)) => match decode(&answer) {
            Ok(told) => told.ok_or(Unobserved::Starting),
            Err(_) => Err(Unobserved::CannotTell),
        },
        Ok(Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => Err(Unobserved::CannotTell),
        Ok(Err(_)) | Err(_) => Err(Unobserved::Silent),
    }
}

/// The asked node's part. `None`: it does not route yet.
async fn tell(shared: &Shared, asked: wire::ObservationAsked) -> Option<Observation> {
    let wire::ObservationAsked { service, workers } = asked;
    Some(shared.teller.get()?(service, workers).await)
}

/// The same for one that asks from elsewhere.
pub(crate) async fn answer(shared: &Shared, body: &[u8]) -> Result<Vec<u8>, wire::WireError> {
    let asked = wire::decode_observation_asked(body)?;
    Ok(wire::encode_observation(tell(shared, asked).await.as_ref()))
}
