//! The command line about sandboxes.

use super::{Remote, ramp::RampWord};
use clap::{Args, Subcommand};

/// `quorate sandboxes`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate sandboxes list --ends-within 1h
  quorate sandboxes get dev-1 --output yaml > dev-1.yaml
  quorate sandboxes put dev-1 -f dev-1.yaml
  quorate sandboxes extend dev-1 --ttl 24h
  quorate sandboxes ramp dev-1 --rule 0 --abort
  quorate sandboxes delete dev-1

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
}
