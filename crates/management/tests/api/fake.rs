//! A cluster of one node without a network: a real replicated state, commands applied as they come, and switches
//! for what can go wrong.

mod health;
mod leases;
mod looks;
mod members;
mod waiting;

use members::{hint, node};
pub use {health::found, members::MEMBERS_CHANGED};

use crate::{
    ask::{Answer, Ask},
    settings::{EPOCH_MS, config},
};
use axum::Router;
use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    future::{BoxFuture, FutureExt},
};
use quorate_management::{
    Cluster, Committed, Config, InFlightAt, KeyTraceAt, Look, MemberError, MemberInfo, Mode, Pieces,
    Readiness, Reason, RestoreError, Restored, Role, Standing, TransferError, Unavailable, Verdict, router,
};
use quorate_model::{
    BootId, ClusterId, Command, Entry, Epoch, ErrorsSeen, FeatureLevel, Heartbeat, HeartbeatOutcome, Join,
    KeyspaceSource, Kind, LeaseInfo, Load, LogIndex, LogTime, MemberChange, NodeId, NodeName, Origin,
    PartitionCount, Position, Proposal, RampSubject, Refusal, Reply, RoutingKey, ServiceName, WorkerId,
};
use quorate_rt::shutdown;
use quorate_state::{Forgotten, History, Loads, Since, State, View};
use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tower::ServiceExt;

pub struct Fake {
    inner: Mutex<Inner>,
    changed: tokio::sync::watch::Sender<u64>,
    ending: shutdown::Trigger,
    /// Made once: rendering the document takes a debug build its time.
    router: OnceLock<Router>,
}

struct Inner {
    state: State,
    /// Short, so that a test comes to its end.
    history: History,
    sequence: u64,
    /// What this node publishes while it lags; the state otherwise.
    lagging: Option<Arc<View>>,
    broken: Option<Reason>,
    /// Commands are never answered.
    hangs: bool,
    /// Other nodes are never heard.
    deaf: bool,
    impatient: bool,
    heard: leases::Heard,
    loads: Loads,
    readiness: Readiness,
    stale: Option<Duration>,
    /// Runs once, just before the next command: somebody else was faster.
    overtaking: Option<Command>,
    proposals: u64,
    /// What a look at a worker comes to, and who was looked at.
    look: Result<Look, Reason>,
    looked_at: Vec<(WorkerId, Epoch)>,
}

impl Fake {
    /// Not formed yet.
    pub fn unformed() -> Arc<Self> {
        let inner = Inner {
            state: State::new(),
            history: waiting::history(),
            sequence: 0,
            lagging: None,
            broken: None,
            hangs: false,
            deaf: false,
            impatient: false,
            heard: leases::Heard::default(),
            loads: Loads::default(),
            readiness: Readiness::Ready,
            stale: None,
            overtaking: None,
            proposals: 0,
            look: Ok(Look { verdict: Verdict::Up, probes: Vec::new() }),
            looked_at: Vec::new(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            changed: tokio::sync::watch::channel(0).0,
            ending: shutdown::channel().0,
            router: OnceLock::new(),
        })
    }

    /// Formed, with a count that may be unknown.
    pub fn with_count(count: Option<u32>) -> Arc<Self> {
        let fake = Self::unformed();
        let partitions = count.map(|count| PartitionCount::new(count).expect("a count"));
        let source = if count.is_some() { KeyspaceSource::Static } else { KeyspaceSource::Kafka };
        fake.apply(Command::FormCluster { cluster: ClusterId(7), partitions, source });
        fake
    }

    /// Formed, with twelve partitions.
    pub fn formed() -> Arc<Self> {
        Self::with_count(Some(12))
    }

    pub fn apply(&self, command: Command) -> Committed {
        let mut inner = self.inner.lock().expect("no panic");
        let committed = inner.apply(command);
        self.changed.send_replace(committed.index.0);
        committed
    }

    /// The state itself, however far this node lags.
    pub fn state(&self) -> State {
        self.inner.lock().expect("no panic").state.clone()
    }

    /// From now on nobody answers.
    pub fn break_down(&self, reason: Reason) {
        self.inner.lock().expect("no panic").broken = Some(reason);
    }

    /// From now on commands are never answered.
    pub fn hang(&self) {
        self.inner.lock().expect("no panic").hangs = true;
    }

    /// From now on this node publishes what it has now, until a read barrier or a command of its own.
    pub fn lag(&self) {
        let mut inner = self.inner.lock().expect("no panic");
        inner.lagging = Some(Arc::new(inner.state.clone()));
    }

    pub fn set_readiness(&self, readiness: Readiness, stale: Option<Duration>) {
        let mut inner = self.inner.lock().expect("no panic");
        (inner.readiness, inner.stale) = (readiness, stale);
    }

    pub fn overtake_once(&self, command: Command) {
        self.inner.lock().expect("no panic").overtaking = Some(command);
    }

    /// How many commands came through the API.
    pub fn proposals(&self) -> u64 {
        self.inner.lock().expect("no panic").proposals
    }

    pub fn router(self: &Arc<Self>) -> Router {
        self.router
            .get_or_init(|| router(self.clone(), Config { ending: self.ending.subscribe(), ..config() }))
            .clone()
    }

    /// One request.
    pub async fn ask(self: &Arc<Self>, request: Ask) -> Answer {
        Answer::read(self.router().oneshot(request.into()).await.expect("infallible")).await
    }
}

pub fn worker(id: &str) -> WorkerId {
    WorkerId::parse(id).expect("an id")
}

impl Inner {
    fn apply(&mut self, command: Command) -> Committed {
        let (index, mut replies) = self.apply_entry(vec![command]);
        let reply = replies.pop().expect("one reply");
        if let Reply::Registered { .. } = reply {
            self.heard.sequences.clear();
        }
        Committed { index, reply }
    }

    fn apply_entry(&mut self, commands: Vec<Command>) -> (LogIndex, Vec<Reply>) {
        let index = LogIndex(self.state.index().0 + 1);
        let mut proposals = Vec::new();
        for command in commands {
            self.sequence += 1;
            proposals
                .push(Proposal { origin: Origin { boot: BootId(77), sequence: self.sequence }, command });
        }
        let at = LogTime(EPOCH_MS + index.0 * 1_000);
        let applied = self.state.apply(index, &Entry { at, proposals });
        self.history.push(self.state.changes(&applied.events), index);
        (index, applied.replies)
    }

    fn available(&self) -> Result<(), Unavailable> {
        self.broken.map_or(Ok(()), |reason| Err(Unavailable { reason, leader: Some(hint()) }))
    }
}

impl Cluster for Fake {
    fn ramp_seen(&self, _: &RampSubject) -> Vec<ErrorsSeen> {
        vec![ErrorsSeen { destination: 1, failures: 3, requests: 40 }]
    }

    fn view(&self) -> Arc<View> {
        let inner = self.inner.lock().expect("no panic");
        inner.lagging.clone().unwrap_or_else(|| Arc::new(inner.state.clone()))
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Committed, Unavailable>> {
        let mut inner = self.inner.lock().expect("no panic");
        if inner.hangs {
            return std::future::pending().boxed();
        }
        let result = inner.available().map(|()| {
            inner.proposals += 1;
            if let Some(other) = inner.overtaking.take() {
                inner.apply(other);
            }
            let committed = inner.apply(command);
            // It is applied here, so everything before it is.
            inner.lagging = None;
            self.changed.send_replace(committed.index.0);
            committed
        });
        async { result }.boxed()
    }

    fn heartbeat(&self, beats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<HeartbeatOutcome>, Unavailable>> {
        let mut inner = self.inner.lock().expect("no panic");
        let result = inner.available().map(|()| beats.iter().map(|beat| inner.hear(beat)).collect());
        async { result }.boxed()
    }

    fn hear_load(&self, id: &WorkerId, load: Load) {
        self.inner.lock().expect("no panic").loads.insert(id.clone(), Arc::new(load));
    }

    fn loads(&self) -> Loads {
        self.inner.lock().expect("no panic").loads.clone()
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<LeaseInfo>, Unavailable>> {
        let inner = self.inner.lock().expect("no panic");
        let result = inner.available().map(|()| inner.leases());
        async { result }.boxed()
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<LogIndex, Unavailable>> {
        let mut inner = self.inner.lock().expect("no panic");
        let result = inner.available().map(|()| {
            inner.lagging = None;
            inner.state.index()
        });
        async { result }.boxed()
    }

    fn wait_for(&self, index: LogIndex, timeout: Duration) -> BoxFuture<'_, bool> {
        let mut changed = self.changed.subscribe();
        let impatient = self.inner.lock().expect("no panic").impatient;
        let timeout = if impatient { Duration::ZERO } else { timeout };
        async move {
            let reached = changed.wait_for(|at| *at >= index.0);
            quorate_rt::time::timeout(timeout, reached).await.is_ok_and(|at| at.is_ok())
        }
        .boxed()
    }

    fn changes_about(
        &self,
        kinds: Option<&[Kind]>,
        position: Position,
        max: usize,
    ) -> Result<Since, Forgotten> {
        self.inner.lock().expect("no panic").history.about(kinds, position, max)
    }

    fn changed(&self, kinds: &[Kind]) -> LogIndex {
        self.inner.lock().expect("no panic").history.changed(kinds)
    }

    /// n2 follows, n3 is away.
    fn applied_on(
        &self,
        index: LogIndex,
        within: Duration,
    ) -> BoxFuture<'_, Vec<(NodeName, Option<String>)>> {
        let inner = self.inner.lock().expect("no panic");
        if inner.deaf {
            return std::future::pending().boxed();
        }
        let n2 = (inner.state.index() < index).then(|| "it is at index 0".into());
        let n3 = Some(format!("it does not answer, asked for {index} within {within:?}"));
        async { vec![(node("n1"), None), (node("n2"), n2), (node("n3"), n3)] }.boxed()
    }

    fn in_flight(&self, worker: WorkerId, index: LogIndex) -> BoxFuture<'_, Vec<InFlightAt>> {
        async move { looks::in_flight(&worker, index) }.boxed()
    }

    fn observations(&self, _: ServiceName, ids: Vec<WorkerId>) -> BoxFuture<'_, looks::Observed> {
        async move { looks::observations(&ids) }.boxed()
    }

    fn follow_key(&self, key: RoutingKey, ms: u64) -> BoxFuture<'_, Vec<KeyTraceAt>> {
        async move { looks::followed(&key, ms) }.boxed()
    }

    fn key_traces(&self, key: RoutingKey) -> BoxFuture<'_, Vec<KeyTraceAt>> {
        async move { looks::key_traces(&key) }.boxed()
    }

    fn look_at(&self, worker: WorkerId, epoch: Epoch) -> BoxFuture<'_, Result<Look, Unavailable>> {
        let mut inner = self.inner.lock().expect("no panic");
        inner.looked_at.push((worker, epoch));
        let refused = |reason| Unavailable { reason, leader: None };
        let result = inner.available().and_then(|()| inner.look.clone().map_err(refused));
        async { result }.boxed()
    }

    fn export(&self, view: Arc<View>) -> Pieces {
        let pieces = [Ok(Bytes::from_static(b"state at ")), Ok(Bytes::from(view.index().to_string()))];
        futures_util::stream::iter(pieces).boxed()
    }

    fn restore(&self, backup: Pieces) -> BoxFuture<'_, Result<Restored, RestoreError>> {
        async move {
            let bytes: Vec<Bytes> = backup.try_collect().await?;
            self.inner.lock().expect("no panic").available()?;
            match &bytes.concat()[..] {
                b"whole" => Ok(Restored { index: LogIndex(9), workers: 2, keyspaces: 1 }),
                b"early" => Err(Refusal::NotEmpty { workers: 2, keyspaces: 0 }.into()),
                b"large" => Err(io::Error::from(io::ErrorKind::StorageFull).into()),
                _ => Err(RestoreError::Unsound { problem: "it does not begin like one".into() }),
            }
        }
        .boxed()
    }

    fn standing(&self) -> Standing {
        let inner = self.inner.lock().expect("no panic");
        let member = |name: &str, id, role, reachable: bool| MemberInfo {
            name: node(name),
            id: NodeId(id),
            role,
            peer: format!("{name}:7070").into(),
            management: format!("{name}:9090").into(),
            applied_index: reachable.then_some(inner.state.index()),
            reachable,
            feature_level_max: reachable.then_some(FeatureLevel::NEWEST),
        };
        Standing {
            node: node("n1"),
            node_id: NodeId(u64::MAX),
            cluster: inner.state.cluster(),
            leader: inner.broken.is_none().then(hint),
            term: 3,
            applied_index: inner.state.index(),
            feature_level: inner.state.feature_level(),
            changed_index: MEMBERS_CHANGED,
            members: vec![
                member("n1", u64::MAX, Role::Follower, true),
                member("n2", 2, Role::Leader, true),
                member("n3", 3, Role::Learner, false),
            ],
            readiness: inner.readiness.clone(),
            stale: inner.stale,
        }
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        let available = self.inner.lock().expect("no panic").available();
        let result = available.map_err(MemberError::from).and_then(|()| members::join(&join));
        async { result }.boxed()
    }

    fn leave(
        &self,
        name: NodeName,
        if_index: Option<LogIndex>,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        let available = self.inner.lock().expect("no panic").available();
        let result = available.map_err(MemberError::from).and_then(|()| members::leave(name, if_index, mode));
        async { result }.boxed()
    }

    fn transfer_leader(&self, to: Option<NodeName>) -> BoxFuture<'_, Result<NodeName, TransferError>> {
        let available = self.inner.lock().expect("no panic").available();
        async move {
            available?;
            members::transfer(to)
        }
        .boxed()
    }
}
