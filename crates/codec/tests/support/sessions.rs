//! What came with users of the WebSocket gateway, at the seventh level.

use super::*;
use quorate_model::{
    ConnectionId, Gateway, PresenceCommand, SecondLogin, Session, SessionChange, SessionOutcome, UserId,
};

fn user(text: &str) -> UserId {
    UserId::parse(text).expect("valid")
}

fn open(name: &str, second: SecondLogin) -> SessionChange {
    SessionChange::Open { user: user(name), connection: ConnectionId::from_random(7), second }
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let changes = vec![
        open("alice", SecondLogin::Replace),
        open("bob at home", SecondLogin::Reject),
        open("żółw", SecondLogin::Many),
        SessionChange::Close { epoch: Epoch(12) },
    ];
    vec![("sessions", Command::Presence(PresenceCommand::Sessions { gateway: Epoch(7), changes }))]
}

pub fn reply() -> Reply {
    let outcomes = [
        SessionOutcome::Opened { epoch: Epoch(13) },
        SessionOutcome::Taken,
        SessionOutcome::Full { stand: 64 },
        SessionOutcome::Closed,
        SessionOutcome::Void,
    ];
    Reply::Sessions(outcomes.into())
}

fn session(name: &str, gateway: &Arc<Gateway>, epoch: u64) -> Arc<Session> {
    let connection = ConnectionId::from_random(epoch.into());
    let (gateway, since) = (gateway.clone(), LogTime(1_790_000_000_002));
    Arc::new(Session { user: user(name), gateway, connection, epoch: Epoch(epoch), since })
}

/// With everything that came with them.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::presence::snapshot();
    let mut presence = parts.presence;
    let [one, two] = [&presence.gateways[0], &presence.gateways[1]];
    presence.sessions =
        vec![session("alice", one, 20), session("alice", two, 22), session("żółw \"9\"", two, 21)];
    let replies = vec![(1, LogIndex(30), reply())];
    let windows = vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }];
    (meta, Parts { level: FeatureLevel::SEVENTH, windows, presence, ..parts })
}

fn users() -> impl Strategy<Value = UserId> {
    "[ -~é日]{1,30}".prop_map(|text| user(&text))
}

fn connections() -> impl Strategy<Value = ConnectionId> {
    any::<u128>().prop_map(ConnectionId::from_bits)
}

pub fn any_parts() -> impl Strategy<Value = PresenceParts> {
    let some =
        collection::vec((users(), connections(), any::<(u64, u64)>(), any::<prop::sample::Index>()), 0..5);
    (super::presence::any_parts(), some).prop_map(|(mut parts, some)| {
        // Each is told by its epoch.
        let mut epochs = std::collections::BTreeSet::new();
        parts.gateways.retain(|gateway| epochs.insert(gateway.epoch));
        if !parts.gateways.is_empty() {
            let stored = |(user, connection, (epoch, since), at): (_, _, _, prop::sample::Index)| {
                let gateway = at.get(&parts.gateways).clone();
                let (epoch, since) = (Epoch(epoch), LogTime(since));
                Arc::new(Session { user, gateway, connection, epoch, since })
            };
            parts.sessions = some.into_iter().map(stored).collect();
        }
        parts
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let seconds = [SecondLogin::Replace, SecondLogin::Reject, SecondLogin::Many];
    let changes = prop_oneof![
        (users(), connections(), prop::sample::select(seconds.to_vec()))
            .prop_map(|(user, connection, second)| SessionChange::Open { user, connection, second }),
        any::<u64>().prop_map(|epoch| SessionChange::Close { epoch: Epoch(epoch) }),
    ];
    (any::<u64>(), collection::vec(changes, 0..6)).prop_map(|(gateway, changes)| {
        Command::Presence(PresenceCommand::Sessions { gateway: Epoch(gateway), changes })
    })
}

pub fn any_reply() -> impl Strategy<Value = Reply> {
    let outcomes = prop_oneof![
        any::<u64>().prop_map(|epoch| SessionOutcome::Opened { epoch: Epoch(epoch) }),
        any::<u32>().prop_map(|stand| SessionOutcome::Full { stand }),
        Just(SessionOutcome::Taken),
        Just(SessionOutcome::Closed),
        Just(SessionOutcome::Void),
    ];
    collection::vec(outcomes, 0..6).prop_map(|outcomes| Reply::Sessions(outcomes.into()))
}
