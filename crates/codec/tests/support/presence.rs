//! What came with gateways and tunnels, at the sixth level.

use super::*;
use quorate_model::{Gateway, GatewayEnd, PresenceCommand, TunnelName};
use quorate_state::StoredTunnel;

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("valid")
}

fn tunnel(name: &str) -> TunnelName {
    TunnelName::parse(name).expect("valid")
}

fn end(name: &str, epoch: u64) -> GatewayEnd {
    GatewayEnd { node: node(name), epoch: Epoch(epoch) }
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let ended = vec![end("n1", 7), end("n2", 8)];
    [
        ("open-gateway", PresenceCommand::OpenGateway { node: node("n1"), boot: BootId(9) }),
        ("end-gateways", PresenceCommand::EndGateways(ended)),
        ("open-tunnel", PresenceCommand::OpenTunnel { name: tunnel("team-a.chat_v2"), gateway: Epoch(7) }),
        ("close-tunnel", PresenceCommand::CloseTunnel { name: tunnel("team-a.chat_v2"), epoch: Epoch(12) }),
    ]
    .map(|(name, command)| (name, Command::Presence(command)))
    .into()
}

/// What came with them.
pub fn refusals() -> [Refusal; 3] {
    [
        Refusal::GatewayEnded { epoch: Epoch(7) },
        Refusal::Full { what: Bounded::Gateways, max: 18 },
        Refusal::Full { what: Bounded::Tunnels, max: 19 },
    ]
}

/// With everything that came with them.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let since = LogTime(1_790_000_000_001);
    let gateway = |name, boot, epoch| {
        Arc::new(Gateway { node: node(name), boot: BootId(boot), epoch: Epoch(epoch), since })
    };
    let stored = |name, gateway, epoch| StoredTunnel {
        name: tunnel(name),
        gateway: Epoch(gateway),
        epoch: Epoch(epoch),
        since,
    };
    let presence = PresenceParts {
        gateways: vec![gateway("n1", 9, 7), gateway("n2", 10, 8)],
        tunnels: vec![stored("laptop", 7, 12), stored("team-a.chat_v2", 7, 11)],
        sessions: Vec::new(),
    };
    let replies = refusals().into_iter().enumerate();
    let replies = replies.map(|(i, refusal)| (i as u64, LogIndex(30), Reply::Refused(refusal))).collect();
    let parts = Parts {
        level: FeatureLevel::SIXTH,
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        presence,
        workers: Vec::new(),
        ..parts
    };
    (meta, parts)
}

fn nodes() -> impl Strategy<Value = NodeName> {
    name_strategy().prop_map(|text| node(&text))
}

fn tunnels() -> impl Strategy<Value = TunnelName> {
    "[a-z0-9][a-z0-9._-]{0,20}".prop_map(|text| tunnel(&text))
}

fn epochs() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

pub fn any_parts() -> impl Strategy<Value = PresenceParts> {
    let gateway = (nodes(), any::<(u64, u64)>(), epochs()).prop_map(|(node, (boot, since), epoch)| {
        Arc::new(Gateway { node, boot: BootId(boot), epoch, since: LogTime(since) })
    });
    let stored = (tunnels(), epochs(), epochs(), any::<u64>()).prop_map(|(name, gateway, epoch, since)| {
        StoredTunnel { name, gateway, epoch, since: LogTime(since) }
    });
    (collection::vec(gateway, 0..4), collection::vec(stored, 0..4))
        .prop_map(|(gateways, tunnels)| PresenceParts { gateways, tunnels, sessions: Vec::new() })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let ends = (nodes(), epochs()).prop_map(|(node, epoch)| GatewayEnd { node, epoch });
    prop_oneof![
        (nodes(), any::<u64>())
            .prop_map(|(node, boot)| PresenceCommand::OpenGateway { node, boot: BootId(boot) }),
        collection::vec(ends, 0..4).prop_map(PresenceCommand::EndGateways),
        (tunnels(), epochs()).prop_map(|(name, gateway)| PresenceCommand::OpenTunnel { name, gateway }),
        (tunnels(), epochs()).prop_map(|(name, epoch)| PresenceCommand::CloseTunnel { name, epoch }),
    ]
    .prop_map(Command::Presence)
}
