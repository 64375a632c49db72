//! Users on nodes that live, die and are cut off, over real sockets. The lease's time is 5 s here.

use super::*;
use quorate_consensus::{Lost, OpenSessionError, SessionHold};
use quorate_model::{ConnectionId, Kind, SecondLogin, UserId, What};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

impl Cluster {
    async fn log_in(
        &self,
        i: usize,
        name: &str,
        connection: u128,
        second: SecondLogin,
    ) -> Result<SessionHold, OpenSessionError> {
        let connection = ConnectionId::from_random(connection);
        self.consensus(i).open_session(user(name), connection, second).await
    }

    async fn connected(&self, i: usize, name: &str, connection: u128) -> SessionHold {
        self.log_in(i, name, connection, SecondLogin::Replace).await.expect("a quorum is up")
    }

    /// Where a user is, as a node sees it.
    fn presence(&self, i: usize, name: &str) -> Option<(String, Epoch)> {
        let view = self.consensus(i).view().get();
        let session = view.sessions().of(name).next()?;
        Some((session.gateway.node.to_string(), session.epoch))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_moves_and_a_late_goodbye_takes_nothing() {
    let cluster = Cluster::formed(3).await;
    let first = cluster.connected(0, "alice", 1).await;
    let other = cluster.connected(0, "bob", 2).await;
    assert_eq!(cluster.presence(0, "alice"), Some(("n1".into(), first.epoch())), "where it was asked, at once");
    let taken = cluster.log_in(1, "alice", 3, SecondLogin::Reject).await.expect_err("taken");
    assert_eq!(taken, OpenSessionError::Taken(user("alice")));
    let second = cluster.connected(1, "alice", 4).await;
    let moved = Some(("n2".to_owned(), second.epoch()));
    cluster.until(|c| (0..3).all(|i| c.presence(i, "alice") == moved)).await;
    let lost = time::timeout(Duration::from_secs(10), first.lost()).await.expect("it is told");
    assert_eq!(lost, Lost::Replaced);
    cluster.consensus(0).close_session(first).await.expect("nothing is left to say");
    assert_eq!(cluster.presence(1, "alice"), moved);
    assert!(second.is_lost().is_none() && other.is_lost().is_none());
    cluster.consensus(1).close_session(second).await.expect("a quorum is up");
    assert_eq!(cluster.presence(1, "alice"), None);
    // One that nobody closed is closed all the same.
    drop(other);
    cluster.until(|c| (0..3).all(|i| c.presence(i, "bob").is_none())).await;
}

/// They come all at once, and each is answered as what became of it; together they take few entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_shares_entries_and_all_nodes_know_all_of_it() {
    const USERS: usize = 3_000;
    let cluster = Cluster::formed(3).await;
    drop(cluster.connected(0, "first", 0).await);
    let before = cluster.consensus(0).view().get().index().0;
    let coming = (0..USERS).map(|n| {
        let consensus = cluster.consensus(0).clone();
        async move {
            let connection = ConnectionId::from_random(n as u128 + 1);
            consensus.open_session(user(&format!("u{n}")), connection, SecondLogin::Reject).await
        }
    });
    let holds: Vec<_> = futures_util::future::join_all(coming).await;
    let holds: Vec<_> = holds.into_iter().map(|hold| hold.expect("a quorum is up")).collect();
    let entries = cluster.consensus(0).view().get().index().0 - before;
    assert!(entries < 100, "{USERS} users in {entries} entries");
    let all_here = |c: &Cluster, count| (0..3).all(|i| c.consensus(i).view().get().sessions().len() == count);
    cluster.until(|c| all_here(c, USERS)).await;
    let each: std::collections::BTreeSet<_> = holds.iter().map(SessionHold::epoch).collect();
    assert_eq!(each.len(), USERS);
    // Half of them say goodbye, the others just go.
    let (polite, others): (Vec<_>, Vec<_>) = holds.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let goodbyes = polite.into_iter().map(|(_, hold)| cluster.consensus(0).close_session(hold));
    assert!(futures_util::future::join_all(goodbyes).await.iter().all(Result::is_ok));
    drop(others);
    cluster.until(|c| all_here(c, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_of_a_node_that_died_are_gone_with_it_and_come_back_elsewhere() {
    let mut cluster = Cluster::formed(3).await;
    let leader = cluster.leader().expect("there is one");
    let (dies, stays) = ((leader + 1) % 3, (leader + 2) % 3);
    let hold = cluster.connected(dies, "alice", 1).await;
    let kept = cluster.connected(stays, "bob", 2).await;
    cluster.crash(dies).await;
    cluster.until(|c| c.presence(stays, "alice").is_none() && c.presence(leader, "alice").is_none()).await;
    assert!(kept.is_lost().is_none(), "another node's lease is another one");
    let again = cluster.connected(stays, "alice", 3).await;
    cluster.start(dies).await;
    cluster.until(|c| c.presence(dies, "alice") == Some((name(stays).to_string(), again.epoch()))).await;
    let back = cluster.connected(dies, "carol", 4).await;
    drop(hold);
    assert!(again.is_lost().is_none() && back.is_lost().is_none());
}

/// A node that hears nobody lets its users go, and says so to each; nothing of it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_lets_its_users_go_and_answers_nobody_falsely() {
    let mut cluster = Cluster::formed(3).await;
    let hold = cluster.connected(0, "alice", 1).await;
    cluster.crash(1).await;
    cluster.crash(2).await;
    let lost = time::timeout(Duration::from_secs(15), hold.lost()).await.expect("within its time, and a tick");
    assert_eq!(lost, Lost::LeaseOver);
    let refused = cluster.log_in(0, "bob", 2, SecondLogin::Replace).await.expect_err("nobody can be asked");
    assert!(matches!(refused, OpenSessionError::Unavailable(_)), "{refused:?}");
    cluster.start(1).await;
    cluster.start(2).await;
    cluster.until(|c| (0..3).all(|i| c.presence(i, "alice").is_none() && c.presence(i, "bob").is_none())).await;
    cluster.until(|c| c.leader().is_some()).await;
    let again = cluster.connected(0, "alice", 3).await;
    assert!(again.gateway() > hold.gateway() && again.is_lost().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_order_takes_its_users_along_in_one_entry() {
    let cluster = Cluster::formed(3).await;
    let holds = [cluster.connected(0, "alice", 1).await, cluster.connected(0, "bob", 2).await];
    let before = cluster.consensus(0).changed(&[Kind::Presence]);
    cluster.consensus(0).close_gateway().await;
    assert!(holds.iter().all(|hold| hold.is_lost() == Some(Lost::LeaseOver)));
    let view = cluster.consensus(0).view().get();
    assert!(view.sessions().is_empty());
    assert_eq!(cluster.consensus(0).changed(&[Kind::Presence]), before, "told as the gateway's end alone");
    let since = cluster.consensus(0).changes_after(quorate_model::Position::end_of(before), 99).expect("known");
    let ended = since.changes.iter().filter(|change| matches!(change.what, What::Gateway { gateway: None, .. }));
    assert_eq!(ended.count(), 1);
    let refused = cluster.log_in(0, "alice", 3, SecondLogin::Replace).await.expect_err("it is about to end");
    assert_eq!(refused, OpenSessionError::Unavailable(Unavailable::ShuttingDown));
}
