//! What is published, in the order of the calls for each topic. While one lot is under way the next one gathers.

use super::{
    ANSWERED_WITHIN, encode,
    topics::{Brokers, Partitions, partition},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use quorate_gateway::backplane::{BackplaneError, Message, Recipient, Taken};
use quorate_model::NodeName;
use quorate_rt::time;
use rskafka::{chrono::DateTime, client::partition::Compression, record::Record};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Messages of one topic that wait. When full: busy.
const MESSAGES_MAX: usize = 16_384;
/// Of all topics, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// Messages that go together.
const LOT: usize = 512;

/// Who sent it.
pub(super) const FROM_GATEWAY: &str = "from_gateway";
/// When, in seconds since 1970.
const TIMESTAMP: &str = "timestamp";
/// Ours: how often it was passed on.
pub(super) const HOPS: &str = "quorate_hops";

type Answer = Result<Taken, BackplaneError>;

/// See the module.
pub(super) struct Writers {
    me: NodeName,
    brokers: Arc<Brokers>,
    name: Arc<str>,
    topics: Mutex<BTreeMap<String, mpsc::Sender<Waiting>>>,
    room: Arc<Semaphore>,
}

struct Waiting {
    record: Record,
    answer: oneshot::Sender<Answer>,
    _room: OwnedSemaphorePermit,
}

impl Writers {
    /// Nothing is written yet.
    pub fn new(me: NodeName, brokers: Arc<Brokers>) -> Self {
        let name = brokers.name();
        Self { me, brokers, name, topics: Mutex::default(), room: Arc::new(Semaphore::new(BYTES_MAX)) }
    }

    /// Publishes. It is in its place in the order when this returns, whoever awaits it.
    pub fn put(&self, topic: &str, message: &Message, hops: u32) -> BoxFuture<'static, Answer> {
        let answered = match self.queue(topic, message, hops) {
            Ok(answered) => answered,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let name = self.name.clone();
        async move {
            let unknown = |why: String| Err(BackplaneError::Unreachable(name, why.into()));
            match time::timeout(ANSWERED_WITHIN, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => unknown("the connection is gone".into()),
                Err(_) => unknown(format!("no answer within {ANSWERED_WITHIN:?}")),
            }
        }
        .boxed()
    }

    fn queue(
        &self,
        topic: &str,
        message: &Message,
        hops: u32,
    ) -> Result<oneshot::Receiver<Answer>, BackplaneError> {
        let busy = || BackplaneError::Busy(self.name.clone());
        let record = self.record(message, hops);
        let bytes = u32::try_from(record.approximate_size().clamp(1, BYTES_MAX)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { record, answer, _room: room };
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = topics.entry(topic.to_owned()).or_insert_with(|| {
            let (waiting, wanted) = mpsc::channel(MESSAGES_MAX);
            quorate_rt::spawn(run(topic.to_owned(), self.brokers.clone(), wanted));
            waiting
        });
        writer.try_send(waiting).map_err(|_| busy())?;
        Ok(answered)
    }

    fn record(&self, message: &Message, hops: u32) -> Record {
        let key = match &message.to {
            Recipient::User(user) => user.as_str(),
            Recipient::Room(room) => room,
            Recipient::All => message.from.as_str(),
        };
        let now_ms = time::wall_ms();
        let mut headers = BTreeMap::from([
            (FROM_GATEWAY.to_owned(), self.me.as_str().as_bytes().to_vec()),
            (TIMESTAMP.to_owned(), (now_ms / 1_000).to_string().into_bytes()),
        ]);
        if hops > 0 {
            headers.insert(HOPS.to_owned(), hops.to_string().into_bytes());
        }
        let timestamp = DateTime::from_timestamp_millis(i64::try_from(now_ms).unwrap_or(i64::MAX));
        let timestamp = timestamp.unwrap_or_default();
        Record { key: Some(key.into()), value: Some(encode(message, &self.me)), headers, timestamp }
    }

    /// Resolves once everything that waited is answered for.
    pub async fn until_empty(&self) {
        // All room is free again once nothing waits. It is never closed.
        let all = u32::try_from(BYTES_MAX).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(all).await;
    }
}

async fn run(topic: String, brokers: Arc<Brokers>, mut wanted: mpsc::Receiver<Waiting>) {
    let name = brokers.name();
    while let Some(first) = wanted.recv().await {
        let mut lot = vec![first];
        while lot.len() < LOT
            && let Ok(next) = wanted.try_recv()
        {
            lot.push(next);
        }
        let partitions = match time::timeout(ANSWERED_WITHIN, brokers.topic(&topic)).await {
            Ok(Ok(partitions)) => partitions,
            Ok(Err(why)) => {
                fail(lot, &BackplaneError::NotSent(name.clone(), why.into()));
                continue;
            }
            Err(_) => {
                let why = format!("no answer within {ANSWERED_WITHIN:?}");
                fail(lot, &BackplaneError::NotSent(name.clone(), why.into()));
                continue;
            }
        };
        if !write(&name, &partitions, lot).await {
            brokers.forget(&topic).await;
        }
    }
}

fn fail(lot: Vec<Waiting>, error: &BackplaneError) {
    for waiting in lot {
        // Whoever asked may have given up.
        let _ = waiting.answer.send(Err(error.clone()));
    }
}

/// Whether all went well.
async fn write(name: &Arc<str>, partitions: &Partitions, lot: Vec<Waiting>) -> bool {
    let mut by_partition: BTreeMap<usize, Vec<Waiting>> = BTreeMap::new();
    for waiting in lot {
        let key = waiting.record.key.as_deref().unwrap_or_default();
        by_partition.entry(partition(key, partitions.len())).or_default().push(waiting);
    }
    let written = by_partition.into_iter().map(|(number, lot)| async move {
        let (records, answers): (Vec<_>, Vec<_>) =
            lot.into_iter().map(|waiting| (waiting.record, (waiting.answer, waiting._room))).unzip();
        let produced = partitions[number].produce(records, Compression::NoCompression);
        let why = match time::timeout(ANSWERED_WITHIN, produced).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {ANSWERED_WITHIN:?}")),
        };
        for (answer, _) in answers {
            let _ = answer.send(match &why {
                None => Ok(Taken::Published),
                Some(why) => Err(BackplaneError::Unreachable(name.clone(), why.as_str().into())),
            });
        }
        why.is_none()
    });
    join_all(written).await.into_iter().all(|is_written| is_written)
}
