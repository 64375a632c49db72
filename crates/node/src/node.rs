//! A node's life: opened, wired, started, shut down. The same code runs in production and in simulation.

use crate::{
    certificates,
    cluster::NodeCluster,
    config::Config,
    data_plane, disk_room,
    gateway::{self, Claimed},
    health, management, measure, partition_poller,
    partition_source::PartitionSource,
    readiness::{self, Past, Phase, Readiness},
    settings_file,
    tunnels::{self, Guard, Holding, Unusable},
};
use quorate_consensus::{AddressBook, Applied, Consensus, Options, Secret, SelfId, options::GATEWAY_TTL};
use quorate_gateway::{backplane::Detour, gateway::Gateway};
use quorate_model::{BootId, FeatureLevel, NodeLevels, NodeRecord};
use quorate_proxy::{Freshness, InFlight, Proxy};
use quorate_rt::{http::ServeLimits, net, published::Published, rng, shutdown, time};
use quorate_state::View;
use quorate_storage::{Disk, Identity};
use quorate_telemetry::Metrics;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Notify;

/// How often it is looked whether the cluster's id is known, and tried again to write it.
const REMEMBER_EVERY: Duration = Duration::from_millis(25);
/// How often it is looked whether the cluster's feature level has risen.
const REMEMBER_LEVEL_EVERY: Duration = Duration::from_secs(1);
/// How long open management and peer requests may finish once the routing listener has drained.
const CONTROL_DRAIN: Duration = Duration::from_secs(2);

/// What a node is given besides its configuration: where it runs.
pub struct Platform {
    /// Its disk, opened under the configuration's node name.
    pub disk: Arc<dyn Disk>,
    /// Who tells the partition count, where the configuration names Kafka.
    pub partition_source: Option<Arc<dyn PartitionSource>>,
    /// What the configuration's secret file holds.
    pub secret: Option<Secret>,
    /// By what else the gateway finds users and reaches other gateways, if not by the cluster alone.
    pub detour: Option<Detour>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names a cluster secret, and the platform has none: the peer listener would stand open.
    #[error("the configuration names a cluster secret file, but its secret was not read")]
    NoSecret,
    /// The disk can't be trusted, or is not this node's. Nothing on it was changed.
    #[error(transparent)]
    Disk(#[from] quorate_storage::OpenError),
    /// The file of tokens for tunnels can't be used.
    #[error("--tunnel-token-file {0}")]
    Tokens(#[from] Unusable),
    /// A file of the gateway can't be used: the key for clients' tokens, its certificate or that one's key.
    #[error(transparent)]
    GatewayFile(#[from] gateway::Unusable),
    /// The gateway did not start.
    #[error(transparent)]
    Gateway(#[from] quorate_gateway::gateway::StartError),
    /// A listener's address is taken or not this machine's.
    #[error("{listener} {address} can't be listened on: {source}")]
    Listen {
        /// The flag.
        listener: &'static str,
        /// Its value.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Consensus did not start.
    #[error(transparent)]
    Consensus(#[from] quorate_consensus::StartError),
    /// The data plane did not start.
    #[error(transparent)]
    Proxy(#[from] quorate_proxy::StartError),
}

impl StartError {
    /// Whether the operator has to change something before another start can succeed (exit code 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Disk(quorate_storage::OpenError::Io { .. }) => false,
            Self::NoSecret
            | Self::Tokens(_)
            | Self::GatewayFile(_)
            | Self::Disk(_)
            | Self::Consensus(
                quorate_consensus::StartError::OtherCluster { .. }
                | quorate_consensus::StartError::FeatureLevel { .. },
            ) => true,
            Self::Listen { .. } | Self::Consensus(_) | Self::Proxy(_) | Self::Gateway(_) => false,
        }
    }
}

/// A running node.
pub struct Node {
    config: Config,
    consensus: Consensus,
    proxy: Proxy,
    tunnels: Holding,
    gateway: Option<Gateway>,
    reread: [Arc<Notify>; 3],
    metrics: Arc<Metrics>,
    readiness: Readiness,
    management: SocketAddr,
    peer: SocketAddr,
    stop: shutdown::Trigger,
    management_stop: shutdown::Trigger,
    management_ended: quorate_rt::JoinHandle<()>,
    peer_stop: shutdown::Trigger,
}

impl Node {
    /// Starts a node. When this returns it listens everywhere; it is ready once `/readyz` says so.
    pub async fn start(config: Config, platform: Platform) -> Result<Self, StartError> {
        let Platform { disk, partition_source, secret, detour } = platform;
        if config.cluster_secret_file.is_some() && secret.is_none() {
            return Err(StartError::NoSecret);
        }
        let tokens = tunnels::tokens(config.tunnel_token_file.clone()).await?;
        let guards = gateway::guards(&config).await?;
        // Bound first: an address that is taken must not leave a trace on the disk.
        let (peer_listener, peer) = bind("--peer", config.peer).await?;
        let (management_listener, management) = bind("--management", config.management).await?;
        data_plane::claim(&config)?;
        let gateway = gateway::claim(&config, guards)?;
        let past = if disk.identity().cluster.is_some() { Past::Member } else { Past::Empty };
        let metrics = Metrics::new();
        let control = metrics.control();
        let applied = Applied::new(control.clone());
        let (log, machine) = quorate_storage::open(&*disk, applied.clone(), control.clone()).await?;
        let options = options(&config, &*disk, secret, (peer, management));
        let consensus = Consensus::start(options, log, machine, applied).await?;
        let (stop, stopped) = shutdown::channel();
        let (management_stop, management_stopped) = shutdown::channel();
        let (peer_stop, peer_stopped) = shutdown::channel();
        let limits = ServeLimits { drain: CONTROL_DRAIN, ..ServeLimits::default() };
        let service = consensus.peer_service();
        quorate_rt::spawn(quorate_rt::http::serve(peer_listener, service, limits, peer_stopped));
        let readiness = Readiness::default();
        let freshness = Arc::new(Freshness::new());
        let me = &config.node_name;
        let (tunnels, roads) = tunnels::hang(me, &consensus, &stopped);
        let (tokens, tokens_asked) = tunnels::keep_up(config.tunnel_token_file.as_ref(), tokens, &stopped);
        let cluster = NodeCluster::new(me.clone(), consensus.clone(), readiness.clone());
        let cluster = Arc::new(cluster.taking_tunnels(Guard::new(tokens, management), tunnels.clone()));
        let local = settings_file::local(&config);
        let addresses = (peer, management, gateway.as_ref().map(Claimed::local_addr));
        let apis = management::config(&config, (&metrics, &local), addresses, &management_stopped);
        let proxy = data_plane::start(&config, &consensus, (&local, &roads), (&freshness, &metrics)).await?;
        data_plane::tell(&proxy, &consensus);
        let gateway = gateway::start(&config, gateway, detour, (&consensus, &metrics)).await?;
        let listener = (management_listener, limits, management_stopped);
        let management_ended = management::serve(cluster, apis, proxy.inlet(), listener);
        quorate_rt::spawn(remember_level(consensus.clone(), disk.clone(), stopped.clone()));
        disk_room::keep_up(&consensus, &disk, control, &stopped);
        let checks = health::run((consensus.clone(), me.clone()), roads, metrics.clone(), stopped.clone());
        quorate_rt::spawn(checks);
        let remembered = quorate_rt::spawn(remember_cluster(consensus.clone(), disk, stopped.clone()));
        let ready = readiness::watch(consensus.clone(), readiness.clone(), past, remembered, stopped.clone());
        quorate_rt::spawn(ready);
        quorate_rt::spawn(measure::run(consensus.clone(), freshness, metrics.clone(), stopped.clone()));
        let file = settings_file::keep_up(&config, (&local, metrics.control()), &stopped);
        let reread = [certificates::keep_up(&proxy, gateway.as_ref(), &stopped), file, tokens_asked];
        if let (Some(source), Some(kafka)) = (partition_source, &config.kafka) {
            quorate_rt::spawn(partition_poller::poll(consensus.clone(), source, kafka.refresh, stopped));
        }
        Ok(Self {
            config,
            consensus,
            proxy,
            tunnels,
            gateway,
            reread,
            metrics,
            readiness,
            management,
            peer,
            stop,
            management_stop,
            management_ended,
            peer_stop,
        })
    }

    /// Where requests are routed.
    pub fn routing_addr(&self) -> SocketAddr {
        self.proxy.local_addr()
    }

    /// Where else requests are routed.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.proxy.grpc_addr()
    }

    /// Where requests are routed that come by TLS.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.proxy.https_addr()
    }

    /// Where the APIs are.
    pub fn management_addr(&self) -> SocketAddr {
        self.management
    }

    /// Where WebSockets are taken; `None`: nowhere.
    pub fn gateway_addr(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Gateway::local_addr)
    }

    /// Where peers are heard.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The published View.
    pub fn view(&self) -> &Arc<Published<View>> {
        self.consensus.view()
    }

    /// Its consensus, for tests and tools that run inside the process.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The node's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How many requests workers have from this node.
    pub fn in_flight(&self) -> &InFlight {
        self.proxy.in_flight()
    }

    /// Whether it may be sent requests.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Reads those files again that may change while the node runs: the certificates of the TLS listeners and their keys,
    /// the settings, and the tokens for tunnels.
    pub fn reread(&self) {
        let config = &self.config;
        let shown = certificates::of(&self.proxy, self.gateway.as_ref());
        if shown.is_empty() && config.reload.is_none() && config.tunnel_token_file.is_none() {
            tracing::info!(
                "asked to read files again: there is no certificate, no settings file and no file of tokens, and all else is \
                 read at start"
            );
        }
        self.reread.iter().for_each(|asked| asked.notify_one());
    }

    /// Resolves when the node can't go on: Raft has stopped because a disk failed.
    pub async fn failed(&self) -> String {
        self.consensus.failed().await
    }

    /// Shuts down: not ready, leadership handed over, requests taken until the drain delay is over, those in flight
    /// finished within the drain limit, then everything closed.
    pub async fn shutdown(self) {
        self.readiness.advance(Phase::Draining);
        if self.config.drain_delay.is_zero() {
            self.consensus.hand_over_leadership().await;
        } else {
            self.be_left().await;
        }
        // While its lease stands they find another node, and nobody asks in vain.
        self.tunnels.leave().await;
        let sockets = gateway::end(self.gateway, &self.consensus);
        tokio::join!(sockets, self.proxy.drain(), self.tunnels.drain(self.config.drain_limit));
        self.stop.fire();
        self.management_stop.fire();
        // A write that is under way needs its peers until it is answered. An error says that serving had panicked;
        // it is over either way.
        let _ = self.management_ended.await;
        self.peer_stop.fire();
        self.consensus.shutdown().await;
        tracing::info!(node = %self.config.node_name, "shut down");
    }

    /// Whoever sends requests learns only some time later that this node is not ready any more. Until then each of
    /// them is answered: a closed listener would be a failed request.
    async fn be_left(&self) {
        let over = time::Instant::now() + self.config.drain_delay;
        tracing::info!(node = %self.config.node_name, delay = ?self.config.drain_delay, "about to end");
        self.proxy.ask_to_leave();
        self.consensus.hand_over_leadership().await;
        tokio::select! {
            biased;
            // Nobody is served well by a node whose disk has failed.
            why = self.consensus.failed() => tracing::error!(why, "the node can't go on"),
            () = time::sleep_until(over) => {}
        }
        // An election may have made it the leader again meanwhile.
        self.consensus.hand_over_leadership().await;
    }
}

async fn bind(
    listener: &'static str,
    address: SocketAddr,
) -> Result<(net::TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { listener, address, source };
    let bound = net::bind(address).await.map_err(failed)?;
    let address = bound.local_addr().map_err(failed)?;
    Ok((bound, address))
}

/// A disk of one cluster among peers of another must not start. Ask before the disk is opened for writing, so that
/// it stays as it is.
pub async fn refuse_other_cluster(
    config: &Config,
    identity: &Identity,
    secret: Option<Secret>,
) -> Result<(), StartError> {
    let (me, book) = (self_id(identity, secret), AddressBook::new(config.peers.clone()));
    Ok(quorate_consensus::refuse_other_cluster(&me, &book).await?)
}

fn self_id(identity: &Identity, secret: Option<Secret>) -> SelfId {
    let cluster = identity.cluster.map_or_else(OnceLock::new, OnceLock::from);
    SelfId { id: identity.id, name: identity.name.clone(), cluster: Arc::new(cluster), secret }
}

fn options(
    config: &Config,
    disk: &dyn Disk,
    secret: Option<Secret>,
    (peer, management): (SocketAddr, SocketAddr),
) -> Options {
    let identity = disk.identity();
    let record = NodeRecord {
        id: identity.id,
        name: config.node_name.clone(),
        boot: BootId(rng::random_u64()),
        peer: config.advertised_peer(peer).into(),
        management: config.advertised_management(management).into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    Options {
        me: self_id(&identity, secret),
        book: AddressBook::new(config.peers.clone()),
        record,
        heartbeat: config.heartbeat_interval,
        election: config.election_timeout,
        partitions: config.kafka.is_none().then_some(config.partitions),
        source: config.keyspace_source(),
        levels: NodeLevels { max: FeatureLevel::NEWEST, cluster: identity.level },
        snapshot_every: config.snapshot_entries,
        // Elections take a few of these.
        gateway_ttl: GATEWAY_TTL.max(config.election_timeout * 4),
    }
}

/// Writes the cluster's id into the data folder once it is known, so that the folder is never used in another. The
/// node is not ready before: a folder with acknowledged writes in it that any cluster would take is not safe.
async fn remember_cluster(consensus: Consensus, disk: Arc<dyn Disk>, mut shutdown: shutdown::Shutdown) {
    loop {
        if let Some(cluster) = consensus.view().get().cluster() {
            let writer = disk.clone();
            match quorate_rt::blocking(move || writer.set_cluster(cluster)).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%error, "the cluster's id could not be written to the data folder")
                }
            }
        }
        if time::timeout(REMEMBER_EVERY, shutdown.wait()).await.is_ok() {
            return;
        }
    }
}

/// Writes the cluster's feature level into the data folder when it has risen, so that an older version refuses the
/// folder by its first page instead of stumbling over the log.
async fn remember_level(consensus: Consensus, disk: Arc<dyn Disk>, mut shutdown: shutdown::Shutdown) {
    loop {
        let level = consensus.feature_level();
        if level > disk.identity().level {
            let writer = disk.clone();
            if let Err(error) = quorate_rt::blocking(move || writer.set_level(level)).await {
                tracing::error!(%error, "the feature level could not be written to the data folder");
            }
        }
        if time::timeout(REMEMBER_LEVEL_EVERY, shutdown.wait()).await.is_ok() {
            return;
        }
    }
}
