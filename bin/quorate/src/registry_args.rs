//! The command line about workers and services.

use crate::args::{Remote, timeout};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `quorate workers`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate workers list
  quorate workers get worker-1 --output yaml
  quorate workers drain worker-1 --wait
  quorate workers resume worker-1
  quorate workers weight worker-1 50
  quorate workers remove worker-1 worker-2")]
pub struct WorkersArgs {
    #[command(subcommand)]
    pub verb: WorkersVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub enum WorkersVerb {
    /// All workers that the cluster knows
    List,
    /// One worker
    Get {
        /// Its id
        id: String,
    },
    /// Send workers no new requests; they finish those that they have. Holds until they are resumed, also when they
    /// register anew
    Drain {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// End only once no request of theirs is in flight on any node
        #[arg(long)]
        wait: bool,
        /// How long to wait at most; 1ms to 1h. The drain stands either way
        #[arg(long, value_name = "DURATION", default_value = "5m", requires = "wait", value_parser = timeout)]
        timeout: Duration,
    },
    /// Put workers into service again
    Resume {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Take workers out of service for longer: like a drain, and no request waits for their return
    Offline {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Set a worker's share of the traffic, whatever it registers
    Weight {
        /// Its id
        id: String,
        /// 0 to 1000000, or `registered`: as it registers
        #[arg(value_parser = weight)]
        weight: Weight,
    },
    /// Unregister workers; a worker that still runs registers again
    Remove {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// A worker's share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As it registers.
    Registered,
    /// As an operator says.
    Is(u32),
}

fn weight(text: &str) -> Result<Weight, String> {
    if text == "registered" {
        return Ok(Weight::Registered);
    }
    let weight = text.parse().ok().filter(|weight| *weight <= quorate_model::limit::WEIGHT_MAX);
    weight.map(Weight::Is).ok_or_else(|| "allowed: 0 to 1000000, or registered".into())
}

/// `quorate services`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate services list
  quorate services get upload --output json
  quorate services set upload --hold 5s --timeout 30s
  quorate services set upload --hold off
  quorate services put upload -f policy.yaml
  quorate services delete upload

What `get upload --output yaml` prints can be put again. It then replaces only the policy that was shown, not a newer one.")]
pub struct ServicesArgs {
    #[command(subcommand)]
    pub verb: ServicesVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServicesVerb {
    /// All services
    List,
    /// One service: the workers that offer it, and on stderr what is decided about it
    Get {
        /// Its name
        name: String,
    },
    /// Set a service's policy. What is not given stays as it is
    #[command(group = clap::ArgGroup::new("settings").multiple(true).required(true))]
    Set {
        /// Its name; it need not be offered yet
        name: String,
        #[command(flatten)]
        hold: HoldArgs,
        /// Until the head of an answer, 10ms to 1h; `off`: as the nodes are set
        #[arg(long, value_name = "DURATION", group = "settings")]
        timeout: Option<String>,
    },
    /// Set a service's policy as a whole: what the file does not say is off
    Put {
        /// Its name; it need not be offered yet
        name: String,
        /// YAML or JSON; - is stdin
        #[arg(long, short, value_name = "FILE")]
        file: String,
    },
    /// Take a service's policy away. The workers go on offering it
    Delete {
        /// Its name
        name: String,
    },
}

/// How long requests wait for the next owner.
#[derive(Args, Debug)]
pub struct HoldArgs {
    /// How long requests wait when the last owner has just been drained or lost, 1s to 10s; `off`: they fail at once
    #[arg(long, value_name = "DURATION", group = "settings")]
    pub hold: Option<String>,
    /// Most requests that wait on one node
    #[arg(long, value_name = "COUNT", group = "settings")]
    pub hold_waiting_max: Option<u32>,
}
