//! A cluster of one node without a network: a real replicated state, commands applied as they come, and switches
//! for what can go wrong.

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
    Cluster, Committed, InFlightAt, LeaderHint, Look, MemberError, MemberInfo, Mode, Pieces, Readiness,
    Reason, RestoreError, Restored, Role, Standing, TransferError, Unavailable, Verdict, router,
};
use quorate_model::{
    BootId, ClusterId, Command, Entry, Epoch, FeatureLevel, Heartbeat, HeartbeatOutcome, Join,
    KeyspaceSource, LeaseChange, LeaseEvent, LeaseInfo, Load, LogIndex, LogTime, MemberChange, MemberRefusal,
    NodeId, NodeName, Origin, PartitionCount, Proposal, Refusal, Reply, WorkerId,
};
use quorate_state::{Loads, State, View};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tower::ServiceExt;

/// When the fake's membership last changed.
pub const MEMBERS_CHANGED: LogIndex = LogIndex(7);

#[path = "fake_workers.rs"]
mod looks_at_workers;

pub struct Fake {
    inner: Mutex<Inner>,
    changed: tokio::sync::watch::Sender<u64>,
    /// Made once: rendering the document takes a debug build its time.
    router: OnceLock<Router>,
}

struct Inner {
    state: State,
    sequence: u64,
    /// What this node publishes while it lags; the state otherwise.
    lagging: Option<Arc<View>>,
    broken: Option<Reason>,
    /// Commands are never answered.
    hangs: bool,
    sequences: BTreeMap<WorkerId, u64>,
    loads: Loads,
    readiness: Readiness,
    stale: Option<Duration>,
    /// Runs once, just before the next command: somebody else was faster.
    overtaking: Option<Command>,
    proposals: u64,
    /// What a look at a worker comes to, and who was looked at.
    look: Look,
    looked_at: Vec<(WorkerId, Epoch)>,
}

impl Fake {
    /// Not formed yet.
    pub fn unformed() -> Arc<Self> {
        let inner = Inner {
            state: State::new(),
            sequence: 0,
            lagging: None,
            broken: None,
            hangs: false,
            sequences: BTreeMap::new(),
            loads: Loads::default(),
            readiness: Readiness::Ready,
            stale: None,
            overtaking: None,
            proposals: 0,
            look: Look { verdict: Verdict::Up, probes: Vec::new() },
            looked_at: Vec::new(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            changed: tokio::sync::watch::channel(0).0,
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

    /// A change of the lease that stands.
    pub fn lease(&self, id: &str, event: LeaseEvent) {
        let epoch = self.state().worker(id).expect("registered").epoch;
        self.apply(Command::ChangeLeases(vec![LeaseChange { id: worker(id), epoch, event }]));
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
        self.router.get_or_init(|| router(self.clone(), config())).clone()
    }

    /// One request.
    pub async fn ask(self: &Arc<Self>, request: Ask) -> Answer {
        Answer::read(self.router().oneshot(request.into()).await.expect("infallible")).await
    }
}

pub fn worker(id: &str) -> WorkerId {
    WorkerId::parse(id).expect("an id")
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

fn hint() -> LeaderHint {
    LeaderHint { name: node("n2"), management: "10.0.0.2:9090".into() }
}

impl Inner {
    fn apply(&mut self, command: Command) -> Committed {
        self.sequence += 1;
        let index = LogIndex(self.state.index().0 + 1);
        let origin = Origin { boot: BootId(77), sequence: self.sequence };
        let at = LogTime(EPOCH_MS + index.0 * 1_000);
        let entry = Entry { at, proposals: vec![Proposal { origin, command }] };
        let reply = self.state.apply(index, &entry).replies.pop().expect("one reply");
        if let Reply::Registered { .. } = reply {
            self.sequences.clear();
        }
        Committed { index, reply }
    }

    fn available(&self) -> Result<(), Unavailable> {
        self.broken.map_or(Ok(()), |reason| Err(Unavailable { reason, leader: Some(hint()) }))
    }

    fn leases(&self) -> Vec<LeaseInfo> {
        let routable = self.state.workers().filter(|worker| worker.is_routable());
        let lease = |worker: &Arc<quorate_model::Worker>| LeaseInfo {
            id: worker.id().clone(),
            epoch: worker.epoch,
            incarnation: worker.incarnation,
            ttl: worker.registration.ttl,
            status: worker.status(),
            remaining: worker.registration.ttl.as_duration() / 2,
        };
        // Not in order: the API sorts.
        let mut leases: Vec<_> = routable.map(lease).collect();
        leases.reverse();
        leases
    }
}

impl Cluster for Fake {
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
        async move {
            let reached = changed.wait_for(|at| *at >= index.0);
            quorate_rt::time::timeout(timeout, reached).await.is_ok_and(|at| at.is_ok())
        }
        .boxed()
    }

    fn in_flight(&self, worker: WorkerId, index: LogIndex) -> BoxFuture<'_, Vec<InFlightAt>> {
        async move { looks_at_workers::in_flight(&worker, index) }.boxed()
    }

    fn look_at(&self, worker: WorkerId, epoch: Epoch) -> BoxFuture<'_, Result<Look, Unavailable>> {
        let mut inner = self.inner.lock().expect("no panic");
        inner.looked_at.push((worker, epoch));
        let result = inner.available().map(|()| inner.look.clone());
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

    /// Knows n4, which waits at n4:7070, and n2, which can't be spared.
    fn join(&self, join: Join) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        let available = self.inner.lock().expect("no panic").available();
        let result = available.map_err(MemberError::from).and_then(|()| {
            let (name, peer) = (join.name.clone(), join.peer.clone());
            match (join.name.as_str(), join.peer.as_str()) {
                _ if join.if_index.is_some_and(|index| index != MEMBERS_CHANGED) => {
                    Err(MemberRefusal::PreconditionFailed { current: MEMBERS_CHANGED }.into())
                }
                ("n4", "n4:7070") if join.dry_run => {
                    Ok(MemberChange { index: MEMBERS_CHANGED, id: NodeId(4), voter: false })
                }
                ("n4", "n4:7070") => Ok(MemberChange { index: LogIndex(21), id: NodeId(4), voter: false }),
                ("n2", "n2:7070") => Ok(MemberChange { index: MEMBERS_CHANGED, id: NodeId(2), voter: true }),
                (_, "n4:7070") => {
                    Err(MemberRefusal::OtherName { peer, wanted: name, got: node("n4") }.into())
                }
                ("n2", _) => {
                    Err(MemberRefusal::NameTaken { name, id: NodeId(2), peer: "n2:7070".into() }.into())
                }
                _ => Err(MemberRefusal::NotReachable { peer, why: "refused".into() }.into()),
            }
        });
        async { result }.boxed()
    }

    fn leave(
        &self,
        name: NodeName,
        if_index: Option<LogIndex>,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        let available = self.inner.lock().expect("no panic").available();
        let result = available.map_err(MemberError::from).and_then(|()| match name.as_str() {
            "n1" | "n2" | "n3" if if_index.is_some_and(|index| index != MEMBERS_CHANGED) => {
                Err(MemberRefusal::PreconditionFailed { current: MEMBERS_CHANGED }.into())
            }
            "n2" => Err(MemberRefusal::NoMajority { voters: 1, reachable: 0 }.into()),
            "n1" | "n3" => {
                let index = if mode == Mode::Validate { MEMBERS_CHANGED } else { LogIndex(22) };
                Ok(MemberChange { index, id: NodeId(3), voter: false })
            }
            _ => Err(MemberRefusal::Unknown { name }.into()),
        });
        async { result }.boxed()
    }

    fn transfer_leader(&self, to: Option<NodeName>) -> BoxFuture<'_, Result<NodeName, TransferError>> {
        let available = self.inner.lock().expect("no panic").available();
        async move {
            available?;
            match to {
                None => Ok(node("n1")),
                Some(name) if name.as_str() == "n3" => {
                    Err(TransferError::NotEligible { name, why: "it is a learner".into() })
                }
                Some(name) if ["n1", "n2"].contains(&name.as_str()) => Ok(name),
                Some(name) => Err(TransferError::UnknownNode { name }),
            }
        }
        .boxed()
    }
}
