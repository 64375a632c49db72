//! One worker's part in its group, as the loop that keeps its lease sees it: which way the next heartbeat goes, and
//! whether it has arrived that way.

use super::{
    DelegateOffer, HeartbeatWay,
    ask::Caller,
    beat::Beat,
    desk::Desk,
    listener,
    proof::Prover,
    route::{Delegate, Failure, Route, Way},
};
use crate::{Error, Url, nodes::Nodes, tasks};
use serde::Deserialize;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// A delegate is waited for no longer, and no shorter.
const ANSWER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What a worker does for its group.
pub(crate) struct Plan {
    offer: Option<(DelegateOffer, TcpListener)>,
    url: Option<String>,
}

impl Plan {
    /// Listens, where the worker offers to be the delegate.
    pub async fn of(offer: Option<DelegateOffer>) -> Result<Self, Error> {
        let Some(offer) = offer else { return Ok(Self { offer: None, url: None }) };
        let wrong =
            |e: std::io::Error| Error::Setup(format!("a delegate can't listen at {}: {e}", offer.listen));
        let listener = TcpListener::bind(offer.listen).await.map_err(wrong)?;
        let at = listener.local_addr().map_err(wrong)?;
        let url = match &offer.url {
            Some(url) => url.clone(),
            None if at.ip().is_unspecified() => {
                let what = format!("a delegate listens at {at}, every address of its machine");
                return Err(Error::Invalid(format!("{what}; allowed: the same with a URL for its group")));
            }
            None => format!("http://{at}"),
        };
        if reachable(&url).is_none() {
            let what = format!("`{url}` is no URL of a delegate");
            return Err(Error::Invalid(format!("{what}; allowed: an http URL such as http://10.0.0.7:7947")));
        }
        Ok(Self { offer: Some((offer, listener)), url: Some(url) })
    }

    /// Where the group reaches this worker as its delegate; `None`: it does not want to be one.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

fn reachable(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| url.scheme() == "http" && url.has_host() && url.username().is_empty())
}

/// What routers say of the delegate of a worker's group.
#[derive(Deserialize)]
struct Named {
    worker: String,
    url: String,
    epoch: u64,
}

/// A heartbeat, as both ways need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub lease: u64,
    pub sequence: u64,
    pub interval: Duration,
}

pub(crate) struct Part {
    id: String,
    route: Route,
    caller: Caller,
    desk: Option<Arc<Desk>>,
    listening: Option<JoinHandle<()>>,
    pause: Option<Duration>,
    way: watch::Sender<HeartbeatWay>,
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
        if let Some(desk) = &self.desk {
            desk.resign(u64::MAX);
        }
    }
}

impl Part {
    pub fn new(
        id: &str,
        nodes: &Arc<Nodes>,
        plan: Plan,
        way: watch::Sender<HeartbeatWay>,
    ) -> Result<Self, Error> {
        let prover = Prover::of(nodes.token());
        let caller = Caller::new(prover.clone())?;
        let mut part = Self {
            id: id.into(),
            route: Route::default(),
            caller,
            desk: None,
            listening: None,
            pause: None,
            way,
        };
        if let Some((offer, listener)) = plan.offer {
            let desk = Arc::new(Desk::new(id, nodes.clone(), prover, &offer));
            part.listening = Some(tasks::spawn(listener::serve(listener, desk.clone())));
            part.desk = Some(desk);
        }
        Ok(part)
    }

    /// Which way the next heartbeat goes.
    pub fn next(&mut self) -> Way {
        self.route.next()
    }

    /// How long to wait before it; `None`: the worker's own interval.
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// The worker has a new lease.
    pub fn begins(&mut self) {
        self.pause = None;
    }

    /// A router has revived the worker.
    pub fn revived(&mut self) {
        self.route.revived();
    }

    /// A router was heard: it names the delegate of the worker's group, or none.
    pub fn told(&mut self, answer: &Value, interval: Duration) {
        let named = Named::deserialize(&answer["heartbeat_delegate"]).ok();
        let named =
            named.map(|Named { worker, url, epoch }| Delegate { worker, url: reachable(&url), epoch });
        if let (Some(desk), Some(named)) = (&self.desk, &named) {
            if named.worker == self.id {
                desk.assume(named.epoch, interval);
            } else {
                // Nothing follows where a node that lags names an older one.
                desk.resign(named.epoch);
            }
        }
        self.route.told(named);
    }

    /// No router was heard, and the delegate has passed the heartbeat on.
    pub fn unheard(&mut self) {
        self.route.unheard();
    }

    /// Whether the delegate has passed the heartbeat on.
    pub async fn by_delegate(&mut self, due: Due) -> bool {
        let Some(Delegate { worker, url, epoch }) = self.route.delegate().cloned() else { return false };
        let Due { lease, sequence, interval } = due;
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let beat = Beat { worker: self.id.clone(), epoch, lease, sequence, interval_ms, proof: None };
        let (least, most) = ANSWER;
        let limit = (interval / 3).clamp(least, most);
        let is_own = worker == self.id;
        let answer = match (is_own, &self.desk, url) {
            (true, Some(desk), _) => match tasks::within(limit, desk.take_own(&beat)).await {
                Some(passed) => passed.map_err(|_| Failure::NotNow),
                None => Err(Failure::NotNow),
            },
            (false, _, Some(url)) => self.caller.beat(&url, beat, limit).await,
            (true, None, _) | (false, _, None) => Err(Failure::Useless),
        };
        match answer {
            Ok(again_in) => {
                self.route.passed();
                // It knows no other way than by the delegate to be heard in time, but it knows its own time.
                self.pause = Some(again_in.clamp(interval / 10, interval));
                let way = HeartbeatWay::ByDelegate { worker, epoch };
                self.tell(if is_own { HeartbeatWay::OnBehalf { epoch } } else { way });
                true
            }
            Err(failure) => {
                self.route.failed(epoch, failure);
                self.tell(HeartbeatWay::Direct);
                false
            }
        }
    }

    /// The heartbeat goes to the routers, and nowhere else.
    pub fn goes_direct(&mut self) {
        self.pause = None;
        self.tell(HeartbeatWay::Direct);
    }

    fn tell(&self, way: HeartbeatWay) {
        self.way.send_if_modified(|known| {
            let changed = *known != way;
            *known = way;
            changed
        });
    }
}
