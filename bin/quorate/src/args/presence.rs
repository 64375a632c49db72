//! The command line about users of the WebSocket gateway.

use super::Remote;
use clap::{Args, Subcommand};

/// `quorate presence`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate presence list
  quorate presence list --gateway n1
  quorate presence get alice")]
pub struct PresenceArgs {
    #[command(subcommand)]
    pub verb: PresenceVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with presence.
#[derive(Debug, Subcommand)]
pub enum PresenceVerb {
    /// All sessions of users, and the node that each hangs on
    List {
        /// Only those that hang on this node
        #[arg(long, value_name = "NODE")]
        gateway: Option<String>,
    },
    /// Where one user is connected
    Get {
        /// The user's id
        user: String,
    },
}
