//! The command line about tunnels.

use super::Remote;
use clap::{Args, Subcommand};

/// `quorate tunnels`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  quorate tunnels list
  quorate tunnels get laptop")]
pub struct TunnelsArgs {
    #[command(subcommand)]
    pub verb: TunnelsVerb,
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with tunnels.
#[derive(Debug, Subcommand)]
pub enum TunnelsVerb {
    /// All tunnels, and the node that each hangs on
    List,
    /// One tunnel
    Get {
        /// Its name
        name: String,
    },
}
