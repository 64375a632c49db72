//! Who holds which long-lived connection.
//!
//! Nothing here asks whether somebody is still there: the leader says so of gateways, and what hangs on a gateway is
//! there with it. The order of the log decides between two that hold the same name; a goodbye that comes late names an
//! epoch that no longer stands, and changes nothing.

use crate::state::State;
use quorate_model::{
    BootId, Epoch, Event, Gateway, GatewayEnd, NodeName, PresenceCommand, PresenceEvent, Refusal, Reply,
    TunnelName, limit, reply::Bounded,
};
use std::sync::Arc;

impl State {
    pub(super) fn change_presence(
        &mut self,
        command: &PresenceCommand,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        match command {
            PresenceCommand::OpenGateway { node, boot } => self.open_gateway(node, *boot, events),
            PresenceCommand::EndGateways(ended) => {
                let count = ended.iter().filter(|end| self.end_gateway(end, events)).count();
                Ok(if count == 0 { Reply::Unchanged } else { Reply::Done })
            }
            PresenceCommand::OpenTunnel { name, gateway } => self.open_tunnel(name, *gateway, events),
            PresenceCommand::CloseTunnel { name, epoch } => {
                if !self.presence.close(name, *epoch) {
                    return Ok(Reply::Unchanged);
                }
                let (name, epoch) = (name.clone(), *epoch);
                events.push(Event::Presence(PresenceEvent::TunnelClosed { name, epoch }));
                Ok(Reply::Done)
            }
            PresenceCommand::Sessions { gateway, changes } => self.change_sessions(*gateway, changes, events),
        }
    }

    /// One that says so a second time, in a proposal of its own, holds nothing any more: it ends itself.
    fn open_gateway(
        &mut self,
        node: &NodeName,
        boot: BootId,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let former = self.presence.gateway(node.as_str()).map(|gateway| gateway.epoch);
        match former {
            Some(epoch) => drop(self.end_gateway(&GatewayEnd { node: node.clone(), epoch }, events)),
            None if self.presence.gateway_count() >= limit::GATEWAYS_MAX => {
                return Err(Refusal::Full { what: Bounded::Gateways, max: limit::GATEWAYS_MAX as u64 });
            }
            None => {}
        }
        let epoch = self.next_epoch();
        let gateway = Gateway { node: node.clone(), boot, epoch, since: self.now };
        self.presence.open_gateway(Arc::new(gateway));
        events.push(Event::Presence(PresenceEvent::GatewayOpened { node: node.clone(), epoch }));
        Ok(Reply::Registered { epoch })
    }

    pub(super) fn end_gateway(&mut self, end: &GatewayEnd, events: &mut Vec<Event>) -> bool {
        let GatewayEnd { node, epoch } = end;
        if self.presence.gateway(node.as_str()).is_none_or(|gateway| gateway.epoch != *epoch) {
            return false;
        }
        let (tunnels, sessions) = self.presence.end_gateway(*epoch);
        let (node, epoch) = (node.clone(), *epoch);
        events.push(Event::Presence(PresenceEvent::GatewayEnded { node, epoch, tunnels, sessions }));
        true
    }

    fn open_tunnel(
        &mut self,
        name: &TunnelName,
        gateway: Epoch,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        if !self.presence.stands(gateway) {
            return Err(Refusal::GatewayEnded { epoch: gateway });
        }
        if self.presence.len() >= limit::TUNNELS_MAX && self.presence.get(name.as_str()).is_none() {
            return Err(Refusal::Full { what: Bounded::Tunnels, max: limit::TUNNELS_MAX as u64 });
        }
        let epoch = self.next_epoch();
        self.presence.open(name, (gateway, epoch), self.now);
        events.push(Event::Presence(PresenceEvent::TunnelOpened { name: name.clone(), epoch }));
        Ok(Reply::Registered { epoch })
    }
}
