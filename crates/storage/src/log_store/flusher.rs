//! Group commit: whoever waits while a flush is running shares the next one.

use super::shared::Shared;
use crate::types::TypeConfig;
use openraft::storage::IOFlushed;
use quorate_rt::{
    planted::{self, Bug},
    time,
};
use quorate_telemetry::{Control, events::LogSynced};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Appends that may wait for a flush. When full, the next append waits: openraft then takes no new entries, and
/// clients are told that there is too much.
const WAITING_MAX: usize = 1_024;

/// So long a commit index may wait for an append to ride along with.
const COMMIT_FLUSH_AFTER: Duration = Duration::from_millis(100);

/// The way to the flushing task, which ends with the last clone.
#[derive(Clone)]
pub(super) struct Flusher {
    queue: mpsc::Sender<IOFlushed<TypeConfig>>,
    commits: mpsc::Sender<()>,
}

impl Flusher {
    pub fn start(shared: Arc<Shared>, control: Arc<Control>) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (commits, committed) = mpsc::channel(1);
        quorate_rt::spawn(flush_commits(shared.clone(), committed));
        quorate_rt::spawn(flush_all(shared, control, waiting));
        Self { queue, commits }
    }

    /// Sees to it that a commit index that was written just now is on the disk soon, also if nothing follows it.
    pub fn flush_soon(&self) {
        // Full: a flush is coming anyway, and it will cover this one.
        let _ = self.commits.try_send(());
    }

    /// Calls back once everything that was written until now is on the disk.
    pub async fn acknowledge_after_flush(&self, callback: IOFlushed<TypeConfig>) -> io::Result<()> {
        self.queue.send(callback).await.map_err(|_| io::Error::other("the flusher has ended"))
    }
}

/// A commit index rides along with the next append. When nothing follows, it is flushed by itself: a node that
/// comes back without a quorum routes by what it knows to be committed, and the last change before a quiet night
/// must be among it.
async fn flush_commits(shared: Arc<Shared>, mut committed: mpsc::Receiver<()>) {
    while committed.recv().await.is_some() {
        time::sleep(COMMIT_FLUSH_AFTER).await;
        // Emptied first: what is written from here on asks again.
        while committed.try_recv().is_ok() {}
        let written = shared.write_commit();
        if let Err(error) = match written {
            Ok(()) => shared.engine.flush().await,
            Err(error) => Err(error),
        } {
            // The engine is poisoned: the next append stops the node.
            tracing::error!(%error, "the commit index can't be flushed");
            return;
        }
    }
}

async fn flush_all(
    shared: Arc<Shared>,
    control: Arc<Control>,
    mut waiting: mpsc::Receiver<IOFlushed<TypeConfig>>,
) {
    let mut callbacks = Vec::new();
    while waiting.recv_many(&mut callbacks, WAITING_MAX).await > 0 {
        if planted::is(Bug::AckBeforeFsync) {
            callbacks.drain(..).for_each(|callback| callback.io_completed(Ok(())));
        }
        let begun = time::Instant::now();
        let result = flush(&shared).await;
        match &result {
            Ok(()) => LogSynced { elapsed: begun.elapsed() }.emit(&control),
            Err(error) => tracing::error!(%error, "the log can't be flushed; this node stops"),
        }
        for callback in callbacks.drain(..) {
            callback.io_completed(copy(&result));
        }
    }
}

async fn flush(shared: &Arc<Shared>) -> io::Result<()> {
    // Before the flush: what is written while it runs belongs to the next one.
    let then = *shared.tail();
    let marked = shared.clone();
    // Before anybody hears of it, so that the mark is never below what was acknowledged unless the power fails.
    shared.engine.flush_then(Box::new(move || marked.mark_log(&then))).await
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
    }
}
