//! What a node's cores make of workers: breakers, ejections, slow starts, panic.
//!
//! All of it belongs to one core each, and stays there: whoever wants to know sends each core a question, which it
//! answers with its next tick, on its own thread. So an operator who looks again and again takes no lock that a request
//! waits for, and costs a core one look each time.

use crate::decide::Desk;
use quorate_model::{Observation, ServiceName, WorkerId};
use quorate_rt::time;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Most questions that a core has not answered. When full: it is silent for the next one.
const ASKED_MAX: usize = 4;
/// A core that has not answered by then is silent: it is about to end, or its thread is busy with something long.
const WITHIN: Duration = Duration::from_millis(900);

/// The cores of a node, to be asked.
#[derive(Clone, Default)]
pub struct Observations(Arc<Mutex<Vec<mpsc::Sender<Question>>>>);

/// What a core is asked.
pub(crate) struct Question {
    service: ServiceName,
    workers: Arc<[WorkerId]>,
    answer: oneshot::Sender<Observation>,
}

impl Question {
    pub fn answer(self, desk: &Desk, now: u32) {
        // Whoever asked may have gone.
        let _ = self.answer.send(desk.observe(&self.service, &self.workers, now));
    }
}

impl Observations {
    /// What one more core will be asked.
    pub(crate) fn ask_core(&self) -> mpsc::Receiver<Question> {
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ask);
        asked
    }

    /// What they make of `workers` of a service, within a second.
    pub async fn of(&self, service: ServiceName, workers: Vec<WorkerId>) -> Observation {
        let cores = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let workers: Arc<[WorkerId]> = workers.into();
        let ask = |core: &mpsc::Sender<Question>| {
            let (answer, told) = oneshot::channel();
            // Dropped where there is no room: then nobody answers.
            let _ = core.try_send(Question { service: service.clone(), workers: workers.clone(), answer });
            told
        };
        // All are asked before the first is heard.
        let asked: Vec<_> = cores.iter().map(ask).collect();
        let over = time::Instant::now() + WITHIN;
        let mut all = Observation::default();
        for told in asked {
            let left = over.saturating_duration_since(time::Instant::now());
            match time::timeout(left, told).await {
                Ok(Ok(core)) => all.add(core),
                Ok(Err(_)) | Err(_) => all.cores_silent += 1,
            }
        }
        all
    }
}
