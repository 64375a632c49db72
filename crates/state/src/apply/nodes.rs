//! What nodes say about themselves.

use crate::state::State;
use quorate_model::{Event, GatewayEnd, NodeRecord, Reply};
use std::sync::Arc;

impl State {
    /// The latest description of a name stands. Membership decides who may speak; this only says where.
    pub(super) fn describe_node(&mut self, node: &NodeRecord, events: &mut Vec<Event>) -> Reply {
        if self.nodes.get(&node.name).is_some_and(|standing| **standing == *node) {
            return Reply::Unchanged;
        }
        let before = self.nodes.insert(node.name.clone(), Arc::new(node.clone())).map(|before| before.boot);
        // Another process under this name holds nothing of what the one before held: whoever asks need not wait for the
        // lease to run out. A late word of the one before ends nothing of the one that has come since.
        let former = self.presence.gateway(node.name.as_str());
        let former = former.filter(|gateway| gateway.boot != node.boot && Some(gateway.boot) == before);
        if let Some(epoch) = former.map(|gateway| gateway.epoch) {
            self.end_gateway(&GatewayEnd { node: node.name.clone(), epoch }, events);
        }
        events.push(Event::NodeDescribed { name: node.name.clone() });
        Reply::Done
    }
}
