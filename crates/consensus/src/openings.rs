//! Circuit breakers that opened, told from node to node ([`OpeningTable`] has the rules).
//!
//! Nobody waits for it. A node that has just started asks each of the others once, so that it need not find out with
//! its first requests what they know. A node of an older version, which knows no such call, refuses it: that is its
//! answer.

use crate::{
    consensus::{Consensus, Shared},
    lease::Millis,
    opening_table::{KEPT_MAX, OpeningTable},
    peer::{client::CallError, path, wire},
    telling::tell_all,
};
use http::StatusCode;
use quorate_model::{NodeId, Opening, Openings};
use quorate_rt::{published::Published, shutdown::Shutdown, time};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// What comes within this time is published, and told, together.
const GATHER: Duration = Duration::from_millis(100);
/// How often it is looked for what is over, and for peers that have not been asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most in one call. The rest goes with the next one.
const PER_CALL_MAX: usize = 1_000;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long the connection is trusted: others wait on the same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);
/// A peer that did not answer is told again after this long.
const LEFT_ALONE: Duration = Duration::from_secs(2);

/// What this node knows of breakers that opened.
pub(crate) struct OpeningKeeper {
    table: Mutex<OpeningTable>,
    published: Arc<Published<Openings>>,
    /// There is something new.
    news: Notify,
}

impl Default for OpeningKeeper {
    fn default() -> Self {
        Self { table: Mutex::default(), published: Published::new(Arc::default()), news: Notify::new() }
    }
}

impl OpeningKeeper {
    /// A breaker of this node opened.
    pub fn hear(&self, opening: &Opening, now: Millis) {
        self.table().hear(opening, now);
        self.news.notify_one();
    }

    /// Another node tells, and perhaps asks. The answer to it.
    pub fn hear_peer(&self, told: wire::OpeningsTold, now: Millis) -> wire::OpeningsTold {
        self.learn(&told.openings, now);
        let openings = if told.asks { self.table().untold(0, KEPT_MAX, now).0 } else { Vec::new() };
        wire::OpeningsTold { asks: false, openings }
    }

    /// For those who read often.
    pub fn published(&self) -> &Arc<Published<Openings>> {
        &self.published
    }

    fn learn(&self, openings: &[Opening], now: Millis) {
        if openings.is_empty() {
            return;
        }
        let mut table = self.table();
        openings.iter().for_each(|opening| table.learn(opening, now));
        drop(table);
        self.news.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, OpeningTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a peer has been told, whether it has been asked, and until when it is left alone.
#[derive(Clone, Copy, Default)]
struct Told {
    upto: u64,
    was_asked: bool,
    not_before: Option<time::Instant>,
}

/// Publishes and tells until the shutdown.
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
    let keeper = &shared.openings;
    loop {
        let nothing_to_forget = keeper.table().is_empty();
        if nothing_to_forget {
            keeper.news.notified().await;
            time::sleep(GATHER).await;
        } else if time::timeout(LOOK_EVERY, keeper.news.notified()).await.is_ok() {
            time::sleep(GATHER).await;
        }
        let now = shared.applied.now();
        let changed = {
            let mut table = keeper.table();
            table.forget(now);
            table.take_changed(now)
        };
        if let Some(openings) = changed {
            keeper.published.store(Arc::new(openings));
            to_tell.notify_one();
        }
    }
}

async fn tell_on(consensus: &Consensus, to_tell: &Notify) {
    let mut peers = BTreeMap::new();
    loop {
        tell_all(consensus, &mut peers, |peer, before| tell_one(consensus.shared(), peer, before)).await;
        // It is over either way: there is something to tell, or somebody may be there who was not asked.
        let _ = time::timeout(LOOK_EVERY, to_tell.notified()).await;
    }
}

/// Tells a peer what it has not heard, call by call, and asks it the first time.
async fn tell_one(shared: &Shared, (id, address): (NodeId, String), before: Told) -> Told {
    if before.not_before.is_some_and(|at| time::Instant::now() < at) {
        return before;
    }
    let mut told = Told { not_before: None, ..before };
    loop {
        let (openings, upto) = shared.openings.table().untold(told.upto, PER_CALL_MAX, shared.applied.now());
        if openings.is_empty() && upto == told.upto && told.was_asked {
            return told;
        }
        let message = wire::OpeningsTold { asks: !told.was_asked, openings };
        let message = (path::OPENINGS, wire::encode_openings(&message));
        let call = shared.waiting.call(Some(id), &address, message, LINK_WITHIN);
        let why = match time::timeout(ANSWER_WITHIN, call).await {
            Ok(Ok(body)) => match wire::decode_openings(&body) {
                Ok(answer) => {
                    shared.openings.learn(&answer.openings, shared.applied.now());
                    told = Told { upto, was_asked: true, ..told };
                    continue;
                }
                Err(why) => why.to_string(),
            },
            // An older version, which will not remember either.
            Ok(Err(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => {
                return Told { upto, was_asked: true, ..told };
            }
            Ok(Err(why)) => why.to_string(),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        tracing::debug!(peer = %address, why, "a peer was not told which breakers opened");
        return Told { not_before: Some(time::Instant::now() + LEFT_ALONE), ..told };
    }
}
