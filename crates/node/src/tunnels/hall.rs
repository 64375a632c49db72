//! The tunnels that hang on this node.
//!
//! A tunnel is in the state before its connection is: whoever asks for it in between waits for a moment instead of being
//! sent away ([`Hall::find`]). One that is replaced takes no new streams, and what is under way on it may finish.

use quorate_model::Epoch;
use quorate_proxy::tunnel::line::{Line, Parting};
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
#[derive(Clone, Default)]
pub(crate) struct Hall(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hooks: Mutex<Hooks>,
    /// One came or went.
    changed: Notify,
}

#[derive(Default)]
struct Hooks {
    /// Those that take streams.
    taken: BTreeMap<String, Hung>,
    /// How many were begun and have no connection yet, by name.
    coming: BTreeMap<String, usize>,
    /// All that were begun and are not over.
    count: usize,
    is_closed: bool,
}

struct Hung {
    epoch: Epoch,
    line: Line,
    parting: watch::Sender<Option<Parting>>,
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

impl Hall {
    /// A place for a tunnel that is about to be opened.
    pub fn hook(&self, name: &str) -> Result<Hook, NoHook> {
        let mut hooks = self.lock();
        if hooks.is_closed {
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
                changed.as_mut().enable();
                {
                    let hooks = self.lock();
                    match hooks.taken.get(name) {
                        Some(hung) if hung.epoch == epoch => return Some(hung.line.clone()),
                        Some(_) | None if !hooks.coming.contains_key(name) => return None,
                        Some(_) | None => {}
                    }
                }
                changed.await;
            }
        };
        time::timeout(HUNG_WITHIN, found).await.unwrap_or(None)
    }

    /// Lets go of every tunnel that is not `held` any more, and says why.
    pub fn keep(&self, held: impl Fn(&str, Epoch) -> Result<(), Parting>) {
        self.lock().taken.retain(|name, hung| match held(name, hung.epoch) {
            Ok(()) => true,
            Err(parting) => {
                hung.parting.send_replace(Some(parting));
                false
            }
        });
    }

    /// Takes no more of them, and asks those that are there to go elsewhere. They take streams until they do.
    pub fn close(&self) {
        let mut hooks = self.lock();
        hooks.is_closed = true;
        for hung in hooks.taken.values() {
            hung.parting.send_replace(Some(Parting::Draining));
        }
    }

    /// How many are not over.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// Those that take streams.
    #[cfg(test)]
    fn names(&self) -> Vec<String> {
        self.lock().taken.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Hooks> {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook {
    /// Its connection is there: from now on it takes streams, in the place of an older one. Tells when, and why, it is to
    /// be let go. `None`: a newer one of its name hangs here already.
    pub fn hang(&mut self, epoch: Epoch, line: Line) -> Option<watch::Receiver<Option<Parting>>> {
        self.has_come();
        let mut hooks = self.hall.lock();
        if hooks.taken.get(&self.name).is_some_and(|hung| hung.epoch > epoch) {
            return None;
        }
        let (parting, told) = watch::channel(hooks.is_closed.then_some(Parting::Draining));
        if let Some(former) = hooks.taken.insert(self.name.clone(), Hung { epoch, line, parting }) {
            former.parting.send_replace(Some(Parting::Replaced));
        }
        drop(hooks);
        self.hall.0.changed.notify_waiters();
        Some(told)
    }

    /// It takes no more streams.
    pub fn take_down(&self, epoch: Epoch) {
        let mut hooks = self.hall.lock();
        if hooks.taken.get(&self.name).is_some_and(|hung| hung.epoch == epoch) {
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
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.has_come();
        self.hall.lock().count -= 1;
        self.hall.0.changed.notify_waiters();
    }
}
