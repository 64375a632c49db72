//! What came with gateways and tunnels, at the sixth level: sections of their own, which are there only where they say
//! something.

use quorate_model as model;
use quorate_model::{BootId, Epoch, Invalid, LogTime, NodeName, TunnelName};
use quorate_state::StoredTunnel;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Gateway {
    node: String,
    boot: u64,
    epoch: u64,
    since_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Tunnel {
    name: String,
    gateway: u64,
    epoch: u64,
    since_ms: u64,
}

impl From<&model::Gateway> for Gateway {
    fn from(gateway: &model::Gateway) -> Self {
        let model::Gateway { node, boot, epoch, since } = gateway;
        Self { node: node.to_string(), boot: boot.0, epoch: epoch.0, since_ms: since.0 }
    }
}

impl TryFrom<Gateway> for model::Gateway {
    type Error = Invalid;

    fn try_from(gateway: Gateway) -> Result<Self, Invalid> {
        Ok(Self {
            node: NodeName::parse(&gateway.node)?,
            boot: BootId(gateway.boot),
            epoch: Epoch(gateway.epoch),
            since: LogTime(gateway.since_ms),
        })
    }
}

impl From<&StoredTunnel> for Tunnel {
    fn from(tunnel: &StoredTunnel) -> Self {
        let StoredTunnel { name, gateway, epoch, since } = tunnel;
        Self { name: name.to_string(), gateway: gateway.0, epoch: epoch.0, since_ms: since.0 }
    }
}

impl TryFrom<Tunnel> for StoredTunnel {
    type Error = Invalid;

    fn try_from(tunnel: Tunnel) -> Result<Self, Invalid> {
        Ok(Self {
            name: TunnelName::parse(&tunnel.name)?,
            gateway: Epoch(tunnel.gateway),
            epoch: Epoch(tunnel.epoch),
            since: LogTime(tunnel.since_ms),
        })
    }
}
