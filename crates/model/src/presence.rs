//! Who holds which long-lived connection.
//!
//! A *gateway* is a node in its part of holding connections that outlive a request. Each node that holds any has one
//! lease for all of them: what it holds is there while the lease stands, and all of it is gone with the one entry that
//! ends it, however much that is. So what is said of a single connection needs no end of its own when a node dies, and
//! a clean-up that comes late has nothing left to find.
//!
//! Everything is told apart by epochs, which are granted in the log's order: the later one of two that hold the same
//! name holds it, and a goodbye names the epoch that it is about. It is void where a newer one stands.

use crate::{
    name::{NodeName, TunnelName},
    number::{BootId, Epoch, LogTime},
    session::{Session, SessionChange},
};
use std::sync::Arc;

/// A node's lease for all connections that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whose.
    pub node: NodeName,
    /// The process that holds them.
    pub boot: BootId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Since when.
    pub since: LogTime,
}

/// Who holds a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelHolder {
    /// The node that it hangs on.
    pub node: NodeName,
    /// The epoch of that node's lease ([`Gateway::epoch`]).
    pub gateway: Epoch,
    /// The tunnel's own fencing token.
    pub epoch: Epoch,
    /// Since when.
    pub since: LogTime,
}

/// The end of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayEnd {
    /// Whose.
    pub node: NodeName,
    /// Which of its leases; void if it has another one.
    pub epoch: Epoch,
}

/// What changes who holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceCommand {
    /// A node begins to hold connections. What it held before is gone: a lease is opened by one that holds nothing, be
    /// it because it has just started or because it could not keep the lease that it had.
    OpenGateway {
        /// Who.
        node: NodeName,
        /// Its process.
        boot: BootId,
    },
    /// Gateways have not been heard for too long, or say goodbye.
    EndGateways(
        /// In no particular order, at most [`crate::limit::GATEWAYS_MAX`].
        Vec<GatewayEnd>,
    ),
    /// A tunnel has come to a gateway. Takes the place of whoever held the name.
    OpenTunnel {
        /// What it is called.
        name: TunnelName,
        /// The lease of the node that it came to; refused unless it stands.
        gateway: Epoch,
    },
    /// A tunnel is gone.
    CloseTunnel {
        /// What it is called.
        name: TunnelName,
        /// Which of those that were called so; void if a newer one stands.
        epoch: Epoch,
    },
    /// Users of the WebSocket gateway come and go. One command for all of a moment: there may be tens of thousands in a
    /// second.
    Sessions {
        /// The lease of the node that says so; refused as a whole unless it stands.
        gateway: Epoch,
        /// In this order; at most [`crate::limit::SESSION_CHANGES_MAX`].
        changes: Vec<SessionChange>,
    },
}

/// What changed in who holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEvent {
    /// A node has a new lease.
    GatewayOpened {
        /// Who.
        node: NodeName,
        /// Its fencing token.
        epoch: Epoch,
    },
    /// A node's lease is over, and with it all that it held.
    GatewayEnded {
        /// Who.
        node: NodeName,
        /// Which lease.
        epoch: Epoch,
        /// How many tunnels it held.
        tunnels: usize,
        /// How many sessions.
        sessions: usize,
    },
    /// A tunnel hangs on another gateway than before, or anew on the same one.
    TunnelOpened {
        /// What it is called.
        name: TunnelName,
        /// Its fencing token.
        epoch: Epoch,
    },
    /// A tunnel is gone.
    TunnelClosed {
        /// What it is called.
        name: TunnelName,
        /// Which of them.
        epoch: Epoch,
    },
    /// Sessions of one gateway, and those of others whose place they took.
    Sessions(SessionsChanged),
}

/// What one command changed in who is connected where. A session never changes, so this is all that there is to say.
/// One that was opened and closed by the same command is in both lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsChanged {
    /// The lease of the node that said so.
    pub gateway: Epoch,
    /// New ones, all on that gateway.
    pub opened: Arc<[Arc<Session>]>,
    /// Those that are gone: on any gateway where a newer one took the place, else on that one.
    pub closed: Arc<[Arc<Session>]>,
}
