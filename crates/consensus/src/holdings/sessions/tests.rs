//! What one node makes of what the log says about users, entry by entry.

use super::{
    super::tests::{Case, node},
    *,
};
use quorate_model::{GatewayEnd, PresenceCommand, Reply, SecondLogin, SessionChange};

fn who(name: &str, connection: u128) -> (UserId, ConnectionId) {
    (UserId::parse(name).expect("valid"), ConnectionId::from_random(connection))
}

fn open((user, connection): (UserId, ConnectionId)) -> SessionChange {
    SessionChange::Open { user, connection, second: SecondLogin::Replace }
}

impl Case {
    fn change(&mut self, gateway: Epoch, changes: Vec<SessionChange>) -> Arc<[SessionOutcome]> {
        match self.run(PresenceCommand::Sessions { gateway, changes }) {
            Reply::Sessions(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    /// Some gateway opens a session.
    fn log_in(&mut self, gateway: Epoch, name: &str, connection: u128) -> Epoch {
        match self.change(gateway, vec![open(who(name, connection))])[..] {
            [SessionOutcome::Opened { epoch }] => epoch,
            ref other => panic!("{other:?}"),
        }
    }

    fn begin(&self, asked: &[(&str, u128)]) -> Openings {
        let asked = asked.iter().map(|(name, connection)| who(name, *connection)).collect();
        self.holdings.begin_sessions(&self.view, asked)
    }

    /// This node opens sessions.
    fn hold_users(&mut self, gateway: Epoch, asked: &[(&str, u128)]) -> Vec<SessionHold> {
        let openings = self.begin(asked);
        let changes = asked.iter().map(|(name, connection)| open(who(name, *connection))).collect();
        let outcomes = self.change(gateway, changes);
        openings.answered(gateway, &outcomes).into_iter().map(|opened| opened.expect("opened")).collect()
    }

    fn orphans(&self) -> Vec<Epoch> {
        self.holdings.take_session_orphans(99)
    }
}

#[test]
fn whoever_logs_in_elsewhere_replaces_and_the_former_one_is_told() {
    let (mut case, lease) = Case::with_lease();
    let holds = case.hold_users(lease, &[("alice", 1), ("bob", 2)]);
    assert!(holds.iter().all(|hold| hold.is_lost().is_none()));
    let elsewhere = case.open_gateway(2);
    case.log_in(elsewhere, "alice", 3);
    assert_eq!([holds[0].is_lost(), holds[1].is_lost()], [Some(Lost::Replaced), None]);
    // Its goodbye would be void: nothing is left to say.
    let bob = holds[1].epoch();
    drop(holds);
    assert_eq!(case.orphans(), [bob]);
}

#[tokio::test]
async fn whoever_waits_for_a_loss_is_woken_and_whoever_asks_later_is_told_at_once() {
    let (mut case, lease) = Case::with_lease();
    let hold = Arc::new(case.hold_users(lease, &[("alice", 1)]).remove(0));
    let waits = quorate_rt::spawn({
        let hold = hold.clone();
        async move { hold.lost().await }
    });
    let next = case.hold_users(lease, &[("alice", 2)]).remove(0);
    assert_eq!((waits.await.expect("it ends"), hold.lost().await), (Lost::Replaced, Lost::Replaced));
    case.end_gateway(1, lease);
    assert_eq!(next.lost().await, Lost::LeaseOver);
    assert_eq!(hold.lost().await, Lost::Replaced, "the first word stands");
}

/// Two of one user come in one command: the first is lost before anybody has it.
#[test]
fn one_that_was_replaced_before_its_asker_heard_of_it_is_lost_from_the_start() {
    let (mut case, lease) = Case::with_lease();
    let holds = case.hold_users(lease, &[("alice", 1), ("alice", 2)]);
    assert_eq!([holds[0].is_lost(), holds[1].is_lost()], [Some(Lost::Replaced), None]);
    drop(holds.into_iter().next());
    assert_eq!(case.orphans().len(), 1, "the second was dropped with the list");
}

#[test]
fn the_end_of_the_lease_is_the_end_of_all_and_leaves_no_orphan() {
    let (mut case, lease) = Case::with_lease();
    let holds = case.hold_users(lease, &[("alice", 1), ("bob", 2)]);
    drop(case.hold_users(lease, &[("carol", 3)]));
    let elsewhere = case.open_gateway(2);
    case.end_gateway(2, elsewhere);
    assert!(holds.iter().all(|hold| hold.is_lost().is_none()), "that was another one's");
    case.end_gateway(1, lease);
    assert!(holds.iter().all(|hold| hold.is_lost() == Some(Lost::LeaseOver)));
    drop(holds);
    assert_eq!(case.orphans(), []);
}

/// Scenario: the answer to an opening comes after the node has let everything go, or after its lease has ended.
#[test]
fn what_is_granted_by_a_lease_that_is_gone_is_lost() {
    let (mut case, lease) = Case::with_lease();
    let openings = case.begin(&[("alice", 1)]);
    let outcomes = case.change(lease, vec![open(who("alice", 1))]);
    case.holdings.let_go();
    let opened = openings.answered(lease, &outcomes).remove(0).expect("opened");
    assert_eq!(opened.is_lost(), Some(Lost::LeaseOver));
}

#[test]
fn what_nobody_has_is_an_orphan_and_what_somebody_is_about_to_have_is_none() {
    let (mut case, lease) = Case::with_lease();
    // Its asker gave up before it was applied.
    drop(case.begin(&[("late", 1)]));
    let late = case.log_in(lease, "late", 1);
    assert_eq!(case.orphans(), [late]);
    // Its asker gives up after it was applied, and before it heard so.
    let openings = case.begin(&[("alice", 2)]);
    let epoch = case.log_in(lease, "alice", 2);
    assert_eq!(case.orphans(), [], "it may still be heard");
    drop(openings);
    assert_eq!(case.orphans(), [epoch]);
    // Nobody closed what was held.
    let hold = case.hold_users(lease, &[("bob", 3)]).remove(0);
    let epoch = hold.epoch();
    drop(hold);
    assert_eq!(case.orphans(), [epoch]);
    // It failed: it is said again while the lease stands.
    case.holdings.put_back_sessions(lease, vec![epoch]);
    assert_eq!(case.orphans(), [epoch]);
    // Another node's are its own to close.
    let elsewhere = case.open_gateway(2);
    case.log_in(elsewhere, "carol", 4);
    assert_eq!(case.orphans(), []);
    // One that was replaced meanwhile needs no goodbye.
    drop(case.hold_users(lease, &[("dave", 5)]));
    case.log_in(elsewhere, "dave", 6);
    assert_eq!(case.orphans(), []);
    case.end_gateway(1, lease);
    case.holdings.put_back_sessions(lease, vec![epoch]);
    assert_eq!(case.orphans(), [], "it went with the lease");
}

/// One connection that asks twice at once: the answer to one leaves the other's alone.
#[test]
fn a_connection_may_ask_a_second_time_before_it_is_answered() {
    let (mut case, lease) = Case::with_lease();
    let (first, second) = (case.begin(&[("alice", 1)]), case.begin(&[("alice", 1)]));
    drop(first);
    let outcomes = case.change(lease, vec![open(who("alice", 1))]);
    assert_eq!(case.orphans(), [], "the second may still be heard");
    let hold = second.answered(lease, &outcomes).remove(0).expect("opened");
    assert!(hold.is_lost().is_none() && case.orphans().is_empty());
}

/// Scenario: the node was behind, and was sent a snapshot instead of entries.
#[test]
fn what_was_missed_in_a_snapshot_is_noticed() {
    let (mut case, lease) = Case::with_lease();
    let holds = case.hold_users(lease, &[("alice", 1), ("bob", 2)]);
    let elsewhere = case.open_gateway(2);
    // The entries go by unseen.
    case.apply(PresenceCommand::Sessions { gateway: elsewhere, changes: vec![open(who("alice", 3))] });
    case.apply(PresenceCommand::Sessions { gateway: lease, changes: vec![open(who("zoe", 4))] });
    let show = |case: &Case| {
        case.view.store(Arc::new(case.state.clone()));
        case.holdings.replaced();
        case.holdings.observe(&case.state, &[]);
    };
    show(&case);
    assert_eq!([holds[0].is_lost(), holds[1].is_lost()], [Some(Lost::Replaced), None]);
    let zoe = case.state.sessions().of("zoe").next().expect("there").epoch;
    assert_eq!(case.orphans(), [zoe]);
    case.apply(PresenceCommand::EndGateways(vec![GatewayEnd { node: node(1), epoch: lease }]));
    show(&case);
    assert_eq!(holds[1].is_lost(), Some(Lost::LeaseOver));
}
