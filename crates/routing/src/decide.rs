//! Which worker gets a request, or which answer it gets here.
//!
//! The first rule that applies decides. A request is decided on one View as a whole: the count that its workspace
//! is hashed with and the table that says who owns the partition are of the same log index, or a growing topic
//! would send it to the old owner of the new number.

use crate::{
    local::Sight,
    partition::partition_of,
    route::{self, AmbiguousPath, Routed},
    sandbox::Sandboxed,
    service::{self, BadPath, ServicePath},
    vacancy::{self, Vacancy},
    workspace::{self, Workspace},
};
use http::{HeaderMap, Method};
use quorate_model::{PartitionCount, Scheme, Status, Worker, keyspace::Keyspace};
use quorate_state::{KeyspaceView, ServiceView, View};
use std::sync::Arc;

/// What a decision may look at. Borrowed: a decision copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'h> {
    /// The method.
    pub method: &'h Method,
    /// The path as it came, not decoded, without the query.
    pub path: &'h str,
    /// The query, without its `?`; empty: none.
    pub query: &'h str,
    /// The host that was asked for, with its port, as it came; empty: an HTTP/1.0 client did not say.
    pub host: &'h str,
    /// How it came.
    pub scheme: Scheme,
    /// The client's address.
    pub source: &'h str,
    /// All headers.
    pub headers: &'h HeaderMap,
    /// The routing key that it carries ([`sandbox::key`]).
    pub key: Option<&'h str>,
    /// A random number, for requests that don't care where they go.
    pub entropy: u64,
}

impl<'h> RequestHead<'h> {
    /// A request of which no more is known.
    pub fn of(method: &'h Method, path: &'h str, headers: &'h HeaderMap) -> Self {
        Self {
            method,
            path,
            query: "",
            host: "",
            scheme: Scheme::Http,
            source: "",
            headers,
            key: None,
            entropy: 0,
        }
    }
}

/// What to do with a request, and why.
#[derive(Debug)]
pub enum Decision<'v, 'h> {
    /// A rule of its key's sandbox is for it. Where nobody is there, [`base`] may decide instead.
    Sandbox(Sandboxed<'v, 'h>),
    /// A route is for it.
    Route(Routed<'v, 'h>),
    /// One or another route is for it, depending on how its path is read.
    AmbiguousPath(AmbiguousPath),
    /// `OPTIONS`: answered here, whatever its path; never forwarded.
    Preflight,
    /// The same, for a service.
    ServicePreflight,
    /// Its path begins like a service's, and can't be routed.
    BadServicePath(BadPath),
    /// There is no such service.
    NoService(ServicePath<'h>),
    /// One of the service's workers may get it: [`crate::pick`] says which.
    Service(ServicePath<'h>, &'v Arc<ServiceView>),
    /// Neither header nor path name a workspace.
    NoWorkspace,
    /// The keyspace's partition count is not known.
    PartitionCountUnknown(CountUnknown),
    /// Nobody can serve the partition.
    NoWorker {
        /// What the request is about.
        workspace: Workspace<'h>,
        /// Where that is.
        partition: u32,
        /// Why nobody serves it.
        why: Unserved<'v>,
        /// Whether it may wait for somebody who does.
        vacancy: Option<Vacancy>,
    },
    /// Send it there.
    Forward(Forward<'v, 'h>),
    /// Nothing else is for it, and this node knows where such requests go ([`crate::local`]).
    Default(Sandboxed<'v, 'h>),
}

/// Why there is no partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountUnknown {
    /// The cluster was never formed, or this node has not heard of it.
    NoCluster,
    /// Kafka has not answered yet, not even once.
    NotObserved,
}

/// Why nobody serves a partition.
#[derive(Clone, Copy, Debug)]
pub enum Unserved<'v> {
    /// No worker has claimed it.
    Unowned,
    /// Its owner's lease is over.
    OwnerGone(&'v Worker),
    /// An operator took its owner out of service.
    OwnerOut(&'v Worker),
}

/// Where a request goes.
#[derive(Debug)]
pub struct Forward<'v, 'h> {
    /// The owner of the partition, live or suspect.
    pub worker: &'v Arc<Worker>,
    /// The keyspace that decided.
    pub keyspace: &'v Keyspace,
    /// The partition.
    pub partition: u32,
    /// What the request is about, and how it said so.
    pub workspace: Workspace<'h>,
}

/// Why nobody gets a request that is about a workspace.
#[derive(Debug)]
pub enum Homeless<'v, 'h> {
    /// Neither header nor path name a workspace.
    NoWorkspace,
    /// There is no partition to find it in.
    CountUnknown(CountUnknown),
    /// Nobody can serve its partition.
    NoWorker {
        /// What the request is about.
        workspace: Workspace<'h>,
        /// Where that is.
        partition: u32,
        /// Why nobody serves it.
        why: Unserved<'v>,
        /// Whether it may wait for somebody who does.
        vacancy: Option<Vacancy>,
    },
}

/// Decides by what the cluster knows. Allocates only for a percent-encoded path, and what a route says anew.
pub fn decide<'v, 'h>(view: &'v View, head: &RequestHead<'h>) -> Decision<'v, 'h> {
    Sight::of(view).decide(head)
}

/// Decides as if the request had no key, by what the cluster knows.
pub fn base<'v, 'h>(view: &'v View, head: &RequestHead<'h>) -> Decision<'v, 'h> {
    if !view.routes().is_empty()
        && let Some(routed) = route::decide(view, head)
    {
        return match routed {
            Ok(routed) => Decision::Route(routed),
            Err(ambiguous) => Decision::AmbiguousPath(ambiguous),
        };
    }
    by_path(view, head)
}

/// Decides without the routes: for a request that none of them is for.
pub fn by_path<'v, 'h>(view: &'v View, head: &RequestHead<'h>) -> Decision<'v, 'h> {
    if head.method == Method::OPTIONS {
        let is_service = service::is_service(head.path);
        return if is_service { Decision::ServicePreflight } else { Decision::Preflight };
    }
    if let Some(path) = service::find(head.path) {
        return of_service(view, path);
    }
    match owner_in(view.default_keyspace(), head) {
        Ok(forward) => Decision::Forward(forward),
        Err(Homeless::NoWorkspace) => Decision::NoWorkspace,
        Err(Homeless::CountUnknown(why)) => Decision::PartitionCountUnknown(why),
        Err(Homeless::NoWorker { workspace, partition, why, vacancy }) => {
            Decision::NoWorker { workspace, partition, why, vacancy }
        }
    }
}

/// The owner of a request's partition in a keyspace, which may not be there.
pub fn owner_in<'v, 'h>(
    keyspace: Option<&'v KeyspaceView>,
    head: &RequestHead<'h>,
) -> Result<Forward<'v, 'h>, Homeless<'v, 'h>> {
    let Some(workspace) = workspace::find(head.headers, head.path) else {
        return Err(Homeless::NoWorkspace);
    };
    let keyspace = keyspace.ok_or(Homeless::CountUnknown(CountUnknown::NoCluster))?;
    let count = keyspace.count().ok_or(Homeless::CountUnknown(CountUnknown::NotObserved))?;
    let partition = match &workspace {
        Workspace::Any => any_partition(keyspace, count, head.entropy),
        Workspace::Header(id) => partition_of(id, count),
        Workspace::Path(id) => partition_of(id, count),
    };
    owner(keyspace, partition, workspace)
}

fn of_service<'v, 'h>(view: &'v View, path: Result<ServicePath<'h>, BadPath>) -> Decision<'v, 'h> {
    match path {
        Err(bad) => Decision::BadServicePath(bad),
        Ok(path) => match view.service(&path.name) {
            Some(service) => Decision::Service(path, service),
            None => Decision::NoService(path),
        },
    }
}

/// How many partitions are drawn for a request that any will do for, until one has a live owner.
const DRAWS: u64 = 8;

/// A random partition: of a live owner if one of the first draws has it, else of a suspect one, else the first drawn.
fn any_partition(keyspace: &KeyspaceView, count: PartitionCount, entropy: u64) -> u32 {
    let status = |partition: u32| {
        keyspace.claimant(partition).filter(|owner| owner.takes_requests()).map(|owner| owner.status())
    };
    let mut drawn = (0..DRAWS).map(|nth| draw(count, entropy, nth));
    let first = draw(count, entropy, 0);
    let mut late = None;
    let live = drawn.find(|partition| match status(*partition) {
        Some(Status::Live) => true,
        Some(Status::Suspect) => {
            late.get_or_insert(*partition);
            false
        }
        Some(Status::Expired | Status::Departed) | None => false,
    });
    live.or(late).unwrap_or(first)
}

fn draw(count: PartitionCount, entropy: u64, nth: u64) -> u32 {
    // Each draw is another part of a Weyl sequence over the request's own randomness; the first one is just that.
    let random = entropy.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // The high half times the count, shifted: no division, and no bias worth the name below 100,000.
    (((random >> 32) * u64::from(count.get())) >> 32) as u32
}

fn owner<'v, 'h>(
    keyspace: &'v KeyspaceView,
    partition: u32,
    workspace: Workspace<'h>,
) -> Result<Forward<'v, 'h>, Homeless<'v, 'h>> {
    let why = match keyspace.claimant(partition) {
        Some(worker) if worker.takes_requests() => {
            return Ok(Forward { worker, keyspace: keyspace.keyspace(), partition, workspace });
        }
        Some(worker) if worker.is_routable() => Unserved::OwnerOut(worker),
        Some(worker) => Unserved::OwnerGone(worker),
        None => Unserved::Unowned,
    };
    Err(Homeless::NoWorker { workspace, partition, why, vacancy: vacancy::of_partition(keyspace, partition) })
}
