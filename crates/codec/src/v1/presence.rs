//! What came with gateways and tunnels, at the sixth level.

use super::session::SessionChange;
use quorate_model as model;
use quorate_model::{BootId, Epoch, Invalid, NodeName, TunnelName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) enum PresenceCommand {
    OpenGateway { node: String, boot: u64 },
    EndGateways(Vec<GatewayEnd>),
    OpenTunnel { name: String, gateway: u64 },
    CloseTunnel { name: String, epoch: u64 },
    Sessions { gateway: u64, changes: Vec<SessionChange> },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GatewayEnd {
    node: String,
    epoch: u64,
}

impl From<&model::PresenceCommand> for PresenceCommand {
    fn from(command: &model::PresenceCommand) -> Self {
        use model::PresenceCommand as M;
        match command {
            M::OpenGateway { node, boot } => Self::OpenGateway { node: node.to_string(), boot: boot.0 },
            M::EndGateways(ended) => Self::EndGateways(ended.iter().map(GatewayEnd::from).collect()),
            M::OpenTunnel { name, gateway } => {
                Self::OpenTunnel { name: name.to_string(), gateway: gateway.0 }
            }
            M::CloseTunnel { name, epoch } => Self::CloseTunnel { name: name.to_string(), epoch: epoch.0 },
            M::Sessions { gateway, changes } => Self::Sessions {
                gateway: gateway.0,
                changes: changes.iter().map(SessionChange::from).collect(),
            },
        }
    }
}

impl TryFrom<PresenceCommand> for model::PresenceCommand {
    type Error = Invalid;

    fn try_from(command: PresenceCommand) -> Result<Self, Invalid> {
        use PresenceCommand as C;
        Ok(match command {
            C::OpenGateway { node, boot } => {
                Self::OpenGateway { node: NodeName::parse(&node)?, boot: BootId(boot) }
            }
            C::EndGateways(ended) => Self::EndGateways(super::all(ended)?),
            C::OpenTunnel { name, gateway } => {
                Self::OpenTunnel { name: TunnelName::parse(&name)?, gateway: Epoch(gateway) }
            }
            C::CloseTunnel { name, epoch } => {
                Self::CloseTunnel { name: TunnelName::parse(&name)?, epoch: Epoch(epoch) }
            }
            C::Sessions { gateway, changes } => {
                super::session::require_few(changes.len())?;
                Self::Sessions { gateway: Epoch(gateway), changes: super::all(changes)? }
            }
        })
    }
}

impl From<&model::GatewayEnd> for GatewayEnd {
    fn from(end: &model::GatewayEnd) -> Self {
        let model::GatewayEnd { node, epoch } = end;
        Self { node: node.to_string(), epoch: epoch.0 }
    }
}

impl TryFrom<GatewayEnd> for model::GatewayEnd {
    type Error = Invalid;

    fn try_from(end: GatewayEnd) -> Result<Self, Invalid> {
        Ok(Self { node: NodeName::parse(&end.node)?, epoch: Epoch(end.epoch) })
    }
}
