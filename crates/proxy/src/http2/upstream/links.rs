//! A worker's shared connections on one core: which of them takes the next request, who dials, and who waits.
//!
//! The first one with room takes it, so that the surplus of a burst grows old at the other end. Without room another
//! one is dialled, and **one at a time**: a burst of a hundred requests needs one connection, not a hundred. Whoever has
//! no place waits, the first come first, and the dial is nobody's in particular: a client that goes away does not take
//! it with him.
//!
//! A request whose connection has died in its hands wants one that was opened after that: of the others it is not known
//! whether the same has happened to them. It waits in the same queue, and lets those pass whom an older one will do.
//!
//! Tunnels stay for hours, and take at most [`one in so many`](TUNNEL_SHARE) of the places that a worker can have: else
//! they would keep its requests waiting for ever.

mod dialling;

pub(crate) use dialling::{Dial, Dialled, More};

use super::link::{Bounds, Link};
use crate::{dial, http1::Upstream};
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
    /// How many places are taken by tunnels.
    tunnels: AtomicU32,
    now: AtomicU32,
}

#[derive(Default)]
struct State {
    open: Vec<Arc<Link>>,
    is_dialling: bool,
    queue: VecDeque<Waiting>,
    /// How many connections there have been.
    opened: u64,
}

/// Somebody who waits.
struct Waiting {
    told: oneshot::Sender<Answered>,
    /// He wants a connection with a higher number.
    after: u64,
}

/// Tunnels may take one in so many of the places.
const TUNNEL_SHARE: u32 = 2;

impl State {
    /// Forgets the first ones that do not wait any more.
    fn forget_gone(&mut self) {
        while self.queue.front().is_some_and(Waiting::is_gone) {
            self.queue.pop_front();
        }
    }
}

impl Waiting {
    fn is_gone(&self) -> bool {
        self.told.is_closed()
    }
}

/// What somebody who waited gets.
pub(crate) type Answered = Result<Got, Arc<dial::Error>>;

/// What a request's policy leaves of the worker's [bounds](Bounds).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Most connections.
    pub links_max: usize,
    /// Most requests that wait for a place where there are as many.
    pub waiting_max: usize,
}

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
    /// So many wait, and no more may.
    Full(usize),
}

/// One request's place on a connection.
pub(crate) struct Place {
    links: Arc<Links>,
    pub link: Arc<Link>,
    is_tunnel: bool,
}

impl Place {
    /// The place for a tunnel. `None`: the worker's connection has none, or there are as many as may be.
    pub fn for_tunnel(mut self) -> Option<Self> {
        let is_free = self.link.takes_tunnels()
            && self.links.tunnels.load(Ordering::Relaxed) < self.links.tunnels_max(self.link.streams_max());
        if is_free {
            self.links.tunnels.fetch_add(1, Ordering::Relaxed);
            self.is_tunnel = true;
        }
        is_free.then_some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_tunnel {
            self.links.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
        self.link.leave(self.links.now.load(Ordering::Relaxed));
        if self.links.waiting.load(Ordering::Relaxed) > 0 {
            self.links.serve();
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
            tunnels: AtomicU32::new(0),
            now: AtomicU32::new(0),
        })
    }

    /// What a request can be sent on right now: of the connections, one that was opened after the first `after`.
    pub fn take(self: &Arc<Self>, after: u64) -> Option<Got> {
        if self.is_http1.load(Ordering::Relaxed) {
            return Some(Got::Http1);
        }
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.place(&mut self.state(), after).map(Got::Place)
    }

    /// A request's turn, now or later. Whoever waits for a connection that is being opened waits for the worker, not for
    /// room at it: how many may wait for that is the node's to say.
    pub fn turn(self: &Arc<Self>, after: u64, room: Room) -> Turn {
        if self.is_http1.load(Ordering::Relaxed) {
            return Turn::Got(Got::Http1);
        }
        let mut state = self.state();
        state.forget_gone();
        self.count(&state);
        if after > 0 {
            state.open.retain(|link| link.sender().is_some());
        }
        let is_whole = state.open.len() >= self.bounds.links_max.min(room.links_max.max(1));
        // Where no more may be opened, one that is there has to do.
        let after = if is_whole { 0 } else { after };
        if state.queue.is_empty()
            && let Some(place) = self.place(&mut state, after)
        {
            return Turn::Got(Got::Place(place));
        }
        let asked_for = if is_whole && !state.is_dialling { room.waiting_max } else { usize::MAX };
        let waiting_max = self.bounds.waiting_max.min(asked_for);
        if state.queue.len() >= waiting_max {
            // Those in the middle too.
            state.queue.retain(|waiting| !waiting.is_gone());
        }
        if state.queue.len() >= waiting_max {
            return Turn::Full(waiting_max);
        }
        let (told, receiver) = oneshot::channel();
        state.queue.push_back(Waiting { told, after });
        self.count(&state);
        if state.is_dialling || is_whole {
            return Turn::Wait(receiver);
        }
        state.is_dialling = true;
        Turn::WaitAndDial(receiver, Dial::of(self))
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

    /// Whether the worker chose HTTP/1.1.
    pub fn is_http1(&self) -> bool {
        self.is_http1.load(Ordering::Relaxed)
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

    /// How many connections there have been: whoever wants another one than all of these wants one after it.
    pub fn opened(&self) -> u64 {
        self.state().opened
    }

    /// Whether a stream may become a tunnel: not if it is known that the worker has none, or as many as may be.
    pub fn may_tunnel(&self) -> bool {
        let state = self.state();
        let Some(first) = state.open.first() else { return true };
        state.open.iter().any(|link| link.takes_tunnels())
            && self.tunnels.load(Ordering::Relaxed) < self.tunnels_max(first.streams_max())
    }

    fn tunnels_max(&self, streams_max: u32) -> u32 {
        let links_max = u32::try_from(self.bounds.links_max).unwrap_or(u32::MAX);
        links_max.saturating_mul(streams_max.min(self.bounds.streams_max)) / TUNNEL_SHARE
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
                let Some((nth, place)) = self.fitting(&mut state) else {
                    let given_up = state.open.is_empty() && !state.is_dialling;
                    let queue = if given_up { self.take_queue(&mut state) } else { VecDeque::new() };
                    drop(state);
                    drop(queue);
                    return;
                };
                let waiting = state.queue.remove(nth);
                self.count(&state);
                (waiting, place)
            };
            // Outside the lock: one that goes away right now gives its place back.
            if let Some(waiting) = waiting {
                drop(waiting.told.send(Ok(Got::Place(place))));
            }
        }
    }

    /// The first one who waits for whom there is a place, and that.
    fn fitting(self: &Arc<Self>, state: &mut State) -> Option<(usize, Place)> {
        let mut nth = 0;
        while let Some(after) = state.queue.get(nth).map(|waiting| waiting.after) {
            if let Some(place) = self.place(state, after) {
                return Some((nth, place));
            }
            if after == 0 {
                // There is none at all.
                return None;
            }
            nth += 1;
        }
        None
    }

    fn place(self: &Arc<Self>, state: &mut State, after: u64) -> Option<Place> {
        let mut nth = 0;
        while let Some(link) = state.open.get(nth) {
            if link.number <= after || !link.occupy() {
                nth += 1;
            } else if link.sender().is_some() {
                return Some(Place { links: self.clone(), link: link.clone(), is_tunnel: false });
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

    fn take_queue(&self, state: &mut State) -> VecDeque<Waiting> {
        let queue = mem::take(&mut state.queue);
        self.count(state);
        queue
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
