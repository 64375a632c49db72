//! What does not belong to the cluster.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_of_another_cluster_is_refused() {
    let mut a = Cluster::formed(3).await;
    let mut b = Cluster::formed(3).await;
    a.crash(0).await;
    b.crash(0).await;
    let disk = b.disks[0].open(&name(0)).expect("its own disk");
    let other = b.running[1].as_ref().expect("runs").consensus.cluster().expect("formed");
    disk.set_cluster(other).expect("it is of that cluster");
    let applied = Applied::new(Arc::default());
    let (log, machine) =
        quorate_storage::open(&disk, applied.clone(), Arc::default()).await.expect("a sound disk");
    let record = NodeRecord {
        id: disk.identity().id,
        name: name(0),
        boot: BootId(1),
        peer: "127.0.0.1:1".into(),
        management: "127.0.0.1:1".into(),
        version: "test".into(),
    };
    let options = Options {
        me: SelfId {
            id: disk.identity().id,
            name: name(0),
            cluster: Arc::new(OnceLock::from(other)),
            secret: None,
        },
        book: AddressBook::new(a.book.clone()),
        record,
        heartbeat: Duration::from_millis(50),
        election: Duration::from_millis(250),
        partitions: None,
        source: KeyspaceSource::Static,
        levels: NodeLevels { max: FeatureLevel::NEWEST, cluster: FeatureLevel::FIRST },
        snapshot_every: 200,
        gateway_ttl: Duration::from_secs(5),
    };
    let refused = Consensus::start(options, log, machine, applied).await;
    assert!(matches!(refused, Err(quorate_consensus::StartError::OtherCluster { .. })));
}
