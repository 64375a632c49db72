//! Reading the log: for replication, and for applying.

use super::{
    LogStore,
    shared::{READ_BYTES_MAX, Shared},
};
use crate::types::{RaftEntry, TypeConfig, Vote};
use futures_util::{Stream, TryStreamExt, stream};
use openraft::{OptionalSend, RaftLogReader};
use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

/// `[from, to)` of any range.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

/// The records of a range, a bounded part of them in memory at a time.
fn pages(shared: Arc<Shared>, from: u64, to: u64) -> impl Stream<Item = Result<RaftEntry, io::Error>> + Send {
    let page = move |next: u64| {
        let page = if next < to { shared.read(next, to, READ_BYTES_MAX) } else { Ok(Vec::new()) };
        std::future::ready(page.map(|entries| {
            let next = entries.last()?.log_id.index + 1;
            Some((stream::iter(entries.into_iter().map(Ok)), next))
        }))
    };
    stream::try_unfold(from, page).try_flatten()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<RaftEntry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        self.shared.read(from, to, usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.tail().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        self.shared.read(start, end, READ_BYTES_MAX)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<RaftEntry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        pages(self.shared.clone(), from, to)
    }
}
