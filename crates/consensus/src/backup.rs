//! Backups: the state out of a cluster as a file, and into an empty one.
//!
//! A backup is written from one View, piece by piece as its reader takes it. A restore is first received into a file
//! and verified wholly, as a snapshot from a peer is; then it goes through the log, batch by batch, into a state that
//! nobody sees, and its last step puts that in place on all nodes at once (see `state::apply::restore`). Installing the
//! file as Raft's own snapshot would be quicker and wrong: it would have to pretend to be a part of a log that it does
//! not come from.

use crate::{
    consensus::Consensus,
    forward::Unavailable,
    options::{ENTRY_BYTES_MAX, RESTORE_STEP_WITHIN},
    peer::snapshots as received,
    proposer::Committed,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use quorate_codec::{
    proposal::encoded_len,
    snapshot::{Place, Reader, SnapshotMeta, Writer},
};
use quorate_model::{
    BootId, Command, Epoch, Keyspace, LogIndex, Origin, Proposal, Refusal, Reply, RestoreId, RestoreStep,
    StoredObject, StoredPolicy, StoredRoute, StoredSandbox, Worker, WorkerId,
};
use quorate_rt::{rng, time};
use quorate_state::{Parts, PresenceParts, View};
use quorate_storage::{SnapshotData, snapshots::SnapshotError};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// A reader of a backup that takes nothing for so long is given up: it keeps an old View alive.
const READER_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries of a step that found no leader.
const STEP_RETRY_AFTER: Duration = Duration::from_millis(200);
/// Pieces of a backup that are ready before they are read.
const PIECES_AHEAD: usize = 2;
/// Routes and sandboxes that are weighed and written in one go: not so many that anything else of this node waits.
const OBJECTS_AT_ONCE: usize = 500;
/// A piece of a backup ends here; a single worker may take it beyond.
const PIECE_BYTES: usize = 256 << 10;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where in the log it took the place of the empty state.
    pub index: LogIndex,
    /// Worker records.
    pub workers: u64,
    /// Keyspaces.
    pub keyspaces: u64,
}

/// Why a backup was not restored. The state is as it was, unless it says [`Unavailable::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Another restore is being received by this node.
    #[error("this node is restoring another backup")]
    Busy,
    /// The bytes are no backup, or not a whole one.
    #[error("{0}")]
    Unsound(SnapshotError),
    /// They did not arrive, or this node could not keep them.
    #[error("{0}")]
    Io(io::Error),
    /// The cluster refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// The cluster can't be changed now.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// A View as a backup, of which a few pieces are in memory at once; ends early where its reader rests for too long.
pub fn export(view: Arc<View>) -> BoxStream<'static, io::Result<Bytes>> {
    let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
    quorate_rt::spawn(async move {
        let mut export = Some(Export::Begin(view));
        while let Some(next) = export.take() {
            let (piece, rest) = match quorate_rt::blocking(move || next.step()).await {
                Ok((piece, rest)) => (Ok(Bytes::from(piece)), rest),
                Err(error) => (Err(error), None),
            };
            export = rest;
            if !matches!(time::timeout(READER_WITHIN, pieces.send(piece)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    futures_util::stream::unfold(taken, |mut taken| async { Some((taken.recv().await?, taken)) }).boxed()
}

/// How far a backup has been written.
enum Export {
    Begin(Arc<View>),
    Behind { view: Arc<View>, writer: Writer<Vec<u8>>, last: Option<WorkerId> },
}

impl Export {
    /// The next piece, and what is left.
    fn step(self) -> io::Result<(Vec<u8>, Option<Self>)> {
        let (view, mut writer, last) = match self {
            Self::Begin(view) => {
                // A backup belongs to no log: no members, no replies, no restore. What health checks have found is of
                // this moment.
                let (windows, ailments, config_changed) = (Vec::new(), Vec::new(), LogIndex(0));
                // Connections hang on this cluster's nodes.
                let presence = PresenceParts::default();
                // What was declared before leads to what this cluster declared last; the restored one begins anew.
                let (history, restoring) = (None, None);
                let head =
                    Parts { windows, ailments, config_changed, presence, history, restoring, ..view.head() };
                let writer = Writer::begin(&SnapshotMeta::default(), &head, Vec::new())?;
                (view, writer, None)
            }
            Self::Behind { view, writer, last } => (view, writer, last),
        };
        let mut next = last.clone();
        for worker in view.workers_after(last.as_ref().map_or("", WorkerId::as_str)) {
            writer.worker(Place::Standing, worker)?;
            next = Some(worker.id().clone());
            if writer.out().len() >= PIECE_BYTES {
                break;
            }
        }
        if next == last {
            return Ok((writer.finish()?.0, None));
        }
        let piece = std::mem::take(writer.out());
        Ok((piece, Some(Self::Behind { view, writer, last: next })))
    }
}

/// Restores the backup in `body` into this cluster, if it is empty.
pub async fn restore<S, E>(consensus: &Consensus, body: S) -> Result<Restored, RestoreError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let shared = consensus.shared();
    let Ok(_place) = shared.restoring.try_acquire() else { return Err(RestoreError::Busy) };
    // Before a large body is taken in for nothing.
    consensus.view().get().require_empty().map_err(RestoreError::Refused)?;
    let data = received::receive_file(&shared.snapshots, body).await.map_err(RestoreError::Io)?;
    let checked = data.clone();
    let state = quorate_rt::blocking(move || quorate_storage::snapshots::load(checked.reader()).map(drop));
    state.await.map_err(RestoreError::Unsound)?;
    let id = RestoreId(rng::random_u64());
    let restored = carry_out(consensus, id, data).await;
    if restored.is_err() {
        // What was gathered is of no use any more. If this is not heard either, time throws it away.
        let _ = consensus.propose(Command::Restore { id, step: RestoreStep::Abandon }).await;
    }
    restored
}

async fn carry_out(
    consensus: &Consensus,
    id: RestoreId,
    data: SnapshotData,
) -> Result<Restored, RestoreError> {
    let mut reader = Source::begin(data).await?;
    let Head { keyspaces, policies, routes, sandboxes, objects, last_epoch } = reader.head();
    let mut restored = Restored { index: LogIndex(0), workers: 0, keyspaces: keyspaces.len() as u64 };
    step(consensus, id, RestoreStep::Begin { keyspaces, policies, last_epoch }).await?;
    let mut batch = 0;
    for some in routes.chunks(OBJECTS_AT_ONCE) {
        let routes = some.iter().map(|route| (**route).clone()).collect();
        for routes in fitting_entries(id, routes, |routes| RestoreStep::Routes { batch: 0, routes }) {
            step(consensus, id, RestoreStep::Routes { batch, routes }).await?;
            batch += 1;
        }
    }
    for some in sandboxes.chunks(OBJECTS_AT_ONCE) {
        let step_of = |sandboxes| RestoreStep::Sandboxes { batch: 0, sandboxes };
        for sandboxes in fitting_entries(id, some.to_vec(), step_of) {
            step(consensus, id, RestoreStep::Sandboxes { batch, sandboxes }).await?;
            batch += 1;
        }
    }
    for some in objects.chunks(OBJECTS_AT_ONCE) {
        let step_of = |objects| RestoreStep::Objects { batch: 0, objects };
        for objects in fitting_entries(id, some.to_vec(), step_of) {
            step(consensus, id, RestoreStep::Objects { batch, objects }).await?;
            batch += 1;
        }
    }
    while let Some(workers) = reader.next().await? {
        restored.workers += workers.len() as u64;
        for workers in fitting_entries(id, workers, |workers| RestoreStep::Workers { batch: 0, workers }) {
            step(consensus, id, RestoreStep::Workers { batch, workers }).await?;
            batch += 1;
        }
    }
    let finish = RestoreStep::Finish { batches: batch, workers: restored.workers };
    restored.index = step(consensus, id, finish).await?;
    Ok(restored)
}

/// What a backup has of something may be far larger than a log entry.
fn fitting_entries<T: Clone>(
    id: RestoreId,
    items: Vec<T>,
    step: impl Fn(Vec<T>) -> RestoreStep,
) -> Vec<Vec<T>> {
    let bytes_of = |item: &T| {
        let origin = Origin { boot: BootId(0), sequence: 0 };
        encoded_len(&Proposal { origin, command: Command::Restore { id, step: step(vec![item.clone()]) } })
    };
    let (mut parts, mut bytes) = (Vec::<Vec<T>>::new(), 0);
    for item in items {
        let more = bytes_of(&item);
        match parts.last_mut() {
            Some(part) if bytes + more <= ENTRY_BYTES_MAX => {
                bytes += more;
                part.push(item);
            }
            _ => {
                bytes = more;
                parts.push(vec![item]);
            }
        }
    }
    parts
}

/// Carries one step out. One that certainly did nothing is tried again, through a change of leaders.
async fn step(consensus: &Consensus, id: RestoreId, step: RestoreStep) -> Result<LogIndex, RestoreError> {
    let deadline = time::Instant::now() + RESTORE_STEP_WITHIN;
    loop {
        match consensus.propose(Command::Restore { id, step: step.clone() }).await {
            Ok(Committed { reply: Reply::Refused(refusal), .. }) => {
                return Err(RestoreError::Refused(refusal));
            }
            Ok(Committed { index, .. }) => return Ok(index),
            Err(Unavailable::NoLeader | Unavailable::Busy) if time::Instant::now() < deadline => {
                time::sleep(STEP_RETRY_AFTER).await;
            }
            Err(unavailable) => return Err(RestoreError::Unavailable(unavailable)),
        }
    }
}

/// What a restore begins with.
#[derive(Default)]
struct Head {
    keyspaces: Vec<Keyspace>,
    policies: Vec<StoredPolicy>,
    routes: Vec<Arc<StoredRoute>>,
    sandboxes: Vec<Arc<StoredSandbox>>,
    objects: Vec<Arc<StoredObject>>,
    last_epoch: Epoch,
}

/// The file, read off the async threads.
struct Source(Option<Reader<quorate_storage::snapshots::Reader>>);

impl Source {
    async fn begin(data: SnapshotData) -> Result<Self, RestoreError> {
        let reader = quorate_rt::blocking(move || Reader::begin(data.reader())).await;
        reader.map(|reader| Self(Some(reader))).map_err(|e| RestoreError::Unsound(e.into()))
    }

    fn head(&self) -> Head {
        let head = self.0.as_ref().map(Reader::head);
        head.map(|head| Head {
            keyspaces: head.keyspaces.clone(),
            policies: head.policies.clone(),
            routes: head.routes.clone(),
            sandboxes: head.sandboxes.clone(),
            objects: head.objects.clone(),
            last_epoch: head.last_epoch,
        })
        .unwrap_or_default()
    }

    /// The next batch; what a restore had gathered where the backup was made is none of ours.
    async fn next(&mut self) -> Result<Option<Vec<Arc<Worker>>>, RestoreError> {
        while let Some(mut reader) = self.0.take() {
            let read = quorate_rt::blocking(move || (reader.next_batch(), reader)).await;
            match read {
                (Ok(None), _) => return Ok(None),
                (Ok(Some(batch)), reader) => {
                    self.0 = Some(reader);
                    if batch.place == Place::Standing {
                        return Ok(Some(batch.workers));
                    }
                }
                (Err(error), _) => return Err(RestoreError::Unsound(error.into())),
            }
        }
        Ok(None)
    }
}
