//! A node's consensus: started from its options and its disk, used through [`Consensus`].

use crate::{
    candidacy::Hearing,
    forming,
    forward::{Forwarder, Unavailable},
    in_flight::Counter,
    key_tracing::Tracer,
    levels::{self, Levels},
    liveness,
    liveness::{Pulse, Vessel},
    loads::LoadKeeper,
    log_bound,
    looking::Looks,
    observer::Applied,
    observing::Teller,
    openings::OpeningKeeper,
    options::{Options, PEER_BATCHES_MAX},
    peer::{
        client::{Dialler, Links},
        directory::Directory,
        raft_network::Network,
        server::PeerService,
        wire,
    },
    probing::Confirmer,
    proposer::{Committed, Proposer, Route},
    ramps::RampKeeper,
    reads,
    room::{Gauge, Room},
    roster::Roster,
    sessions,
    types::Raft,
};
use openraft::{ServerState, async_runtime::WatchReceiver};
use quorate_model::{
    ClusterId, Command, FeatureLevel, Heartbeat, HeartbeatOutcome, LeaseInfo, Load, LogIndex, NodeId,
    NodeLevels, NodeName, Opening, Openings, WorkerId,
};
use quorate_rt::{published::Published, shutdown, time};
use quorate_state::{Loads, View};
use quorate_storage::{LogStore, Machine, Snapshots};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::Ordering},
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
    /// This binary can less than the cluster's log asks for.
    #[error(
        "{who} feature level {stands}, but this version knows levels up to {max}: run the newer version again; a cluster never goes back to an earlier level"
    )]
    FeatureLevel {
        /// Such as "the data folder is at".
        who: String,
        /// The cluster's.
        stands: FeatureLevel,
        /// Ours.
        max: FeatureLevel,
    },
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
    /// For calls that wait at the other end: on connections of their own, where they stand in nobody's way.
    pub(crate) waiting: Links,
    pub(crate) vessel: Vessel,
    pub(crate) roster: Roster,
    pub(crate) levels: Levels,
    pub(crate) loads: LoadKeeper,
    pub(crate) openings: OpeningKeeper,
    pub(crate) ramps: RampKeeper,
    pub(crate) proposer: Proposer,
    /// Bounds what followers may have under way at this node.
    pub(crate) places: Semaphore,
    /// What this node has written down of its state.
    pub(crate) snapshots: Snapshots,
    /// Bounds how many snapshots it receives, and how many backups it restores, at once.
    pub(crate) receiving: Semaphore,
    pub(crate) restoring: Semaphore,
    pub(crate) heard: Hearing,
    /// Who counts what this node has under way, and says what it makes of workers, once it routes.
    pub(crate) counter: OnceLock<Counter>,
    pub(crate) teller: OnceLock<Teller>,
    pub(crate) tracer: OnceLock<Tracer>,
    pub(crate) looks: Looks,
    /// Who looks at endpoints for other nodes, once this one does for itself.
    pub(crate) confirmer: OnceLock<Confirmer>,
    pub(crate) carriage: crate::tunnelling::Carriage,
    /// Where users come and go.
    pub(crate) turnstile: sessions::Turnstile,
    /// What a node that is in no cluster waits for.
    pub(crate) outside: Mutex<Option<String>>,
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
        let config = Arc::new(options.raft_config().map_err(Box::new)?);
        levels::refuse_older(&options, machine.state().feature_level())?;
        let dialler = Dialler::new(options.me.clone());
        let (links, waiting) = (Links::new(dialler.clone()), Links::new(dialler.clone()));
        forming::refuse_other_cluster(&options.me, &options.book).await?;
        levels::refuse_newer_peers(&options).await?;
        let (snapshots, growth) = (machine.snapshots().clone(), machine.log_growth().clone());
        let directory = Directory::new(options.book.clone());
        let network = Network { dialler, directory: directory.clone(), snapshots: snapshots.clone() };
        let raft = Raft::new(options.me.id.0, config, network, log, machine)
            .await
            .map_err(|e| StartError::Fatal(e.to_string()))?;
        let had_log = raft.is_initialized().await.map_err(|e| StartError::Fatal(e.to_string()))?;
        let forwarder = Forwarder {
            raft: raft.clone(),
            links,
            directory,
            id: options.me.id,
            had_log,
            room: Gauge::default(),
            removed: Arc::default(),
        };
        let vessel = Vessel::new(forwarder.clone(), applied.clone(), (options.election, options.gateway_ttl));
        let route = Route { forwarder: forwarder.clone(), applied: applied.clone() };
        let (proposer, pulse) = (Proposer::start(options.record.boot, route), Pulse::start(vessel.clone()));
        let (stop, stopped) = shutdown::channel();
        let (turnstile, turning) = sessions::Turnstile::new();
        let shared = Shared {
            me: options.me.clone(),
            options,
            raft,
            applied,
            forwarder,
            waiting,
            vessel,
            roster: Roster::default(),
            levels: Levels::default(),
            loads: LoadKeeper::default(),
            openings: OpeningKeeper::default(),
            ramps: RampKeeper::default(),
            proposer: proposer.clone(),
            places: Semaphore::new(PEER_BATCHES_MAX),
            snapshots,
            receiving: Semaphore::new(1),
            restoring: Semaphore::new(1),
            heard: Hearing::default(),
            counter: OnceLock::new(),
            teller: OnceLock::new(),
            tracer: OnceLock::new(),
            carriage: Default::default(),
            turnstile,
            looks: Looks::default(),
            confirmer: OnceLock::new(),
            outside: Mutex::default(),
        };
        let consensus = Self { shared: Arc::new(shared), proposer, pulse, stop: Arc::new(stop) };
        quorate_rt::spawn(forming::form(consensus.shared.clone(), stopped.clone()));
        quorate_rt::spawn(log_bound::keep(consensus.shared.raft.clone(), growth, stopped.clone()));
        consensus.tend(turning, &stopped);
        consensus.tell_peers(&stopped);
        let (vessel, proposer) = (consensus.shared.vessel.clone(), consensus.proposer.clone());
        quorate_rt::spawn(liveness::keep(vessel, proposer, stopped));
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
        levels::require(&command, self.feature_level())?;
        self.proposer.propose(command).await
    }

    /// Brings heartbeats to the leader; one outcome for each.
    pub async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatOutcome>, Unavailable> {
        self.pulse.beat(beats).await
    }

    /// Keeps what a worker said about its load, and tells the other nodes soon.
    pub fn hear_load(&self, id: &WorkerId, load: Load) {
        self.shared.loads.hear(id, load, self.shared.applied.now());
    }

    /// What workers said about their load, as far as this node knows.
    pub fn loads(&self) -> Loads {
        self.shared.loads.loads()
    }

    /// The same for those who read with every request: at most a quarter of a second old.
    pub fn published_loads(&self) -> &Arc<Published<Loads>> {
        self.shared.loads.published()
    }

    /// A breaker of this node opened: the other nodes are told soon.
    pub fn hear_opening(&self, opening: &Opening) {
        self.shared.openings.hear(opening, self.shared.applied.now());
    }

    /// Breakers that opened here or at other nodes, as far as that is told.
    pub fn published_openings(&self) -> &Arc<Published<Openings>> {
        self.shared.openings.published()
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

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.shared.me.id
    }

    /// The cluster's id, once known.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.cluster()
    }

    /// Tells how much room the node's disk has. With little, a leader that finds somebody else hands over.
    pub fn set_room(&self, room: Room) {
        self.shared.forwarder.room.set(room);
    }

    /// Stops all tasks and Raft.
    pub async fn shutdown(&self) {
        self.stop.fire();
        // An error says that a task of Raft had failed before; it is gone either way.
        let _ = self.shared.raft.shutdown().await;
    }

    /// Resolves when this node can't go on, with the reason: Raft has stopped by itself since its disk failed, or
    /// the cluster has come to a level that this binary does not know.
    pub async fn failed(&self) -> String {
        tokio::select! {
            why = self.raft_failed() => why,
            why = levels::left_behind(&self.shared) => why,
        }
    }

    async fn raft_failed(&self) -> String {
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

    pub(crate) fn waits_for(&self, what: Option<String>) {
        *self.outside.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// A leader spoke to this node (or this node is one, with a quorum).
    pub(crate) fn heard_leader(&self) {
        self.heard.now(self.applied.now());
    }

    /// Whether a follower heard no leader for `long`.
    pub(crate) fn silent_for(&self, long: Duration) -> bool {
        self.heard.ago(self.applied.now()).is_none_or(|ago| ago >= long)
    }

    /// Says so once, when it changes.
    pub(crate) fn set_removed(&self, removed: bool) {
        if self.forwarder.removed.swap(removed, Ordering::Relaxed) == removed {
            return;
        }
        if removed {
            tracing::warn!(
                "this node is no member of the cluster any more: it was removed. It routes by what it knew last, and can be stopped"
            );
        } else {
            tracing::info!("this node is a member of the cluster again");
        }
    }

    pub(crate) fn is_leader(&self) -> bool {
        let removed = self.forwarder.removed.load(Ordering::Relaxed);
        !removed && self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    pub(crate) fn voters(&self) -> usize {
        self.raft.metrics().borrow_watched().membership_config.voter_ids().count()
    }

    /// What this node says about levels.
    pub(crate) fn node_levels(&self) -> NodeLevels {
        NodeLevels { max: self.options.levels.max, cluster: self.applied.view().get().feature_level() }
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
