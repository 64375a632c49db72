//! One watcher: from where it stands to the newest change, then each as it comes.
//!
//! Nothing is queued for a watcher but a few pieces of text: it has a position in the node's history of changes and
//! reads on from there when the last pieces are on their way. One that does not take them is, sooner or later,
//! behind the history's begin, or has not moved for [`STALLED_AFTER`]; then it is told, with a place that was kept
//! free for that, to begin anew. Applying never waits for anybody.

use crate::{cluster::Cluster, places::Place};
use bytes::Bytes;
use futures_util::Stream;
use quorate_api::watch::{self, ResetReason};
use quorate_model::{
    Epoch, Kind, LogIndex, Position, Session, SessionsChanged, Status, Verdict, What, WorkerChange,
};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_state::{Forgotten, KeyspaceView, Since, View};
use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc::{self, OwnedPermit, Sender};

/// A watcher that takes nothing for so long is given up.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Pieces of text that are on their way to a watcher.
const PIECES: usize = 8;
/// A piece is sent once it has so many bytes; one event may have more.
const PIECE_BYTES: usize = 16 << 10;
/// Changes that are taken out of the history at once.
const AT_ONCE: usize = 128;
/// Sessions of one event, as a watch begins.
const SESSIONS_AT_ONCE: usize = 100;

/// What a watcher wants to hear of.
pub(crate) struct About {
    /// `None`: everything.
    pub kinds: Option<Vec<Kind>>,
    /// How names begin; empty: all.
    pub prefix: String,
}

impl About {
    /// What of it the watcher wants to hear.
    fn part_of<'a>(&self, what: &'a What) -> Option<Cow<'a, What>> {
        // What is about everything concerns everybody.
        let Some(kind) = what.kind() else { return Some(Cow::Borrowed(what)) };
        if !self.wants(kind) {
            return None;
        }
        match what {
            What::Presence(changed) if !self.prefix.is_empty() => {
                let of = |sessions: &[Arc<Session>]| {
                    let named = sessions.iter().filter(|s| s.user.as_str().starts_with(&self.prefix));
                    named.cloned().collect::<Arc<[_]>>()
                };
                let (opened, closed) = (of(&changed.opened), of(&changed.closed));
                let is_empty = opened.is_empty() && closed.is_empty();
                let part = SessionsChanged { gateway: changed.gateway, opened, closed };
                (!is_empty).then_some(Cow::Owned(What::Presence(part)))
            }
            what => what.name().starts_with(&self.prefix).then_some(Cow::Borrowed(what)),
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// The watcher has gone, or was given up.
struct Gone;

/// How a watcher is served.
pub(crate) struct Served {
    /// Its own, as long as it is there.
    pub place: Place,
    /// When all watches end.
    pub ending: Shutdown,
    /// After so long without a change, a line shows that the connection lives.
    pub keep_alive: Duration,
}

/// A watcher that is served.
pub(crate) struct Watch {
    cluster: Arc<dyn Cluster>,
    about: About,
    outlet: Outlet,
}

impl Watch {
    /// Serves a watcher from behind `from` on, on a task of its own, until it goes or the node ends.
    pub fn start(
        cluster: Arc<dyn Cluster>,
        about: About,
        from: Option<Position>,
        Served { place, mut ending, keep_alive }: Served,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let (pieces, received) = mpsc::channel(PIECES + 1);
        let watch = Self { cluster, about, outlet: Outlet::new(pieces.clone(), keep_alive) };
        quorate_rt::spawn(async move {
            tokio::select! {
                biased;
                () = ending.wait() => {}
                () = pieces.closed() => {}
                _ = watch.run(from) => {}
            }
            drop(place);
        });
        futures_util::stream::unfold(received, |mut received| async move {
            received.recv().await.map(|piece| (Ok(piece), received))
        })
    }

    async fn run(mut self, from: Option<Position>) -> Result<(), Gone> {
        self.outlet.add(&watch::retry());
        let mut at = match from {
            None => self.begin(ResetReason::Start).await?,
            Some(from) if self.changes_after(from, 0).is_ok() => from,
            Some(_) => self.begin(ResetReason::History).await?,
        };
        let mut synced = false;
        loop {
            let Ok(since) = self.changes_after(at, AT_ONCE) else {
                return Err(self.outlet.give_up(self.cluster.view().index()));
            };
            for change in &since.changes {
                if let Some(what) = self.about.part_of(&change.what) {
                    self.outlet.put(&watch::change(change.position, &what), at.index).await?;
                }
            }
            at = since.upto;
            if since.changes.len() == AT_ONCE {
                continue;
            }
            if !synced {
                synced = true;
                self.outlet.add(&watch::synced(at));
            }
            self.outlet.flush(at.index).await?;
            self.wait_beyond(at).await;
            if self.outlet.is_quiet() {
                self.outlet.add(&watch::keep_alive(at, self.cluster.standing().stale));
            }
        }
    }

    fn changes_after(&self, position: Position, max: usize) -> Result<Since, Forgotten> {
        self.cluster.changes_about(self.about.kinds.as_deref(), position, max)
    }

    /// Until there may be more, or until it is time to show that the connection lives.
    async fn wait_beyond(&self, at: Position) {
        let next = LogIndex(at.index.0.saturating_add(1));
        let _ = self.cluster.wait_for(next, self.outlet.quiet_in()).await;
    }

    /// Tells everything that stands; answers with the position that it is of.
    async fn begin(&mut self, reason: ResetReason) -> Result<Position, Gone> {
        let view = self.cluster.view();
        let index = view.index();
        self.outlet.add(&watch::reset(reason, index));
        for what in standing(&view) {
            let Some(what) = self.about.part_of(&what) else { continue };
            self.outlet.put(&watch::stands(&what, index), index).await?;
            // Whoever is so slow could not go on from here, and the state of then is not kept for it.
            if self.outlet.has_sent() && self.changes_after(Position::end_of(index), 0).is_err() {
                return Err(self.outlet.give_up(index));
            }
        }
        Ok(Position::end_of(index))
    }
}

/// Everything that a watcher can be told of, as it stands.
fn standing(view: &View) -> impl Iterator<Item = What> + Send + '_ {
    let level = std::iter::once(What::Level(view.feature_level()));
    let nodes = view.nodes().map(|node| What::Node(node.clone()));
    let keyspaces = view.keyspaces().map(|keyspace| What::Keyspace(keyspace.keyspace().clone()));
    let services = view.services().filter_map(|service| {
        let policy = service.stored_policy()?.clone();
        Some(What::Service { name: service.name().clone(), policy: Some(Box::new(policy)) })
    });
    let routes = view
        .routes()
        .iter()
        .map(|stored| What::Route { name: stored.route.name().clone(), route: Some(stored.clone()) });
    let sandboxes = view
        .sandboxes()
        .iter()
        .map(|stored| What::Sandbox { key: stored.key.clone(), sandbox: Some(stored.clone()) });
    let objects = view
        .objects()
        .iter()
        .map(|stored| What::Object { name: stored.id().to_string().into(), object: Some(stored.clone()) });
    // Who is well is told by its being there.
    let ailing = view.services().flat_map(|service| {
        let unwell = service.endpoints().filter(|endpoint| endpoint.is_ailing());
        unwell.map(|endpoint| What::Health {
            service: service.name().clone(),
            worker: endpoint.worker().id().clone(),
            verdict: Verdict::Unhealthy,
        })
    });
    let delegates = view
        .delegates()
        .map(|delegate| What::Delegate { group: delegate.group.clone(), delegate: Some(delegate.clone()) });
    let workers = view.workers().filter(|worker| worker.status() != Status::Departed).map(|worker| {
        let keyspace = view.keyspace(worker.registration.keyspace.as_str());
        let count = keyspace.and_then(KeyspaceView::count);
        What::Worker { record: worker.clone(), count, how: WorkerChange::Registered }
    });
    let gateways = view
        .tunnels()
        .gateways()
        .map(|gateway| What::Gateway { node: gateway.node.clone(), gateway: Some(gateway.clone()) });
    let tunnels = view
        .tunnels()
        .iter()
        .map(|(name, holder)| What::Tunnel { name: name.clone(), holder: Some(holder.clone()) });
    level
        .chain(nodes)
        .chain(keyspaces)
        .chain(services)
        .chain(routes)
        .chain(sandboxes)
        .chain(objects)
        .chain(delegates)
        .chain(workers)
        .chain(ailing)
        .chain(gateways)
        .chain(tunnels)
        .chain(present(view))
}

/// The sessions that stand, several at a time.
fn present(view: &View) -> impl Iterator<Item = What> + Send + '_ {
    view.tunnels().gateways().flat_map(|gateway| {
        let mut sessions = view.sessions().held_by(gateway.epoch, Epoch::default());
        std::iter::from_fn(move || {
            let opened: Arc<[_]> = sessions.by_ref().take(SESSIONS_AT_ONCE).cloned().collect();
            let changed = SessionsChanged { gateway: gateway.epoch, opened, closed: Arc::default() };
            (!changed.opened.is_empty()).then_some(What::Presence(changed))
        })
    })
}

/// The way to a watcher.
struct Outlet {
    pieces: Sender<Bytes>,
    /// For the last word.
    farewell: Option<OwnedPermit<Bytes>>,
    piece: String,
    sent: time::Instant,
    keep_alive: Duration,
}

impl Outlet {
    fn new(pieces: Sender<Bytes>, keep_alive: Duration) -> Self {
        let farewell = pieces.clone().try_reserve_owned().ok();
        Self { pieces, farewell, piece: String::new(), sent: time::Instant::now(), keep_alive }
    }

    /// Adds a little text.
    fn add(&mut self, text: &str) {
        self.piece.push_str(text);
    }

    /// Adds text, and sends what has gathered once it is enough.
    async fn put(&mut self, text: &str, index: LogIndex) -> Result<(), Gone> {
        self.add(text);
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.flush(index).await }
    }

    /// Sends what has gathered. `index` is how far the watcher has come, for its last word.
    async fn flush(&mut self, index: LogIndex) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        match time::timeout(STALLED_AFTER, self.pieces.send(piece)).await {
            Ok(Ok(())) => {
                self.sent = time::Instant::now();
                Ok(())
            }
            Ok(Err(_)) => Err(Gone),
            Err(_) => Err(self.give_up(index)),
        }
    }

    /// The watcher has to begin anew.
    fn give_up(&mut self, index: LogIndex) -> Gone {
        if let Some(place) = self.farewell.take() {
            let mut last = std::mem::take(&mut self.piece);
            last.push_str(&watch::reset(ResetReason::Behind, index));
            place.send(last.into());
        }
        Gone
    }

    /// Whether all that has gathered is on its way.
    fn has_sent(&self) -> bool {
        self.piece.is_empty()
    }

    /// How long until it has to be shown that the connection lives.
    fn quiet_in(&self) -> Duration {
        self.keep_alive.saturating_sub(self.sent.elapsed())
    }

    fn is_quiet(&self) -> bool {
        self.quiet_in().is_zero()
    }
}
