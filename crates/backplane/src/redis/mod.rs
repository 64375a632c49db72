//! Redis: the original's channels, and its presence.
//!
//! A message to another gateway is published to `gateway:{its id}`, one for all to `gateway:broadcast`. Redis says how
//! many heard it: nobody means that the gateway is gone, and that the message failed. While there is no connection to
//! Redis messages to others fail, and what others publish to this gateway meanwhile is lost, as it is for the original;
//! users of one node reach each other all the same.
//!
//! Questions between gateways go the cluster's own way: the original has none.

mod line;
mod presence;
mod publisher;
mod scripts;

pub use line::Server;
pub use scripts::TTL_S;

pub(crate) use line::Line;
pub(crate) use presence::{REFRESH_EVERY, Registry};
pub(crate) use scripts::find;

use crate::{envelope, published::Taker};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
};
use publisher::Publisher;
use quorate_gateway::{
    backplane::{Backplane, BackplaneError, Detour, Inbox, Message, Recipient, Taken, Ways},
    cluster::Place,
};
use quorate_model::NodeName;
use quorate_rt::{rng, time};
use redis::Cmd;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// Redis answers by then, or nobody knows.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// A gateway that starts waits this long for Redis, and then starts without: its node has other things to do too.
const STARTED_WITHIN: Duration = Duration::from_secs(3);
/// Between two tries to listen, at most; half of it at least.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);

const BROADCAST: &str = "gateway:broadcast";

fn channel(gateway: &str) -> String {
    format!("gateway:{gateway}")
}

/// Who of a fleet this gateway is, and who is of its cluster.
pub(crate) struct Fleet {
    pub me: NodeName,
    pub others: Arc<dyn Fn() -> Vec<NodeName> + Send + Sync>,
}

impl Fleet {
    /// The ids of this cluster's gateways: whom they hold the log knows better than Redis.
    pub fn ours(&self) -> Vec<String> {
        let others = (self.others)();
        others.iter().chain([&self.me]).map(ToString::to_string).collect()
    }
}

/// Messages by Redis, and users found there.
pub fn detour(server: Server) -> Detour {
    detour_refreshing(server, REFRESH_EVERY)
}

/// The same with users refreshed at another pace.
pub fn detour_refreshing(server: Server, every: Duration) -> Detour {
    Box::new(move |ways| {
        let (redis, presence) = RedisBackplane::new(server, ways, every);
        Ways {
            me: redis.fleet.me.clone(),
            others: redis.fleet.others.clone(),
            presence: Arc::new(presence),
            backplane: Arc::new(redis),
        }
    })
}

/// See the module.
struct RedisBackplane {
    fleet: Fleet,
    cluster: Arc<dyn Backplane>,
    line: Arc<Line>,
    registry: Registry,
    /// Made when it starts, on the runtime that it starts on.
    publisher: Mutex<Option<Arc<Publisher>>>,
    stop: Arc<watch::Sender<bool>>,
}

impl RedisBackplane {
    fn new(server: Server, ways: Ways, refresh_every: Duration) -> (Self, Registry) {
        let Ways { me, others, presence, backplane: cluster } = ways;
        let line = Arc::new(Line::new(server));
        let registry = Registry::new(me.clone(), presence, line.clone(), refresh_every);
        let backplane = Self {
            fleet: Fleet { me, others },
            cluster,
            line,
            registry: registry.clone(),
            publisher: Mutex::default(),
            stop: Arc::new(watch::Sender::new(false)),
        };
        (backplane, registry)
    }

    fn publisher(&self) -> Option<Arc<Publisher>> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever heard it took it, as far as anybody knows.
    fn put(&self, command: Cmd, bytes: usize) -> BoxFuture<'static, Result<i64, BackplaneError>> {
        let Some(publisher) = self.publisher() else {
            let why = "the gateway is not started";
            return ready(Err(BackplaneError::NotSent("Redis".into(), why.into()))).boxed();
        };
        let answered: oneshot::Receiver<_> = match publisher.put(command, bytes) {
            Ok(answered) => answered,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let name = publisher.name().clone();
        async move {
            match time::timeout(ANSWERED_WITHIN, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(BackplaneError::Unreachable(name, "the connection is gone".into())),
                Err(_) => {
                    let why = format!("no answer within {ANSWERED_WITHIN:?}");
                    Err(BackplaneError::Unreachable(name, why.into()))
                }
            }
        }
        .boxed()
    }
}

fn heard(answer: Result<i64, BackplaneError>) -> Result<Taken, BackplaneError> {
    answer.map(|listeners| if listeners > 0 { Taken::Published } else { Taken::NotHere { index: 0 } })
}

impl Backplane for RedisBackplane {
    fn start(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let publisher = Arc::new(Publisher::start(self.line.clone()));
        let name = publisher.name().clone();
        *self.publisher.lock().unwrap_or_else(PoisonError::into_inner) = Some(publisher);
        quorate_rt::spawn(self.registry.clone().keep());
        let (listening, mut is_listening) = watch::channel(false);
        let taker = Taker::new(&self.fleet.me, inbox.clone());
        let listener = Listener { me: self.fleet.me.clone(), line: self.line.clone(), taker, listening };
        quorate_rt::spawn(listener.listen(self.stop.subscribe()));
        let cluster = self.cluster.start(inbox);
        async move {
            cluster.await?;
            let listening = time::timeout(STARTED_WITHIN, is_listening.wait_for(|is| *is)).await;
            if !matches!(listening, Ok(Ok(_))) {
                tracing::warn!(after = ?STARTED_WITHIN, "{name} can't be reached yet: other gateways are not");
            }
            Ok(())
        }
        .boxed()
    }

    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let bytes = envelope::encode(&message, &self.fleet.me);
        self.put(scripts::publish(&channel(place.node.as_str()), &bytes), bytes.len()).map(heard).boxed()
    }

    fn send_outside(&self, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let Recipient::User(user) = &message.to else {
            return ready(Ok(Taken::NotHere { index: 0 })).boxed();
        };
        let bytes = envelope::encode(&message, &self.fleet.me);
        self.put(scripts::send(user.as_str(), &bytes, &self.fleet.ours()), bytes.len()).map(heard).boxed()
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        let bytes = envelope::encode(&message, &self.fleet.me);
        let put = self.put(scripts::publish(BROADCAST, &bytes), bytes.len());
        async move { put.await.map(drop) }.boxed()
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
        let (publisher, registry, cluster) = (self.publisher(), self.registry.clone(), self.cluster.stop());
        async move {
            if let Some(publisher) = publisher {
                let _ = time::timeout(ANSWERED_WITHIN, publisher.until_empty()).await;
            }
            let _ = time::timeout(ANSWERED_WITHIN, registry.stop()).await;
            cluster.await;
        }
        .boxed()
    }
}

/// Hears what others publish.
struct Listener {
    me: NodeName,
    line: Arc<Line>,
    taker: Taker,
    listening: watch::Sender<bool>,
}

impl Listener {
    /// Until `stop`.
    async fn listen(self, mut stop: watch::Receiver<bool>) {
        let channels = [channel(self.me.as_str()), BROADCAST.to_owned()];
        let mut was_heard = true;
        loop {
            let listener = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                listener = self.line.server().listen(&channels) => listener,
            };
            match listener {
                Ok(mut listener) => {
                    self.listening.send_replace(true);
                    tracing::info!(redis = %self.line.server().address, "listening to other gateways");
                    let heard = async {
                        let mut messages = listener.on_message();
                        while let Some(message) = messages.next().await {
                            self.taker.take(message.get_payload_bytes()).await;
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = heard => {}
                    }
                    self.listening.send_replace(false);
                    tracing::warn!("the connection to Redis is gone: what others publish meanwhile is lost");
                    was_heard = true;
                }
                Err(error) if was_heard => {
                    tracing::warn!(redis = %self.line.server().address, %error, "other gateways can't be heard");
                    was_heard = false;
                }
                Err(_) => {}
            }
            let half = LISTEN_AGAIN_AFTER / 2;
            let share = u32::try_from(rng::random_u64() % 1_001).unwrap_or(0);
            time::sleep(half + half * share / 1_000).await;
        }
    }
}
