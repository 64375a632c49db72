//! Requests for services that did not come in by the routing listener.
//!
//! Clients of the coordinator know one port, the management one, and send everything there. Such a request is routed
//! like any other, by a core that has no listener and runs where the management listener does: the cores of the
//! routing listener notice nothing of it. The connection is the other listener's, with its bounds; here the request
//! has its own. There are no upgrades: a tunnel is for the routing listener.

use crate::{
    client::Client,
    core::{Core, Shared, Stage},
    http1::AnswerBody,
    serve::serve,
};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};
use hyper::body::Incoming;
use quorate_routing::service::is_service;
use quorate_telemetry::CoreCounters;
use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Waker,
};
use tokio::sync::Semaphore;

/// What an answer's body is.
pub use crate::http1::AnswerBody as Body;

/// The way in. Clones are the same one.
#[derive(Clone)]
pub struct Inlet {
    core: Arc<Core>,
    places: Arc<Semaphore>,
}

impl Inlet {
    pub(crate) fn new(shared: &Shared, counters: Arc<CoreCounters>) -> Self {
        let core = Core::new(shared, counters);
        quorate_rt::spawn(core.clone().sweep());
        Self { core, places: Arc::new(Semaphore::new(shared.config.limits.connections_max)) }
    }

    /// Whether a request with this path is for a service, the coordinator's old paths included.
    pub fn takes(path: &str) -> bool {
        is_service(path) || is_old(path)
    }

    /// Routes one request.
    pub async fn answer(&self, remote: IpAddr, mut request: Request<Incoming>) -> Response<AnswerBody> {
        // There are as many watches as places; both are back before the client of a finished request is.
        let place = self.places.clone().acquire_owned().await;
        let (Ok(place), Some(watch)) = (place, self.core.deadlines.watch()) else {
            return unavailable(&self.core, remote);
        };
        let client = Client::new(self.core.clone(), watch, remote, place);
        prepare(&mut request);
        let mut serving = pin!(serve(&client, request));
        let mut registered: Option<Waker> = None;
        poll_fn(|cx| {
            if !registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                client.watch.register(cx.waker());
                registered = Some(cx.waker().clone());
            }
            serving.as_mut().poll(cx)
        })
        .await
    }

    /// Ends what belongs to it.
    pub(crate) fn close(&self) {
        self.core.enter(Stage::Halted);
        self.core.desk.clear();
    }
}
