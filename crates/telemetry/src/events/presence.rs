//! What is logged of who holds what.

use quorate_model::PresenceEvent;

pub(super) fn log(index: u64, event: &PresenceEvent) {
    match event {
        PresenceEvent::GatewayOpened { node, epoch } => {
            tracing::info!(index, node = node.as_str(), epoch = epoch.0, "gateway opened");
        }
        PresenceEvent::GatewayEnded { node, epoch, tunnels } => {
            tracing::info!(index, node = node.as_str(), epoch = epoch.0, tunnels, "gateway ended");
        }
        PresenceEvent::TunnelOpened { name, epoch } => {
            tracing::debug!(index, tunnel = name.as_str(), epoch = epoch.0, "tunnel opened");
        }
        PresenceEvent::TunnelClosed { name, epoch } => {
            tracing::debug!(index, tunnel = name.as_str(), epoch = epoch.0, "tunnel closed");
        }
    }
}
