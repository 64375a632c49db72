//! What others published, from where this gateway left.
//!
//! A message for a user who is not here goes on to the gateway that has the user by now; for one who is nowhere it is
//! parked. How far a partition is read is the oldest message that is not decided: a gateway that is killed reads some
//! twice, and loses none.

use super::{
    BROADCAST,
    offsets::Offsets,
    parked::{Lot, PARKED_FOR, Parked},
    topic,
    topics::Brokers,
    writer::{FROM_GATEWAY, HOPS, Writers},
};
use crate::{published::Taker, redis::Fleet};
use quorate_gateway::{
    backplane::{Message, Recipient, Taken},
    cluster::Presence,
};
use quorate_rt::{
    JoinHandle,
    time::{self, Elapsed, Instant},
};
use rskafka::{
    client::{
        error::{Error, ProtocolError},
        partition::{OffsetAt, PartitionClient},
    },
    record::{Record, RecordAndOffset},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// One fetch brings at most so much, or one message.
const FETCH_BYTES: i32 = 1 << 20;
/// A fetch that brings nothing comes back after this long.
const FETCH_WAIT_MS: i32 = 500;
/// Longer than any broker waits.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);
/// While messages are parked it is looked this often whether their users have come.
const LOOK_AGAIN_MS: i32 = 100;
/// After a fetch that failed.
const REST: Duration = Duration::from_millis(500);
/// How often it is written down how far a partition is read.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// A message is passed on this often: presence that is behind may lead in circles.
const HOPS_MAX: u32 = 3;

/// What is read.
pub(super) enum Origin {
    /// This gateway's own topic, from where it left.
    Own(Arc<Offsets>),
    /// What is for all, from now on: whoever was not connected then is not meant.
    Broadcast,
}

/// Reads topics.
#[derive(Clone)]
pub(super) struct Reader {
    pub fleet: Arc<Fleet>,
    pub presence: Arc<dyn Presence>,
    pub taker: Taker,
    pub writers: Arc<Writers>,
    pub brokers: Arc<Brokers>,
}

/// One partition.
struct Line {
    reader: Reader,
    partition: Arc<PartitionClient>,
    next: i64,
    offsets: Option<Arc<Offsets>>,
    lot: Lot,
}

impl Reader {
    /// Reads until `stop`. When this returns it is decided from where on, and nothing newer is missed.
    pub async fn begin(
        self,
        origin: &Origin,
        stop: watch::Receiver<bool>,
    ) -> Result<Vec<JoinHandle<()>>, String> {
        let (name, offsets) = match origin {
            Origin::Own(offsets) => (topic(self.fleet.me.as_str()), Some(offsets.clone())),
            Origin::Broadcast => (BROADCAST.to_owned(), None),
        };
        let mut lines = Vec::new();
        for partition in self.brokers.own_topic(&name).await?.iter() {
            let kept = offsets.as_ref().and_then(|offsets| offsets.next(partition.partition()));
            let next = start(partition, kept).await.map_err(|error| error.to_string())?;
            if let Some(offsets) = &offsets {
                offsets.set(partition.partition(), next);
            }
            let (reader, partition, offsets) = (self.clone(), partition.clone(), offsets.clone());
            lines.push(Line { reader, partition, next, offsets, lot: Lot::default() });
        }
        if let Some(offsets) = &offsets {
            // A gateway that is killed soon after its first start goes on here too.
            offsets.write().await;
        }
        Ok(lines.into_iter().map(|line| quorate_rt::spawn(line.run(stop.clone()))).collect())
    }
}

/// Where to begin: where it left, as far as that is there.
async fn start(partition: &PartitionClient, kept: Option<i64>) -> Result<i64, Error> {
    let latest = partition.get_offset(OffsetAt::Latest).await?;
    let Some(kept) = kept else { return Ok(latest) };
    let earliest = partition.get_offset(OffsetAt::Earliest).await?;
    Ok(kept.clamp(earliest, latest.max(earliest)))
}

impl Line {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut written = Instant::now();
        while !*stop.borrow() {
            let wait = if self.lot.oldest().is_some() { LOOK_AGAIN_MS } else { FETCH_WAIT_MS };
            let fetched = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                fetched = self.fetch(wait) => fetched,
            };
            match fetched {
                Ok(Ok((records, _))) => {
                    for record in records {
                        self.take(record).await;
                    }
                }
                Ok(Err(error)) => self.recover(&error).await,
                Err(_) => self.dial_anew().await,
            }
            self.look_again().await;
            self.note();
            if written.elapsed() >= WRITE_EVERY {
                self.write().await;
                written = Instant::now();
            }
        }
        self.note();
        self.write().await;
    }

    async fn fetch(&self, wait_ms: i32) -> Result<Result<(Vec<RecordAndOffset>, i64), Error>, Elapsed> {
        let fetched = self.partition.fetch_records(self.next, 1..FETCH_BYTES, wait_ms);
        time::timeout(FETCHED_WITHIN, fetched).await
    }

    /// A broker that is silent for so long is gone without a word; the connection does not know.
    async fn dial_anew(&mut self) {
        let topic = self.partition.topic().to_owned();
        self.reader.brokers.forget(&topic).await;
        let partitions = time::timeout(FETCHED_WITHIN, self.reader.brokers.topic(&topic)).await;
        let number = self.partition.partition();
        if let Ok(Ok(partitions)) = partitions
            && let Some(partition) = partitions.iter().find(|partition| partition.partition() == number)
        {
            self.partition = partition.clone();
        } else {
            time::sleep(REST).await;
        }
    }

    async fn take(&mut self, RecordAndOffset { record, offset }: RecordAndOffset) {
        self.next = offset + 1;
        // The whole message is passed over, not a header of it.
        if header(&record, FROM_GATEWAY).is_some_and(|from| from == self.reader.fleet.me.as_str()) {
            return;
        }
        let Some(message) = record.value.as_deref().and_then(|bytes| self.reader.taker.read(bytes)) else {
            return;
        };
        let hops = header(&record, HOPS).and_then(|hops| hops.parse().ok()).unwrap_or(0);
        let Recipient::User(user) = message.to.clone() else {
            self.reader.taker.put(message).await;
            return;
        };
        let waits = self.lot.waits_for(&user);
        if waits || !self.reader.decide(&message, hops).await {
            let parked = Parked { offset, message, hops, until: Instant::now() + PARKED_FOR };
            if self.lot.park(user, parked).is_some() {
                tracing::warn!("messages wait for too many users: the oldest is given up");
            }
        }
    }

    /// Whoever has come by now gets what waits, in its order; who has not come in time gets nothing.
    async fn look_again(&mut self) {
        for user in self.lot.users() {
            while let Some(first) = self.lot.first(&user) {
                if !self.reader.decide(&first.message, first.hops).await {
                    if Instant::now() < first.until {
                        break;
                    }
                    tracing::debug!("a message is given up: its recipient has not come back");
                }
                self.lot.take(&user);
            }
        }
    }

    async fn recover(&mut self, error: &Error) {
        tracing::debug!(topic = self.partition.topic(), partition = self.partition.partition(), %error, "a fetch failed");
        if matches!(error, Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })
            && let Ok(next) = start(&self.partition, Some(self.next)).await
        {
            tracing::warn!(
                from = self.next,
                to = next,
                "messages of the topic are gone before they were read"
            );
            self.next = next;
        }
        time::sleep(REST).await;
    }

    fn note(&self) {
        if let Some(offsets) = &self.offsets {
            offsets.set(self.partition.partition(), self.lot.oldest().unwrap_or(self.next));
        }
    }

    async fn write(&self) {
        if let Some(offsets) = &self.offsets {
            offsets.write().await;
        }
    }
}

impl Reader {
    /// Whether it is known what becomes of a message to a user.
    async fn decide(&self, message: &Arc<Message>, hops: u32) -> bool {
        match self.taker.put(message.clone()).await {
            // Who takes messages too slowly loses this one, as everybody's.
            Taken::Delivered | Taken::Published | Taken::Full => return true,
            Taken::NotHere { .. } => {}
        }
        let Recipient::User(user) = &message.to else { return true };
        let places = self.presence.find(user);
        let Some(place) = places.into_iter().find(|place| place.node != self.fleet.me) else { return false };
        hops < HOPS_MAX && self.writers.put(&topic(place.node.as_str()), message, hops + 1).await.is_ok()
    }
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.headers.get(name)?).ok()
}
