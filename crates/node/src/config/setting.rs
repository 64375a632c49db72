//! The table of everything that can be configured: the command line, the environment, the file and the reference
//! page are all made from it, so none of them can know a setting that another does not.

mod gateway;

/// One setting of `quorate serve`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag without its dashes. `QUORATE_<NAME>` and the key of the file follow from it.
    pub name: &'static str,
    /// What the value is, in capitals, as help texts show it.
    pub value: &'static str,
    /// What holds where nobody says anything.
    pub default: DefaultValue,
    /// Names of the same setting in systems that Quorate replaces; the first that is set counts.
    pub legacy: &'static [&'static str],
    /// One or two sentences for people.
    pub meaning: &'static str,
}

/// What holds where nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// This text, read like any other value.
    Text(&'static str),
    /// Nothing is set.
    Nothing,
    /// Found out at the start; the words say how.
    Computed(&'static str),
}

impl Setting {
    /// The flag, `--node-name`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The environment variable, `QUORATE_NODE_NAME`.
    pub fn env(&self) -> String {
        format!("QUORATE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The key of the configuration file, `node_name`.
    pub fn key(&self) -> String {
        match self.name {
            // The one key that other pages name with a dot.
            "routing-management-paths" => "routing.management_paths".into(),
            name => name.replace('-', "_"),
        }
    }

    /// The default for people.
    pub fn default_words(&self) -> &'static str {
        match self.default {
            DefaultValue::Text(text) | DefaultValue::Computed(text) => text,
            DefaultValue::Nothing => "none",
        }
    }
}

const fn setting(
    name: &'static str,
    value: &'static str,
    default: DefaultValue,
    meaning: &'static str,
) -> Setting {
    Setting { name, value, default, legacy: &[], meaning }
}

impl Setting {
    const fn or(mut self, legacy: &'static [&'static str]) -> Self {
        self.legacy = legacy;
        self
    }
}

/// Variables of other commands.
const OTHER_VARIABLES: [&str; 4] = ["QUORATE_CONFIG", "QUORATE_GATEWAYS", "QUORATE_SERVER", "QUORATE_TOKEN"];
/// How variables of the agent begin.
const OF_AGENT: &str = "QUORATE_AGENT_";
/// What container platforms make of a service called quorate (`QUORATE_PORT_8080_TCP_ADDR`).
const OF_SERVICES: [&str; 3] = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];

/// Whether a variable looks like a setting and is none: a mistyped one would be missed in silence.
pub fn is_unknown_variable(name: &str) -> bool {
    let known = SETTINGS.iter().any(|setting| setting.env() == name) || OTHER_VARIABLES.contains(&name);
    let of_service = OF_SERVICES.iter().any(|part| name.contains(part));
    name.starts_with("QUORATE_") && !name.starts_with(OF_AGENT) && !known && !of_service
}

/// A setting by the name of its flag.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

use DefaultValue::{Computed, Nothing, Text};

/// Every setting, in the order of the reference page.
pub static SETTINGS: &[Setting] = &ALL;

static ALL: [Setting; OF_NODE.len() + gateway::SETTINGS.len()] = joined(OF_NODE, gateway::SETTINGS);

const fn joined<const N: usize>(first: &[Setting], second: &[Setting]) -> [Setting; N] {
    let mut all = [first[0]; N];
    let mut nth = 0;
    while nth < N {
        all[nth] = if nth < first.len() { first[nth] } else { second[nth - first.len()] };
        nth += 1;
    }
    all
}

const OF_NODE: &[Setting] = &[
    setting("node-name", "NAME", Computed("the host name"), "Stable name of this node."),
    setting(
        "zone",
        "NAME",
        Nothing,
        "Where this node is, as workers say it in their label `zone`; for services that prefer their own zone.",
    ),
    setting("data-dir", "FOLDER", Text("./quorate-data"), "Everything durable. One folder per node."),
    setting(
        "routing",
        "ADDRESS",
        Text("0.0.0.0:8080"),
        "Where requests are routed. HOST replaces the host part, PORT or PROXY_PORT the port.",
    )
    .or(&["HOST", "PROXY_PORT", "PORT"]),
    setting(
        "routing-management-paths",
        "true|false",
        Text("false"),
        "Take registrations on the routing listener too: not available in this version, `true` is refused.",
    ),
    setting(
        "management",
        "ADDRESS",
        Text("127.0.0.1:9090"),
        "Registration, the native API, health and metrics. Whoever reaches it can take traffic. \
         HOST replaces the host part, MANAGEMENT_PORT the port.",
    )
    .or(&["HOST", "MANAGEMENT_PORT"]),
    setting(
        "gateway",
        "ADDRESS",
        Computed("0.0.0.0:8082 where nobody else listens there; off for a sidecar"),
        "The WebSocket gateway. `off`: nowhere. An address that is given and taken keeps the node from starting.",
    ),
    setting(
        "peer",
        "ADDRESS",
        Computed("127.0.0.1:7070 without peers or without a cluster secret, else 0.0.0.0:7070"),
        "Node to node only.",
    ),
    setting(
        "peers",
        "NAME=HOST:PORT,...",
        Nothing,
        "The first members of the cluster, this node included. Names are resolved at every dial.",
    ),
    setting(
        "advertise-peer",
        "HOST:PORT",
        Computed("the node's own entry in the peers, else from the listener"),
        "What other nodes dial.",
    ),
    setting(
        "advertise-management",
        "HOST:PORT",
        Computed("from the listener"),
        "What others are told as this node's management address.",
    ),
    setting(
        "advertise-gateway",
        "HOST:PORT",
        Computed("from the listener"),
        "What clients are told as this node's gateway address; with wss:// before it where a proxy in front of it speaks TLS.",
    ),
    setting(
        "worker-ttl",
        "DURATION",
        Text("30s"),
        "How long a worker lives without a heartbeat, where it does not say so itself; 1s to 24h.",
    )
    .or(&["WORKER_HEARTBEAT_TIMEOUT"]),
    setting(
        "coordinator-ttl",
        "DURATION",
        Text("90s"),
        "The same for workers that register with the service coordinator's dialect, which are asked for a heartbeat every third of it; 3s to 24h.",
    ),
    setting(
        "request-timeout",
        "DURATION",
        Text("30s"),
        "How long a worker may take to begin its answer; 1ms to 24h.",
    )
    .or(&["REQUEST_TIMEOUT"]),
    setting(
        "route-key-headers",
        "NAME,...",
        Text("x-route-key,x-routing-key"),
        "Headers that a request's routing key is looked for in, the first one first, before the other forms; at most 16.",
    ),
    setting(
        "partitions",
        "COUNT",
        Text("12"),
        "Partition count of the default keyspace, where Kafka is not configured; 1 to 100000.",
    ),
    setting(
        "kafka-brokers",
        "HOST:PORT,...",
        Nothing,
        "Read the partition count of the default keyspace from Kafka.",
    )
    .or(&["KAFKA_BROKERS"]),
    setting("kafka-topic", "TOPIC", Text("workspace-events"), "The topic whose partitions count.")
        .or(&["KAFKA_TOPIC"]),
    setting(
        "kafka-refresh",
        "DURATION",
        Text("60s"),
        "How often the leader reads the partition count; the last known one stays where Kafka does not answer; 1s to 24h.",
    ),
    setting(
        "heartbeat-interval",
        "DURATION",
        Text("100ms"),
        "How often the leader tells the other nodes that it lives; 10ms to 10s.",
    ),
    setting(
        "election-timeout",
        "DURATION",
        Text("500ms"),
        "Silence of the leader before an election, randomised up to twice as long; at least three heartbeat intervals, at most 60s.",
    ),
    setting(
        "snapshot-entries",
        "COUNT",
        Text("10000"),
        "Log entries after which a node writes its state down and throws away what is before; 100 to 1000000. Also after 64 MiB of log.",
    ),
    setting(
        "threads",
        "COUNT",
        Computed("one per core"),
        "Data-plane threads, each with its own listener and connections; 1 to 1024.",
    ),
    setting(
        "cluster-secret-file",
        "FILE",
        Nothing,
        "What nodes prove to each other on every connection: at least 32 bytes, the same on all nodes; `quorate cluster secret new` prints one. Needed as soon as a peer address is not on loopback.",
    ),
    setting(
        "tunnel-token-file",
        "FILE",
        Nothing,
        "Who may open tunnels: on each line the beginning of the names that it is for (`*` for all), a space and a token of at least 16 characters. Read again when it changes. Without it only this machine may, where the management listener is on loopback.",
    ),
    setting(
        "drain-delay",
        "DURATION",
        Text("0s"),
        "How long the node goes on taking requests after SIGTERM, no longer ready and without leadership, so that load balancers turn away before it closes its listeners; then the drain limit begins; 0s to 1h.",
    ),
    setting(
        "drain-limit",
        "DURATION",
        Text("30s"),
        "How long requests in flight may take after SIGTERM and the drain delay; 0s to 1h.",
    ),
    setting("log-format", "text|json", Computed("text on a terminal, else json"), "How log lines look."),
    setting(
        "log-level",
        "LEVEL",
        Text("info"),
        "error, warn, info, debug or trace; also by module: info,quorate_consensus=debug. `info` alone leaves out what the libraries below tell of their steps.",
    ),
    setting(
        "https",
        "ADDRESS",
        Computed("off; 0.0.0.0:8443 once a certificate is given"),
        "Where requests are routed that come by TLS: HTTP/2 and HTTP/1.1, by ALPN. `off`: nowhere, whatever certificate there is.",
    ),
    setting(
        "tls-cert",
        "FILE",
        Nothing,
        "The node's certificate for that, and those that lead from it to an authority: a PEM file. Read again when it changes.",
    )
    .or(&["ROUTER_TLS_CERT"]),
    setting("tls-key", "FILE", Nothing, "The certificate's key: a PEM file. Read again when it changes.")
        .or(&["ROUTER_TLS_KEY"]),
    setting(
        "grpc",
        "ADDRESS",
        Computed("off"),
        "A second listener that routes, for clients that know a port of its own for gRPC. It speaks what --routing speaks.",
    ),
    setting(
        "default-target",
        "TARGET",
        Nothing,
        "Where requests go that nothing else is for: a URL, host:port, the name of a service, or service@version. Without one they are answered 400.",
    ),
    setting(
        "proxy-mode",
        "gateway|sidecar",
        Text("gateway"),
        "What the node stands in front of: of everything that the cluster knows, or of one application, the default target.",
    )
    .or(&["PROXY_MODE"]),
];

/// Settings that this version knows and cannot honour, and what it would mean. Serving in cleartext what somebody
/// meant to encrypt, or not serving what somebody relies on, would be worse than not starting.
pub(super) const UNAVAILABLE: &[(&str, &str)] =
    &[("routing-management-paths", "registration on the routing listener")];
