//! R14: `kill -9` in the middle of heavy writing, again and again.

use crate::{
    machine,
    support::{cluster::Cluster, eventually, figure, machine_to_itself, node::Node},
    writers::Writers,
};
use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    time::Duration,
};

/// About 4 KiB in each record, so that the log grows.
const FILLERS: usize = 16;
/// A folder that has seen this much overwriting and so many starts takes no more than this.
const FOLDER_BYTES_MAX: u64 = 256 << 20;

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries
        .map(|path| if path.is_dir() { size(&path) } else { fs::metadata(&path).map_or(0, |m| m.len()) })
        .sum()
}

#[test]
fn r14_each_start_after_a_kill_in_the_middle_of_writing_finds_everything() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let (chance, kills) = (RandomState::new(), machine::rounds(20));
    let (mut written, mut largest) = (0, 0);
    for round in 0..kills {
        let writers = Writers::start(&cluster.nodes, &format!("kill{}", round % 4), 2, FILLERS);
        eventually("writes are acknowledged", || (writers.count() > 20).then_some(()));
        std::thread::sleep(Duration::from_micros(chance.hash_one(round) % 200_000));
        // One after the other; now and then all at once, or twice: in the middle of its start.
        let victims =
            if round % 5 == 4 { vec![0, 1, 2] } else { vec![usize::try_from(round % 3).expect("small")] };
        victims.iter().for_each(|victim| cluster.nodes[*victim].kill());
        if round % 5 == 3 {
            victims.iter().for_each(|victim| cluster.nodes[*victim].start());
            std::thread::sleep(Duration::from_micros(chance.hash_one(!round) % 100_000));
            victims.iter().for_each(|victim| cluster.nodes[*victim].kill());
        }
        victims.iter().for_each(|victim| cluster.nodes[*victim].start());
        let promised = writers.end();
        cluster.nodes.iter_mut().for_each(|node: &mut Node| node.becomes("ready"));
        promised.is_kept(&cluster);
        written += promised.count;
        largest = cluster
            .nodes
            .iter()
            .map(|node| size(&node.data))
            .max()
            .max(Some(largest))
            .expect("there are nodes");
    }
    figure(&format!(
        "{kills} kills, {written} writes kept; the largest data folder had {} MiB",
        largest >> 20
    ));
    assert!(largest < FOLDER_BYTES_MAX, "{largest} bytes");
}
