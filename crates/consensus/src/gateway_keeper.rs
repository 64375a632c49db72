//! Which gateways have been silent for too long, as the leader knows. Pure: time is an argument.
//!
//! A gateway is a node, and the leader hears its nodes all the time: each answers to what the log sends it, several
//! times a second. So a gateway's lease costs no message of its own, and its end says the same as everything else that
//! follows from a node's silence. A leader that has just come to its place gives each its full time: it has heard
//! nobody before.

use crate::lease::Millis;
use quorate_model::{Epoch, GatewayEnd, NodeName};
use quorate_state::PresenceTable;
use std::collections::BTreeMap;

/// What a leader remembers of gateways while it leads.
#[derive(Debug, Default)]
pub(crate) struct GatewayKeeper {
    /// Since when it knows each of them: nobody is silent from before that.
    known: BTreeMap<Epoch, Millis>,
}

impl GatewayKeeper {
    /// Those that have been silent for `ttl`. `heard` tells when a node was heard last.
    pub fn silent(
        &mut self,
        table: &PresenceTable,
        heard: impl Fn(&NodeName) -> Option<Millis>,
        (now, ttl): (Millis, Millis),
    ) -> Vec<GatewayEnd> {
        self.known.retain(|epoch, _| table.stands(*epoch));
        let mut silent = Vec::new();
        for gateway in table.gateways() {
            let known = *self.known.entry(gateway.epoch).or_insert(now);
            let last = heard(&gateway.node).map_or(known, |heard| heard.max(known));
            if now - last >= ttl {
                silent.push(GatewayEnd { node: gateway.node.clone(), epoch: gateway.epoch });
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{BootId, Command, Entry, LogIndex, LogTime, Origin, PresenceCommand, Proposal};
    use quorate_state::State;

    const TTL: Millis = 10_000;

    fn name(n: u64) -> NodeName {
        NodeName::parse(&format!("n{n}")).expect("valid")
    }

    fn with_gateways(state: &mut State, nodes: &[u64]) {
        for n in nodes {
            let command =
                Command::Presence(PresenceCommand::OpenGateway { node: name(*n), boot: BootId(*n) });
            let index = LogIndex(state.index().0 + 1);
            let origin = Origin { boot: BootId(1), sequence: index.0 };
            state.apply(index, &Entry { at: LogTime(0), proposals: vec![Proposal { origin, command }] });
        }
    }

    fn ended(silent: &[GatewayEnd]) -> Vec<&str> {
        silent.iter().map(|end| end.node.as_str()).collect()
    }

    #[test]
    fn who_is_heard_stays_and_who_is_silent_for_its_time_ends() {
        let (mut state, mut keeper) = (State::new(), GatewayKeeper::default());
        with_gateways(&mut state, &[1, 2]);
        let heard = |node: &NodeName| (*node == name(1)).then_some(19_000);
        let mut at = |now| keeper.silent(state.tunnels(), heard, (now, TTL));
        assert_eq!(ended(&at(10_000)), [""; 0], "known from now on");
        assert_eq!(ended(&at(19_999)), [""; 0]);
        assert_eq!(ended(&at(20_000)), ["n2"]);
        assert_eq!(ended(&at(29_000)), ["n1", "n2"], "n1 was heard at 19 s last");
    }

    /// Scenario: a node is cut off, a leader that does not hear it ends its lease, it comes back and opens another one.
    /// Its silence before is not the new lease's.
    #[test]
    fn another_lease_of_the_same_node_has_its_full_time() {
        let (mut state, mut keeper) = (State::new(), GatewayKeeper::default());
        with_gateways(&mut state, &[1]);
        let old = state.tunnels().gateway("n1").expect("it stands").epoch;
        let heard = |_: &NodeName| Some(500);
        assert!(keeper.silent(state.tunnels(), heard, (0, TTL)).is_empty());
        let silent = keeper.silent(state.tunnels(), heard, (10_500, TTL));
        assert_eq!(silent, [GatewayEnd { node: name(1), epoch: old }]);
        with_gateways(&mut state, &[1]);
        assert!(keeper.silent(state.tunnels(), heard, (11_000, TTL)).is_empty());
        assert!(keeper.silent(state.tunnels(), heard, (20_999, TTL)).is_empty());
        assert_eq!(ended(&keeper.silent(state.tunnels(), heard, (21_000, TTL))), ["n1"]);
        assert_eq!(keeper.known.len(), 1, "nothing is remembered of those that are gone");
    }
}
