//! What is logged of who holds what.

use quorate_model::{PresenceEvent, SessionsChanged};

pub(super) fn log(index: u64, event: &PresenceEvent) {
    match event {
        PresenceEvent::GatewayOpened { node, epoch } => {
            tracing::info!(index, node = node.as_str(), epoch = epoch.0, "gateway opened");
        }
        PresenceEvent::GatewayEnded { node, epoch, tunnels, sessions } => {
            tracing::info!(index, node = node.as_str(), epoch = epoch.0, tunnels, sessions, "gateway ended");
        }
        PresenceEvent::Sessions(SessionsChanged { gateway, opened, closed }) => {
            let (opened, closed) = (opened.len(), closed.len());
            tracing::debug!(index, gateway = gateway.0, opened, closed, "users came or went");
        }
        PresenceEvent::TunnelOpened { name, epoch } => {
            tracing::debug!(index, tunnel = name.as_str(), epoch = epoch.0, "tunnel opened");
        }
        PresenceEvent::TunnelClosed { name, epoch } => {
            tracing::debug!(index, tunnel = name.as_str(), epoch = epoch.0, "tunnel closed");
        }
    }
}
