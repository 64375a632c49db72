//! Kafka: the original's topics.
//!
//! A message to another gateway goes to the topic `gateway-{its id}`, one for all to `gateway-broadcast`, each with three
//! partitions, the recipient as key, and headers that say who sent it and when.
//!
//! What queued while a gateway was away is not lost: it goes on where it left ([`offsets`]), and keeps what is for users
//! who have not come back yet for a while ([`reader`]), or passes it on to where they are by now. Its own messages it
//! never takes. What was published may still be read by nobody: Kafka acknowledges that it has it, and no more.

mod offsets;
mod parked;
mod reader;
mod topics;
mod trail;
mod writer;

use crate::{
    RESTS, envelope,
    published::Taker,
    redis::{Fleet, Line, REFRESH_EVERY, Registry, Server, find},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use offsets::Offsets;
use quorate_gateway::{
    backplane::{Backplane, BackplaneError, Detour, Inbox, Message, Reach, Recipient, Taken, Ways},
    cluster::{Place, Presence},
};
use quorate_model::NodeName;
use quorate_rt::{rest::Rest, time};
use reader::{Origin, Reader};
use redis::{Pipeline, Value};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{oneshot, watch};
use topics::Brokers;
use trail::Trail;
use writer::Writers;

/// Kafka has what was published by then, or nobody knows.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// A gateway that starts waits this long for Kafka, and then starts without: its node has other things to do too.
const STARTED_WITHIN: Duration = Duration::from_secs(5);

const BROADCAST: &str = "gateway-broadcast";

fn topic(gateway: &str) -> String {
    format!("gateway-{gateway}")
}

/// What is to be known of a fleet at Kafka.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` each, and not empty.
    pub brokers: Vec<String>,
    /// Where it is kept how far this gateway has read.
    pub offsets: PathBuf,
    /// Where the original gateways keep who is where. Without it this cluster's users alone are found.
    pub presence: Option<Server>,
}

/// Messages by Kafka, and users found in Redis, if there is one.
pub fn detour(settings: Settings) -> Detour {
    Box::new(move |Ways { me, others, presence, backplane }| {
        let fleet = Arc::new(Fleet { me: me.clone(), others: others.clone() });
        let found = settings.presence.clone().map(|server| {
            let line = Arc::new(Line::new(server));
            (line.clone(), Registry::new(fleet.clone(), presence.clone(), line, REFRESH_EVERY))
        });
        let presence: Arc<dyn Presence> = match &found {
            Some((_, registry)) => Arc::new(registry.clone()),
            None => presence,
        };
        let kafka = KafkaBackplane {
            fleet,
            cluster: backplane,
            presence: presence.clone(),
            found,
            brokers: Arc::new(Brokers::new(settings.brokers)),
            offsets: settings.offsets,
            writers: Mutex::default(),
            stop: watch::Sender::new(false),
            reading: Mutex::default(),
        };
        Ways { me, others, presence, backplane: Arc::new(kafka) }
    })
}

/// See the module.
struct KafkaBackplane {
    fleet: Arc<Fleet>,
    cluster: Arc<dyn Backplane>,
    presence: Arc<dyn Presence>,
    found: Option<(Arc<Line>, Registry)>,
    brokers: Arc<Brokers>,
    offsets: PathBuf,
    /// Made when it starts, on the runtime that it starts on.
    writers: Mutex<Option<Arc<Writers>>>,
    stop: watch::Sender<bool>,
    reading: Mutex<Option<quorate_rt::JoinHandle<()>>>,
}

impl KafkaBackplane {
    fn writers(&self) -> Result<Arc<Writers>, BackplaneError> {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        writers.ok_or_else(|| BackplaneError::NotSent("Kafka".into(), "the gateway is not started".into()))
    }

    fn publish(
        &self,
        topic: &str,
        message: &Message,
        trail: &Trail,
    ) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        match self.writers() {
            Ok(writers) => writers.put(topic, message, trail),
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl Backplane for KafkaBackplane {
    fn start(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let writers = Arc::new(Writers::new(self.fleet.me.clone(), self.brokers.clone()));
        *self.writers.lock().unwrap_or_else(PoisonError::into_inner) = Some(writers.clone());
        if let Some((_, registry)) = &self.found {
            quorate_rt::spawn(registry.clone().keep());
        }
        let reader = Reader {
            fleet: self.fleet.clone(),
            presence: self.presence.clone(),
            taker: Taker::new(&self.fleet.me, inbox.clone()),
            writers,
            brokers: self.brokers.clone(),
        };
        let (cluster, path, stop) = (self.cluster.start(inbox), self.offsets.clone(), self.stop.subscribe());
        let name = self.brokers.name();
        let (begun, mut has_begun) = watch::channel(false);
        let (offsets, opened) = oneshot::channel();
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(quorate_rt::spawn(async move {
            if let Ok(offsets) = opened.await {
                read(reader, offsets, stop, begun).await;
            }
        }));
        async move {
            cluster.await?;
            let opened = Offsets::open(path).await;
            let opened = opened.map_err(|why| BackplaneError::NotSent(name.clone(), why.into()))?;
            // It waits for them.
            let _ = offsets.send(Arc::new(opened));
            let reading = time::timeout(STARTED_WITHIN, has_begun.wait_for(|has| *has)).await;
            if !matches!(reading, Ok(Ok(_))) {
                tracing::warn!(after = ?STARTED_WITHIN, "{name} can't be reached yet: other gateways are not");
            }
            Ok(())
        }
        .boxed()
    }

    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.publish(&topic(place.node.as_str()), &message, &Trail::default())
    }

    fn send_among(
        &self,
        place: Place,
        all: &[NodeName],
        message: Arc<Message>,
    ) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.publish(&topic(place.node.as_str()), &message, &Trail::new(&self.fleet.me, all))
    }

    fn reach(&self) -> Reach {
        Reach::Gateway
    }

    fn send_outside(&self, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let (Some((line, _)), Recipient::User(user)) = (&self.found, &message.to) else {
            return ready(Ok(Taken::NotHere { index: 0 })).boxed();
        };
        let writers = match self.writers() {
            Ok(writers) => writers,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let (line, asked) = (line.clone(), find(user.as_str(), &self.fleet.ours()));
        async move {
            let mut pipeline = Pipeline::new();
            pipeline.add_command(asked);
            let unfound = |why: String| BackplaneError::NotSent("Redis".into(), why.into());
            let answers = line.run(&mut pipeline).await.map_err(|error| unfound(error.to_string()))?;
            match answers.first() {
                Some(Value::BulkString(gateway)) if gateway.is_empty() => Ok(Taken::NotHere { index: 0 }),
                Some(Value::BulkString(gateway)) => {
                    let topic = topic(&String::from_utf8_lossy(gateway));
                    writers.put(&topic, &message, &Trail::default()).await
                }
                Some(_) | None => Err(unfound("it does not say which gateway".into())),
            }
        }
        .boxed()
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let published = self.publish(BROADCAST, &message, &Trail::default());
        async move { published.await.map(drop) }.boxed()
    }

    fn ask(
        &self,
        node: NodeName,
        question: Vec<u8>,
        within: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        self.cluster.ask(node, question, within)
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        self.stop.send_replace(true);
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writers = self.writers().ok();
        let (registry, cluster) = (self.found.clone().map(|(_, registry)| registry), self.cluster.stop());
        async move {
            if let Some(reading) = reading {
                // It is written down how far that is.
                let _ = time::timeout(ANSWERED_WITHIN, reading).await;
            }
            if let Some(writers) = writers {
                let _ = time::timeout(ANSWERED_WITHIN, writers.until_empty()).await;
            }
            if let Some(registry) = registry {
                let _ = time::timeout(ANSWERED_WITHIN, registry.stop()).await;
            }
            cluster.await;
        }
        .boxed()
    }
}

/// Reads as soon as there is something to read from, until `stop`.
async fn read(
    reader: Reader,
    offsets: Arc<Offsets>,
    mut stop: watch::Receiver<bool>,
    begun: watch::Sender<bool>,
) {
    let (mut told, mut rest) = (false, Rest::default());
    let mut reading = Vec::new();
    for origin in [Origin::Own(offsets), Origin::Broadcast] {
        loop {
            let begun = reader.clone().begin(&origin, stop.clone());
            let error = match time::timeout(STARTED_WITHIN, begun).await {
                Ok(Ok(some)) => {
                    reading.extend(some);
                    break;
                }
                Ok(Err(error)) => error,
                Err(_) => format!("no answer within {STARTED_WITHIN:?}"),
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(error, "what other gateways publish can't be read yet");
            }
            if time::timeout(rest.next(RESTS), stop.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }
    begun.send_replace(true);
    join_all(reading).await;
}

fn encode(message: &Message, me: &NodeName) -> Vec<u8> {
    envelope::encode(message, me)
}
