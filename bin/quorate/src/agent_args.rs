//! The command line of `quorate agent`. Values are texts here: what is wrong with them is told together with what is
//! wrong with the file, all at once.

use crate::args::Format;
use clap::Args;
use std::path::PathBuf;

/// How variables of the agent alone begin.
pub const VARIABLES: &str = "QUORATE_AGENT_";

/// `quorate agent`
#[derive(Args, Debug, Default)]
#[command(
    after_help = "Without a file it looks for the usual services on this machine: upload 8103, rag 8102, notes 8100, \
ner 8108, doc-processor 8104, client-rag 8101, vllm 8000, ocr 8105, each at http://127.0.0.1:PORT/health.
A flag wins over the environment, the environment over the file.

Examples:
  quorate agent --once
  quorate agent --config /etc/quorate/agent.yaml
  quorate agent --server http://10.0.0.1:9090,http://10.0.0.2:9090,http://10.0.0.3:9090"
)]
pub struct AgentArgs {
    /// Read settings and the list of services from this file
    #[arg(long, value_name = "FILE.yaml", env = "QUORATE_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Management addresses of the nodes, separated by commas or given several times; COORDINATOR_URL is read too
    /// [default: http://127.0.0.1:9090]
    #[arg(long, value_name = "URL", env = "QUORATE_SERVER", value_delimiter = ',')]
    pub server: Vec<String>,
    /// Sent as bearer token
    #[arg(long, value_name = "TOKEN", env = "QUORATE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The worker's id [default: from the file of --state-file, else the host name]
    #[arg(long, value_name = "ID", env = "QUORATE_AGENT_ID")]
    pub id: Option<String>,
    /// Keep an id of this machine in this file
    #[arg(long, value_name = "FILE", env = "QUORATE_AGENT_STATE_FILE")]
    pub state_file: Option<String>,
    /// Host under which the nodes reach the services [default: the address from which this machine talks to them]
    #[arg(long, value_name = "HOST", env = "QUORATE_AGENT_ADVERTISE_HOST")]
    pub advertise_host: Option<String>,
    /// Host on which services are looked for [default: 127.0.0.1]
    #[arg(long, value_name = "HOST", env = "QUORATE_AGENT_DETECT_HOST")]
    pub detect_host: Option<String>,
    /// How often to look [default: 10s]
    #[arg(long, value_name = "DURATION", env = "QUORATE_AGENT_DETECT_INTERVAL")]
    pub detect_interval: Option<String>,
    /// How long the end may wait for requests in flight [default: 30s]
    #[arg(long, value_name = "DURATION", env = "QUORATE_AGENT_DRAIN_TIMEOUT")]
    pub drain_timeout: Option<String>,
    /// How long the worker lives without a heartbeat [default: as the nodes are set]
    #[arg(long, value_name = "DURATION", env = "QUORATE_AGENT_TTL")]
    pub ttl: Option<String>,
    /// text or json [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", env = "QUORATE_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// error, warn, info, debug, trace, or target=level,... [default: info]
    #[arg(long, value_name = "LEVEL", env = "QUORATE_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Look once, print what would be registered, and end; asks no node
    #[arg(long)]
    pub once: bool,
    /// How to print what --once has found
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// End when stdin does
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}
