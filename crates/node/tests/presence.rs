//! Who comes and goes, as the gateway of another node is told.
#![cfg(not(madsim))]

mod support;

use quorate_gateway::cluster::{Presence, Touched, Whom};
use quorate_model::{ConnectionId, SecondLogin, UserId};
use quorate_node::gateway::LogPresence;
use quorate_rt::time;
use std::time::Duration;
use support::{cluster, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

/// Whoever watches users is told who of all may have come or gone since an index, in one piece and with the index up to
/// which that is so; where it can't be said who, that it may be anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_told_who_came_and_went_at_another_one() {
    let nodes = cluster().await;
    let here = LogPresence::new(nodes[0].consensus().clone());
    let there = nodes[1].consensus();
    let log_in = async |name: &str, connection| {
        let connection = ConnectionId::from_random(connection);
        there.open_session(user(name), connection, SecondLogin::Replace).await.expect("there is room")
    };
    let told = async |after| time::timeout(PATIENCE, here.touched(after)).await.expect("it is told");
    // Opened by the first one, and told by itself: whoever hangs on a lease may be anybody.
    let alice = log_in("alice", 1).await;
    until("n1 has alice", || !here.find(&user("alice")).is_empty()).await;
    let before = here.index();
    let (bob, first) = tokio::join!(log_in("bob", 2), told(before));
    assert_eq!(first.users, Whom::These(vec![user("bob")]), "and not alice, who was there");
    assert!(first.index > before, "{first:?}");
    assert_eq!(here.look(&[user("bob"), user("carol")]).1, [true, false]);
    // From there on: who goes is told, and whose place is taken.
    let (closed, second) = tokio::join!(there.close_session(bob), told(first.index));
    closed.expect("it is in the log");
    assert_eq!(second.users, Whom::These(vec![user("bob")]));
    let (again, third) = tokio::join!(log_in("alice", 3), told(second.index));
    assert_eq!(third.users, Whom::These(vec![user("alice")]));
    assert!(alice.is_lost().is_some() && again.is_lost().is_none());
    // All of it once more for one who was away.
    let both = told(before).await;
    assert_eq!(both.users, Whom::These(vec![user("alice"), user("bob")]));
    assert!(both.index >= third.index, "{both:?}");
    // What hangs on a gateway that ends is told by nobody one by one.
    let ((), fourth) = tokio::join!(there.close_gateway(), told(both.index));
    assert_eq!(fourth.users, Whom::Any);
    assert_eq!(here.look(&[user("alice")]).1, [false]);
    assert!(matches!(told(before).await, Touched { users: Whom::Any, .. }), "nor to one who was away");
}
