//! A node's consensus: started from its options and its disk, used through [`Consensus`].

use crate::{
    forming,
    forward::{Forwarder, Leader, Tried, Unavailable},
    housekeeping, liveness,
    liveness::{Pulse, Vessel},
    observer::Applied,
    options::{ANSWER_WITHIN, Options, PEER_BATCHES_MAX},
    peer::{
        client::{Dialler, Links},
        path,
        raft_network::Network,
        server::PeerService,
        wire,
    },
    proposer::{Committed, Proposer, Route},
    reads,
    roster::Roster,
    types::Raft,
};
use openraft::{ServerState, async_runtime::WatchReceiver};
use quorate_model::{ClusterId, Command, Heartbeat, HeartbeatOutcome, LeaseInfo, LogIndex, NodeId, NodeName};
use quorate_rt::{published::Published, shutdown, time};
use quorate_state::View;
use quorate_storage::{LogStore, Machine};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// How often it is looked whether Raft still runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a node's consensus did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options contradict each other.
    #[error("Raft refuses its configuration: {0}")]
    Config(#[from] Box<openraft::ConfigError>),
    /// The disk refuses.
    #[error("Raft could not start: {0}")]
    Fatal(String),
    /// The peers belong to another cluster than our disk.
    #[error(
        "the data folder belongs to cluster {ours}, but {peer} belongs to cluster {theirs}; start with the data folder of that cluster, or with the peers of this one"
    )]
    OtherCluster {
        /// Our disk's.
        ours: ClusterId,
        /// Theirs.
        theirs: ClusterId,
        /// Who said so.
        peer: NodeName,
    },
}

/// What all tasks of a node's consensus share.
pub struct Shared {
    pub(crate) me: crate::peer::address_book::SelfId,
    pub(crate) options: Options,
    pub(crate) raft: Raft,
    pub(crate) applied: Arc<Applied>,
    pub(crate) forwarder: Forwarder,
    pub(crate) vessel: Vessel,
    pub(crate) roster: Roster,
    /// Bounds what followers may have under way at this node.
    pub(crate) places: Semaphore,
    heard: AtomicI64,
}

/// A running consensus. Clones share it.
#[derive(Clone)]
pub struct Consensus {
    shared: Arc<Shared>,
    proposer: Proposer,
    pulse: Pulse,
    stop: Arc<shutdown::Trigger>,
}

impl Consensus {
    /// Starts Raft on what the disk holds, and the tasks around it. Serve [`Consensus::peer_service`] on the peer
    /// listener right away: a cluster forms only when its nodes can ask each other.
    pub async fn start(
        options: Options,
        log: LogStore,
        machine: Machine,
        applied: Arc<Applied>,
    ) -> Result<Self, StartError> {
        let config = options.raft_config().map_err(Box::new)?;
        let dialler = Dialler::new(options.me.clone());
        let links = Links::new(dialler.clone());
        forming::refuse_other_cluster(&options.me, &options.book).await?;
        let network = Network { dialler, book: options.book.clone() };
        let raft = Raft::new(options.me.id.0, Arc::new(config), network, log, machine)
            .await
            .map_err(|e| StartError::Fatal(e.to_string()))?;
        let forwarder =
            Forwarder { raft: raft.clone(), links, book: options.book.clone(), id: options.me.id };
        let vessel =
            Vessel { forwarder: forwarder.clone(), applied: applied.clone(), election: options.election };
        let route = Route { forwarder: forwarder.clone(), applied: applied.clone() };
        let proposer = Proposer::start(options.record.boot, route);
        let pulse = Pulse::start(vessel.clone());
        let (stop, stopped) = shutdown::channel();
        let places = Semaphore::new(PEER_BATCHES_MAX);
        let me = options.me.clone();
        let shared = Shared {
            me,
            options,
            raft,
            applied,
            forwarder,
            vessel,
            roster: Roster::default(),
            places,
            heard: AtomicI64::new(i64::MIN),
        };
        let consensus = Self { shared: Arc::new(shared), proposer, pulse, stop: Arc::new(stop) };
        quorate_rt::spawn(forming::form(consensus.shared.clone(), stopped.clone()));
        quorate_rt::spawn(housekeeping::run(consensus.clone(), stopped.clone()));
        quorate_rt::spawn(liveness::keep(
            consensus.shared.vessel.clone(),
            consensus.proposer.clone(),
            stopped,
        ));
        Ok(consensus)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What to serve on the peer listener.
    pub fn peer_service(&self) -> PeerService {
        PeerService::new(self.shared.clone())
    }

    /// Proposes a command; answers within [`ANSWER_WITHIN`], after it is applied on this node.
    pub async fn propose(&self, command: Command) -> Result<Committed, Unavailable> {
        self.proposer.propose(command).await
    }

    /// Brings heartbeats to the leader; one outcome for each.
    pub async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatOutcome>, Unavailable> {
        self.pulse.beat(beats).await
    }

    /// The leases as the leader sees them.
    pub async fn leases(&self) -> Result<Vec<LeaseInfo>, Unavailable> {
        liveness::leases(&self.shared.vessel).await
    }

    /// After this the View is at least as new as any write that was acknowledged before.
    pub async fn read_barrier(&self) -> Result<LogIndex, Unavailable> {
        reads::barrier(&self.shared.forwarder, &self.shared.applied).await
    }

    /// The published View.
    pub fn view(&self) -> &Arc<Published<View>> {
        self.shared.applied.view()
    }

    /// Waits until `index` is applied here; false: not within `limit`.
    pub async fn wait_for(&self, index: LogIndex, limit: Duration) -> bool {
        self.shared.applied.wait_for(index, limit).await
    }

    /// The leader as this node knows it.
    pub fn leader(&self) -> Option<Leader> {
        self.shared.forwarder.leader()
    }

    /// Whether this node takes itself for the leader. A leader that is cut off does so for a while.
    pub fn is_leader(&self) -> bool {
        self.shared.is_leader()
    }

    /// Whether this node leads and has heard a quorum within an election timeout.
    pub fn speaks_for_quorum(&self) -> bool {
        liveness::speaks_for_quorum(&self.shared.raft, self.shared.options.election)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.shared.me.id
    }

    /// The cluster's id, once known.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.cluster()
    }

    /// What the peers said of themselves last.
    pub fn roster(&self) -> &Roster {
        &self.shared.roster
    }

    /// Raft's metrics now.
    pub fn metrics(&self) -> crate::types::Metrics {
        self.shared.raft.metrics().borrow_watched().clone()
    }

    /// How long ago this node heard from a leader; `None`: never since its start. A leader hears itself while a
    /// quorum answers.
    pub fn leader_heard(&self) -> Option<Duration> {
        if self.speaks_for_quorum() {
            self.shared.heard_leader();
        }
        let heard = self.shared.heard.load(Ordering::Relaxed);
        let ago = self.shared.applied.now().checked_sub(heard)?;
        Some(Duration::from_millis(u64::try_from(ago).ok()?))
    }

    /// How long ago this consensus was started.
    pub fn running_for(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.shared.applied.now()).unwrap_or(0))
    }

    /// How many other members answered when they were asked last.
    pub fn peers_reachable(&self) -> u64 {
        let others = self.shared.options.book.iter().filter(|(name, _)| **name != self.shared.me.name);
        let reachable = others
            .filter(|(name, _)| self.shared.roster.get(name.as_str()).is_some_and(|seen| seen.reachable));
        reachable.count() as u64
    }

    /// Hands leadership to `to`, or to the most advanced other voter. Answers with the new leader.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<Leader, Unavailable> {
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        let here = |_| hand_over(&self.shared, to);
        let message = wire::encode_hand_over(to);
        let to = self
            .shared
            .forwarder
            .at_leader(deadline, here, (path::HAND_OVER, &message), wire::decode_index)
            .await?;
        while time::Instant::now() < deadline {
            if let Some(leader) = self.leader().filter(|leader| leader.id.0 == to.0) {
                return Ok(leader);
            }
            time::sleep(Duration::from_millis(20)).await;
        }
        Err(Unavailable::Unknown)
    }

    /// Hands leadership over, if this node has it and there is somebody to take it, so that the others need no
    /// election when it goes.
    pub async fn hand_over_leadership(&self) {
        if !self.shared.is_leader() || self.shared.voters() < 2 {
            return;
        }
        let handed = time::timeout(Duration::from_secs(2), self.transfer_leader(None)).await;
        if !matches!(handed, Ok(Ok(_))) {
            tracing::warn!("leadership was not handed over; the others will elect");
        }
    }

    /// Stops all tasks and Raft.
    pub async fn shutdown(&self) {
        self.stop.fire();
        // An error says that a task of Raft had failed before; it is gone either way.
        let _ = self.shared.raft.shutdown().await;
    }

    /// Resolves when Raft has stopped by itself, with the reason: its disk failed, which is final.
    pub async fn failed(&self) -> String {
        let metrics = self.shared.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                return fatal.to_string();
            }
            // Not by waiting for a change: there are several with each entry, and each would wake a thread.
            time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Shared {
    /// The cluster's id, learnt from the View as soon as it is there.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        if self.me.cluster.get().is_none()
            && let Some(cluster) = self.applied.view().get().cluster()
        {
            // Once set it stays; a second set of the same id is refused and means nothing.
            let _ = self.me.cluster.set(cluster);
        }
        self.me.cluster.get().copied()
    }

    /// A leader spoke to this node (or this node is one, with a quorum).
    pub(crate) fn heard_leader(&self) {
        self.heard.store(self.applied.now(), Ordering::Relaxed);
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    fn voters(&self) -> usize {
        self.raft.metrics().borrow_watched().membership_config.voter_ids().count()
    }

    /// What this node says of itself to a peer.
    pub(crate) async fn hello(&self) -> wire::Hello {
        let initialized = self.raft.is_initialized().await.unwrap_or(true);
        wire::Hello {
            cluster: self.cluster(),
            id: self.me.id,
            name: self.me.name.clone(),
            boot: self.options.record.boot,
            initialized,
            members: self.options.book.iter().map(|(name, _)| name.clone()).collect(),
            applied: self.applied.view().get().index(),
        }
    }
}

/// The leader's part of a transfer: starts it and says to whom.
pub(crate) async fn hand_over(shared: &Shared, to: Option<NodeId>) -> Tried<LogIndex> {
    if !shared.is_leader() {
        return Tried::NotLeader;
    }
    let Some(target) = to.map(|id| id.0).or_else(|| most_advanced(shared)) else { return Tried::NotLeader };
    match shared.raft.trigger().transfer_leader(target).await {
        Ok(()) => Tried::Done(LogIndex(target)),
        Err(_) => Tried::Unsure,
    }
}

fn most_advanced(shared: &Shared) -> Option<u64> {
    let metrics = shared.raft.metrics();
    let metrics = metrics.borrow_watched();
    let matched = metrics.replication.as_ref()?;
    let others = metrics.membership_config.voter_ids().filter(|id| *id != shared.me.id.0);
    others.max_by_key(|id| (matched.get(id).and_then(|m| m.as_ref().map(|log| log.index)), *id))
}
