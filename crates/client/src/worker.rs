//! A process that serves partitions, as a cluster sees it.
//!
//! The library keeps one promise for its process: as long as the process lives and any router answers, the
//! cluster knows it, under the lease that it was granted last. What it must *not* do is fight. Two workers that
//! both re-register whenever the other one wins would take a partition from each other for ever, each time with a
//! newer lease. So a worker that newer registrations displaced stays displaced until somebody decides
//! otherwise ([`WorkerBuilder::reclaim`], [`WorkerHandle::set_partitions`]), and one whose id was registered by
//! another process is done: it neither heartbeats nor unregisters, because both would hit the other one.
//!
//! | module | what |
//! |---|---|
//! | `decide` | what an answer means, as a pure table |
//! | `draw_back` | the end that fails no request: drain, wait, unregister |
//! | `resume` | a drain of the worker itself, taken back |
//! | `session` | the loop that registers and heartbeats |

mod decide;
mod draw_back;
mod resume;
mod session;

pub use draw_back::{DrawnBack, OwnDrain};
pub use resume::Duty;

use crate::{
    DelegateOffer, Error, HeartbeatWay, Url,
    delegate::{Part, Plan},
    nodes::{Call, Nodes},
    tasks,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use session::Session;
use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Each attempt at one router takes at most this long.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Saying goodbye takes at most this long; the lease ends by itself where no router could be told.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);
/// Wishes that wait for the loop. When full: the caller waits, for at most one call.
const WISHES_MAX: usize = 4;

/// A service that the worker offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOffer {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Where it is reached, if not at the worker's own address.
    pub url: Option<String>,
}

impl ServiceOffer {
    /// A service at the worker's own address.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: None, url: None }
    }

    fn json(&self) -> Value {
        let mut fields = Map::from_iter([("name".to_owned(), json!(self.name))]);
        fields.extend(self.version.iter().map(|version| ("version".to_owned(), json!(version))));
        fields.extend(self.url.iter().map(|url| ("url".to_owned(), json!(url))));
        Value::Object(fields)
    }
}

/// What to do when newer registrations took all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenDisplaced {
    Rest,
    Reclaim,
}

/// Where the worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// The cluster knows the worker.
    Registered {
        /// Its fencing token: each later grant, to anybody, is larger.
        epoch: u64,
    },
    /// No router could be reached or none could do anything; tried again all the time.
    Reconnecting,
    /// The cluster does not want this registration as it is; tried again, more and more slowly.
    Refused {
        /// Stable name of the problem.
        code: String,
        /// One sentence.
        detail: String,
    },
    /// Newer registrations took all partitions. Nothing is sent any more.
    Displaced,
    /// Another process registered under this id. Nothing is sent any more.
    Superseded,
    /// [`WorkerHandle::stop`] was called, or the handle dropped.
    Stopped,
}

/// The entry to this module.
#[derive(Debug)]
pub struct WorkerClient;

impl WorkerClient {
    /// A worker that `routers` shall know as `id` and reach at `address`, an absolute http(s) URL.
    pub fn builder(
        routers: impl IntoIterator<Item = Url>,
        id: impl Into<String>,
        address: impl Into<String>,
    ) -> WorkerBuilder {
        WorkerBuilder {
            routers: routers.into_iter().collect(),
            id: id.into(),
            address: address.into(),
            optional: Map::new(),
            partitions: Vec::new(),
            labels: BTreeMap::new(),
            token: None,
            when_displaced: WhenDisplaced::Rest,
            delegate: None,
        }
    }
}

/// What the worker will offer.
#[derive(Clone, Debug)]
#[must_use]
pub struct WorkerBuilder {
    routers: Vec<Url>,
    id: String,
    address: String,
    /// Fields of the registration that were given.
    optional: Map<String, Value>,
    partitions: Vec<u32>,
    labels: BTreeMap<String, String>,
    token: Option<String>,
    when_displaced: WhenDisplaced,
    delegate: Option<DelegateOffer>,
}

impl WorkerBuilder {
    /// The partitions that it serves.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.partitions = partitions.into_iter().collect();
        self
    }

    /// The keyspace of the partitions, if not `default`.
    pub fn keyspace(self, name: &str) -> Self {
        self.field("keyspace", json!(name))
    }

    /// The services that it offers.
    pub fn services(self, services: impl IntoIterator<Item = ServiceOffer>) -> Self {
        self.field("services", services.into_iter().map(|service| service.json()).collect())
    }

    /// Free text for people and policies. Workers with the same label `group` share a delegate for their heartbeats:
    /// while one of them is there, they go that way.
    pub fn labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    /// Offers to send the heartbeats of its group. The routers decide who does; a worker without a service never does.
    pub fn delegate(mut self, offer: DelegateOffer) -> Self {
        self.delegate = Some(offer);
        self
    }

    /// What its machine can do: booleans, numbers and strings.
    pub fn capabilities(self, capabilities: Map<String, Value>) -> Self {
        self.field("capabilities", Value::Object(capabilities))
    }

    /// How long it lives without a heartbeat; the cluster's default where not given.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.field("ttl", json!(quorate_api::duration::format(ttl)))
    }

    /// Its share of the traffic; 100 is usual.
    pub fn weight(self, weight: u32) -> Self {
        self.field("weight", json!(weight))
    }

    /// Sent as bearer token with each call.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Whether to register again when newer registrations took all partitions. For one worker of a pair at most:
    /// two that reclaim take the partitions from each other for ever.
    pub fn reclaim(mut self, reclaim: bool) -> Self {
        self.when_displaced = if reclaim { WhenDisplaced::Reclaim } else { WhenDisplaced::Rest };
        self
    }

    /// Registers, and keeps the lease from then on. Returns once the cluster knows the worker, or once every
    /// router was tried in vain: then it goes on trying, in [`WorkerState::Reconnecting`].
    ///
    /// Fails for values that can't work, and where the cluster refuses the registration.
    pub async fn start(self) -> Result<WorkerHandle, Error> {
        // A path segment of dots would name another resource.
        if matches!(self.id.as_str(), "" | "." | "..") {
            return Err(Error::Invalid(format!("`{}` is no worker id", self.id)));
        }
        let nodes = Arc::new(Nodes::new(self.routers, self.token, CALL_LIMIT)?);
        let mut body = self.optional;
        body.insert("address".into(), json!(self.address));
        body.insert("partitions".into(), json!(self.partitions));
        let (state, states) = watch::channel(WorkerState::Reconnecting);
        let (way, ways) = watch::channel(HeartbeatWay::Direct);
        let (plan, mut labels) = (Plan::of(self.delegate).await?, self.labels);
        if let Some(url) = plan.url() {
            labels.insert(quorate_api::delegate::URL_LABEL.into(), url.into());
            body.insert("wants_delegate".into(), json!(true));
        }
        if !labels.is_empty() {
            body.insert("labels".into(), json!(labels));
        }
        let part = Part::new(&self.id, &nodes, plan, way)?;
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        let (verdict, first) = oneshot::channel();
        let session = Session::new(nodes.clone(), self.id.clone(), body, self.when_displaced, (state, part));
        let task = tasks::spawn(session.run(wished, verdict));
        let handle = WorkerHandle { id: self.id, nodes, wishes, states, ways, task };
        match first.await {
            Ok(Err(refused)) => {
                handle.task.abort();
                Err(refused)
            }
            // An error here: the loop ended, as it does when the runtime does.
            Ok(Ok(())) | Err(_) => Ok(handle),
        }
    }

    fn field(mut self, name: &str, value: Value) -> Self {
        self.optional.insert(name.into(), value);
        self
    }
}

/// A request of the handle to the loop.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Register anew with these fields changed.
    Change(Map<String, Value>, WhenResting),
    /// Which lease is held?
    Lease(oneshot::Sender<Option<u64>>),
    /// Say goodbye; answered with the log index of it, where a router has confirmed it.
    Stop(oneshot::Sender<Option<u64>>),
}

/// What a change means for a worker that rests, displaced or superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenResting {
    /// It registers again.
    WakeUp,
    /// It goes on resting, and would register the changed fields later.
    GoOn,
}

/// A worker whose lease is kept. Dropping it unregisters the worker too, if the runtime lives long enough.
pub struct WorkerHandle {
    id: String,
    nodes: Arc<Nodes>,
    wishes: mpsc::Sender<Wish>,
    states: watch::Receiver<WorkerState>,
    ways: watch::Receiver<HeartbeatWay>,
    task: JoinHandle<()>,
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("id", &self.id).field("state", &self.state()).finish()
    }
}

impl WorkerHandle {
    /// Where the worker stands now.
    pub fn state(&self) -> WorkerState {
        self.states.borrow().clone()
    }

    /// To wait for changes of the state. Intermediate ones may be skipped.
    pub fn states(&self) -> watch::Receiver<WorkerState> {
        self.states.clone()
    }

    /// Which way its heartbeats go, now and as that changes. Intermediate ones may be skipped.
    pub fn heartbeat_ways(&self) -> watch::Receiver<HeartbeatWay> {
        self.ways.clone()
    }

    /// Registers anew with another list of partitions: after a rebalance, or to end [`WorkerState::Displaced`]
    /// and [`WorkerState::Superseded`] on purpose.
    pub async fn set_partitions(&self, partitions: impl IntoIterator<Item = u32>) {
        let partitions: Vec<u32> = partitions.into_iter().collect();
        let fields = Map::from_iter([("partitions".to_owned(), json!(partitions))]);
        self.wish(Wish::Change(fields, WhenResting::WakeUp)).await;
    }

    /// Registers anew with another address and other services, under the same id. One that rests goes on resting:
    /// a service that comes or goes is no decision about who has the id.
    pub async fn set_services(
        &self,
        address: impl Into<String>,
        services: impl IntoIterator<Item = ServiceOffer>,
    ) {
        let services: Vec<_> = services.into_iter().map(|service| service.json()).collect();
        let fields = [("address", json!(address.into())), ("services", json!(services))];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.wish(Wish::Change(fields, WhenResting::GoOn)).await;
    }

    /// Registers again what was registered last, also after [`WorkerState::Displaced`] and
    /// [`WorkerState::Superseded`]: takes the id back.
    pub async fn register_again(&self) {
        self.wish(Wish::Change(Map::new(), WhenResting::WakeUp)).await;
    }

    /// Unregisters, within five seconds, and returns the state in which the worker was.
    pub async fn stop(self) -> WorkerState {
        let before = self.state();
        self.say_goodbye().await;
        before
    }

    async fn say_goodbye(self) -> Option<u64> {
        let (done, wait) = oneshot::channel();
        self.wish(Wish::Stop(done)).await;
        wait.await.ok().flatten()
    }

    /// Whether nobody holds a lease under this worker's id, as one that was superseded wants to know.
    pub async fn id_is_free(&self) -> Result<bool, Error> {
        let path = ["v1", "workers", &self.id];
        let call = Call { method: Method::GET, path: &path, query: &[], body: None, if_match: None };
        match self.nodes.call(&call).await {
            Ok(answer) => Ok(answer.json["status"] == "expired"),
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn wish(&self, wish: Wish) {
        // An error means that the loop has ended; the state says so.
        let _ = self.wishes.send(wish).await;
    }

    /// Keeps the lease until `signal`, then unregisters.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> WorkerState {
        signal.await;
        self.stop().await
    }
}
