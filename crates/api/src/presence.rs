//! Who holds which long-lived connection.

use crate::timestamp;
use quorate_model::{Gateway, Session, TunnelHolder, TunnelName};
use serde::Serialize;
use utoipa::ToSchema;

/// A tunnel, and the node that it hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TunnelBody {
    /// What it is called.
    pub name: String,
    /// The node that it hangs on.
    pub node: String,
    /// Its fencing token: a later tunnel of the same name has a larger one.
    pub epoch: u64,
    /// The lease of the node, by which it is there.
    pub gateway: u64,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

impl TunnelBody {
    /// Of this name.
    pub fn new(name: &TunnelName, holder: &TunnelHolder) -> Self {
        let TunnelHolder { node, gateway, epoch, since } = holder;
        Self {
            name: name.to_string(),
            node: node.to_string(),
            epoch: epoch.0,
            gateway: gateway.0,
            since: timestamp::millis(*since),
        }
    }
}

/// A node's lease for the long-lived connections that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GatewayBody {
    /// Whose.
    pub node: String,
    /// Its fencing token.
    pub epoch: u64,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

impl From<&Gateway> for GatewayBody {
    fn from(gateway: &Gateway) -> Self {
        let Gateway { node, boot: _, epoch, since } = gateway;
        Self { node: node.to_string(), epoch: epoch.0, since: timestamp::millis(*since) }
    }
}

/// A session: one registered connection of a user to a gateway. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionBody {
    /// Whose.
    pub user: String,
    /// The node whose gateway holds it.
    pub node: String,
    /// The lease of that node, by which it is there.
    pub gateway: u64,
    /// The connection: a UUID, as the gateway told its client in `X-Connection-Id`.
    pub connection: String,
    /// Its fencing token: a later session has a larger one.
    pub epoch: u64,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

impl From<&Session> for SessionBody {
    fn from(session: &Session) -> Self {
        let Session { user, gateway, connection, epoch, since } = session;
        Self {
            user: user.to_string(),
            node: gateway.node.to_string(),
            gateway: gateway.epoch.0,
            connection: connection.to_string(),
            epoch: epoch.0,
            since: timestamp::millis(*since),
        }
    }
}

/// Which session is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionEnd {
    /// Whose it was.
    pub user: String,
    /// Its fencing token.
    pub epoch: u64,
}

impl From<&Session> for SessionEnd {
    fn from(session: &Session) -> Self {
        Self { user: session.user.to_string(), epoch: session.epoch.0 }
    }
}

/// Where a user is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresenceBody {
    /// Who.
    pub user: String,
    /// The user's sessions, the newest first; more than one only where gateways let users in many times.
    pub sessions: Vec<SessionBody>,
}
