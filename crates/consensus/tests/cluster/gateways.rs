//! Tunnels on nodes that live, die and are cut off, over real sockets. The lease's time is 5 s here.

use super::*;
use quorate_consensus::TunnelHold;
use quorate_model::TunnelName;

fn tunnel(text: &str) -> TunnelName {
    TunnelName::parse(text).expect("valid")
}

impl Cluster {
    async fn open(&self, i: usize, text: &str) -> TunnelHold {
        self.consensus(i).open_tunnel(&tunnel(text)).await.expect("a quorum is up")
    }

    /// Who holds it, as a node sees it.
    fn holder(&self, i: usize, text: &str) -> Option<(String, Epoch)> {
        let view = self.consensus(i).view().get();
        let holder = view.tunnels().get(text)?;
        Some((holder.node.to_string(), holder.epoch))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_moves_and_a_late_goodbye_takes_nothing() {
    let cluster = Cluster::formed(3).await;
    let first = cluster.open(0, "laptop").await;
    let other = cluster.open(0, "other").await;
    assert_eq!(
        cluster.holder(0, "laptop"),
        Some(("n1".into(), first.epoch())),
        "where it was asked, at once"
    );
    let second = cluster.open(1, "laptop").await;
    let moved = Some(("n2".to_owned(), second.epoch()));
    cluster.until(|c| (0..3).all(|i| c.holder(i, "laptop") == moved)).await;
    time::timeout(Duration::from_secs(10), first.lost()).await.expect("it is told");
    cluster.consensus(0).close_tunnel(first).await.expect("a quorum is up");
    assert_eq!(cluster.holder(0, "laptop"), moved, "the goodbye of the one before is void");
    assert!(!second.is_lost() && !other.is_lost());
    cluster.consensus(1).close_tunnel(second).await.expect("a quorum is up");
    assert_eq!(cluster.holder(1, "laptop"), None);
    // One that nobody closed is closed all the same.
    drop(other);
    cluster.until(|c| (0..3).all(|i| c.holder(i, "other").is_none())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hung_on_a_node_that_died_is_gone_with_it_and_comes_back_elsewhere() {
    let mut cluster = Cluster::formed(3).await;
    let leader = cluster.leader().expect("there is one");
    let (dies, stays) = ((leader + 1) % 3, (leader + 2) % 3);
    let hold = cluster.open(dies, "a").await;
    let kept = cluster.open(stays, "b").await;
    let died = cluster.consensus(dies).view().get().tunnels().gateway(name(dies).as_str()).cloned();
    cluster.crash(dies).await;
    cluster.until(|c| c.holder(stays, "a").is_none() && c.holder(leader, "a").is_none()).await;
    assert!(!kept.is_lost(), "another node's lease is another one");
    let again = cluster.open(stays, "a").await;
    cluster.start(dies).await;
    // It has lost nothing but what it held, and knows of no lease.
    cluster.until(|c| c.holder(dies, "a") == Some((name(stays).to_string(), again.epoch()))).await;
    assert_eq!(*cluster.consensus(dies).gateway_standing().borrow(), None);
    let back = cluster.open(dies, "c").await;
    assert!(died.is_some_and(|died| died.epoch < back.gateway()));
    drop(hold);
    assert!(!again.is_lost() && !back.is_lost());
}

/// A process that died holds nothing, and another one under its name says so by being there: nobody waits for a time to
/// run out. It never held anything itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_anew_ends_the_lease_of_the_one_before() {
    let mut cluster = Cluster::formed(1).await;
    let hold = cluster.open(0, "a").await;
    cluster.crash(0).await;
    cluster.start(0).await;
    cluster.until(|c| c.consensus(0).view().get().tunnels().gateway_count() == 0).await;
    assert_eq!(cluster.holder(0, "a"), None);
    drop(hold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hears_nobody_lets_go_by_itself_and_begins_anew() {
    let mut cluster = Cluster::formed(3).await;
    let hold = cluster.open(0, "a").await;
    let lease = hold.gateway();
    let cut_off = time::Instant::now();
    cluster.crash(1).await;
    cluster.crash(2).await;
    time::timeout(Duration::from_secs(15), hold.lost()).await.expect("within its time, and a tick");
    assert!(cut_off.elapsed() > Duration::from_secs(1), "not for a moment's silence");
    assert_eq!(*cluster.consensus(0).gateway_standing().borrow(), None);
    cluster.start(1).await;
    cluster.start(2).await;
    // The log named it until now: the node itself says that it holds nothing any more.
    cluster.until(|c| c.holder(1, "a").is_none() && c.holder(0, "a").is_none()).await;
    drop(hold);
    cluster.until(|c| c.leader().is_some()).await;
    let again = cluster.open(0, "a").await;
    assert!(again.gateway() > lease && !again.is_lost());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_order_takes_its_tunnels_along_at_once() {
    let cluster = Cluster::formed(3).await;
    let holds = [cluster.open(0, "a").await, cluster.open(0, "b").await];
    cluster.consensus(0).close_gateway().await;
    assert!(holds.iter().all(TunnelHold::is_lost));
    assert!(cluster.holder(0, "a").is_none() && cluster.holder(0, "b").is_none());
    let refused = cluster.consensus(0).open_tunnel(&tunnel("a")).await.expect_err("it is about to end");
    assert_eq!(refused, quorate_consensus::OpenTunnelError::Unavailable(Unavailable::ShuttingDown));
}
