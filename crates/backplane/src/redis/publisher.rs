//! What is published, in the order of the calls. While one lot is under way the next one gathers.

use super::line::{Failure, Line};
use quorate_gateway::backplane::BackplaneError;
use redis::{Cmd, Pipeline, Value};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Messages that wait. When full: busy.
const MESSAGES_MAX: usize = 16_384;
/// The same in bytes.
const BYTES_MAX: usize = 32 << 20;
/// Commands that go together.
const LOT: usize = 512;

type Answer = Result<i64, BackplaneError>;

/// See the module.
pub(super) struct Publisher {
    name: Arc<str>,
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

struct Waiting {
    command: Cmd,
    answer: oneshot::Sender<Answer>,
    _room: OwnedSemaphorePermit,
}

impl Publisher {
    /// Publishes by `line`, until it is dropped.
    pub fn start(line: Arc<Line>) -> Self {
        let name: Arc<str> = format!("Redis at {}", line.server().address).into();
        let (waiting, wanted) = mpsc::channel(MESSAGES_MAX);
        quorate_rt::spawn(run(name.clone(), line, wanted));
        Self { name, waiting, room: Arc::new(Semaphore::new(BYTES_MAX)) }
    }

    /// What errors call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Sends a command that answers with a number.
    pub fn put(&self, command: Cmd, bytes: usize) -> Result<oneshot::Receiver<Answer>, BackplaneError> {
        let busy = || BackplaneError::Busy(self.name.clone());
        let bytes = u32::try_from(bytes.clamp(1, BYTES_MAX)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { command, answer, _room: room }).map_err(|_| busy())?;
        Ok(answered)
    }

    /// Resolves once everything that waited is answered for.
    pub async fn until_empty(&self) {
        // All room is free again once nothing waits. It is never closed.
        let all = u32::try_from(BYTES_MAX).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(all).await;
    }
}

async fn run(name: Arc<str>, line: Arc<Line>, mut wanted: mpsc::Receiver<Waiting>) {
    while let Some(first) = wanted.recv().await {
        let mut lot = vec![first];
        while lot.len() < LOT
            && let Ok(next) = wanted.try_recv()
        {
            lot.push(next);
        }
        let mut pipeline = Pipeline::with_capacity(lot.len());
        for waiting in &lot {
            pipeline.add_command(waiting.command.clone());
        }
        let answers = line.run(&mut pipeline).await;
        for (nth, waiting) in lot.into_iter().enumerate() {
            let answer = match &answers {
                Ok(answers) => number(&name, &answers[nth]),
                Err(Failure::NotSent(why)) => Err(BackplaneError::NotSent(name.clone(), why.as_str().into())),
                Err(Failure::Unknown(why)) => {
                    Err(BackplaneError::Unreachable(name.clone(), why.as_str().into()))
                }
            };
            // Whoever asked may have given up.
            let _ = waiting.answer.send(answer);
        }
    }
}

/// A refusal of Redis is no lost connection: it has not done it.
fn number(name: &Arc<str>, value: &Value) -> Answer {
    match value {
        Value::Int(number) => Ok(*number),
        Value::ServerError(error) => {
            let why = format!("{} {}", error.code(), error.details().unwrap_or_default());
            Err(BackplaneError::NotSent(name.clone(), why.into()))
        }
        other => {
            let why =
                format!("it answered {other:?} instead of a number").chars().take(200).collect::<String>();
            Err(BackplaneError::Unreachable(name.clone(), why.into()))
        }
    }
}
