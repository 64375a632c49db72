//! R6: the power fails, of one node or of all at once, at any moment of heavy writing.

use crate::{
    machine,
    power::{self, Disk, Loss, lose_power},
    support::{cluster::Cluster, eventually, figure, http::Ask, machine_to_itself, node::Node, within},
    writers::{Promised, Writers},
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Writes in each round before the power fails, about.
const WRITES: usize = 200;
/// A node is back within five seconds; more is for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(15);

struct OnForgetfulDisks {
    cluster: Cluster,
    _library: tempfile::TempDir,
}

fn started(disk: Disk) -> OnForgetfulDisks {
    let folder = tempfile::tempdir().expect("a folder");
    let library: PathBuf = power::library(folder.path());
    let put = |_, node: &mut Node| power::put_on_forgetful_disk(node, &library, disk);
    let mut cluster = Cluster::planned_as(&[], put);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    OnForgetfulDisks { cluster, _library: folder }
}

/// Asks all nodes all the time who leads in which term. A vote that is forgotten may make two leaders in one.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u64, String>>,
}

impl Witness {
    fn start(cluster: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (nodes, stopped) = ([0, 1, 2].map(|place| cluster.nodes[place].management), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut leaders = BTreeMap::<u64, String>::new();
            while !stopped.load(Ordering::Relaxed) {
                for node in nodes {
                    let said = Ask::get("/v1/cluster").send(node).ok().map(|answer| answer.json());
                    let Some((Some(term), Some(leader))) =
                        said.map(|said| (said["term"].as_u64(), said["leader"].as_str().map(str::to_owned)))
                    else {
                        continue;
                    };
                    let known = leaders.entry(term).or_insert_with(|| leader.clone()).clone();
                    assert_eq!(known, leader, "two leaders in term {term}, by {node}; before: {leaders:?}");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            leaders
        });
        Self { stop, thread }
    }

    /// The leaders of all terms that were seen.
    fn end(self) -> BTreeMap<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("one leader in each term")
    }
}

/// Writes until somewhere near [`WRITES`], then takes the power of these nodes.
fn write_and_lose_power(cluster: &mut Cluster, victims: &[usize], round: u64, loss: Loss) -> Promised {
    let writers = Writers::start(&cluster.nodes, &format!("round{round}"), 3, 1);
    let chance = usize::try_from(RandomState::new().hash_one(round) % 100).expect("small");
    eventually("writes are acknowledged", || (writers.count() >= WRITES - 50 + chance).then_some(()));
    std::thread::sleep(Duration::from_micros(u64::try_from(chance).expect("small") * 37));
    for victim in victims {
        // All of them before the first one's disk is looked at: it takes a while.
        cluster.nodes[*victim].kill();
    }
    victims.iter().for_each(|victim| lose_power(&mut cluster.nodes[*victim], loss));
    writers.end()
}

#[test]
fn r6_a_power_loss_of_one_node_or_of_all_loses_nothing_that_was_acknowledged() {
    let _alone = machine_to_itself();
    if let Some(reason) = power::missing() {
        return machine::skip(reason);
    }
    let mut world = started(Disk::Honest);
    let cluster = &mut world.cluster;
    let witness = Witness::start(cluster);
    let (mut written, mut slowest, mut all) = (0, Duration::ZERO, Vec::new());
    let rounds = machine::rounds(6);
    for round in 0..rounds {
        let victims = match round % 4 {
            0 | 2 => vec![0, 1, 2],
            1 => vec![cluster.leader()],
            _ => vec![cluster.followers()[0]],
        };
        let loss = if round / 2 % 2 == 0 { Loss::Everything } else { Loss::Some };
        figure(&format!("round {round}: {victims:?} lose {loss:?}"));
        let promised = write_and_lose_power(cluster, &victims, round, loss);
        let start = Instant::now();
        victims.iter().for_each(|victim| cluster.nodes[*victim].start());
        cluster.ready();
        slowest = slowest.max(start.elapsed());
        promised.is_kept(cluster);
        written += promised.count;
        all.push(promised);
    }
    // Nor has a later round taken away what an earlier one left.
    all.iter().for_each(|promised| promised.is_kept(cluster));
    let terms = witness.end().len();
    figure(&format!(
        "power lost {rounds} times: {written} writes kept, {terms} terms with one leader each; back after {slowest:?} at most"
    ));
    assert!(slowest < BACK_WITHIN, "{slowest:?}");
}

/// What makes the test above worth anything: a disk that lies about its syncs is found out.
#[test]
fn r6_control_a_disk_that_lies_about_syncs_is_found_out() {
    let _alone = machine_to_itself();
    if let Some(reason) = power::missing() {
        return machine::skip(reason);
    }
    let mut world = started(Disk::Lying);
    let cluster = &mut world.cluster;
    let promised = write_and_lose_power(cluster, &[0, 1, 2], 0, Loss::Everything);
    cluster.nodes.iter_mut().for_each(Node::start);
    let found = within(BACK_WITHIN, || {
        if cluster.nodes.iter_mut().any(|node| node.has_ended().is_some()) {
            return Some(true);
        }
        let ready = |node: &Node| {
            Ask::get("/readyz").send(node.management).is_ok_and(|a| a.json()["status"] == "ready")
        };
        cluster.nodes.iter().all(ready).then(|| !promised.broken_at(&cluster.nodes[0]).is_empty())
    });
    // Not even ready: that is noticed too.
    assert!(found != Some(false), "{} writes were kept on a disk that keeps none", promised.count);
}
