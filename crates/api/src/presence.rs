//! Who holds which long-lived connection.

use crate::timestamp;
use quorate_model::{Gateway, TunnelHolder, TunnelName};
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
