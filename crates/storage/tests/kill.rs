//! R14: `kill -9` during heavy writing, again and again. Each start finds everything that was acknowledged.
//!
//! The test starts itself as the process that is killed. `QUORATE_KILL_LOOPS` sets how often (20).
#![cfg(not(madsim))]

mod support;

use openraft::{
    RaftLogReader,
    async_runtime::oneshot::Oneshot,
    storage::{IOFlushed, RaftLogStorage},
};
use quorate_storage::{FolderDisk, LogStore, TypeConfig, disk::Disk};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use support::{RaftEntry, log_id, name, register, vote};

const FOLDER: &str = "QUORATE_KILL_FOLDER";
const LOOPS: &str = "QUORATE_KILL_LOOPS";
/// Records that stay behind a purge.
const KEPT: u64 = 500;
/// Appends under way at once.
const AT_ONCE: usize = 16;

type OneshotOf = openraft::alias::OneshotOf<TypeConfig>;

/// Mostly small, now and then of several chunks.
fn record(index: u64) -> RaftEntry {
    let mut entry = register(1, index, usize::try_from(index % 7).expect("small") * 300);
    if index.is_multiple_of(50)
        && let openraft::EntryPayload::Normal(quorate_storage::LogEntry(entry)) = &mut entry.payload
    {
        entry.proposals = vec![entry.proposals[0].clone(); 80];
    }
    entry
}

fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {number}").expect("the parent reads");
    out.flush().expect("the parent reads");
}

/// The process that is killed. Does nothing when it is run as a test of its own.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let disk = FolderDisk::open(Path::new(&folder), &name("n1")).expect("opens");
    let mut log = LogStore::open(disk.engine(), disk.mark(), std::sync::Arc::default()).expect("sound");
    let mut next = log.last().map_or(0, |last| last + 1);
    let mut under_way = VecDeque::new();
    loop {
        while under_way.len() < AT_ONCE {
            let (tx, rx) = OneshotOf::channel();
            log.append([record(next), record(next + 1)], IOFlushed::signal(tx)).await.expect("written");
            under_way.push_back((next + 1, rx));
            next += 2;
        }
        let (index, acknowledged) = under_way.pop_front().expect("there are some");
        acknowledged.await.expect("answered").expect("durable");
        say("appended", index);
        if index % 101 == 0 {
            log.save_vote(&vote(index, true)).await.expect("durable");
            say("voted", index);
        }
        if index > log.purged().unwrap_or(0) + 2 * KEPT {
            log.purge(log_id(1, index - KEPT)).await.expect("purged");
            say("purged", index - KEPT);
        }
    }
}

/// What the victim had promised.
#[derive(Debug, Default)]
struct Promised {
    appended: Option<u64>,
    voted: Option<u64>,
    purged: Option<u64>,
}

impl Promised {
    fn hear(&mut self, line: &str) {
        // The harness prints on the same line.
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[1].parse() else { continue };
            match pair[0] {
                "appended" => self.appended = Some(number),
                "voted" => self.voted = Some(number),
                "purged" => self.purged = Some(number),
                _ => {}
            }
        }
    }
}

/// Starts the victim, kills it after `after`, and tells what it had promised by then.
fn run_victim(folder: &Path, after: Duration, promised: &mut Promised) {
    let mut child = Command::new(std::env::current_exe().expect("this is one"))
        .args(["--exact", "victim", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    // Killed by another thread, while this one reads to the end of what it had said.
    std::thread::scope(|threads| {
        threads.spawn(move || {
            std::thread::sleep(after);
            child.kill().expect("it runs until it is killed");
            child.wait().expect("it ends");
        });
        for line in out.split(b'\n') {
            promised.hear(&String::from_utf8_lossy(&line.expect("readable")));
        }
    });
}

#[tokio::test]
async fn each_start_after_a_kill_finds_everything_that_was_acknowledged() {
    let loops: u64 = std::env::var(LOOPS).ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().expect("a folder");
    let mut promised = Promised::default();
    for round in 0..loops {
        // Also in the first moments, while the engine recovers.
        let after = Duration::from_millis(20 + round * 7_919 % 380);
        run_victim(folder.path(), after, &mut promised);
        let disk = FolderDisk::open(folder.path(), &name("n1")).expect("opens after each kill");
        let mut log =
            LogStore::open(disk.engine(), disk.mark(), std::sync::Arc::default()).expect("nothing is lost");
        assert!(log.last() >= promised.appended, "{:?}, {promised:?}", log.last());
        assert!(log.purged() >= promised.purged, "{:?}, {promised:?}", log.purged());
        let voted = log.read_vote().await.expect("readable").map(|v| v.leader_id.term);
        assert!(voted >= promised.voted, "{voted:?}, {promised:?}");
        let first = log.purged().map_or(0, |p| p + 1);
        let entries = log.try_get_log_entries(first..).await.expect("readable");
        assert!(
            entries.iter().zip(first..).all(|(entry, index)| *entry == record(index)),
            "each as it was written"
        );
        assert_eq!(Some(first + entries.len() as u64), log.last().map(|last| last + 1).or(Some(first)));
        let size = disk.log_size_on_disk().expect("readable");
        assert!(size < 256 << 20, "{size} bytes");
        drop((log, disk));
        drop(support::reopen(folder.path()).await);
    }
    println!("{loops} kills; {promised:?}");
    assert!(promised.appended > Some(100), "it was heavy writing: {promised:?}");
}
