//! The command line of `quorate watch`.

use super::Remote;
use clap::Args;

/// `quorate watch`
#[derive(Args, Debug)]
#[command(
    after_help = "Begins with everything that stands, then prints each change; --from goes on behind a log index
or the id of an event. Name all nodes with --server: when one is lost, the next one goes on where it stopped.

Examples:
  quorate watch
  quorate watch --kinds worker --prefix gpu- --output json
  quorate watch --from 57 --server http://n1:9090,http://n2:9090,http://n3:9090"
)]
pub struct WatchArgs {
    /// Go on right behind this log index, or the id of an event
    #[arg(long, value_name = "N")]
    pub from: Option<String>,
    /// Only these kinds of changes: worker, keyspace, service, route, sandbox, object, delegate, node, level, gateway,
    /// tunnel, presence (users of the WebSocket gateway)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Only changes of what has a name, or an id, that begins so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// End once everything that has happened so far is printed
    #[arg(long)]
    pub until_synced: bool,
    #[command(flatten)]
    pub remote: Remote,
}
