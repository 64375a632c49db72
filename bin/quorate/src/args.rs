//! The command line, as far as it is not the settings of `serve` (those come from the node's own table).

mod config;
mod connect;
mod presence;
mod ramp;
mod routes;
mod sandboxes;
mod tunnels;
mod watch;

pub use crate::registry_args::{HoldArgs, ServicesArgs, ServicesVerb, Weight, WorkersArgs, WorkersVerb};
pub use config::{ApplyArgs, ConfigArgs, ConfigVerb, HowArgs};
pub use connect::ConnectArgs;
pub use presence::{PresenceArgs, PresenceVerb};
pub use routes::{ExplainArgs, RoutesArgs, RoutesVerb};
pub use sandboxes::{LocalArgs, SandboxesArgs, SandboxesVerb};
pub use tunnels::{TunnelsArgs, TunnelsVerb};
pub use watch::WatchArgs;

use crate::{agent_args::AgentArgs, serve_args::ServeArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::time::Duration;

const ABOUT: &str = "A routing cluster that needs no external database.

Workers register with any node; every node routes every request the same way.";

const AFTER: &str = "Examples:
  quorate dev                         three nodes and three workers on this machine, to play with
  quorate serve                       one node, data in ./quorate-data
  quorate status                      what a cluster looks like
  quorate workers list --output json  its workers, for a program

Exit codes: 0 done; 1 the server refused or failed; 2 bad usage or configuration; 3 not reachable; 4 not found.";

/// The program.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, about = "A routing cluster that needs no external database", long_about = ABOUT, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(ServeArgs),
    /// Run three nodes and three demo workers on this machine, until Ctrl-C
    Dev(DevArgs),
    /// Find the services of this machine, register them, and keep them registered
    Agent(AgentArgs),
    /// A worker that answers with what it was asked
    #[command(hide = true)]
    DemoWorker(DemoWorkerArgs),
    /// Show a cluster at a glance
    Status(Remote),
    /// List and show workers, drain them, put them back, weigh and remove them
    Workers(WorkersArgs),
    /// List and show services, set and take away what is decided about them
    Services(ServicesArgs),
    /// List, show, set and take away routes: which requests go where
    Routes(RoutesArgs),
    /// List, show, set, extend and take away sandboxes: where requests with a routing key go instead
    Sandboxes(SandboxesArgs),
    /// List and show tunnels: which node holds which
    Tunnels(TunnelsArgs),
    /// Show which node each user of the WebSocket gateway is connected to
    Presence(PresenceArgs),
    /// Print all routes, sandboxes, policies and keyspaces as one document; its history, and the way back
    Config(ConfigArgs),
    /// Set many routes, sandboxes, policies and keyspaces from files at once: all of it, or nothing
    Apply(ApplyArgs),
    /// Say where a request would go, and why; nothing is sent
    Explain(ExplainArgs),
    /// List, show and set keyspaces and their partitions
    Keyspaces(KeyspacesArgs),
    /// Show the nodes of a cluster, let nodes join and leave, hand leadership over
    Cluster(ClusterArgs),
    /// Show leases as the leader sees them
    Leases(LeasesArgs),
    /// Print each change of a cluster as it happens, through the loss of any node
    Watch(WatchArgs),
    /// Talk to others through the WebSocket gateway, line by line
    Connect(ConnectArgs),
    /// Save a cluster's state to a file, restore it into an empty one
    Snapshot(SnapshotArgs),
    /// Ask one node whether it is ready, for supervisors; made for images without a shell
    Healthcheck(HealthcheckArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// How to reach a cluster and how to print what it says.
#[derive(Args, Debug)]
pub struct Remote {
    /// Management addresses of any nodes, separated by commas; the first that answers is used
    #[arg(
        long,
        value_name = "URL",
        env = "QUORATE_SERVER",
        default_value = "http://127.0.0.1:9090",
        global = true
    )]
    pub server: String,
    /// Sent as bearer token
    #[arg(long, value_name = "TOKEN", env = "QUORATE_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// How to print
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "table", global = true)]
    pub output: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// The server's answer as JSON
    Json,
    /// The server's answer as YAML
    Yaml,
}

/// `quorate dev`
#[derive(Args, Debug)]
#[command(
    after_help = "Ports: routing 8081 to 8083, management 9091 to 9093, WebSocket gateway 8091 to 8093, peers 7071 to 7073, \
demo workers 8101 to 8103. The data lies in a temporary folder and is removed at the end."
)]
pub struct DevArgs {
    /// Shift all ports by N
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=50_000))]
    pub base_port_offset: u16,
}

/// `quorate demo-worker`
#[derive(Args, Debug)]
pub struct DemoWorkerArgs {
    /// Its id
    #[arg(long)]
    pub id: String,
    /// Where it listens
    #[arg(long)]
    pub listen: std::net::SocketAddr,
    /// What the nodes dial, where that is another address than the one it listens on
    #[arg(long, value_name = "URL")]
    pub address: Option<String>,
    /// Where it registers
    #[arg(long)]
    pub routers: String,
    /// What it serves
    #[arg(long, value_delimiter = ',')]
    pub partitions: Vec<u32>,
}

/// `quorate keyspaces`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate keyspaces list
  quorate keyspaces partitions default
  quorate keyspaces set default --partitions 24
  quorate keyspaces set default --source kafka
  quorate keyspaces set default --partitions 24 --hold 5s")]
pub struct KeyspacesArgs {
    #[command(subcommand)]
    pub verb: KeyspacesVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with keyspaces.
#[derive(Debug, Subcommand)]
pub enum KeyspacesVerb {
    /// All keyspaces
    List,
    /// One keyspace
    Get {
        /// Its name
        name: String,
    },
    /// Set the partition count, or who decides it. A new count changes where workspaces go. How long requests wait
    /// stays as it is where it is not given
    Set {
        /// Its name
        name: String,
        /// How many partitions; with the source kafka the last known count stays where none is given
        #[arg(long, value_name = "COUNT", required_unless_present = "source")]
        partitions: Option<u32>,
        /// Who decides the count from now on
        #[arg(long, value_enum)]
        source: Option<Source>,
        #[command(flatten)]
        hold: HoldArgs,
    },
    /// The owner of each partition
    Partitions {
        /// The keyspace
        #[arg(default_value = "default")]
        name: String,
    },
}

/// Who decides a partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// An operator
    Static,
    /// The metadata of a Kafka topic
    Kafka,
}

/// `quorate cluster`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate cluster list
  quorate cluster join n4 --peer 10.0.0.4:7070 --wait
  quorate cluster leave n4
  quorate cluster transfer-leader --to n2")]
pub struct ClusterArgs {
    #[command(subcommand)]
    pub verb: ClusterVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterVerb {
    /// All nodes
    List,
    /// Hand leadership to another node
    TransferLeader {
        /// Its name; the cluster chooses where none is given
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
    /// Let a node join that runs and waits: started with --peers that name itself and this cluster. It is a
    /// learner until it has caught up; for a member that moved, changes its address
    Join {
        /// Its name
        name: String,
        /// Where all nodes dial its peer listener
        #[arg(long, value_name = "HOST:PORT")]
        peer: String,
        /// End only once the node has its vote, at most five minutes later
        #[arg(long)]
        wait: bool,
    },
    /// Let a node leave. It goes on running until it is stopped
    Leave {
        /// Its name
        name: String,
    },
    /// Make a cluster of its own of one stopped node, when the majority of its cluster is lost for good; asks no node
    Recover(RecoverArgs),
    /// The secret that nodes prove to each other
    Secret {
        #[command(subcommand)]
        verb: SecretVerb,
    },
}

/// `quorate cluster recover`
#[derive(Args, Debug)]
#[command(after_help = "Without --yes it only says what would be kept, and changes nothing.

Every node of the old cluster that is still there stays out of the new one. Start them again with empty data
folders, and let them join. What only the lost nodes knew is lost.")]
pub struct RecoverArgs {
    /// The data folder of the node; the node must not run
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: std::path::PathBuf,
    /// The node's name, whose folder it is
    #[arg(long, value_name = "NAME")]
    pub node_name: String,
    /// Where other nodes will dial its peer listener; as before where it is not given
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise_peer: Option<String>,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

/// What to do with the secret.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Print a new one, for a file that --cluster-secret-file names on all nodes; asks no node
    New,
}

/// `quorate leases`
#[derive(Args, Debug)]
pub struct LeasesArgs {
    #[command(subcommand)]
    pub verb: LeasesVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with leases.
#[derive(Debug, Subcommand)]
pub enum LeasesVerb {
    /// All leases
    List,
}

/// `quorate snapshot`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate snapshot save backup.snapshot
  quorate snapshot inspect backup.snapshot
  quorate snapshot restore backup.snapshot --server http://new-cluster:9090")]
pub struct SnapshotArgs {
    #[command(subcommand)]
    pub verb: SnapshotVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with a snapshot.
#[derive(Debug, Subcommand)]
pub enum SnapshotVerb {
    /// Save the whole state; the file is checked before it gets its name
    Save {
        /// Where to; - is stdout
        #[arg(value_name = "FILE")]
        file: String,
        /// What the node knows, also without a quorum, instead of everything that was acknowledged
        #[arg(long)]
        stale: bool,
    },
    /// Restore into a cluster without workers and without keyspaces besides `default`
    Restore {
        /// Where from; - is stdin
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// Check a file and say what is in it; asks no node
    Inspect {
        /// Which; - is stdin
        #[arg(value_name = "FILE")]
        file: String,
    },
}

/// `quorate healthcheck`
#[derive(Args, Debug)]
#[command(after_help = "Prints what the node says, in one line.

Exit codes: 0 yes, also when degraded; 1 no, and why; 2 bad usage; 3 no answer.

Examples:
  quorate healthcheck
  quorate healthcheck --live --server http://127.0.0.1:9091")]
pub struct HealthcheckArgs {
    /// Management address of the node [default: where `quorate serve` listens in this environment]
    #[arg(long, value_name = "URL", env = "QUORATE_SERVER")]
    pub server: Option<String>,
    /// Ask /livez, whether the process works, instead of /readyz, whether it may be sent requests
    #[arg(long)]
    pub live: bool,
    /// How long the answer may take; 1ms to 1h
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    pub timeout: Duration,
    /// The settings file of the node, whose management address is asked
    #[arg(long, value_name = "FILE.yaml", env = "QUORATE_CONFIG")]
    pub config: Option<std::path::PathBuf>,
}

pub fn timeout(text: &str) -> Result<Duration, String> {
    const ALLOWED: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
    let duration = quorate_api::duration::parse(text).filter(|duration| ALLOWED.contains(duration));
    duration.ok_or_else(|| format!("allowed: {}, 1ms to 1h", quorate_api::duration::ALLOWED))
}

/// `quorate completions`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  quorate completions bash > ~/.local/share/bash-completion/completions/quorate")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
