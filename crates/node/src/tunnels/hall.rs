//! The tunnels that hang on this node.
//!
//! A tunnel is in the state before its connection is: whoever asks for it in between waits for a moment instead of being
//! sent away ([`Hall::find`]).

use quorate_model::Epoch;
use quorate_proxy::tunnel::line::{Line, Room};
use quorate_rt::time;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Most tunnels of one node. When full: the next one is told to go to another node.
pub(crate) const TUNNELS_MAX: usize = 4_096;
/// Between a tunnel's entry in the log and its connection nothing but an answer is sent.
const HUNG_WITHIN: Duration = Duration::from_secs(2);

/// All of them. Clones share it.
#[derive(Clone)]
pub(crate) struct Hall(Arc<Inner>);

struct Inner {
    hooks: Mutex<Hooks>,
    /// One came or went.
    changed: Notify,
    /// For the streams of all of them.
    room: Room,
    /// The node is about to end.
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Hooks {
    /// Those that take streams.
    taken: BTreeMap<String, (Epoch, Line)>,
    /// How many were begun and have no connection yet, by name.
    coming: BTreeMap<String, usize>,
    /// All that were begun and are not over.
    count: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHook {
    /// The node is about to end.
    Closed,
    /// [`TUNNELS_MAX`].
    Full,
}

/// A place for one tunnel, for as long as it lives.
pub(crate) struct Hook {
    hall: Hall,
    name: String,
    is_coming: bool,
}

impl Default for Hall {
    fn default() -> Self {
        let closing = watch::Sender::new(false);
        let (hooks, room) = (Mutex::default(), Room::default());
        Self(Arc::new(Inner { hooks, changed: Notify::new(), room, closing }))
    }
}

impl Hall {
    /// A place for a tunnel that is about to be opened.
    pub fn hook(&self, name: &str) -> Result<Hook, NoHook> {
        let mut hooks = self.lock();
        if *self.0.closing.borrow() {
            return Err(NoHook::Closed);
        }
        if hooks.count >= TUNNELS_MAX {
            return Err(NoHook::Full);
        }
        hooks.count += 1;
        *hooks.coming.entry(name.to_owned()).or_default() += 1;
        Ok(Hook { hall: self.clone(), name: name.to_owned(), is_coming: true })
    }

    /// The tunnel of this name and epoch; `None`: it does not hang here.
    pub async fn find(&self, name: &str, epoch: Epoch) -> Option<Line> {
        let found = async {
            loop {
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                // From here on nothing is missed.
                changed.as_mut().enable();
                {
                    let hooks = self.lock();
                    match hooks.taken.get(name) {
                        Some((taken, line)) if *taken == epoch => return Some(line.clone()),
                        // Whoever comes is newer still.
                        Some((taken, _)) if *taken > epoch => return None,
                        Some(_) | None if !hooks.coming.contains_key(name) => return None,
                        Some(_) | None => {}
                    }
                }
                changed.await;
            }
        };
        time::timeout(HUNG_WITHIN, found).await.unwrap_or(None)
    }

    /// For the streams of all of them.
    pub fn room(&self) -> &Room {
        &self.0.room
    }

    /// Takes no more of them. Those that are there take streams until they have gone elsewhere.
    pub fn close(&self) {
        let _hooks = self.lock();
        self.0.closing.send_replace(true);
    }

    /// Whether it takes no more.
    pub fn is_closed(&self) -> bool {
        *self.0.closing.borrow()
    }

    /// Resolves when it takes no more.
    pub async fn closed(&self) {
        // An error can't be: this holds the sender.
        let _ = self.0.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// How many are not over.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// Those that take streams.
    pub fn taken(&self) -> Vec<(String, Epoch)> {
        self.lock().taken.iter().map(|(name, (epoch, _))| (name.clone(), *epoch)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Hooks> {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook {
    /// Its connection is there: from now on it takes streams, in the place of an older one and not in that of a newer.
    pub fn hang(&mut self, epoch: Epoch, line: &Line) {
        {
            let mut hooks = self.hall.lock();
            if hooks.taken.get(&self.name).is_none_or(|(taken, _)| *taken < epoch) {
                hooks.taken.insert(self.name.clone(), (epoch, line.clone()));
            }
        }
        self.has_come();
    }

    /// It takes no more streams.
    pub fn take_down(&self, epoch: Epoch) {
        let mut hooks = self.hall.lock();
        if hooks.taken.get(&self.name).is_some_and(|(taken, _)| *taken == epoch) {
            hooks.taken.remove(&self.name);
        }
    }

    fn has_come(&mut self) {
        if !std::mem::take(&mut self.is_coming) {
            return;
        }
        let mut hooks = self.hall.lock();
        if let Some(coming) = hooks.coming.get_mut(&self.name) {
            *coming -= 1;
            if *coming == 0 {
                hooks.coming.remove(&self.name);
            }
        }
        drop(hooks);
        self.hall.0.changed.notify_waiters();
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.has_come();
        self.hall.lock().count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use quorate_proxy::tunnel::Stream;

    async fn line() -> Line {
        let (near, _far) = tokio::io::duplex(1 << 10);
        let socket: Stream = Box::new(near);
        Line::hang(socket, &Room::default()).await.expect("nothing has to be heard to greet").0
    }

    #[tokio::test]
    async fn whoever_asks_for_a_tunnel_that_is_coming_waits_for_it() {
        let hall = Hall::default();
        assert!(hall.find("a", Epoch(1)).await.is_none(), "nobody knows it");
        let mut hook = hall.hook("a").expect("room");
        let asking = {
            let hall = hall.clone();
            quorate_rt::spawn(async move { hall.find("a", Epoch(5)).await.is_some() })
        };
        tokio::task::yield_now().await;
        hook.hang(Epoch(5), &line().await);
        assert!(asking.await.expect("no panic"), "it came");
        assert!(hall.find("a", Epoch(4)).await.is_none(), "another one of its name");
    }

    /// Scenario: a tunnel is opened again and again, and who asks for the one before waited for two seconds each time.
    #[tokio::test]
    async fn nobody_waits_for_one_that_was_replaced() {
        let hall = Hall::default();
        let mut hook = hall.hook("a").expect("room");
        hook.hang(Epoch(5), &line().await);
        let _coming = hall.hook("a").expect("room");
        let found_at_once = |epoch| hall.find("a", Epoch(epoch)).now_or_never().map(|line| line.is_some());
        assert_eq!(found_at_once(4), Some(false), "it can't come any more");
        assert_eq!(found_at_once(5), Some(true));
        assert_eq!(found_at_once(6), None, "it may be the one that is coming");
    }

    #[tokio::test]
    async fn the_newer_one_of_a_name_takes_the_streams_whoever_comes_first() {
        let hall = Hall::default();
        let (mut new, mut old) = (hall.hook("a").expect("room"), hall.hook("a").expect("room"));
        new.hang(Epoch(7), &line().await);
        old.hang(Epoch(6), &line().await);
        assert_eq!(hall.taken(), [("a".to_owned(), Epoch(7))]);
        old.take_down(Epoch(6));
        assert_eq!(hall.taken().len(), 1, "a late end takes nothing from a newer one");
        new.take_down(Epoch(7));
        assert_eq!((hall.taken().len(), hall.count()), (0, 2));
        drop((old, new));
        assert_eq!(hall.count(), 0);
    }

    #[tokio::test]
    async fn a_hall_that_closes_takes_no_more_and_says_so_to_all() {
        let hall = Hall::default();
        let _hook = hall.hook("a").expect("room");
        let told = {
            let hall = hall.clone();
            quorate_rt::spawn(async move { hall.closed().await })
        };
        hall.close();
        told.await.expect("told");
        hall.closed().await;
        assert_eq!(hall.hook("b").err(), Some(NoHook::Closed));
        assert!(hall.is_closed());
    }
}
