//! What is published, in the order of the calls for each topic. While one lot is under way the next one gathers.

use super::{
    ANSWERED_WITHIN, encode,
    topics::{Brokers, Partitions, partition},
    trail::Trail,
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
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Messages of one topic that wait. When full: busy.
const MESSAGES_MAX: usize = 16_384;
/// Of all topics, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// Messages that go together.
const LOT: usize = 512;
/// Topics that are written to at a time. Who has which gateway is in Redis, where anybody may write: beyond them, busy.
const TOPICS_MAX: usize = 1_024;
/// A topic that nothing was written to for so long is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// Who sent it.
pub(super) const FROM_GATEWAY: &str = "from_gateway";
/// When, in seconds since 1970.
const TIMESTAMP: &str = "timestamp";

type Answer = Result<Taken, BackplaneError>;

/// See the module.
pub(super) struct Writers {
    me: NodeName,
    brokers: Arc<Brokers>,
    name: Arc<str>,
    topics: Arc<Mutex<Topics>>,
    room: Arc<Semaphore>,
}

/// By their names, what waits for each.
type Topics = BTreeMap<String, mpsc::Sender<Waiting>>;

struct Waiting {
    record: Record,
    answer: oneshot::Sender<Answer>,
    _room: OwnedSemaphorePermit,
}

impl Writers {
    /// Nothing is written yet.
    pub fn new(me: NodeName, brokers: Arc<Brokers>) -> Self {
        let name = brokers.name();
        Self { me, brokers, name, topics: Arc::default(), room: Arc::new(Semaphore::new(BYTES_MAX)) }
    }

    /// Publishes. It is in its place in the order when this returns, whoever awaits it.
    pub fn put(&self, topic: &str, message: &Message, trail: &Trail) -> BoxFuture<'static, Answer> {
        let answered = match self.queue(topic, message, trail) {
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
        trail: &Trail,
    ) -> Result<oneshot::Receiver<Answer>, BackplaneError> {
        let busy = || BackplaneError::Busy(self.name.clone());
        let record = self.record(message, trail);
        let bytes = u32::try_from(record.approximate_size().clamp(1, BYTES_MAX)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| busy())?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { record, answer, _room: room };
        let mut topics = lock(&self.topics);
        if let Some(writer) = topics.get(topic) {
            writer.try_send(waiting).map_err(|_| busy())?;
            return Ok(answered);
        }
        if topics.len() >= TOPICS_MAX {
            return Err(busy());
        }
        let (writer, wanted) = mpsc::channel(MESSAGES_MAX);
        writer.try_send(waiting).map_err(|_| busy())?;
        topics.insert(topic.to_owned(), writer);
        let writer = Writer {
            topic: topic.to_owned(),
            name: self.name.clone(),
            brokers: self.brokers.clone(),
            topics: Arc::downgrade(&self.topics),
        };
        quorate_rt::spawn(writer.run(wanted));
        Ok(answered)
    }

    fn record(&self, message: &Message, trail: &Trail) -> Record {
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
        trail.write(&mut headers);
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

/// Writes to one topic, in order, until nothing is written for a while.
struct Writer {
    topic: String,
    name: Arc<str>,
    brokers: Arc<Brokers>,
    topics: Weak<Mutex<Topics>>,
}

impl Writer {
    async fn run(self, mut wanted: mpsc::Receiver<Waiting>) {
        loop {
            let first = match time::timeout(IDLE, wanted.recv()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) if self.is_forgotten(&wanted) => return,
                Err(_) => continue,
            };
            let mut lot = vec![first];
            while lot.len() < LOT
                && let Ok(next) = wanted.try_recv()
            {
                lot.push(next);
            }
            self.write(lot).await;
        }
    }

    fn is_forgotten(&self, wanted: &mpsc::Receiver<Waiting>) -> bool {
        let Some(topics) = self.topics.upgrade() else { return true };
        let mut topics = lock(&topics);
        // Nobody puts anything in meanwhile: that takes the lock.
        let is_forgotten = wanted.is_empty();
        if is_forgotten {
            topics.remove(&self.topic);
        }
        is_forgotten
    }

    async fn write(&self, lot: Vec<Waiting>) {
        let not_sent = |why: String| BackplaneError::NotSent(self.name.clone(), why.into());
        match time::timeout(ANSWERED_WITHIN, self.brokers.topic(&self.topic)).await {
            Ok(Ok(partitions)) => {
                if !write(&self.name, &partitions, lot).await {
                    self.brokers.forget(&self.topic).await;
                }
            }
            Ok(Err(why)) => fail(lot, &not_sent(why)),
            Err(_) => fail(lot, &not_sent(format!("no answer within {ANSWERED_WITHIN:?}"))),
        }
    }
}

fn lock(topics: &Mutex<Topics>) -> MutexGuard<'_, Topics> {
    topics.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::UserId;

    fn writers() -> Writers {
        let me = NodeName::parse("n1").expect("valid");
        Writers::new(me, Arc::new(Brokers::new(vec!["127.0.0.1:1".into()])))
    }

    fn message() -> Message {
        let user = |name| UserId::parse(name).expect("valid");
        let to = Recipient::User(user("bob"));
        Message { from: user("alice"), to, content: "hi".into(), id: None, nth: 0 }
    }

    /// Which gateways there are anybody can write into Redis.
    #[tokio::test]
    async fn there_are_not_more_writers_than_so_many() {
        let writers = writers();
        let put = |number: usize| {
            writers.put(&format!("gateway-{number}"), &message(), &Trail::default()).now_or_never()
        };
        assert!((0..TOPICS_MAX).all(|number| put(number).is_none()), "they are under way");
        assert!(matches!(put(TOPICS_MAX), Some(Err(BackplaneError::Busy(_)))));
        assert!(put(0).is_none(), "who is known has room");
    }

    #[tokio::test]
    async fn an_idle_writer_is_forgotten_unless_something_waits_for_it() {
        let writers = writers();
        let _answered = writers.queue("gateway-n2", &message(), &Trail::default()).expect("there is room");
        let writer = Writer {
            topic: "gateway-n2".into(),
            name: writers.name.clone(),
            brokers: writers.brokers.clone(),
            topics: Arc::downgrade(&writers.topics),
        };
        let (waiting, wanted) = mpsc::channel(1);
        let record = writers.record(&message(), &Trail::default());
        let room = writers.room.clone().try_acquire_owned().expect("there is room");
        let put = waiting.try_send(Waiting { record, answer: oneshot::channel().0, _room: room });
        assert!(put.is_ok() && !writer.is_forgotten(&wanted));
        assert!(lock(&writers.topics).contains_key("gateway-n2"));
        let (_idle, wanted) = mpsc::channel(1);
        assert!(writer.is_forgotten(&wanted));
        assert!(lock(&writers.topics).is_empty());
    }
}
