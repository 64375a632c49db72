//! The command line about sandboxes.

use super::{Remote, ramp::RampWord};
use clap::{Args, Subcommand};
use std::time::Duration;

/// `quorate sandboxes`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate sandboxes list --ends-within 1h
  quorate sandboxes get dev-1 --output yaml > dev-1.yaml
  quorate sandboxes put dev-1 -f dev-1.yaml
  quorate sandboxes extend dev-1 --ttl 24h
  quorate sandboxes trace dev-1 --for 30s
  quorate sandboxes ramp dev-1 --rule 0 --abort
  quorate sandboxes delete dev-1
  quorate sandboxes local --key dev-1 --service upload --to localhost:3000

What `get` prints can be put again. It then replaces only the sandbox that was shown, not a newer one; its time begins \
anew.")]
pub struct SandboxesArgs {
    #[command(subcommand)]
    pub verb: SandboxesVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with sandboxes.
#[derive(Debug, Subcommand)]
pub enum SandboxesVerb {
    /// All sandboxes
    List {
        /// Only those that end within this time, such as 1h; the first to end first
        #[arg(long, value_name = "TIME")]
        ends_within: Option<String>,
    },
    /// One sandbox, whole
    Get {
        /// What its requests carry
        key: String,
    },
    /// Set a sandbox as a whole
    Put {
        /// What its requests carry: 1 to 256 bytes of printable ASCII without spaces
        key: String,
        /// YAML or JSON; - is stdin
        #[arg(long, short, value_name = "FILE")]
        file: String,
    },
    /// Take a sandbox away
    Delete {
        /// What its requests carry
        key: String,
    },
    /// Show where requests with a key go, and where the key is lost on their way
    Trace {
        /// What the requests carry; there need not be a sandbox of it
        key: String,
        /// For how long the nodes note them, from now on: 1s to 10m
        #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = followed_for)]
        span: Duration,
        /// Print each trace once it has been quiet for two seconds, instead of all of them when the time is over
        #[arg(long)]
        follow: bool,
        /// Print what was noted so far, and have nothing more noted
        #[arg(long, conflicts_with = "follow")]
        now: bool,
    },
    /// Show how far the ramps of a sandbox's rules are, or pause, resume or abort one
    Ramp {
        /// What its requests carry
        key: String,
        /// The rule's place, from 0; not needed where only one has a ramp
        #[arg(long, value_name = "PLACE")]
        rule: Option<u16>,
        #[command(flatten)]
        word: RampWord,
    },
    /// Let a sandbox stand for this long from now on, whatever was left
    Extend {
        /// What its requests carry
        key: String,
        /// 300s (5 minutes) to 604800s (7 days)
        #[arg(long, value_name = "TIME")]
        ttl: String,
    },
    /// Let the requests of a key come to this machine, though nobody can dial it
    Local(LocalArgs),
}

/// `quorate sandboxes local`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate sandboxes local --key dev-1 --service upload --to localhost:3000
  quorate sandboxes local --key dev-1 --to 3000 --name laptop --server http://n1:9090,http://n2:9090
  quorate sandboxes local --workload team-a/laptop --to 3000

It dials a node, and requests that carry the key come back on that connection, from every node. Without the sandbox it \
makes one; Ctrl-C takes its rule away, and the sandbox with it where nothing else is in it. Requests for a LocalWorkload of \
the sandbox API come without a rule: it is only answered for.")]
pub struct LocalArgs {
    /// What the requests carry
    #[arg(long, required_unless_present = "workload")]
    pub key: Option<String>,
    /// In the place of a key: a LocalWorkload of the sandbox API that this machine answers for
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with_all = ["key", "service", "name", "ttl"])]
    pub workload: Option<String>,
    /// Only requests that would go to this service without the key
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// What is to answer them: host:port, or a port of this machine
    #[arg(long, value_name = "HOST:PORT")]
    pub to: String,
    /// The tunnel's name; of two with one name the later one gets the requests. local_SERVICE_KEY or local_KEY if not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long the sandbox stands after this ends without a goodbye, unless it has more time or no end: 300s (5 minutes) to 604800s (7 days)
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub ttl: String,
    /// Take the name back when another machine takes it
    #[arg(long)]
    pub takeover: bool,
    /// End when somebody takes the rule out or the sandbox away, in the place of putting it in again
    #[arg(long, conflicts_with = "workload")]
    pub once: bool,
}

fn followed_for(text: &str) -> Result<Duration, String> {
    const ALLOWED: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
    let span = quorate_api::duration::parse(text).filter(|span| ALLOWED.contains(span));
    span.ok_or_else(|| "allowed: a duration such as 60s, from 1s to 10m".to_owned())
}
