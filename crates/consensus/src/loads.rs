//! The load of workers, told from node to node ([`LoadTable`] has the rules).
//!
//! Nobody waits for it, and nothing is lost that the next heartbeat does not bring again: it never enters the log, a
//! peer that does not answer is left alone for a while, and a node of an older version, which knows no such call, too.

use crate::{
    consensus::{Consensus, Shared},
    lease::Millis,
    load_table::{self, LoadTable},
    peer::{client::CallError, path, wire},
    telling::tell_all,
};
use quorate_model::{Load, LoadReport, NodeId, WorkerId};
use quorate_rt::{published::Published, shutdown::Shutdown, time};
use quorate_state::Loads;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// What comes within this time is published, and told, together.
const GATHER: Duration = Duration::from_millis(250);
/// How often it is looked for what is too old while nothing new comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most words looked at in one round.
const LOOKED_AT_MAX: usize = 5_000;
/// Most words in one call. The rest goes with the next one.
const REPORTS_PER_CALL_MAX: usize = 2_000;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long the connection is trusted. A call that times out takes its connection with it, and others wait on the same
/// one.
const LINK_WITHIN: Duration = Duration::from_secs(5);
/// A peer that did not answer, or knows no such call, is asked again after this long.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// How long the word of a worker is kept that this node's View does not have (yet).
const UNKNOWN_KEPT: Millis = 5_000;

/// What this node knows of the load of workers.
pub(crate) struct LoadKeeper {
    table: Mutex<LoadTable>,
    published: Arc<Published<Loads>>,
    /// There is something new.
    news: Notify,
}

impl Default for LoadKeeper {
    fn default() -> Self {
        Self { table: Mutex::default(), published: Published::new(Arc::default()), news: Notify::new() }
    }
}

impl LoadKeeper {
    /// A worker spoke to this node.
    pub fn hear(&self, id: &WorkerId, load: Load, now: Millis) {
        self.table().hear(id, load, now);
        self.news.notify_one();
    }

    /// Another node tells.
    pub fn learn(&self, reports: Vec<LoadReport>, now: Millis) {
        let mut table = self.table();
        reports.into_iter().for_each(|report| table.learn(report, now));
        drop(table);
        self.news.notify_one();
    }

    /// All that is known at this moment.
    pub fn loads(&self) -> Loads {
        self.table().loads()
    }

    /// The same for those who read often: at most a quarter of a second old.
    pub fn published(&self) -> &Arc<Published<Loads>> {
        &self.published
    }

    fn table(&self) -> MutexGuard<'_, LoadTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a peer has been told, and until when it is left alone.
#[derive(Clone, Copy, Default)]
struct Told {
    upto: u64,
    not_before: Option<time::Instant>,
}

/// Publishes and tells until the shutdown. What is said here is published here, however slow a peer is to hear of it.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    let to_tell = Notify::new();
    tokio::select! {
        biased;
        () = shutdown.wait() => {}
        () = publish_on(consensus.shared(), &to_tell) => {}
        () = tell_on(&consensus, &to_tell) => {}
    }
}

async fn publish_on(shared: &Shared, to_tell: &Notify) {
    let keeper = &shared.loads;
    loop {
        something_to_do(keeper).await;
        forget(shared);
        if let Some(loads) = keeper.table().take_changed() {
            keeper.published.store(Arc::new(loads));
        }
        to_tell.notify_one();
    }
}

async fn tell_on(consensus: &Consensus, to_tell: &Notify) {
    let mut peers = BTreeMap::new();
    loop {
        to_tell.notified().await;
        tell_all(consensus, &mut peers, |peer, before| tell_one(consensus.shared(), peer, before)).await;
    }
}

/// A node whose workers never speak of their load sleeps on.
async fn something_to_do(keeper: &LoadKeeper) {
    let nothing_to_forget = keeper.table().is_empty();
    if nothing_to_forget {
        keeper.news.notified().await;
    } else if time::timeout(LOOK_EVERY, keeper.news.notified()).await.is_err() {
        return;
    }
    time::sleep(GATHER).await;
}

fn forget(shared: &Shared) {
    let view = shared.applied.view().get();
    let kept = |id: &WorkerId| match view.worker(id.as_str()) {
        Some(worker) => {
            load_table::kept(Millis::try_from(worker.registration.ttl.as_ms()).unwrap_or(Millis::MAX))
        }
        None => UNKNOWN_KEPT,
    };
    shared.loads.table().forget(LOOKED_AT_MAX, shared.applied.now(), kept);
}

/// Tells a peer what it has not heard, call by call.
async fn tell_one(shared: &Shared, (id, address): (NodeId, String), before: Told) -> Told {
    if before.not_before.is_some_and(|at| time::Instant::now() < at) {
        return before;
    }
    let mut told = Told { not_before: None, ..before };
    loop {
        let (reports, upto) =
            shared.loads.table().untold(told.upto, REPORTS_PER_CALL_MAX, shared.applied.now());
        if reports.is_empty() {
            return Told { upto, ..told };
        }
        let message = (path::LOADS, wire::encode_loads(&reports));
        let call = shared.waiting.call(Some(id), &address, message, LINK_WITHIN);
        match time::timeout(ANSWER_WITHIN, call).await {
            Ok(Ok(_)) => told.upto = upto,
            silent => {
                left_alone(&address, silent.ok().and_then(Result::err).as_ref());
                return Told { not_before: Some(time::Instant::now() + LEFT_ALONE), ..told };
            }
        }
    }
}

/// What it missed is told once it answers; what is older than a lease nobody needs.
fn left_alone(address: &str, error: Option<&CallError>) {
    let why = error.map_or_else(|| format!("no answer within {ANSWER_WITHIN:?}"), ToString::to_string);
    tracing::debug!(peer = address, why, "a peer was not told of the load of workers");
}
