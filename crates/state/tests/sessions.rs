//! Who of the users of the WebSocket gateway is connected where: by log order, while the lease of the gateway stands.

#[path = "sessions/defects.rs"]
mod defects;
#[path = "sessions/model.rs"]
mod model;
#[path = "sessions/scene.rs"]
mod scene;

use quorate_model::{
    ConnectionId, Epoch, Event, PresenceEvent, Refusal, Reply, SecondLogin, SessionChange, SessionOutcome,
    What, limit,
};
use quorate_state::{State, invariant};
use scene::{Case, close, node, open, user};

#[test]
fn a_user_is_found_on_the_gateway_and_in_the_list() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    let alice = case.opened(one, "alice", 1);
    let bob = case.opened(two, "bob", 2);
    let found = case.found("alice");
    assert_eq!(found, [(node(1), alice)]);
    let sessions = case.state.sessions();
    assert_eq!((sessions.len(), sessions.count_of(one), sessions.count_of(two)), (2, 1, 1));
    let listed: Vec<_> = sessions.iter().map(|session| session.user.as_str()).collect();
    assert_eq!(listed, ["alice", "bob"]);
    let after: Vec<_> = sessions.after("alice", alice).map(|session| session.epoch).collect();
    assert_eq!(after, [bob]);
    let held: Vec<_> = sessions.held_by(two, Epoch(0)).map(|session| session.connection).collect();
    assert_eq!(held, [ConnectionId::from_random(2)]);
    assert_eq!(sessions.held_by(two, bob).count(), 0);
    assert!(sessions.is_connected("bob") && !sessions.is_connected("carol"));
}

#[test]
fn one_command_has_an_outcome_for_each_change_and_one_event() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    let old = case.opened(two, "alice", 9);
    let gone = case.opened(one, "gone", 8);
    let changes = vec![
        close(gone),
        open("alice", 1, SecondLogin::Replace),
        open("alice", 2, SecondLogin::Reject),
        open("bob", 3, SecondLogin::Replace),
        close(gone),
    ];
    let applied = case.apply(one, changes);
    let Reply::Sessions(outcomes) = &applied.replies[0] else { panic!("{applied:?}") };
    let [
        SessionOutcome::Closed,
        SessionOutcome::Opened { epoch: alice },
        SessionOutcome::Taken,
        SessionOutcome::Opened { epoch: bob },
        SessionOutcome::Void,
    ] = outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert!(old < alice && alice < bob);
    let [Event::Presence(PresenceEvent::Sessions(changed))] = &applied.events[..] else {
        panic!("{applied:?}")
    };
    let epochs = |sessions: &[std::sync::Arc<quorate_model::Session>]| -> Vec<_> {
        sessions.iter().map(|session| session.epoch).collect()
    };
    assert_eq!(
        (changed.gateway, epochs(&changed.opened), epochs(&changed.closed)),
        (one, vec![alice, bob], vec![gone, old])
    );
    let told = case.state.changes(&applied.events);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].what, What::Presence(changed.clone()));
    // Nothing changed: nothing is told.
    assert!(case.apply(one, vec![close(gone)]).events.is_empty());
}

#[test]
fn a_gateway_whose_lease_is_over_changes_nothing() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    let alice = case.opened(two, "alice", 1);
    case.end(1, one);
    let refused = Reply::Refused(Refusal::GatewayEnded { epoch: one });
    assert_eq!(case.apply(one, vec![open("alice", 2, SecondLogin::Replace)]).replies, [refused]);
    assert_eq!(case.found("alice"), [(node(2), alice)]);
}

#[test]
fn a_user_may_have_many_sessions_where_that_is_the_policy() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    let many = |n| open("alice", n, SecondLogin::Many);
    let first = case.granted(one, many(1));
    let second = case.granted(two, many(2));
    assert_eq!(case.found("alice"), [(node(2), second), (node(1), first)], "the newest first");
    for n in 3..=limit::SESSIONS_PER_USER_MAX as u128 {
        case.granted(one, many(n));
    }
    let full = SessionOutcome::Full { stand: limit::SESSIONS_PER_USER_MAX as u32 };
    assert_eq!(case.one(one, many(1_000)), full);
    // One of them goes on: it is the same connection.
    let again = case.granted(one, many(1));
    assert!(again > second && case.found("alice").len() == limit::SESSIONS_PER_USER_MAX);
    // And one goes on at another gateway, which is no growth either.
    let moved = case.granted(two, many(1));
    assert_eq!(case.found("alice")[0], (node(2), moved));
    assert_eq!(case.found("alice").len(), limit::SESSIONS_PER_USER_MAX);
    assert_eq!(case.one(two, many(1_000)), full, "a stranger is one too many as before");
    case.end(2, two);
    assert_eq!(case.found("alice").len(), limit::SESSIONS_PER_USER_MAX - 2);
    // Another gateway's policy counts for the whole user.
    assert_eq!(case.one(one, open("alice", 2_000, SecondLogin::Reject)), SessionOutcome::Taken);
    let only = case.granted(one, open("alice", 2_000, SecondLogin::Replace));
    assert_eq!(case.found("alice"), [(node(1), only)]);
    invariant::check(&case.state).expect("consistent");
}

#[test]
fn a_connection_never_stands_in_its_own_way() {
    let mut case = Case::new();
    let one = case.gateway(1);
    let first = case.granted(one, open("alice", 1, SecondLogin::Reject));
    let again = case.granted(one, open("alice", 1, SecondLogin::Reject));
    assert!(again > first && case.found("alice") == [(node(1), again)]);
    assert_eq!(case.one(one, close(first)), SessionOutcome::Void);
}

/// Scenario: a user with sessions on several devices came back at another node after a break, and had each message
/// twice. Cause: a connection was taken for its own former one on the same gateway only, so both stood.
#[test]
fn a_connection_that_resumes_elsewhere_takes_the_place_of_its_own_former_session() {
    for second in [SecondLogin::Many, SecondLogin::Reject, SecondLogin::Replace] {
        let mut case = Case::new();
        let (one, two) = (case.gateway(1), case.gateway(2));
        let former = case.granted(one, open("alice", 1, second));
        let applied = case.apply(two, vec![open("alice", 1, second)]);
        let found = case.found("alice");
        let [(at, epoch)] = &found[..] else { panic!("{second:?}: {found:?}") };
        assert!(*at == node(2) && *epoch > former, "{second:?}: {found:?}");
        // Its former gateway is told.
        let [Event::Presence(PresenceEvent::Sessions(changed))] = &applied.events[..] else {
            panic!("{applied:?}")
        };
        let closed: Vec<_> = changed.closed.iter().map(|session| session.epoch).collect();
        assert_eq!(closed, [former], "{second:?}");
        assert_eq!(case.one(one, close(former)), SessionOutcome::Void, "its late goodbye takes nothing");
        assert_eq!((case.state.sessions().count_of(one), case.state.sessions().len()), (0, 1));
        invariant::check(&case.state).expect("consistent");
    }
}

/// What it costs to end a gateway does not grow with its users: the entry is one event and touches none of them, and
/// what is cleared up with the entries after it is bounded for each.
#[test]
fn the_end_of_a_gateway_with_very_many_users_is_one_event_and_touches_none_of_them() {
    const USERS: usize = 100_000;
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    case.fill(one, 0..USERS);
    case.fill(two, USERS..USERS + 10);
    let before = case.state.clone();
    let applied = case.end(1, one);
    let ended = PresenceEvent::GatewayEnded { node: node(1), epoch: one, tunnels: 0, sessions: USERS };
    assert_eq!(applied.events, [Event::Presence(ended)]);
    assert_eq!((before.sessions().len(), case.state.sessions().len()), (USERS + 10, 10));
    assert_eq!(case.state.sessions().uncleared(), USERS, "the entry itself cleared up nothing");
    assert!(before.sessions().is_connected("u7") && !case.state.sessions().is_connected("u7"));
    assert_eq!(case.state.sessions().iter().count(), 10, "leftovers are in no list");
    assert_eq!(case.state.parts().presence.sessions.len(), 10, "and in no snapshot");
    // Whoever comes again before that is there, and stays.
    let back = case.opened(two, "u99999", 5);
    let mut left = case.state.sessions().uncleared();
    while left > 0 {
        case.quiet();
        let now = case.state.sessions().uncleared();
        assert!((1..=limit::PROPOSALS_PER_ENTRY_MAX).contains(&(left - now)), "{left}, then {now}");
        left = now;
    }
    assert_eq!(case.found("u99999"), [(node(2), back)]);
    assert_eq!(case.state.sessions().len(), 11);
    invariant::check(&case.state).expect("nothing is left");
}

/// Users that come while those of a dead gateway are not cleared up make room themselves.
#[test]
fn no_more_is_kept_than_may_stand() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    case.fill(one, 0..20_000);
    case.end(1, one);
    let left = case.state.sessions().uncleared();
    case.fill(two, 20_000..24_000);
    assert!(left - case.state.sessions().uncleared() >= 4_000);
}

#[test]
fn a_snapshot_brings_them_back() {
    let mut case = Case::new();
    let (one, two) = (case.gateway(1), case.gateway(2));
    case.fill(one, 0..50);
    for n in 0..5 {
        case.granted(two, open("many", n, SecondLogin::Many));
    }
    case.end(1, one);
    let parts = case.state.parts();
    let again = State::from_parts(parts.clone()).expect("sound");
    assert_eq!(again.parts(), parts);
    assert_eq!(again.sessions().of("many").count(), 5);
    // Parts that no Quorate wrote are refused, by the invariant that they break.
    let twice = {
        let mut parts = parts.clone();
        let one = parts.presence.sessions[0].clone();
        parts.presence.sessions.push(one);
        parts
    };
    let nowhere = {
        let mut parts = parts.clone();
        parts.presence.gateways.clear();
        parts
    };
    for (what, wrong) in [("twice", twice), ("nowhere", nowhere)] {
        let error = State::from_parts(wrong).expect_err(what).to_string();
        assert!(error.contains("presence names standing gateways only"), "{what}: {error}");
    }
}

#[test]
fn epochs_go_on_within_one_entry() {
    let mut case = Case::new();
    let one = case.gateway(1);
    let changes: Vec<SessionChange> =
        (0..100).map(|n| open(user(n).as_str(), 1, SecondLogin::Replace)).collect();
    let Reply::Sessions(outcomes) = &case.apply(one, changes).replies[0] else { panic!("sessions") };
    let epochs = outcomes.iter().map(|outcome| match outcome {
        SessionOutcome::Opened { epoch } => *epoch,
        other => panic!("{other:?}"),
    });
    assert!(epochs.is_sorted_by(|a, b| a < b));
}
