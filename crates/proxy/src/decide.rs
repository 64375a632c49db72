//! A core's place of decision: its picture of the View, and the workers that it points to.
//!
//! The View is read under the desk's lock and never leaves it: a request takes away what it needs, an endpoint
//! that only this core counts references of. Cloning the View, or a worker's record in it, would have all cores
//! write to one reference count for each request.

use crate::{
    answer::{self, Own},
    pool::Endpoint,
};
use http::HeaderValue;
use quorate_model::{Address, LogIndex};
use quorate_routing::{Decision, RequestHead, decide};
use quorate_rt::published::{Published, Reader};
use quorate_state::View;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One core's desk.
pub(crate) struct Desk(Mutex<Papers>);

struct Papers {
    view: Reader<View>,
    /// The View's index, ready to be sent.
    index: (LogIndex, HeaderValue),
    /// By the address as registered. Hashed without a random key, so that a simulated run repeats: addresses come
    /// from registrations, not from requests.
    endpoints: HashMap<Box<str>, Arc<Endpoint>, BuildHasherDefault<DefaultHasher>>,
    idle_max: usize,
    entropy: u64,
}

/// What was decided, and on which View.
pub(crate) struct Decided {
    pub verdict: Verdict,
    pub index: HeaderValue,
}

/// What to do with a request.
pub(crate) enum Verdict {
    /// Answer it here.
    Answer(Own),
    /// Send it there.
    Forward(Arc<Endpoint>),
}

impl Desk {
    pub fn new(view: &Arc<Published<View>>, idle_max: usize) -> Self {
        let mut view = view.reader();
        let index = view.load().index();
        Self(Mutex::new(Papers {
            view,
            index: (index, index.0.into()),
            endpoints: HashMap::default(),
            idle_max,
            entropy: quorate_rt::rng::random_u64(),
        }))
    }

    /// Decides one request on the newest View.
    pub fn decide(&self, head: RequestHead<'_>, now: u32) -> Decided {
        let mut papers = self.papers();
        let Papers { view, index, endpoints, idle_max, entropy } = &mut *papers;
        let view = view.load();
        if index.0 != view.index() {
            *index = (view.index(), view.index().0.into());
        }
        let head = RequestHead { entropy: next(entropy), ..head };
        let verdict = match decide(view, &head) {
            Decision::Forward(forward) => {
                let endpoint = endpoint(endpoints, &forward.worker.registration.address, *idle_max);
                endpoint.touch(now);
                Verdict::Forward(endpoint)
            }
            Decision::Preflight => Verdict::Answer(answer::preflight()),
            Decision::NoWorkspace => Verdict::Answer(answer::no_workspace(head.path)),
            Decision::PartitionCountUnknown(_) => Verdict::Answer(answer::partition_count_unknown()),
            Decision::NoWorker { workspace, partition, .. } => {
                Verdict::Answer(answer::no_worker(workspace.id(), partition))
            }
        };
        Decided { verdict, index: index.1.clone() }
    }

    /// The index of the View that a request would be decided on now, for those that don't get that far.
    pub fn index(&self) -> HeaderValue {
        let mut papers = self.papers();
        let index = papers.view.load().index();
        if papers.index.0 != index {
            papers.index = (index, index.0.into());
        }
        papers.index.1.clone()
    }

    /// Closes old connections; forgets workers that nobody uses any more.
    pub fn sweep(&self, now: u32, ticks_max: u32) {
        self.papers().endpoints.retain(|_, endpoint| {
            endpoint.sweep(now, ticks_max);
            // Somebody may hold it right now and put a connection back: forgotten is only what is ours alone.
            Arc::strong_count(endpoint) > 1 || !endpoint.is_forgotten(now, ticks_max)
        });
    }

    /// Closes all unused connections.
    pub fn clear(&self) {
        self.papers().endpoints.values().for_each(|endpoint| endpoint.clear());
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn endpoint(
    endpoints: &mut HashMap<Box<str>, Arc<Endpoint>, BuildHasherDefault<DefaultHasher>>,
    address: &Address,
    idle_max: usize,
) -> Arc<Endpoint> {
    if let Some(endpoint) = endpoints.get(address.as_str()) {
        return endpoint.clone();
    }
    let endpoint = Arc::new(Endpoint::new(address.clone(), idle_max));
    endpoints.insert(address.as_str().into(), endpoint.clone());
    endpoint
}

/// splitmix64: good enough to spread requests that don't care, and repeatable in simulation.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
