//! Health checks of endpoints, as far as nodes have to do with each other: who is there to share the work, and what
//! another one finds. What is asked of an endpoint, and by whom, is the composition root's to know.

pub use crate::peer::wire::{Found, ProbeAsked};
use crate::{
    consensus::{Consensus, Shared},
    membership::Picture,
    peer::{path, wire},
};
use futures_util::future::BoxFuture;
use quorate_model::{NodeId, NodeName};
use quorate_rt::time;
use std::{sync::Arc, time::Duration};

/// Looks at an endpoint for another node.
pub type Confirmer = Arc<dyn Fn(ProbeAsked) -> BoxFuture<'static, Found> + Send + Sync>;

/// How long the connection is trusted beyond an answer's time. A call that times out takes its connection with it, and
/// others wait on the same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// The members that this node may share work with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharers {
    /// Itself, and those that answered last; by name.
    pub answering: Vec<NodeName>,
    /// How many belong to the cluster.
    pub members: usize,
}

impl Consensus {
    /// From now on `confirmer` looks at endpoints for other nodes. Once: a second one is not heard.
    pub fn confirm_probes_by(&self, confirmer: Confirmer) {
        let _ = self.shared().confirmer.set(confirmer);
    }

    /// Who is there.
    pub fn sharers(&self) -> Sharers {
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let answers = |id: u64, name: &str| {
            NodeId(id) == shared.me.id || shared.roster.get(name).is_some_and(|seen| seen.reachable)
        };
        let answering = members.iter().filter(|(id, member)| answers(**id, &member.name));
        let mut answering: Vec<_> =
            answering.filter_map(|(_, member)| NodeName::parse(&member.name).ok()).collect();
        answering.sort();
        Sharers { answering, members: members.len() }
    }

    /// Has another node look at an endpoint.
    pub async fn ask_to_probe(&self, node: &NodeName, asked: &ProbeAsked, within: Duration) -> Found {
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let Some((id, member)) = members.iter().find(|(_, member)| member.name == *node.as_str()) else {
            return Found::Unknown("it does not belong to the cluster".into());
        };
        let address = shared.forwarder.directory.learn(NodeId(*id), &member.name, &member.peer);
        let question = (path::PROBE, wire::encode_probe_asked(asked));
        let call = shared.waiting.call(Some(NodeId(*id)), &address, question, within + LINK_WITHIN);
        match time::timeout(within, call).await {
            Ok(Ok(answer)) => wire::decode_found(&answer)
                .unwrap_or_else(|_| Found::Unknown("it gave an answer that can't be read".into())),
            Ok(Err(error)) => Found::Unknown(error.to_string()),
            Err(_) => Found::Unknown(format!("no answer within {within:?}")),
        }
    }
}

/// The asked node's part.
pub(crate) async fn probe_for_another(shared: &Shared, asked: ProbeAsked) -> Found {
    match shared.confirmer.get() {
        Some(confirmer) => confirmer(asked).await,
        None => Found::Unknown("it has just started".into()),
    }
}
