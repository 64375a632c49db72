//! Requests that are not for these APIs, though they came in by their listener.
//!
//! Clients of the coordinator know one port and send everything there, requests for services included. Those belong to
//! the data plane: they are handed on before any handler, or any bound on a body, is in their way.

use crate::{
    answer::{hint, json},
    cluster::Cluster,
    frame,
};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, service::Service};
use quorate_api::coordinator::ErrorBody;
use quorate_rt::http::{Serve, Session};
use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use tower::ServiceExt;

/// As the coordinator says it where a worker failed.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Whoever answers requests that the router is not asked for.
#[derive(Clone)]
pub struct Front {
    takes: fn(&str) -> bool,
    answer: Arc<Answer>,
}

/// Who asks.
#[derive(Clone)]
pub struct Caller {
    /// The client's address.
    pub remote: IpAddr,
    /// Closes the connection, whatever it is doing.
    pub cut: Arc<Notify>,
}

type Answer = dyn Fn(Caller, Request<Incoming>) -> Answering + Send + Sync;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Front {
    /// `takes` says whose paths are whose; `answer` gets the client and the request, and answers `None` when it can't
    /// take one more, or is about to end. `cluster` is what such an answer is told of.
    pub fn new<A, F, B>(takes: fn(&str) -> bool, cluster: Arc<dyn Cluster>, answer: A) -> Self
    where
        A: Fn(Caller, Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Response<B>>> + Send + 'static,
        B: hyper::body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let answer = move |caller, request| -> Answering {
            let (answer, cluster) = (answer(caller, request), cluster.clone());
            Box::pin(async move {
                answer.await.map_or_else(|| not_now(&*cluster), |answer| answer.map(Body::new))
            })
        };
        Self { takes, answer: Arc::new(answer) }
    }
}

/// A router with somebody in front of it.
#[derive(Clone)]
pub(crate) struct Fronted {
    pub router: Router,
    pub front: Front,
}

/// The same, for one connection.
pub(crate) struct Connection {
    fronted: Fronted,
    caller: Caller,
}

impl Serve for Fronted {
    type Service = Connection;

    fn connected(&self, remote: SocketAddr) -> Session<Connection> {
        let caller = Caller { remote: remote.ip(), cut: Arc::default() };
        let cut = caller.cut.clone().notified_owned();
        Session { service: Connection { fronted: self.clone(), caller }, dismissed: Some(Box::pin(cut)) }
    }
}

impl Service<Request<Incoming>> for Connection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Fronted { router, front } = &self.fronted;
        if !(front.takes)(request.uri().path()) {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(self.caller.clone());
            return Box::pin(router.clone().oneshot(request));
        }
        let answer = (front.answer)(self.caller.clone(), request);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// In the words of the coordinator, whose paths these are.
fn not_now(cluster: &dyn Cluster) -> Response<Body> {
    let body = ErrorBody::ending(RETRY_AFTER.as_secs());
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    hint(&mut response, RETRY_AFTER, None);
    frame::of_coordinator(response, cluster)
}
