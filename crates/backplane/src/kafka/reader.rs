//! What others published, from where this gateway left.
//!
//! A message for a user who is not here goes on to the gateway that has the user by now; for one who is nowhere it is
//! parked, and so it is until its fate is known for one who is just registering: nobody else's messages wait for that.
//! How far a partition is read is the oldest message that is not decided: a gateway that is killed reads some
//! twice, and loses none.

use super::{
    ANSWERED_WITHIN, BROADCAST,
    offsets::Offsets,
    parked::{Lot, PARKED_FOR, Parked},
    topic,
    topics::Brokers,
    trail::{Onward, Trail},
    writer::{FROM_GATEWAY, Writers},
};
use crate::{RESTS, published::Taker, redis::Fleet};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all, ready},
    stream::FuturesUnordered,
};
use quorate_gateway::{
    backplane::{Recipient, Taken},
    cluster::Presence,
};
use quorate_model::UserId;
use quorate_rt::{
    JoinHandle,
    rest::Rest,
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
/// How often it is written down how far a partition is read.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What is under way when this gateway ends is decided by then, or its next life decides it once more.
const DECIDED_WITHIN: Duration = Duration::from_secs(3);
const _: () = assert!(DECIDED_WITHIN.as_secs() < ANSWERED_WITHIN.as_secs(), "the end waits for it");

/// What a fetch brings, or why it brings nothing.
type Fetched = Result<Result<(Vec<RecordAndOffset>, i64), Error>, Elapsed>;

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
    /// At most one for each user in the lot; and those for which it had no room (`None`), of which there are no more than
    /// the gateway and the writers have room for.
    undecided: FuturesUnordered<BoxFuture<'static, (Option<UserId>, bool)>>,
    /// It was full, and that was said.
    is_full: bool,
    /// Fetches fail, and that was said.
    is_cut_off: bool,
    rest: Rest,
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
            let (lot, undecided, rest) = (Lot::default(), FuturesUnordered::new(), Rest::default());
            lines.push(Line {
                reader,
                partition,
                next,
                offsets,
                lot,
                undecided,
                is_full: false,
                is_cut_off: false,
                rest,
            });
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
        let mut fetching = self.fetch();
        loop {
            tokio::select! {
                biased;
                () = stop.wait_for(|stop| *stop).map(drop) => break,
                Some((user, is_decided)) = self.undecided.next(), if !self.undecided.is_empty() => {
                    if let Some(user) = self.hear(user, is_decided) {
                        self.go_on(&user);
                    }
                }
                fetched = &mut fetching => {
                    match fetched {
                        Ok(Ok((records, _))) => {
                            self.reads_again();
                            for record in records {
                                self.take(record);
                            }
                        }
                        Ok(Err(error)) => self.recover(&error).await,
                        Err(_) => {
                            self.is_cut_off_by(&format!("no answer within {FETCHED_WITHIN:?}"));
                            self.dial_anew().await;
                        }
                    }
                    self.look_again();
                    fetching = self.fetch();
                }
            }
            self.note();
            if written.elapsed() >= WRITE_EVERY {
                self.write().await;
                written = Instant::now();
            }
        }
        // What is just being passed on would be passed on once more by the next life.
        let _ = time::timeout(DECIDED_WITHIN, self.settle()).await;
        self.note();
        self.write().await;
    }

    /// Until everything that is under way is decided. What waits behind it is left to the next life.
    async fn settle(&mut self) {
        while let Some((user, is_decided)) = self.undecided.next().await {
            self.hear(user, is_decided);
        }
    }

    fn is_cut_off_by(&mut self, error: &str) {
        let (topic, partition) = (self.partition.topic(), self.partition.partition());
        if std::mem::replace(&mut self.is_cut_off, true) {
            tracing::debug!(topic, partition, error, "a fetch failed");
        } else {
            tracing::warn!(topic, partition, error, "what other gateways publish can't be read any more");
        }
    }

    fn reads_again(&mut self) {
        self.rest.over();
        if std::mem::take(&mut self.is_cut_off) {
            let (topic, partition) = (self.partition.topic(), self.partition.partition());
            tracing::info!(topic, partition, "what other gateways publish is read again");
        }
    }

    fn fetch(&self) -> BoxFuture<'static, Fetched> {
        let wait_ms = if self.lot.oldest().is_some() { LOOK_AGAIN_MS } else { FETCH_WAIT_MS };
        let (partition, next) = (self.partition.clone(), self.next);
        async move {
            let fetched = partition.fetch_records(next, 1..FETCH_BYTES, wait_ms);
            time::timeout(FETCHED_WITHIN, fetched).await
        }
        .boxed()
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
            time::sleep(self.rest.next(RESTS)).await;
        }
    }

    fn take(&mut self, RecordAndOffset { record, offset }: RecordAndOffset) {
        self.next = offset + 1;
        // The whole message is passed over, not a header of it.
        if header(&record, FROM_GATEWAY).is_some_and(|from| from == self.reader.fleet.me.as_str()) {
            return;
        }
        let Some(message) = record.value.as_deref().and_then(|bytes| self.reader.taker.read(bytes)) else {
            return;
        };
        let Recipient::User(user) = message.to.clone() else {
            // Whoever hears it hears it now, and a repeat of it is known by its end.
            let _ = self.reader.taker.put(message).now_or_never();
            return;
        };
        let parked =
            Parked { offset, message, trail: Trail::of(&record), until: Instant::now() + PARKED_FOR };
        if self.lot.waits_for(&user) {
            self.park(&user, parked);
            return;
        }
        let mut deciding = self.reader.decide(&parked);
        match (&mut deciding).now_or_never() {
            Some(true) => {}
            Some(false) => {
                self.park(&user, parked);
            }
            None if self.lot.has_room(&user, &parked) => {
                self.park(&user, parked);
                self.await_decision(user, deciding);
            }
            // It has been taken, or passed on, and may arrive: only then is it known whether it is given up.
            None => self.undecided.push(deciding.map(|is_decided| (None, is_decided)).boxed()),
        }
    }

    fn park(&mut self, user: &UserId, parked: Parked) {
        if self.lot.park(user, parked).is_err() {
            self.give_up_for_want_of_room();
        }
    }

    fn give_up_for_want_of_room(&mut self) {
        self.reader.taker.give_up();
        if !std::mem::replace(&mut self.is_full, true) {
            let (topic, partition) = (self.partition.topic(), self.partition.partition());
            tracing::warn!(topic, partition, "messages wait for too many users: later ones are given up");
        }
    }

    fn await_decision(&mut self, user: UserId, deciding: BoxFuture<'static, bool>) {
        self.lot.set_under_way(&user, true);
        self.undecided.push(deciding.map(|is_decided| (Some(user), is_decided)).boxed());
    }

    /// It is known whether the first message to a user is decided: to whom the next one may be, then.
    fn hear(&mut self, user: Option<UserId>, is_decided: bool) -> Option<UserId> {
        let Some(user) = user else {
            if !is_decided {
                self.give_up_for_want_of_room();
            }
            return None;
        };
        self.lot.set_under_way(&user, false);
        self.is_over(&user, is_decided).then(|| {
            self.lot.take(&user);
            user
        })
    }

    /// Whoever has come by now gets what waits, in its order; who has not come in time gets nothing.
    fn look_again(&mut self) {
        for user in self.lot.absent() {
            self.go_on(&user);
        }
        self.is_full &= self.lot.oldest().is_some();
    }

    fn go_on(&mut self, user: &UserId) {
        while let Some(first) = self.lot.first(user) {
            let mut deciding = self.reader.decide_again(user, first);
            let Some(is_decided) = (&mut deciding).now_or_never() else {
                self.await_decision(user.clone(), deciding);
                return;
            };
            if !self.is_over(user, is_decided) {
                return;
            }
            self.lot.take(user);
        }
    }

    /// Whether the first message to a user waits no longer.
    fn is_over(&self, user: &UserId, is_decided: bool) -> bool {
        let is_late = self.lot.first(user).is_some_and(|first| Instant::now() >= first.until);
        if is_late && !is_decided {
            self.reader.taker.give_up();
            tracing::debug!("a message is given up: its recipient has not come back");
        }
        is_decided || is_late
    }

    async fn recover(&mut self, error: &Error) {
        if matches!(error, Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })
            && let Ok(next) = start(&self.partition, Some(self.next)).await
        {
            let from = self.next;
            tracing::warn!(from, to = next, "messages of the topic are gone before they were read");
            self.next = next;
        } else {
            self.is_cut_off_by(&error.to_string());
        }
        time::sleep(self.rest.next(RESTS)).await;
    }

    fn note(&self) {
        if let Some(offsets) = &self.offsets {
            offsets.set(self.partition.partition(), self.lot.oldest().unwrap_or(self.next));
        }
    }

    async fn write(&mut self) {
        if let Some(offsets) = &self.offsets {
            offsets.write().await;
        }
    }
}

impl Reader {
    /// Whether it is known what becomes of a message to a user. It is in its place in the order when this returns.
    fn decide(&self, parked: &Parked) -> BoxFuture<'static, bool> {
        let taken = self.taker.put(parked.message.clone());
        let (reader, parked) = (self.clone(), parked.clone());
        async move {
            match taken.await {
                // Who takes messages too slowly loses this one, as everybody's.
                Taken::Delivered | Taken::Published | Taken::Full => true,
                Taken::NotHere { .. } => reader.pass_on(&parked).await,
            }
        }
        .boxed()
    }

    /// The same for one who was not here before, and may be nowhere still.
    fn decide_again(&self, user: &UserId, parked: &Parked) -> BoxFuture<'static, bool> {
        if self.presence.find(user).is_empty() { ready(false).boxed() } else { self.decide(parked) }
    }

    async fn pass_on(&self, Parked { message, trail, .. }: &Parked) -> bool {
        let Recipient::User(user) = &message.to else { return true };
        let (gateways, trail) = match trail.onward(&self.fleet.me, &self.presence.find(user)) {
            Onward::LetGo => return true,
            Onward::Keep => return false,
            Onward::PassOn(gateways, trail) => (gateways, trail),
        };
        let sent = gateways.iter().map(|gateway| self.writers.put(&topic(gateway.as_str()), message, &trail));
        join_all(sent.collect::<Vec<_>>()).await.iter().any(Result::is_ok)
    }
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.headers.get(name)?).ok()
}
