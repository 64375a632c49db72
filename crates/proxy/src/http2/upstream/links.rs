//! A worker's shared connections on one core: which of them takes the next request, who dials, and who waits.
//!
//! The first one with room takes it, so that the surplus of a burst grows old at the other end. Without room another
//! one is dialled, and **one at a time**: a burst of a hundred requests needs one connection, not a hundred. Whoever has
//! no place waits, the first come first, and the dial is nobody's in particular: a client that goes away does not take
//! it with him.

use super::link::{Bounds, Fresh, Link};
use crate::{dial, http1::Upstream, pool::Counted};
use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::sync::oneshot;

/// A worker's connections.
pub(crate) struct Links {
    bounds: Bounds,
    state: Mutex<State>,
    /// How many wait; seen without the lock.
    waiting: AtomicU32,
    /// The worker was asked what it speaks, and said HTTP/1.1.
    is_http1: AtomicBool,
    now: AtomicU32,
}

#[derive(Default)]
struct State {
    open: Vec<Arc<Link>>,
    is_dialling: bool,
    queue: VecDeque<oneshot::Sender<Answered>>,
}

impl State {
    /// Forgets the first ones that do not wait any more.
    fn forget_gone(&mut self) {
        while self.queue.front().is_some_and(oneshot::Sender::is_closed) {
            self.queue.pop_front();
        }
    }
}

/// What somebody who waited gets.
pub(crate) type Answered = Result<Got, Arc<dial::Error>>;

/// What there is to send a request on.
pub(crate) enum Got {
    /// A place on a shared connection.
    Place(Place),
    /// A connection of one's own: the worker chose HTTP/1.1.
    Own(Upstream),
    /// The worker speaks HTTP/1.1.
    Http1,
}

/// What a request is told.
pub(crate) enum Turn {
    /// Go on.
    Got(Got),
    /// Wait, until this resolves. Without a word: try again.
    Wait(oneshot::Receiver<Answered>),
    /// The same, and see to it that somebody dials.
    WaitAndDial(oneshot::Receiver<Answered>, Dial),
    /// Too many wait.
    Full,
}

/// What was dialled.
#[expect(clippy::large_enum_variant, reason = "rare, and large nearly each time")]
pub(crate) enum Dialled {
    /// A connection that many can use.
    Shared(Fresh, Counted),
    /// The worker chose HTTP/1.1.
    Own(Upstream),
}

/// Whether to dial once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// There are still some who wait.
    Dial,
    /// Enough.
    Enough,
}

/// One request's place on a connection.
pub(crate) struct Place {
    links: Arc<Links>,
    pub link: Arc<Link>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.leave(self.links.now.load(Ordering::Relaxed));
        if self.links.waiting.load(Ordering::Relaxed) > 0 {
            self.links.serve();
        }
    }
}

/// The right to dial. Whoever drops it without a word has all who wait try again.
pub(crate) struct Dial {
    links: Arc<Links>,
    is_done: bool,
}

impl Drop for Dial {
    fn drop(&mut self) {
        if !self.is_done {
            let queue = {
                let mut state = self.links.state();
                state.is_dialling = false;
                self.links.take_queue(&mut state)
            };
            drop(queue);
        }
    }
}

impl Links {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            state: Mutex::default(),
            waiting: AtomicU32::new(0),
            is_http1: AtomicBool::new(false),
            now: AtomicU32::new(0),
        })
    }

    /// What a request can be sent on right now.
    pub fn take(self: &Arc<Self>) -> Option<Got> {
        if self.is_http1.load(Ordering::Relaxed) {
            return Some(Got::Http1);
        }
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.place(&mut self.state()).map(Got::Place)
    }

    /// A request's turn, now or later.
    pub fn turn(self: &Arc<Self>) -> Turn {
        if self.is_http1.load(Ordering::Relaxed) {
            return Turn::Got(Got::Http1);
        }
        let mut state = self.state();
        state.forget_gone();
        self.count(&state);
        if state.queue.is_empty()
            && let Some(place) = self.place(&mut state)
        {
            return Turn::Got(Got::Place(place));
        }
        if state.queue.len() >= self.bounds.waiting_max {
            // Those in the middle too.
            state.queue.retain(|waiting| !waiting.is_closed());
        }
        if state.queue.len() >= self.bounds.waiting_max {
            return Turn::Full;
        }
        let (sender, receiver) = oneshot::channel();
        state.queue.push_back(sender);
        self.count(&state);
        if state.is_dialling || state.open.len() >= self.bounds.links_max {
            return Turn::Wait(receiver);
        }
        state.is_dialling = true;
        Turn::WaitAndDial(receiver, Dial { links: self.clone(), is_done: false })
    }

    /// Looks after the connections, once a second.
    pub fn sweep(self: &Arc<Self>, now: u32, idle_max: u32) {
        self.now.store(now, Ordering::Relaxed);
        self.state().open.retain(|link| link.sweep(now, idle_max, &self.bounds));
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.serve();
        }
    }

    /// The worker could not be reached: it may be another one when it can.
    pub fn forget(&self) {
        self.is_http1.store(false, Ordering::Relaxed);
    }

    /// Whether there is nothing to look after.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.open.is_empty() && !state.is_dialling
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        !self.state().open.is_empty()
    }

    /// Takes no more requests on any connection there is; those on them go on.
    pub fn clear(&self) {
        let open = mem::take(&mut self.state().open);
        drop(open);
    }

    /// Gives those who wait what there is. If there will be nothing, they try again.
    fn serve(self: &Arc<Self>) {
        loop {
            let (waiting, place) = {
                let mut state = self.state();
                state.forget_gone();
                if state.queue.is_empty() {
                    self.count(&state);
                    return;
                }
                let Some(place) = self.place(&mut state) else {
                    let given_up = state.open.is_empty() && !state.is_dialling;
                    let queue = if given_up { self.take_queue(&mut state) } else { VecDeque::new() };
                    drop(state);
                    drop(queue);
                    return;
                };
                let waiting = state.queue.pop_front();
                self.count(&state);
                (waiting, place)
            };
            // Outside the lock: one that goes away right now gives its place back.
            if let Some(waiting) = waiting {
                drop(waiting.send(Ok(Got::Place(place))));
            }
        }
    }

    fn place(self: &Arc<Self>, state: &mut State) -> Option<Place> {
        let mut nth = 0;
        while let Some(link) = state.open.get(nth) {
            if !link.occupy() {
                nth += 1;
            } else if link.sender().is_some() {
                return Some(Place { links: self.clone(), link: link.clone() });
            } else {
                link.leave(self.now.load(Ordering::Relaxed));
                state.open.remove(nth);
            }
        }
        None
    }

    fn count(&self, state: &State) {
        self.waiting.store(u32::try_from(state.queue.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn take_queue(&self, state: &mut State) -> VecDeque<oneshot::Sender<Answered>> {
        let queue = mem::take(&mut state.queue);
        self.count(state);
        queue
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dial {
    /// Passes on what came of it.
    pub fn done(&mut self, dialled: Result<Dialled, dial::Error>, now: u32) -> More {
        let links = self.links.clone();
        match dialled {
            Ok(Dialled::Shared(fresh, counted)) => {
                // Else a connection that is used before the first sweep would look as if it had been idle for ever.
                links.now.store(now, Ordering::Relaxed);
                let link = Link::start(fresh, counted, &links.bounds, now);
                links.state().open.push(link);
                links.serve();
                let state = links.state();
                // If it is gone already, the next one would be too.
                let is_of_use = !state.open.is_empty();
                if is_of_use && !state.queue.is_empty() && state.open.len() < links.bounds.links_max {
                    return More::Dial;
                }
                drop(state);
                if !is_of_use {
                    drop(self.end());
                }
                links.state().is_dialling = false;
            }
            Ok(Dialled::Own(upstream)) => {
                links.is_http1.store(true, Ordering::Relaxed);
                let queue = self.end();
                let mut own = Some(upstream);
                for waiting in queue {
                    let got = own.take().map_or(Got::Http1, Got::Own);
                    if let Err(Ok(Got::Own(back))) = waiting.send(Ok(got)) {
                        own = Some(back);
                    }
                }
            }
            Err(error) => {
                links.forget();
                let error = Arc::new(error);
                // Where there are connections, there will be room.
                let is_alone = links.state().open.is_empty();
                let queue = if is_alone { self.end() } else { VecDeque::new() };
                links.state().is_dialling = false;
                for waiting in queue {
                    // Nobody there: nobody to tell.
                    let _ = waiting.send(Err(error.clone()));
                }
            }
        }
        self.is_done = true;
        More::Enough
    }

    fn end(&self) -> VecDeque<oneshot::Sender<Answered>> {
        let mut state = self.links.state();
        state.is_dialling = false;
        self.links.take_queue(&mut state)
    }
}
