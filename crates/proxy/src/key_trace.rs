//! Routing keys that somebody follows: what each core notes of the requests that it sees meanwhile.
//!
//! Nobody follows keys nearly all of the time, and then a request pays one look at a flag of its own core. While somebody
//! does, a core notes each request with the key, and for a while each other one with a trace id: whether that trace had the
//! key may be known to another core or to another node, and is told with the next question. Notes belong to one core each,
//! as all that a core knows: questions are answered with its next tick.

mod book;
mod draft;

pub(crate) use draft::{AnsweredAt, Draft};

use crate::core::Core;
use book::Book;
use http::Request;
use quorate_model::key_trace::{KeyTrace, TraceAsked};
use quorate_rt::time;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Most questions that a core has not answered. When full: it is silent for the next one.
const ASKED_MAX: usize = 8;
/// A core that has not answered by then is silent: it is about to end, or its thread is busy with something long.
const WITHIN: Duration = Duration::from_millis(900);

/// The cores of a node, to be asked.
#[derive(Clone, Default)]
pub struct KeyTraces(Arc<Mutex<Vec<mpsc::Sender<Question>>>>);

/// What a core is asked.
pub(crate) struct Question {
    asked: Arc<TraceAsked>,
    answer: oneshot::Sender<KeyTrace>,
}

impl KeyTraces {
    /// What one more core will be asked.
    pub(crate) fn ask_core(&self) -> mpsc::Receiver<Question> {
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ask);
        asked
    }

    /// Asks all cores, within a second. Those that tell do what was asked from now on.
    pub async fn ask(&self, asked: TraceAsked) -> KeyTrace {
        let cores = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = Arc::new(asked);
        let ask = |core: &mpsc::Sender<Question>| {
            let (answer, told) = oneshot::channel();
            // Dropped where there is no room: then nobody answers.
            let _ = core.try_send(Question { asked: asked.clone(), answer });
            told
        };
        let asked: Vec<_> = cores.iter().map(ask).collect();
        let over = time::Instant::now() + WITHIN;
        let mut all = KeyTrace::default();
        for told in asked {
            let left = over.saturating_duration_since(time::Instant::now());
            match time::timeout(left, told).await {
                Ok(Ok(core)) => all.add(core),
                Ok(Err(_)) | Err(_) => all.cores_silent += 1,
            }
        }
        all.settle();
        all
    }
}

/// One core's notes.
#[derive(Default)]
pub(crate) struct Tracer {
    is_on: AtomicBool,
    book: Mutex<Book>,
}

impl Tracer {
    /// Begins to note a request as it came, if anybody follows a key.
    #[inline]
    pub fn begin<B>(core: &Core, request: &Request<B>) -> Option<Box<Draft>> {
        core.tracer.is_on.load(Ordering::Relaxed).then(|| Box::new(Draft::of(core, request)))
    }

    /// Notes a request that is over.
    pub fn end(&self, draft: Draft, now: u32) {
        self.book().note(draft, now);
    }

    /// Whether anybody follows a key.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Answers what was asked since the last tick, and stops in time.
    pub fn tick(&self, questions: &mut mpsc::Receiver<Question>, now: u32) {
        while let Ok(Question { asked, answer }) = questions.try_recv() {
            let told = self.book().tell(&asked, now);
            self.is_on.store(self.book().is_following(now), Ordering::Relaxed);
            // Whoever asked may have gone.
            let _ = answer.send(told);
        }
        if self.is_on() {
            let mut book = self.book();
            book.forget(now);
            self.is_on.store(book.is_following(now), Ordering::Relaxed);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
