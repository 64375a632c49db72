//! What a node is told at its start, from four places: flags over environment over file over defaults.
//!
//! Reading those places is the program's business; deciding what they mean is a pure function of them,
//! [`Config::load`], so that every rule below has a test without a process, a file or an environment.
//! Everything that is wrong is reported at once, each with its origin, because a node that has to be started once
//! per mistake teaches people to guess.
//!
//! Two rules that are not about one value: the node itself is among its peers (or it would wait for ever to be
//! asked in), and without a cluster secret nothing of the peer listener reaches beyond loopback (whoever speaks
//! to it can rewrite the cluster).

mod backplane;
mod duration;
mod error;
mod file;
mod files;
mod gateway;
mod original;
#[cfg(test)]
mod original_tests;
mod parse;
mod reader;
mod reference;
mod rules;
mod setting;
mod standing;
#[cfg(test)]
mod tests;
mod yaml;

pub use backplane::{GatewayBackplane, RedisAt};
pub use error::{ConfigError, ConfigErrors, Origin, Wrong, quoted};
pub use files::NamedFiles;
pub use gateway::{Gateway, GatewayListener, Identity, Tokens};
pub use reference::reference;
pub use setting::{DefaultValue, SETTINGS, Setting, is_unknown_variable};
pub use yaml::{Line, Yaml};

use quorate_model::{KeyspaceSource, NodeName, PartitionCount, Ttl, route::Target};
use quorate_routing::{
    local::{Mode, Rules},
    sandbox::key::KeyForms,
};
use reader::Reader;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// The port of the peer listener where none is given.
const PEER_PORT: u16 = 7_070;
/// The port of the routing listener for TLS where none is given.
const HTTPS_PORT: u16 = 8_443;

/// Settings that take effect while the node runs; so do the rules of the file.
const LIVE: [&str; 1] = ["default-target"];

/// Everything that a configuration is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Flags that were given, by name without dashes.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The file of `--config`, if one was named.
    pub file: Option<ConfigFile>,
    /// What the program found out about the machine.
    pub machine: Machine,
}

/// A configuration file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path, for errors.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What defaults depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The host name; the default of the node's name.
    pub host_name: String,
    /// How many cores this process may use; at least 1.
    pub cores: usize,
    /// Where log lines go.
    pub log_to: LogTo,
}

impl Default for Machine {
    fn default() -> Self {
        Self { host_name: "localhost".into(), cores: 1, log_to: LogTo::Machine }
    }
}

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// A terminal.
    Person,
    /// A file, a pipe, a collector.
    Machine,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The routing listener for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where.
    pub listen: SocketAddr,
    /// The certificate, a PEM file.
    pub certificate: PathBuf,
    /// Its key, a PEM file.
    pub key: PathBuf,
}

/// Where the default keyspace's partition count comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port` each; never empty.
    pub brokers: Vec<String>,
    /// Whose partitions count.
    pub topic: String,
    /// How often the leader asks.
    pub refresh: Duration,
}

/// A node's configuration. Each field is valid by itself and together with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Stable name of this node.
    pub node_name: NodeName,
    /// Where it is, for services that prefer their own zone.
    pub zone: Option<Box<str>>,
    /// Everything durable.
    pub data_dir: PathBuf,
    /// Where requests are routed.
    pub routing: SocketAddr,
    /// Where else, for clients that know a port of its own for gRPC.
    pub grpc: Option<SocketAddr>,
    /// Where they are routed that come by TLS.
    pub https: Option<Https>,
    /// Registration, native API, health, metrics.
    pub management: SocketAddr,
    /// The WebSocket gateway.
    pub gateway: Gateway,
    /// How the gateway reaches others.
    pub backplane: GatewayBackplane,
    /// Node to node.
    pub peer: SocketAddr,
    /// Initial members and their `host:port`, this node included; empty: a cluster of one.
    pub peers: BTreeMap<NodeName, String>,
    /// What others dial, where it was given; see [`Config::advertised_peer`].
    pub advertise_peer: Option<String>,
    /// See [`Config::advertised_management`].
    pub advertise_management: Option<String>,
    /// What clients dial, where it was given.
    pub advertise_gateway: Option<String>,
    /// Lease of a worker that names none.
    pub worker_ttl: Ttl,
    /// Lease of a worker that registers with the coordinator's dialect, which can name none.
    pub coordinator_ttl: Ttl,
    /// How long a worker may take to begin its answer.
    pub request_timeout: Duration,
    /// Where requests say their routing keys.
    pub key_forms: Arc<KeyForms>,
    /// What the node stands in front of.
    pub mode: Mode,
    /// Where requests go that nothing else is for.
    pub default_target: Option<Target>,
    /// Rules of the settings file, which are this node's own.
    pub rules: Arc<Rules>,
    /// Set: the settings file is read again while the node runs, with these around it.
    pub reload: Option<Arc<Sources>>,
    /// Count of the default keyspace, where `kafka` is `None`.
    pub partitions: PartitionCount,
    /// Set: the count comes from Kafka.
    pub kafka: Option<Kafka>,
    /// Of Raft; at most a third of `election_timeout`.
    pub heartbeat_interval: Duration,
    /// Of Raft; randomised in [t, 2t).
    pub election_timeout: Duration,
    /// Log entries between two snapshots.
    pub snapshot_entries: u64,
    /// Data-plane threads.
    pub threads: usize,
    /// What peers prove to each other.
    pub cluster_secret_file: Option<PathBuf>,
    /// Who may open tunnels.
    pub tunnel_token_file: Option<PathBuf>,
    /// How long the node goes on taking requests after SIGTERM, while it is not ready any more.
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    pub drain_limit: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// A level, or a comma list of `module=level`.
    pub log_level: String,
    /// The machine's name, for what is advertised on wildcard listeners.
    pub host_name: String,
}

impl Config {
    /// Decides what the sources mean.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader, &sources.machine);
        config.check(&mut reader);
        let errors = reader.finish();
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }

    /// Where a node that is started from these sources has its management listener. Other settings may be wrong or
    /// missing, such as those that only its command line has.
    pub fn management_of(sources: &Sources) -> Result<SocketAddr, ConfigErrors> {
        let mut reader = Reader::new(sources);
        let mode = Self::read_mode(&mut reader);
        let before = reader.errors();
        let address = Self::read_management(&mut reader, mode);
        let errors = reader.finish().split_off(before);
        if errors.is_empty() { Ok(address) } else { Err(ConfigErrors(errors)) }
    }

    /// What is said of the settings that need a restart differs in these.
    pub fn restarts(before: &Sources, after: &Sources) -> Vec<&'static str> {
        let (before, after) = (Reader::new(before), Reader::new(after));
        let (before, after) = (before.texts(), after.texts());
        let differs = |name: &&str| before.get(*name) != after.get(*name) && !LIVE.contains(name);
        SETTINGS.iter().map(|setting| setting.name).filter(differs).collect()
    }

    /// A sidecar has one neighbour, who may reach its APIs; `HOST` is about who may reach the application.
    fn read_management(r: &mut Reader<'_>, mode: Mode) -> SocketAddr {
        let host = match mode {
            Mode::Gateway => Some("HOST"),
            Mode::Sidecar => None,
        };
        r.legacy_listener("management", (host, &["MANAGEMENT_PORT"]))
    }

    fn read_mode(r: &mut Reader<'_>) -> Mode {
        r.value("proxy-mode", |text, _| parse::mode(text))
    }

    fn read(r: &mut Reader<'_>, machine: &Machine) -> Self {
        let peers = r.optional("peers", |text, _| parse::peers(text)).unwrap_or_default();
        let cluster_secret_file = r.optional("cluster-secret-file", |text, _| parse::path(text));
        let mode = Self::read_mode(r);
        let tunnel_token_file = r.optional("tunnel-token-file", |text, _| parse::path(text));
        let guarded = !peers.is_empty() && cluster_secret_file.is_some();
        let peer_host = if guarded { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let format = match machine.log_to {
            LogTo::Person => LogFormat::Text,
            LogTo::Machine => LogFormat::Json,
        };
        Self {
            node_name: r.value_or("node-name", &machine.host_name, |text, _| parse::node_name(text)),
            zone: r.optional("zone", |text, _| parse::zone(text)),
            data_dir: r.value("data-dir", |text, _| parse::path(text)),
            routing: r.legacy_listener("routing", (Some("HOST"), &["PROXY_PORT", "PORT"])),
            grpc: r.optional("grpc", |text, _| parse::listener_or_off(text)).flatten(),
            https: Self::read_https(r),
            management: Self::read_management(r, mode),
            gateway: gateway::read(r, mode, machine.cores),
            backplane: backplane::read(r),
            peer: r
                .optional("peer", |text, _| parse::listener(text))
                .unwrap_or_else(|| (peer_host, PEER_PORT).into()),
            peers,
            advertise_peer: r.optional("advertise-peer", |text, _| parse::dialled(text)),
            advertise_management: r.optional("advertise-management", |text, _| parse::dialled(text)),
            advertise_gateway: r.optional("advertise-gateway", |text, _| parse::gateway_dialled(text)),
            worker_ttl: r.value("worker-ttl", parse::ttl),
            coordinator_ttl: r.value("coordinator-ttl", parse::coordinator_ttl),
            request_timeout: r.duration("request-timeout", &parse::REQUEST_TIMEOUT),
            key_forms: r.value("route-key-headers", |text, _| parse::key_forms(text)),
            mode,
            default_target: r.optional("default-target", |text, _| parse::target(text)),
            rules: Arc::new(r.rules()),
            reload: None,
            partitions: r.value("partitions", |text, _| parse::partitions(text)),
            kafka: Self::read_kafka(r),
            heartbeat_interval: r.duration("heartbeat-interval", &parse::HEARTBEAT),
            election_timeout: r.duration("election-timeout", &parse::ELECTION),
            snapshot_entries: r.value("snapshot-entries", |text, _| parse::snapshot_entries(text)),
            threads: r.optional("threads", |text, _| parse::threads(text)).unwrap_or(machine.cores),
            cluster_secret_file,
            tunnel_token_file,
            drain_delay: r.duration("drain-delay", &parse::DRAIN),
            drain_limit: r.duration("drain-limit", &parse::DRAIN),
            log_format: r.optional("log-format", |text, _| parse::log_format(text)).unwrap_or(format),
            log_level: r.value("log-level", |text, _| parse::log_level(text)),
            host_name: machine.host_name.clone(),
        }
    }

    fn read_https(r: &mut Reader<'_>) -> Option<Https> {
        let listen = r.optional("https", |text, _| parse::listener_or_off(text));
        let certificate = r.optional("tls-cert", |text, _| parse::path(text));
        let key = r.optional("tls-key", |text, _| parse::path(text));
        let allowed = "--tls-cert and --tls-key together";
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let listen = listen.unwrap_or(Some((Ipv4Addr::UNSPECIFIED, HTTPS_PORT).into()))?;
                return Some(Https { listen, certificate, key });
            }
            (Some(_), None) => r.refuse("tls-cert", "the certificate has no key".into(), allowed),
            (None, Some(_)) => r.refuse("tls-key", "the key has no certificate".into(), allowed),
            (None, None) if listen.flatten().is_some() => {
                r.refuse(
                    "https",
                    "the listener has no certificate".into(),
                    "--tls-cert and --tls-key with it",
                );
            }
            (None, None) => {}
        }
        None
    }

    fn read_kafka(r: &mut Reader<'_>) -> Option<Kafka> {
        // Read whether or not there are brokers, so that a wrong value is never passed over.
        let topic = r.value("kafka-topic", |text, _| parse::topic(text));
        let refresh = r.duration("kafka-refresh", &parse::KAFKA_REFRESH);
        let brokers = r.optional("kafka-brokers", |text, _| parse::brokers(text))?;
        Some(Kafka { brokers, topic, refresh })
    }

    /// The rules that are about more than one value.
    fn check(&self, r: &mut Reader<'_>) {
        if self.election_timeout < 3 * self.heartbeat_interval {
            let problem = format!("{:?} is too short", self.election_timeout);
            let least = 3 * self.heartbeat_interval;
            r.refuse("election-timeout", problem, format!("at least three heartbeat intervals, {least:?}"));
        }
        if !self.peers.is_empty() && !self.peers.contains_key(&self.node_name) {
            let names: Vec<_> = self.peers.keys().map(NodeName::as_str).collect();
            let problem = format!("this node, {}, is not among {}", self.node_name, names.join(", "));
            r.refuse("peers", problem, "the node itself included: change --peers or --node-name");
        }
        backplane::check(&self.backplane, &self.node_name, r);
        self.check_listeners(r);
        self.check_target(r);
        if self.cluster_secret_file.is_none() {
            self.check_loopback(r);
        }
    }

    /// Who decides the partition count of the default keyspace.
    pub fn keyspace_source(&self) -> KeyspaceSource {
        if self.kafka.is_some() { KeyspaceSource::Kafka } else { KeyspaceSource::Static }
    }

    /// What other nodes dial: as given, else the node's own entry in the peers, else from the bound listener.
    pub fn advertised_peer(&self, bound: SocketAddr) -> String {
        let own = || self.peers.get(&self.node_name).cloned();
        self.advertise_peer.clone().or_else(own).unwrap_or_else(|| self.reachable(bound))
    }

    /// What others are told as the management address: as given, else from the bound listener.
    pub fn advertised_management(&self, bound: SocketAddr) -> String {
        self.advertise_management.clone().unwrap_or_else(|| self.reachable(bound))
    }

    /// What clients dial to speak to its gateway, as a URL.
    pub fn advertised_gateway(&self, bound: SocketAddr) -> String {
        let dialled = self.advertise_gateway.clone().unwrap_or_else(|| self.reachable(bound));
        let scheme = match self.gateway.identity {
            // What stands in front of it may speak another one than it does itself.
            _ if dialled.contains("://") => "",
            Some(_) => "wss://",
            None => "ws://",
        };
        format!("{scheme}{dialled}/ws")
    }

    /// A wildcard address can't be dialled; the name by which the peers know this node can, or its host name.
    fn reachable(&self, bound: SocketAddr) -> String {
        if !bound.ip().is_unspecified() {
            return bound.to_string();
        }
        let host = match self.advertise_peer.as_ref().or_else(|| self.peers.get(&self.node_name)) {
            Some(peer) => peer.rsplit_once(':').map_or(peer.as_str(), |(host, _)| host),
            None => &self.host_name,
        };
        format!("{host}:{}", bound.port())
    }
}
