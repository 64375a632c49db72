//! What this node holds as a gateway, and who is told when it holds it no longer.
//!
//! The log decides who holds a tunnel; here is only which of its connections this node believes in. Whoever has one is
//! told at once when the log gave the name to somebody else, when the node's lease has ended, or when the node has to
//! take it for ended since nobody could tell it ([`Holdings::let_go`]).
//!
//! The other way round, nothing is left in the log for a connection that nobody has: an opening whose outcome nobody
//! learnt, or whose asker has gone, is an *orphan*, and is closed later. It names its epoch, so that this takes nothing
//! from one that came since.
//!
//! The same holds for sessions of users (`sessions`).

mod sessions;

pub(crate) use sessions::Opened;
pub use sessions::{Lost, SessionHold};

use quorate_model::{Epoch, Event, PresenceEvent, TunnelName};
use quorate_rt::published::Published;
use quorate_state::View;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// See the module. One for each node.
#[derive(Debug)]
pub struct Holdings {
    book: Mutex<Book>,
    /// The lease, as long as this node may rely on it. Changed with the book in hand only.
    standing: watch::Sender<Option<Epoch>>,
    /// There are orphans.
    orphaned: Notify,
    session_orphaned: Notify,
    /// Whose turn it is to open a lease.
    opens: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Book {
    /// How many openings of a name are under way.
    opening: BTreeMap<TunnelName, usize>,
    tunnels: BTreeMap<TunnelName, Held>,
    /// What stands in the log for this node, and nobody has. Never more than hang on its lease.
    orphans: BTreeMap<Epoch, TunnelName>,
    sessions: sessions::SessionBook,
    /// The whole state was replaced: what was missed is not known.
    read_anew: bool,
    /// The node is about to end.
    closed: bool,
}

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    lost: watch::Sender<bool>,
}

/// A tunnel that this node holds. Dropping it closes it, sooner or later; [`crate::Consensus::close_tunnel`] waits for
/// that.
#[derive(Debug)]
pub struct TunnelHold {
    name: TunnelName,
    gateway: Epoch,
    epoch: Epoch,
    lost: watch::Receiver<bool>,
    holdings: Arc<Holdings>,
}

impl TunnelHold {
    /// What it is called.
    pub fn name(&self) -> &TunnelName {
        &self.name
    }

    /// Its fencing token.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The node's lease, by which it is held.
    pub fn gateway(&self) -> Epoch {
        self.gateway
    }

    /// Whether somebody else holds the name, or nobody, as far as this node may say.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Resolves once it is lost. The connection has to be closed then: it is nobody's any more.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error says that nobody can tell any more: as good as lost.
        let _ = lost.wait_for(|lost| *lost).await;
    }
}

impl Drop for TunnelHold {
    fn drop(&mut self) {
        self.holdings.leave(&self.name, self.epoch);
    }
}

/// An opening that is under way. Whatever comes of it, its end leaves nothing behind that nobody has.
pub(crate) struct Opening {
    name: TunnelName,
    view: Arc<Published<View>>,
    holdings: Arc<Holdings>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
            book: Mutex::default(),
            standing: watch::Sender::new(None),
            orphaned: Notify::new(),
            session_orphaned: Notify::new(),
            opens: tokio::sync::Mutex::default(),
        }
    }
}

impl Holdings {
    /// The lease that this node may rely on.
    pub fn standing(&self) -> Option<Epoch> {
        *self.standing.borrow()
    }

    /// The same, as it changes.
    pub fn watch_standing(&self) -> watch::Receiver<Option<Epoch>> {
        self.standing.subscribe()
    }

    /// Leases are opened one after the other: a second one would end the first.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.opens.lock().await
    }

    /// A lease was granted; false: it has ended already, or the node is about to.
    pub(crate) fn stand(&self, view: &Published<View>, gateway: Epoch) -> bool {
        let book = self.book();
        // Looked at with the book in hand: what ends it from here on finds it here.
        let stands = !book.closed && view.get().tunnels().stands(gateway);
        if stands {
            self.standing.send_replace(Some(gateway));
        }
        stands
    }

    /// An opening of `name` begins.
    pub(crate) fn begin(self: &Arc<Self>, view: &Arc<Published<View>>, name: &TunnelName) -> Opening {
        *self.book().opening.entry(name.clone()).or_default() += 1;
        Opening { name: name.clone(), view: view.clone(), holdings: self.clone() }
    }

    /// Whether the node is about to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.book().closed
    }

    /// Takes no new ones from now on; answers with the lease that stands.
    pub(crate) fn close(&self) -> Option<Epoch> {
        self.book().closed = true;
        self.standing()
    }

    /// Everything is lost: the lease is over, or nobody could tell this node if it were.
    pub(crate) fn let_go(&self) {
        self.let_all_go(&mut self.book());
    }

    /// The same, if this is the lease that stands.
    pub(crate) fn let_go_of(&self, gateway: Epoch) {
        let mut book = self.book();
        if self.standing() == Some(gateway) {
            self.let_all_go(&mut book);
        }
    }

    /// Follows what an entry changed. `view` is the state after it, and is published.
    pub(crate) fn observe(&self, view: &View, events: &[Event]) {
        let mut book = self.book();
        if std::mem::take(&mut book.read_anew) {
            self.read_anew(&mut book, view);
        }
        for event in events {
            let Event::Presence(event) = event else { continue };
            match event {
                PresenceEvent::GatewayEnded { epoch, .. } if self.standing() == Some(*epoch) => {
                    self.let_all_go(&mut book);
                }
                PresenceEvent::TunnelOpened { name, .. } | PresenceEvent::TunnelClosed { name, .. } => {
                    book.drop_if_lost(view, name);
                    self.note_orphan(&mut book, view, name);
                }
                PresenceEvent::Sessions(changed) => {
                    if let Some(gateway) = self.standing()
                        && book.sessions.follow(gateway, changed)
                    {
                        self.session_orphaned.notify_one();
                    }
                }
                PresenceEvent::GatewayOpened { .. } | PresenceEvent::GatewayEnded { .. } => {}
            }
        }
    }

    /// The state is about to be replaced as a whole.
    pub(crate) fn replaced(&self) {
        self.book().read_anew = true;
    }

    /// Resolves when there are orphans.
    pub(crate) async fn orphaned(&self) {
        self.orphaned.notified().await;
    }

    /// Orphans to close, at most `max`.
    pub(crate) fn take_orphans(&self, max: usize) -> Vec<(TunnelName, Epoch)> {
        let mut book = self.book();
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((epoch, name)) = book.orphans.pop_first()
        {
            taken.push((name, epoch));
        }
        taken
    }

    /// One that could not be closed yet.
    pub(crate) fn put_back(&self, name: TunnelName, epoch: Epoch) {
        let mut book = self.book();
        if self.standing().is_some() {
            book.orphans.insert(epoch, name);
        }
    }

    /// Whoever had it has it no longer.
    fn leave(&self, name: &TunnelName, epoch: Epoch) {
        let mut book = self.book();
        // One that is not here any more was lost: somebody else's goodbye is not ours to say.
        if book.tunnels.get(name).is_some_and(|held| held.epoch == epoch) {
            book.tunnels.remove(name);
            book.orphans.insert(epoch, name.clone());
            self.orphaned.notify_one();
        }
    }

    fn let_all_go(&self, book: &mut Book) {
        self.standing.send_replace(None);
        book.orphans.clear();
        book.sessions.let_all_go();
        for held in std::mem::take(&mut book.tunnels).into_values() {
            held.lost.send_replace(true);
        }
    }

    fn read_anew(&self, book: &mut Book, view: &View) {
        let Some(gateway) = self.standing() else { return };
        if !view.tunnels().stands(gateway) {
            return self.let_all_go(book);
        }
        let names: Vec<_> = book.tunnels.keys().cloned().collect();
        names.iter().for_each(|name| book.drop_if_lost(view, name));
        let held: Vec<_> = view.tunnels().held_by(gateway).cloned().collect();
        held.iter().for_each(|name| self.note_orphan(book, view, name));
        book.sessions.read_anew(gateway, view);
        self.session_orphaned.notify_one();
    }

    /// One that hangs on this node, and that nobody has or is about to have.
    fn note_orphan(&self, book: &mut Book, view: &View, name: &TunnelName) {
        let Some(holder) = view.tunnels().get(name.as_str()) else { return };
        let is_ours = self.standing() == Some(holder.gateway);
        let is_had = book.tunnels.contains_key(name) || book.opening.contains_key(name);
        if is_ours && !is_had {
            book.orphans.insert(holder.epoch, name.clone());
            self.orphaned.notify_one();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn drop_if_lost(&mut self, view: &View, name: &TunnelName) {
        let Some(held) = self.tunnels.get(name) else { return };
        if view.tunnels().get(name.as_str()).is_none_or(|holder| holder.epoch != held.epoch) {
            held.lost.send_replace(true);
            self.tunnels.remove(name);
        }
    }
}

impl Opening {
    /// The log has given it to this node. It may be lost already.
    pub(crate) fn granted(self, gateway: Epoch, epoch: Epoch) -> TunnelHold {
        let (lost, follows) = watch::channel(false);
        let (name, holdings) = (self.name.clone(), self.holdings.clone());
        {
            let mut book = holdings.book();
            // Looked at with the book in hand: what takes it from here on finds it here.
            let view = self.view.get();
            let holder = view.tunnels().get(name.as_str());
            let stands = holdings.standing() == Some(gateway);
            if stands && holder.is_some_and(|holder| holder.epoch == epoch) {
                // One of ours that it took the name from was told when that was applied.
                book.tunnels.insert(name.clone(), Held { epoch, lost });
            } else {
                lost.send_replace(true);
            }
        }
        TunnelHold { name, gateway, epoch, lost: follows, holdings }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut book = self.holdings.book();
        let left = book.opening.get_mut(&self.name).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            book.opening.remove(&self.name);
            self.holdings.note_orphan(&mut book, &self.view.get(), &self.name);
        }
    }
}

#[cfg(test)]
mod tests;
