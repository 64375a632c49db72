//! Power cuts at any moment. After each, the store is as it was at some moment of its history, and no earlier than
//! the last thing that it had promised.
#![cfg(not(madsim))]

mod support;

use openraft::{
    RaftLogReader,
    storage::{RaftLogStorage, RaftLogStorageExt},
};
use proptest::{collection, prelude::*};
use quorate_storage::{CrashMode, LogStore, OpenError, SimDisk, disk::Disk};
use support::{LogId, RaftEntry, Vote, append, append_lazily, log_id, name, register, vote};

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Picture {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    entries: Vec<RaftEntry>,
}

impl Picture {
    async fn of(log: &mut LogStore) -> Self {
        let state = log.get_log_state().await.expect("readable");
        Self {
            vote: log.read_vote().await.expect("readable"),
            purged: state.last_purged_log_id,
            last: state.last_log_id,
            entries: log.try_get_log_entries(..).await.expect("readable"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u64,
        wait: bool,
    },
    Vote,
    /// Cut so many records off the end.
    Truncate(u64),
    /// Purge this part (in 256ths) of what is there.
    Purge(u8),
    Crash(CrashMode),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let modes = prop_oneof![
        Just(CrashMode::LoseAll),
        (0usize..6).prop_map(CrashMode::KeepPrefix),
        (0usize..6).prop_map(CrashMode::TornBatch),
    ];
    let step = prop_oneof![
        4 => (1u64..6, any::<bool>()).prop_map(|(count, wait)| Step::Append { count, wait }),
        1 => Just(Step::Vote),
        1 => (0u64..4).prop_map(Step::Truncate),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => modes.prop_map(Step::Crash),
    ];
    collection::vec(step, 1..40)
}

/// A store on a simulated disk, and every picture that it went through since its start.
struct World {
    disk: SimDisk,
    log: LogStore,
    history: Vec<Picture>,
    /// No crash may go back behind this one.
    promised: usize,
    term: u64,
}

fn open(disk: &SimDisk) -> Result<LogStore, OpenError> {
    let boot = disk.open(&name("n1"))?;
    LogStore::open(boot.engine(), boot.mark(), std::sync::Arc::default())
}

impl World {
    fn new() -> Self {
        let disk = SimDisk::new();
        let log = open(&disk).expect("an empty disk opens");
        Self { disk, log, history: vec![Picture::default()], promised: 0, term: 1 }
    }

    fn now(&self) -> Picture {
        self.history.last().expect("there is a first").clone()
    }

    fn is_durable(&mut self, picture: Picture) {
        self.history.push(picture);
        self.promised = self.history.len() - 1;
    }

    async fn act(&mut self, step: Step) -> Result<(), String> {
        let mut now = self.now();
        match step {
            Step::Append { count, wait } => {
                let first = now.last.map_or(0, |id| id.index + 1);
                let entries: Vec<_> = (first..first + count).map(|i| register(self.term, i, 100)).collect();
                for entry in &entries {
                    now.last = Some(entry.log_id);
                    now.entries.push(entry.clone());
                    self.history.push(now.clone());
                }
                if wait {
                    append(&mut self.log, entries).await.expect("written");
                    self.promised = self.history.len() - 1;
                } else {
                    append_lazily(&mut self.log, entries).await.expect("written");
                }
            }
            Step::Vote => {
                self.term += 1;
                now.vote = Some(vote(self.term, true));
                self.log.save_vote(&vote(self.term, true)).await.expect("written");
                self.is_durable(now);
            }
            Step::Truncate(count) => {
                now.entries
                    .truncate(now.entries.len().saturating_sub(usize::try_from(count).expect("small")));
                now.last = now.entries.last().map(|e| e.log_id).or(now.purged);
                self.log.truncate_after(now.last).await.expect("written");
                self.is_durable(now);
            }
            Step::Purge(part) => {
                let count = now.entries.len() * usize::from(part) / 256;
                let Some(upto) = count.checked_sub(1).map(|at| now.entries[at].log_id) else { return Ok(()) };
                now.entries.drain(..count);
                now.purged = Some(upto);
                self.log.purge(upto).await.expect("written");
                self.is_durable(now);
            }
            Step::Crash(mode) => return self.crash(mode).await,
        }
        Ok(())
    }

    /// The checker.
    async fn crash(&mut self, mode: CrashMode) -> Result<(), String> {
        self.disk.crash(mode);
        self.log = open(&self.disk).map_err(|e| format!("refused: {e}"))?;
        let found = Picture::of(&mut self.log).await;
        let Some(at) = self.history.iter().rposition(|p| *p == found) else {
            return Err(format!("never was like this: {found:?}"));
        };
        if at < self.promised {
            return Err(format!("moment {at}, though {} was promised", self.promised));
        }
        self.history = vec![found];
        self.promised = 0;
        Ok(())
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn after_a_crash_the_store_is_a_moment_of_its_history_and_nothing_promised_is_lost(steps in steps()) {
        run(async {
            let mut world = World::new();
            for step in steps.into_iter().chain([Step::Crash(CrashMode::LoseAll)]) {
                world.act(step).await.map_err(TestCaseError::fail)?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}

#[test]
fn the_checker_catches_a_disk_that_lies_about_its_syncs() {
    run(async {
        let mut world = World::new();
        world.act(Step::Append { count: 3, wait: true }).await.expect("sound");
        world.disk.set_lying_fsync(true);
        world.act(Step::Append { count: 1, wait: true }).await.expect("nothing shows yet");
        world.act(Step::Crash(CrashMode::LoseAll)).await.expect_err("an acknowledged record is gone");
    });
}

#[test]
fn a_node_notices_by_itself_that_its_log_lost_its_end() {
    run(async {
        let mut world = World::new();
        world.act(Step::Append { count: 3, wait: true }).await.expect("sound");
        world.disk.set_lying_fsync(true);
        world.act(Step::Append { count: 1, wait: true }).await.expect("nothing shows yet");
        // Not the power fails but the engine forgets: the watermark stands.
        world.disk.crash(CrashMode::KeepPrefix(0));
        match open(&world.disk) {
            Err(OpenError::LostRecords { last, acknowledged }) => {
                assert_eq!((&*last, acknowledged), ("2", 3))
            }
            other => panic!("{:?}", other.map(|_| "opened")),
        }
    });
}

#[test]
fn a_node_notices_by_itself_that_its_vote_is_gone() {
    run(async {
        let mut world = World::new();
        world.act(Step::Vote).await.expect("sound");
        world.disk.set_lying_fsync(true);
        world.act(Step::Vote).await.expect("nothing shows yet");
        world.disk.crash(CrashMode::KeepPrefix(0));
        let refused = open(&world.disk).map(|_| "opened").expect_err("it could vote twice");
        assert!(matches!(refused, OpenError::LostVote { .. }), "{refused}");
    });
}

#[test]
fn a_gap_is_refused() {
    run(async {
        let disk = SimDisk::new();
        let mut log = open(&disk).expect("opens");
        append(&mut log, (0..5).map(|i| register(1, i, 0)).collect()).await.expect("durable");
        let engine = disk.open(&name("n1")).expect("opens").engine();
        let key = [&b"l"[..], &2u64.to_be_bytes()].concat();
        let end = [&b"l"[..], &3u64.to_be_bytes()].concat();
        quorate_storage::record::delete_up(&*engine, &key, &end).expect("written");
        let refused = open(&disk).map(|_| "opened").expect_err("record 2 is missing");
        assert!(matches!(refused, OpenError::Gap { found: 3, .. }), "{refused}");
    });
}

#[test]
fn a_commit_index_beyond_the_log_is_void() {
    run(async {
        let disk = SimDisk::new();
        let mut log = open(&disk).expect("opens");
        append(&mut log, (0..5).map(|i| register(1, i, 0)).collect()).await.expect("durable");
        for (committed, believed) in [
            (log_id(1, 3), Some(log_id(1, 3))),
            (log_id(1, 9), None),
            // What lies there is of another leader: never committed.
            (log_id(2, 3), None),
        ] {
            log.save_committed(Some(committed)).await.expect("written");
            assert_eq!(log.read_committed().await.expect("readable"), believed, "{committed}");
        }
        log.save_committed(None).await.expect("written");
        assert_eq!(log.read_committed().await.expect("readable"), None);
    });
}

#[test]
fn a_handle_of_an_earlier_boot_is_dead() {
    run(async {
        let disk = SimDisk::new();
        let mut old = open(&disk).expect("opens");
        let mut new = open(&disk).expect("opens");
        append(&mut old, vec![register(1, 0, 0)]).await.expect_err("another boot owns the disk");
        new.blocking_append([register(1, 0, 0)]).await.expect("durable");
    });
}
