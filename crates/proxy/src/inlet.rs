//! Requests for services that did not come in by the routing listener.
//!
//! Clients of the coordinator know one port, the management one, and send everything there. Such a request is routed
//! like any other, by a core that has no listener and runs where the management listener does: the cores of the
//! routing listener notice nothing of it. The connection is the other listener's, with its bounds; here the request
//! has its own: how many there are at once, and how long a client may not take its answer. There are no upgrades: a tunnel is for the routing listener.

mod body;

pub use body::InletBody;

use crate::{
    client::Client,
    core::{Core, Shared, Stage},
    deadline::Registered,
    http2,
    serve::serve,
};
use http::{Request, Response, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use quorate_model::Scheme;
use quorate_routing::service::is_service;
use quorate_telemetry::CoreCounters;
use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::sync::{Notify, Semaphore};

/// Most requests at once. The listener that they come in by, and the threads that serve it, are the cluster's own
/// first: heartbeats and operators must get through, however many requests there are. Beyond it: 503.
const PLACES_MAX: usize = 256;

/// The way in. Clones are the same one; when the last of them is gone, so is what belongs to it.
#[derive(Clone)]
pub struct Inlet {
    gate: Arc<Gate>,
    places: Arc<Semaphore>,
}

/// The core behind it.
struct Gate(Arc<Core>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.enter(Stage::Halted);
        self.0.desk.clear();
    }
}

impl Inlet {
    pub(crate) fn new(shared: &Shared, counters: Arc<CoreCounters>) -> Self {
        let core = Core::new(shared, 0, counters);
        quorate_rt::spawn(core.clone().sweep(shared.ask_core()));
        let places = Semaphore::new(shared.config.limits.connections_max.min(PLACES_MAX));
        Self { gate: Arc::new(Gate(core)), places: Arc::new(places) }
    }

    /// Whether a request with this path is for a service, the coordinator's old paths included.
    pub fn takes(path: &str) -> bool {
        is_service(path) || is_old(path)
    }

    /// Routes one request. `None`: there are too many, or the node is about to end. `cut` is told when the request's
    /// connection is to be closed because its client does not take the answer.
    pub async fn answer(
        &self,
        remote: IpAddr,
        cut: Arc<Notify>,
        mut request: Request<Incoming>,
    ) -> Option<Response<InletBody>> {
        let core = &self.gate.0;
        if core.is(Stage::Draining) || core.is(Stage::Halted) {
            return None;
        }
        // Nobody waits for a place: the connection would wait with him, and workers and operators need those.
        let place = self.places.clone().try_acquire_owned().ok()?;
        // There are as many watches as places, and whoever gives back his place has given back his watch.
        let client = Client::new(core.clone(), core.deadlines.watch()?, (remote, Scheme::Http), place);
        prepare(&mut request);
        let mut serving = pin!(serve(&client, request));
        let mut registered = Registered::default();
        let answer = poll_fn(|cx| {
            registered.keep(&client.watch, cx);
            if core.is(Stage::Halted) {
                return Poll::Ready(None);
            }
            serving.as_mut().poll(cx).map(Some)
        })
        .await?;
        Some(answer.map(|body| InletBody::new(body, &client, cut)))
    }

    /// Takes no more requests; lets open ones finish within the data plane's limit.
    pub(crate) async fn drain(&self) {
        let core = &self.gate.0;
        core.drain(core.config.drain).await;
    }
}

/// The coordinator's paths from before there were services: all of them are of the service `upload`.
fn is_old(path: &str) -> bool {
    path.starts_with("/clients") || path.starts_with("/uploads/")
}

/// Makes of a request what the routing listener would have been sent.
fn prepare(request: &mut Request<Incoming>) {
    http2::request::prepare(request);
    request.headers_mut().remove(header::UPGRADE);
    if is_old(request.uri().path())
        && let Some(target) = rewritten(request.uri())
    {
        // The host was said beside it by now.
        *request.uri_mut() = target;
    }
}

/// The same under `/api/service/upload`.
fn rewritten(uri: &Uri) -> Option<Uri> {
    let target = format!("/api/service/upload{}", uri.path_and_query()?);
    Some(Uri::from(target.parse::<PathAndQuery>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_paths_are_of_the_service_upload() {
        for (old, new) in [
            ("/clients", "/api/service/upload/clients"),
            ("/clients/7/files?a=b%20c", "/api/service/upload/clients/7/files?a=b%20c"),
            ("/uploads/x%2fy", "/api/service/upload/uploads/x%2fy"),
        ] {
            assert!(Inlet::takes(old), "{old}");
            assert_eq!(rewritten(&old.parse().unwrap()).unwrap().to_string(), new);
        }
        for path in ["/uploads", "/upload/x", "/v1/clients", "/api/services"] {
            assert!(!Inlet::takes(path), "{path}");
        }
        assert!(Inlet::takes("/api/service/notes/x"));
    }
}
