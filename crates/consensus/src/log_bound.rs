//! The log's bound in bytes. openraft counts entries: it takes a snapshot after so many of them and keeps half as many
//! behind it for followers that are a little late. A busy leader's entries may have half a megabyte each, and ten
//! thousand of those fill a disk. So each node also counts bytes: past [`LOG_BYTES_MAX`] it takes a snapshot, and once
//! that is there, keeps no more than half as many bytes behind it.

use crate::{
    options::{LOG_BYTES_KEPT, LOG_BYTES_MAX},
    types::{Metrics, Raft},
};
use openraft::async_runtime::WatchReceiver;
use quorate_rt::{shutdown::Shutdown, time};
use quorate_storage::LogGrowth;
use std::{collections::VecDeque, time::Duration};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Places in the log that are remembered, [`MARK_BYTES`] apart: the log holds fewer unless its snapshot is late.
const MARKS_MAX: usize = 1_024;
/// Between two remembered places, in bytes.
const MARK_BYTES: u64 = LOG_BYTES_KEPT / 64;

/// What a look at the log leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Take a snapshot.
    pub snapshot: bool,
    /// Throw away all records up to this one.
    pub purge: Option<u64>,
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Bytes appended since the start.
    pub appended: u64,
    /// The last record.
    pub last: u64,
    /// The last record that is in a snapshot.
    pub in_snapshot: u64,
    /// The last record that was thrown away.
    pub purged: u64,
}

/// Remembers how many bytes lie before which record.
#[derive(Debug, Default)]
pub struct LogBound {
    /// Bytes appended when a record was the last one; both rise.
    marks: VecDeque<(u64, u64)>,
    /// Bytes appended before the last record that is in a snapshot, or a little less.
    covered: u64,
    /// How far the last snapshot reached when the next one was asked for.
    asked: Option<u64>,
}

impl LogBound {
    /// Looks at the log.
    pub fn look(&mut self, now: Standing) -> Measures {
        if self.marks.back().is_none_or(|(bytes, _)| now.appended >= bytes + MARK_BYTES) {
            self.marks.push_back((now.appended, now.last));
        }
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
        Measures { snapshot: self.snapshot_is_due(now), purge: self.purgeable(now) }
    }

    fn snapshot_is_due(&mut self, now: Standing) -> bool {
        let covered = self.marks.iter().take_while(|(_, last)| *last <= now.in_snapshot).last();
        self.covered = covered.map_or(self.covered, |(bytes, _)| *bytes);
        // Asked once: a disk that is full delays it for longer than one look.
        let waiting = self.asked == Some(now.in_snapshot);
        if now.appended - self.covered < LOG_BYTES_MAX || waiting {
            return false;
        }
        self.asked = Some(now.in_snapshot);
        true
    }

    fn purgeable(&mut self, now: Standing) -> Option<u64> {
        let enough = now.appended.saturating_sub(LOG_BYTES_KEPT);
        let far = |(bytes, last): &(u64, u64)| *bytes <= enough && *last <= now.in_snapshot;
        let mut upto = None;
        while self.marks.front().is_some_and(far) {
            upto = self.marks.pop_front().map(|(_, last)| last);
        }
        upto.filter(|upto| *upto > now.purged)
    }
}

/// Keeps the log bounded until the shutdown.
pub(crate) async fn keep(raft: Raft, growth: LogGrowth, mut shutdown: Shutdown) {
    let mut bound = LogBound::default();
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = time::sleep(LOOK_EVERY) => {}
        }
        let now = standing(&raft.metrics().borrow_watched(), growth.bytes());
        let Measures { snapshot, purge } = bound.look(now);
        // A Raft that has ended takes neither; then there is nothing to bound.
        if let Some(upto) = purge {
            let _ = raft.trigger().purge_log(upto).await;
        }
        if snapshot {
            let _ = raft.trigger().snapshot().await;
        }
    }
}

fn standing(raft: &Metrics, appended: u64) -> Standing {
    Standing {
        appended,
        last: raft.last_log_index.unwrap_or(0),
        in_snapshot: raft.snapshot.as_ref().map_or(0, |id| id.index),
        purged: raft.purged.as_ref().map_or(0, |id| id.index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: u64 = 512 << 10;

    /// Entries of half a megabyte: long before ten thousand of them the log would hold gigabytes.
    #[test]
    fn a_log_of_large_entries_stays_bounded() {
        let (mut bound, mut now, mut snapshots) = (LogBound::default(), Standing::default(), 0);
        let mut held_max = 0;
        for _ in 0..20_000 {
            now.last += 1;
            now.appended += ENTRY;
            let Measures { snapshot, purge } = bound.look(now);
            if snapshot {
                snapshots += 1;
                now.in_snapshot = now.last;
            }
            now.purged = purge.unwrap_or(now.purged);
            held_max = held_max.max((now.last - now.purged) * ENTRY);
        }
        assert!(held_max <= LOG_BYTES_MAX + LOG_BYTES_KEPT + 2 * MARK_BYTES, "{held_max}");
        let least = now.appended / (LOG_BYTES_MAX + 2 * MARK_BYTES);
        assert!((least..=least + least / 4).contains(&snapshots), "{snapshots} snapshots");
    }

    #[test]
    fn nothing_is_thrown_away_that_no_snapshot_holds_and_a_late_one_is_asked_for_once() {
        let (mut bound, mut now, mut asked) = (LogBound::default(), Standing::default(), 0);
        for _ in 0..1_000 {
            now.last += 1;
            now.appended += ENTRY;
            let Measures { snapshot, purge } = bound.look(now);
            asked += u32::from(snapshot);
            assert_eq!(purge, None, "record {}", now.last);
        }
        assert_eq!(asked, 1);
        // It was taken at last, of what was there when it was asked for.
        now.in_snapshot = 200;
        let Measures { snapshot, purge } = bound.look(now);
        assert!(snapshot, "the next one is due already");
        assert!(purge.is_some_and(|upto| (150..=200).contains(&upto)), "{purge:?}");
    }

    #[test]
    fn small_entries_are_left_to_the_count() {
        let (mut bound, mut now) = (LogBound::default(), Standing::default());
        for _ in 0..10_000 {
            now.last += 1;
            now.appended += 300;
            assert_eq!(bound.look(now), Measures::default());
        }
    }
}
