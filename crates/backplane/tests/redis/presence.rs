//! What Redis says of this node's users, over time.

use super::{
    Hash, Stage, stage_refreshing,
    support::{until, user},
};
use futures_util::FutureExt;
use quorate_backplane::redis::TTL_S;
use quorate_gateway::cluster::Lost;
use quorate_model::{ConnectionId, SecondLogin};
use redis::AsyncCommands;
use std::time::Duration;

const OFTEN: Duration = Duration::from_millis(100);

/// The original's refresh after an expiry makes an entry with a time and no gateway, and refreshes those of others.
#[tokio::test]
async fn defect_3_a_refresh_writes_whole_entries_and_only_its_own() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let _hold = stage.open("bob", 1).await;
    let whole = stage.hash("bob").await;
    let _: u64 = stage.client.del("presence:bob").await.expect("it answers");
    until("it is whole again", async || {
        let hash = stage.hash("bob").await;
        hash.get("gwId") == whole.get("gwId") && hash.get("connId") == whole.get("connId")
    })
    .await;
    let ttl: u64 = stage.client.ttl("presence:bob").await.expect("it answers");
    assert!((1..=TTL_S).contains(&ttl), "{ttl}");

    stage.log_in_elsewhere("bob", "gateway-02", "their-connection").await;
    let theirs = stage.hash("bob").await;
    let _: bool = stage.client.persist("presence:bob").await.expect("it answers");
    // Ours is refreshed meanwhile.
    let _other = stage.open("ann", 2).await;
    let _: u64 = stage.client.del("presence:ann").await.expect("it answers");
    until("another round has been made", async || !stage.hash("ann").await.is_empty()).await;
    assert_eq!(stage.hash("bob").await, theirs);
    let ttl: i64 = stage.client.ttl("presence:bob").await.expect("it answers");
    assert_eq!(ttl, -1, "not even its time is touched");
}

#[tokio::test]
async fn a_user_who_has_logged_in_at_an_original_gateway_is_lost_here() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let hold = stage.open("bob", 1).await;
    assert_eq!(hold.lost(), None);
    stage.log_in_elsewhere("bob", "gateway-02", "their-connection").await;
    let lost = tokio::time::timeout(Duration::from_secs(30), hold.until_lost()).await;
    assert_eq!((lost, hold.lost()), (Ok(Lost::Replaced), Some(Lost::Replaced)));
    hold.close().await;
    assert_eq!(stage.hash("bob").await["gwId"], "gateway-02");
}

/// Redis has room for one of a user's sessions: those that it does not name stand all the same.
#[tokio::test]
async fn of_a_user_of_many_sessions_none_is_lost_to_another_one() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let (first, second) = (stage.open("bob", 1).await, stage.open("bob", 2).await);
    let _other = stage.open("ann", 3).await;
    let _: u64 = stage.client.del("presence:ann").await.expect("it answers");
    until("a round has been made", async || !stage.hash("ann").await.is_empty()).await;
    assert_eq!((first.lost(), second.lost()), (None, None));
    second.close().await;
    let id = ConnectionId::from_random(1).to_string();
    until("Redis names the other one", async || stage.hash("bob").await.get("connId") == Some(&id)).await;
}

/// A round of refreshes that has begun after this was called.
async fn round(stage: &mut Stage) {
    for number in [90, 91] {
        let other = stage.open("witness", number).await;
        let _: u64 = stage.client.del("presence:witness").await.expect("it answers");
        until("a round has been made", async || !stage.hash("witness").await.is_empty()).await;
        other.close().await;
    }
}

async fn is_there_again(stage: &mut Stage, name: &str) {
    let _: u64 = stage.client.del(format!("presence:{name}")).await.expect("it answers");
    until("it is refreshed", async || !stage.hash(name).await.is_empty()).await;
}

/// A second `register` on one socket: the end of the former took the entry of the new one with it.
#[tokio::test]
async fn a_socket_that_becomes_another_users_is_refreshed_for_that_one_alone() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let (bob, ann) = (stage.open("bob", 1).await, stage.open("ann", 1).await);
    bob.close().await;
    assert_eq!(stage.hash("bob").await, Hash::new());
    is_there_again(&mut stage, "ann").await;
    round(&mut stage).await;
    assert_eq!(stage.hash("bob").await, Hash::new());
    drop(ann);
    until("what was dropped is gone", async || stage.hash("ann").await.is_empty()).await;
}

/// A session that was lost, and is registered again by the same socket before the former is let go of.
#[tokio::test]
async fn the_end_of_an_older_registration_leaves_the_newer_one_of_the_same_socket() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let (first, second, third) =
        (stage.open("bob", 1).await, stage.open("bob", 1).await, stage.open("bob", 1).await);
    first.close().await;
    assert_eq!(stage.hash("bob").await["gwId"], "n1");
    drop(second);
    round(&mut stage).await;
    assert_eq!(stage.hash("bob").await["gwId"], "n1");
    is_there_again(&mut stage, "bob").await;
    third.close().await;
    assert_eq!(stage.hash("bob").await, Hash::new());
}

/// Its client left in the middle: nobody held it, and it was refreshed for ever.
#[tokio::test]
async fn a_registration_that_fails_or_is_given_up_half_way_leaves_nothing_behind() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let open = |name, number| {
        stage.ways.presence.open(user(name), ConnectionId::from_random(number), SecondLogin::Replace)
    };
    assert!(open("bob", 1).now_or_never().is_none(), "Redis is awaited");
    assert!(!stage.cluster.stands("bob"));
    round(&mut stage).await;
    assert_eq!(stage.hash("bob").await, Hash::new());
    stage.cluster.close();
    let open = stage.ways.presence.open(user("ann"), ConnectionId::from_random(2), SecondLogin::Replace);
    assert!(open.await.is_err());
    assert_eq!(stage.hash("ann").await, Hash::new());
}

/// Each one who left without a word put the next refresh off.
#[tokio::test]
async fn users_are_refreshed_however_often_others_leave() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let _hold = stage.open("bob", 1).await;
    let _: u64 = stage.client.del("presence:bob").await.expect("it answers");
    let mut number = 2;
    until("it is refreshed", async || {
        drop(stage.open("ann", number).await);
        number += 1;
        !stage.hash("bob").await.is_empty()
    })
    .await;
}

/// Whose connection has the same id is not the same: a session that moves between gateways keeps it.
#[tokio::test]
async fn a_refresh_touches_no_entry_of_another_gateway_whatever_its_connection() {
    let Some(mut stage) = stage_refreshing(OFTEN).await else { return };
    let id = ConnectionId::from_random(1).to_string();
    let hold = stage.open("bob", 1).await;
    for (gateway, connection) in [("n2", id.as_str()), ("n2", "of a session that is gone"), ("n1", "another")]
    {
        stage.log_in_elsewhere("bob", gateway, connection).await;
        let theirs = stage.hash("bob").await;
        round(&mut stage).await;
        assert_eq!(stage.hash("bob").await, theirs);
        assert_eq!(hold.lost(), None, "who is on which gateway of the cluster the log says");
    }
    stage.log_in_elsewhere("bob", "gateway-02", &id).await;
    let lost = tokio::time::timeout(Duration::from_secs(30), hold.until_lost()).await;
    assert_eq!(lost, Ok(Lost::Replaced));
    assert_eq!(stage.hash("bob").await["gwId"], "gateway-02");
}
