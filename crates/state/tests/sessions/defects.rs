//! What was wrong in the original's presence, each by its name: none of it can be said here.

use super::scene::{Case, close, node, open};
use quorate_model::{SecondLogin, SessionOutcome};

/// The original: a gateway cleans up after a connection with an unconditional `DEL`, so the late clean-up of the first
/// one takes the entry of the second away.
#[test]
fn defect_1_a_late_disconnect_does_not_delete_the_entry_of_another_gateway() {
    let mut case = Case::new();
    let (first, second) = (case.gateway(1), case.gateway(2));
    let old = case.opened(first, "alice", 1);
    let new = case.opened(second, "alice", 2);
    assert_eq!(case.one(first, close(old)), SessionOutcome::Void);
    assert_eq!(case.found("alice"), [(node(2), new)]);
    // Nor does one that names what it does not hold.
    assert_eq!(case.one(first, close(new)), SessionOutcome::Void);
    assert_eq!(case.found("alice"), [(node(2), new)]);
    // Nor the end of the gateway that had it before.
    case.end(1, first);
    case.quiet();
    assert_eq!(case.found("alice"), [(node(2), new)]);
}

/// The original: `ts` is the wall clock of each gateway in seconds, so a clock that runs behind has a newer login
/// refused, and of two in one second the last writer wins.
#[test]
fn defect_2_the_later_login_wins_whatever_the_clocks_say() {
    let mut case = Case::new();
    let (first, second) = (case.gateway(1), case.gateway(2));
    let (a, b) = (case.opened(first, "alice", 1), case.opened(second, "alice", 2));
    assert!(a < b && case.found("alice") == [(node(2), b)]);
    // Log time stands still, as within one second, and a leader's clock may be behind: the order stays the log's.
    let since =
        |case: &Case| case.state.sessions().of("alice").map(|session| session.since).collect::<Vec<_>>();
    let before = since(&case);
    let c = case.opened(first, "alice", 3);
    assert!(c > b && case.found("alice") == [(node(1), c)] && since(&case) >= before);
}

/// The original: `Refresh` after expiry makes an entry with nothing but `ts`, and refreshes what another gateway owns.
/// Here a session says all that there is to say from its first entry on, and nothing refreshes one.
#[test]
fn defect_3_no_session_is_without_a_gateway_and_nobody_keeps_another_ones_alive() {
    let mut case = Case::new();
    let (first, second) = (case.gateway(1), case.gateway(2));
    let old = case.opened(first, "alice", 1);
    case.end(1, first);
    assert!(case.found("alice").is_empty(), "gone with its gateway");
    // The same gateway, back with another lease: what it held by the one before does not come back with it.
    let again = case.gateway(1);
    assert!(case.found("alice").is_empty());
    assert_eq!(case.one(again, close(old)), SessionOutcome::Void);
    let new = case.opened(second, "alice", 2);
    assert_eq!(case.one(again, open("alice", 3, SecondLogin::Reject)), SessionOutcome::Taken);
    assert_eq!(case.found("alice"), [(node(2), new)]);
    assert!(case.state.sessions().iter().all(|session| case.state.tunnels().stands(session.gateway.epoch)));
}

/// The original: after a second login of a user on one gateway the close of the old socket removes the new one.
#[test]
fn defect_4_the_close_of_the_old_socket_does_not_remove_the_new_one() {
    let mut case = Case::new();
    let gateway = case.gateway(1);
    let old = case.opened(gateway, "alice", 1);
    let new = case.opened(gateway, "alice", 2);
    assert_eq!(case.one(gateway, close(old)), SessionOutcome::Void);
    assert_eq!(case.found("alice"), [(node(1), new)]);
    assert_eq!(case.one(gateway, close(new)), SessionOutcome::Closed);
    assert!(case.found("alice").is_empty());
}

/// The original: after the death of a gateway its users are looked for there for up to 90 s. Here the entry that ends
/// its lease ends all of them, whatever their number, and nobody is ever looked for at a gateway whose lease is over.
#[test]
fn defect_6_the_users_of_a_dead_gateway_are_gone_with_one_entry() {
    let mut case = Case::new();
    let (first, second) = (case.gateway(1), case.gateway(2));
    case.fill(first, 0..10_000);
    let bob = case.opened(second, "bob", 1);
    let applied = case.end(1, first);
    assert_eq!(applied.events.len(), 1);
    assert!((0..10_000).all(|n| !case.state.sessions().is_connected(&format!("u{n}"))));
    assert_eq!(case.found("bob"), [(node(2), bob)]);
}
