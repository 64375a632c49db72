//! Clusters of mixed feature levels.

use super::*;
use quorate_model::Silence;

const FIRST: FeatureLevel = FeatureLevel::FIRST;
const SECOND: FeatureLevel = FeatureLevel::SECOND;

fn of_the_second_level() -> Command {
    let id = WorkerId::parse("w").expect("valid");
    Command::HandOverLeases { term: 1, silences: vec![Silence { id, epoch: Epoch(1), silent_ms: 5 }] }
}

/// A rolling upgrade: two nodes of the new version, one of the old, until the last one is rolled too; and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_command_that_a_voter_cannot_read_is_not_proposed() {
    let mut cluster = Cluster::formed_with(vec![SECOND, SECOND, FIRST]).await;
    cluster.consensus(2).propose(register("w", &[1])).await.expect("what all can do goes on");
    time::sleep(Duration::from_millis(2_500)).await;
    for i in 0..3 {
        assert_eq!(cluster.consensus(i).feature_level(), FIRST, "not while one can't");
        let refused = cluster.consensus(i).propose(of_the_second_level()).await;
        assert_eq!(refused, Err(Unavailable::FeatureLevel { needs: SECOND, stands: FIRST }));
    }
    let (first, last) = (cluster.consensus(0), cluster.consensus(2));
    assert_eq!(first.feature_level_max(last.id()), Some(FIRST), "whom the operator has to upgrade");
    // Handing over leadership does without what the old one can't read.
    let leader = cluster.leader().expect("there is one");
    cluster.consensus(leader).transfer_leader(None).await.expect("somebody takes over");
    // While it is away nobody knows what it can: the level waits for it.
    cluster.crash(2).await;
    time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(cluster.consensus(0).feature_level(), FIRST, "a member that is away counts");
    cluster.level_max[2] = SECOND;
    cluster.start(2).await;
    for i in 0..3 {
        cluster.until(|c| c.consensus(i).feature_level() == SECOND).await;
        cluster.until(|c| c.count(i, "quorate_raft_feature_level") == 2).await;
    }
    let done = cluster.consensus(2).propose(of_the_second_level()).await.expect("all can read it");
    assert_eq!(done.reply, Reply::Done);
    // Entries of both levels are read back.
    cluster.crash(1).await;
    cluster.start(1).await;
    cluster.consensus(1).read_barrier().await.expect("it catches up");
    assert!(cluster.consensus(1).view().get().worker("w").is_some());
    assert_eq!(cluster.consensus(1).feature_level(), SECOND);
}

/// The way back: an older version is refused with the remedy, by its peers as by its own folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_version_below_the_level_of_its_cluster_does_not_start() {
    let mut cluster = Cluster::formed_with(vec![SECOND; 3]).await;
    cluster.crash(2).await;
    cluster.level_max[2] = FIRST;
    let by_peers = cluster.try_start(2).await.expect_err("the others have gone further").to_string();
    assert!(
        by_peers.contains("feature level 2") && by_peers.contains("run the newer version again"),
        "{by_peers}"
    );
    // The same without anybody to ask: what a node has written down is enough.
    let disk = cluster.disks[2].open(&name(2)).expect("its own disk");
    disk.set_level(SECOND).expect("written");
    drop(disk);
    cluster.crash(0).await;
    cluster.crash(1).await;
    let by_folder = cluster.try_start(2).await.expect_err("its folder says so").to_string();
    assert!(by_folder.starts_with("the data folder belongs to a cluster at feature level 2"), "{by_folder}");
    cluster.level_max[2] = SECOND;
    cluster.start(2).await;
}

/// Nobody was there to ask when it started: it learns from the log, and stops instead of applying on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_node_that_learns_from_the_log_that_it_is_too_old_ends() {
    let mut cluster = Cluster::formed_with(vec![SECOND; 3]).await;
    for i in 0..3 {
        cluster.crash(i).await;
    }
    cluster.level_max[0] = FIRST;
    // Its folder was not marked before the crash, and it is the first to be back.
    cluster.start(0).await;
    cluster.start(1).await;
    let ended = time::timeout(Duration::from_secs(10), cluster.consensus(0).failed()).await;
    assert!(ended.expect("it ends").contains("feature level 2, but this version knows levels up to 1"));
}
