//! What a second node finds, asked and answering.

use super::schedule::{Job, name, target};
use quorate_consensus::{
    Consensus,
    probing::{Found, ProbeAsked},
};
use quorate_model::NodeName;
use quorate_proxy::probe::{Prober, Target};
use quorate_routing::health::{Second, probers};
use quorate_rt::published::Published;
use quorate_state::View;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// So many other nodes are asked before it stays unconfirmed.
const ASKED_MAX: usize = 2;
/// Probes for others at once. When full, they are told so.
const AT_ONCE_MAX: usize = 64;
/// An answer that is given at the last moment has so long to arrive.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The other nodes, in the order in which they are asked about one endpoint.
pub(super) struct Others {
    left: VecDeque<NodeName>,
    is_alone: bool,
    asked: ProbeAsked,
    within: Duration,
}

impl Others {
    pub fn new(consensus: &Consensus, me: &NodeName, job: &Job) -> Self {
        let sharers = consensus.sharers();
        let endpoint = name(&job.service, &job.worker);
        let order = probers(sharers.answering.iter().map(NodeName::as_str), &endpoint);
        let left = order
            .into_iter()
            .filter(|name| *name != me.as_str())
            .take(ASKED_MAX)
            .filter_map(|name| NodeName::parse(name).ok())
            .collect();
        let asked = ProbeAsked {
            service: job.service.clone(),
            worker: job.worker.clone(),
            incarnation: job.incarnation,
        };
        let within = Duration::from_millis(job.target.check.timeout_ms.into()) + ON_THE_WAY;
        Self { left, is_alone: sharers.members <= 1, asked, within }
    }

    /// Whether the cluster has no other node.
    pub fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// What the next one finds.
    pub async fn ask(&mut self, consensus: &Consensus) -> Second {
        let Some(node) = self.left.pop_front() else { return Second::NobodyAnswers };
        match consensus.ask_to_probe(&node, &self.asked, self.within).await {
            Found::Connected(_) => Second::Disagrees,
            Found::Unconnected(_) => Second::Agrees,
            Found::Unknown(why) => {
                tracing::debug!(%node, why, "no second opinion on an endpoint");
                Second::Silent
            }
        }
    }
}

/// Looks at endpoints for other nodes. It has places of its own, so that no peer makes it dial without bounds.
#[derive(Clone)]
pub(super) struct Confirmer {
    view: Arc<Published<View>>,
    prober: Prober,
    places: Arc<Semaphore>,
}

impl Confirmer {
    pub fn new(consensus: &Consensus, prober: Prober) -> Self {
        Self { view: consensus.view().clone(), prober, places: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    pub fn install(self, consensus: &Consensus) {
        consensus.confirm_probes_by(Arc::new(move |asked| {
            let confirmer = self.clone();
            Box::pin(async move { confirmer.look(&asked).await })
        }));
    }

    async fn look(&self, asked: &ProbeAsked) -> Found {
        let Ok(_place) = self.places.try_acquire() else {
            return Found::Unknown("it looks at too many endpoints already".into());
        };
        let Some(target) = self.target(asked) else {
            return Found::Unknown("it knows no such endpoint that is to be checked".into());
        };
        match self.prober.probe(&target).await {
            Ok(()) => Found::Connected("it is well".into()),
            Err(failure) => Found::Unconnected(failure.to_string()),
        }
    }

    fn target(&self, asked: &ProbeAsked) -> Option<Target> {
        let view = self.view.get();
        let service = view.service(asked.service.as_str())?;
        let endpoint = service.endpoint(asked.worker.as_str())?;
        (endpoint.worker().incarnation == asked.incarnation).then(|| target(service, endpoint))?
    }
}
