//! What management needs to take tunnels: somebody who says who may hang one up, and who holds it then.

use crate::cluster::Unavailable;
use futures_util::future::BoxFuture;
use quorate_model::{LogIndex, Refusal, TunnelName};
use quorate_rt::duplex::Stream;
use std::net::IpAddr;

fn beginnings(allowed: &[Box<str>]) -> String {
    allowed.iter().map(|names| format!("`{names}`")).collect::<Vec<_>>().join(" or ")
}

/// Takes tunnels. Every future ends by itself within five seconds.
pub trait TunnelDoor: Send + Sync + 'static {
    /// Opens a tunnel that somebody has asked for.
    fn open(&self, asked: Asked) -> BoxFuture<'_, Result<Opened, NotOpened>>;
}

/// Who asks.
#[derive(Clone)]
pub struct Asked {
    /// For which tunnel.
    pub name: TunnelName,
    /// With which token.
    pub token: Option<String>,
    /// From where.
    pub from: Option<IpAddr>,
}

/// A tunnel that the cluster knows, and whose connection is still to be made.
pub struct Opened {
    /// Where in the log: its epoch.
    pub index: LogIndex,
    /// Takes the connection once both sides have agreed to leave HTTP. Dropped instead: the tunnel is closed.
    pub hold: Box<dyn FnOnce(Stream) + Send>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// It shows no token, or one that is not known here.
    #[error(
        "tunnels need a token that this node knows (its --tunnel-token-file), as `Authorization: Bearer`"
    )]
    NoToken,
    /// It shows a token that is for other names.
    #[error(
        "the token is for tunnels of other names, which begin with {}; this one is `{name}`: `--name` gives it another one",
        beginnings(.allowed)
    )]
    OtherNames {
        /// Which was asked for.
        name: TunnelName,
        /// How the names begin that it is for.
        allowed: Vec<Box<str>>,
    },
    /// Nobody from elsewhere may.
    #[error(
        "this node takes tunnels from its own machine only, and only while its management listener is on loopback; start it with --tunnel-token-file FILE to let others in"
    )]
    Closed,
    /// It has as many as it takes.
    #[error("this node holds {max} tunnels already: another one may have room")]
    Full {
        /// The bound.
        max: usize,
    },
    /// The node is about to end.
    #[error("this node is about to end: open the tunnel at another one")]
    Leaving,
    /// The cluster refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster can't be changed now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
