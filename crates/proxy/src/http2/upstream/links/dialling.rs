//! Somebody dials for all who wait, and tells them what came of it.

use super::{Got, Links, Waiting};
use crate::{
    dial,
    http1::Upstream,
    http2::upstream::link::{Fresh, Link},
    pool::Counted,
};
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering},
};

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

impl Dial {
    pub(super) fn of(links: &Arc<Links>) -> Self {
        Self { links: links.clone(), is_done: false }
    }

    /// Passes on what came of it.
    pub fn done(&mut self, dialled: Result<Dialled, dial::Error>, now: u32) -> More {
        let links = self.links.clone();
        match dialled {
            // Of a tunnel that somebody else holds by now. Those who wait still do.
            Ok(Dialled::Shared(_, counted)) if !counted.is_current() => return More::Dial,
            Ok(Dialled::Shared(fresh, counted)) => {
                // Else a connection that is used before the first sweep would look as if it had been idle for ever.
                links.now.store(now, Ordering::Relaxed);
                {
                    let mut state = links.state();
                    state.opened += 1;
                    let link = Link::start((fresh, state.opened), counted, &links.bounds, now);
                    state.open.push(link);
                }
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
                    if let Err(Ok(Got::Own(back))) = waiting.told.send(Ok(got)) {
                        own = Some(back);
                    }
                }
            }
            Err(error) => {
                links.forget();
                let queue = self.failed(&error);
                let error = Arc::new(error);
                for waiting in queue {
                    // Nobody there: nobody to tell.
                    let _ = waiting.told.send(Err(error.clone()));
                }
                links.serve();
            }
        }
        self.is_done = true;
        More::Enough
    }

    /// Those for whom that is the end: where there are connections, there will be room, but not for whoever wants
    /// another one. If there may be no other, one of these has to do for him too.
    fn failed(&self, error: &dial::Error) -> VecDeque<Waiting> {
        let mut state = self.links.state();
        state.is_dialling = false;
        if state.open.is_empty() {
            return self.links.take_queue(&mut state);
        }
        if matches!(error, dial::Error::Full { .. }) {
            state.queue.iter_mut().for_each(|waiting| waiting.after = 0);
        }
        let (over, on) = mem::take(&mut state.queue).into_iter().partition(|waiting| waiting.after > 0);
        state.queue = on;
        self.links.count(&state);
        over
    }

    fn end(&self) -> VecDeque<Waiting> {
        let mut state = self.links.state();
        state.is_dialling = false;
        self.links.take_queue(&mut state)
    }
}
