//! The replicated state behind openraft's interface.
//!
//! The state lives in memory only. At the start it is the newest snapshot's, and openraft replays the log from
//! there up to the commit index. A snapshot is built from an O(1) clone on a thread of its own, while entries go
//! on being applied.

use crate::{
    error::OpenError,
    growth::LogGrowth,
    log_store::LogStore,
    snapshots::{self, SnapshotData, SnapshotError, SnapshotFiles, Snapshots},
    tampering::tampered,
    types::{LogEntry, LogId, RaftReply, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};
use futures_util::{Stream, TryStreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use quorate_codec::snapshot::Written;
use quorate_model::{Change, Event, LogIndex, Sharing};
use quorate_rt::time;
use quorate_state::State;
use quorate_telemetry::{Control, events::SnapshotBuilt};
use std::{io, sync::Arc, time::Duration};

/// Hears of each change of the applied state.
pub trait Observer: Send + Sync + 'static {
    /// `view` is the state after the record at `log_index`; `events` is what happened since the last call, empty
    /// where a snapshot replaced the state. Called on the apply path: it must be quick.
    fn applied(&self, view: &State, events: &[Event], log_index: u64);
    /// What is told to those who watch; comes right before [`Observer::applied`], which makes them look.
    fn told(&self, _news: News) {}
}

/// What watchers are told of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All entries up to `reached` were applied, and did this.
    Changed {
        /// In order, with the records as they stood after their entry.
        changes: Vec<Change>,
        /// The last entry.
        reached: LogIndex,
    },
    /// A snapshot took the place of the state.
    Replaced {
        /// The last entry that is in it.
        at: LogIndex,
    },
}

/// Records that are applied between two publications, so that a long replay holds neither its replies nor its
/// events in memory.
const PUBLISH_EVERY: usize = 1_024;
/// While the disk is full, a snapshot is tried again after this long.
const FULL_RETRY: Duration = Duration::from_secs(5);
/// And this often, before the node gives up.
const FULL_RETRIES: usize = 120;

/// The state machine.
pub struct Machine {
    state: State,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Snapshots,
    observer: Arc<dyn Observer>,
    control: Arc<Control>,
    growth: LogGrowth,
    sharing: Sharing,
}

/// What was applied since the last publication.
#[derive(Default)]
struct Unpublished {
    records: usize,
    events: Vec<Event>,
    changes: Vec<Change>,
    replies: Vec<(ApplyResponder<TypeConfig>, RaftReply)>,
}

impl Machine {
    /// Starts from the newest snapshot that the log can go on from, and publishes it. `control` counts the
    /// snapshots that are built.
    pub async fn open(
        files: Arc<dyn SnapshotFiles>,
        log: &LogStore,
        observer: Arc<dyn Observer>,
        control: Arc<Control>,
    ) -> Result<Self, OpenError> {
        let snapshots = Snapshots::new(files);
        let (purged, from) = (log.purged(), snapshots.clone());
        let loaded = quorate_rt::blocking(move || from.open(purged)).await?;
        let (meta, state) = loaded.map_or_else(Default::default, |l| (l.meta, l.state));
        let SnapshotMeta { last_log_id: applied, last_membership: membership } = meta;
        let (growth, sharing) = (LogGrowth::default(), Sharing::default());
        let machine = Self { state, applied, membership, snapshots, observer, control, growth, sharing };
        machine.publish_whole();
        Ok(machine)
    }

    pub(crate) fn counting(self, growth: LogGrowth) -> Self {
        Self { growth, ..self }
    }

    /// How much was appended to the log beside it.
    pub fn log_growth(&self) -> &LogGrowth {
        &self.growth
    }

    /// Where its snapshots are.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The applied state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state as it came out of a snapshot.
    fn publish_whole(&self) {
        let at = self.state.index();
        self.observer.told(News::Replaced { at });
        self.observer.applied(&self.state, &[], at.0);
    }

    fn publish(&self, unpublished: &mut Unpublished) {
        let Unpublished { records, events, changes, replies } = std::mem::take(unpublished);
        if records == 0 {
            return;
        }
        let index = self.applied.map_or(0, |id| id.index);
        self.observer.told(News::Changed { changes, reached: LogIndex(index) });
        // First the View, then the replies: a client that got its answer finds it in the View.
        self.observer.applied(&self.state, &events, index);
        for (responder, reply) in replies {
            responder.send(reply);
        }
    }

    fn apply_one(&mut self, (entry, responder): EntryResponder<TypeConfig>, unpublished: &mut Unpublished) {
        let index = LogIndex(entry.log_id.index);
        let mut replies = Vec::new();
        match entry.payload {
            EntryPayload::Normal(LogEntry(mut entry)) => {
                self.sharing.share(&mut entry);
                let applied = self.state.apply(index, &tampered(entry, &self.state, index));
                unpublished.changes.extend(self.state.changes(&applied.events));
                unpublished.events.extend(applied.events);
                replies = applied.replies;
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                self.state.skip(index);
            }
            EntryPayload::Blank => self.state.skip(index),
        }
        self.applied = Some(entry.log_id);
        unpublished.records += 1;
        unpublished.replies.extend(responder.map(|r| (r, RaftReply { index, replies })));
    }

    fn builder(&self) -> SnapshotBuilder {
        SnapshotBuilder {
            state: Some(self.state.clone()),
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
            snapshots: self.snapshots.clone(),
            control: self.control.clone(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut unpublished = Unpublished::default();
        while let Some(next) = entries.try_next().await? {
            self.apply_one(next, &mut unpublished);
            if unpublished.records >= PUBLISH_EVERY {
                self.publish(&mut unpublished);
            }
        }
        self.publish(&mut unpublished);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.builder()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let (snapshots, said) = (self.snapshots.clone(), meta.clone());
        let loaded = quorate_rt::blocking(move || {
            let loaded = snapshots::load(snapshot.reader())?;
            if loaded.meta != said {
                let problem = format!("the snapshot is {}, announced as {said}", loaded.meta);
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            // Durable before openraft purges the log that it replaces.
            snapshots.keep_received(said.last_log_id, &snapshot)?;
            Ok(loaded)
        })
        .await?;
        // The index that a node serves never goes back.
        if loaded.meta.last_log_id > self.applied {
            let old = std::mem::replace(&mut self.state, loaded.state);
            self.applied = loaded.meta.last_log_id;
            self.membership = loaded.meta.last_membership;
            self.publish_whole();
            // Costs O(state) unless somebody still reads it: nothing to wait for here.
            quorate_rt::spawn(quorate_rt::blocking(move || drop(old)));
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let snapshots = self.snapshots.clone();
        match quorate_rt::blocking(move || snapshots.newest()).await {
            Ok(newest) => Ok(newest.map(|(meta, snapshot)| Snapshot { meta, snapshot })),
            Err(SnapshotError::Io(e)) => Err(e),
            // Damaged since it was written. The state in memory is whole, so a new one takes its place.
            Err(error @ (SnapshotError::Decode(_) | SnapshotError::Parts(_))) => {
                tracing::error!(%error, "the newest snapshot is damaged; it is built anew");
                self.builder().build_snapshot().await.map(Some)
            }
        }
    }
}

/// Builds a snapshot of the state as it was.
pub struct SnapshotBuilder {
    /// `None` once it is built.
    state: Option<State>,
    meta: SnapshotMeta,
    snapshots: Snapshots,
    control: Arc<Control>,
}

impl SnapshotBuilder {
    /// The clone dies where it was used: by then it may be the last owner of much of what has changed since, and to
    /// free that takes its time.
    async fn build(&mut self) -> io::Result<(SnapshotData, Written)> {
        let (state, meta, snapshots) = (self.state.take(), self.meta.clone(), self.snapshots.clone());
        let state = state.ok_or_else(|| io::Error::other("this snapshot was built before"))?;
        let (built, state) = quorate_rt::blocking(move || {
            let built = snapshots.build(&meta, &state);
            let again = built.is_err().then_some(state);
            (built, again)
        })
        .await;
        self.state = state;
        built
    }

    fn report(&self, written: Written, elapsed: Duration) {
        let index = LogIndex(self.meta.last_log_id.map_or(0, |id| id.index));
        SnapshotBuilt { index, bytes: written.bytes, elapsed }.emit(&self.control);
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        for _ in 0..FULL_RETRIES {
            let begun = time::Instant::now();
            match self.build().await {
                Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                    // An error would stop the node. The log still holds everything: wait for room.
                    tracing::error!(error = %e, "no room for a snapshot; trying again");
                    time::sleep(FULL_RETRY).await;
                }
                Err(e) => return Err(e),
                Ok((snapshot, written)) => {
                    self.report(written, begun.elapsed());
                    return Ok(Snapshot { meta: self.meta.clone(), snapshot });
                }
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}
