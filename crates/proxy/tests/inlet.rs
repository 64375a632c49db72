//! Requests that come in by another listener of the node.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    service::Service,
};
use quorate_proxy::{AnswerError, Inlet};
use quorate_rt::{
    http::{Serve, ServeLimits, Session, full, serve},
    net,
    shutdown::{self, Trigger},
    time::timeout,
};
use rig::{Client, PATIENCE, Rig, Worker, config, eventually};
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::Notify};

const REQUEST: &str = "GET /api/service/s/x HTTP/1.1\r\nHost: r\r\n\r\n";
const OPEN: &str = "quorate_proxy_connections_open";

/// The other listener.
struct Other(Inlet);

struct Connection {
    inlet: Inlet,
    remote: SocketAddr,
    cut: Arc<Notify>,
}

impl Serve for Other {
    type Service = Connection;

    fn connected(&self, remote: SocketAddr) -> Session<Connection> {
        let cut: Arc<Notify> = Arc::default();
        let dismissed = cut.clone().notified_owned();
        let service = Connection { inlet: self.0.clone(), remote, cut };
        Session { service, dismissed: Some(Box::pin(dismissed)) }
    }
}

type Body = UnsyncBoxBody<Bytes, AnswerError>;

impl Service<Request<Incoming>> for Connection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (inlet, remote, cut) = (self.inlet.clone(), self.remote.ip(), self.cut.clone());
        Box::pin(async move {
            Ok(match inlet.answer(remote, cut, request).await {
                Some(answer) => answer.map(|body| body.boxed_unsync()),
                None => {
                    let mut none = Response::new(full("").map_err(|never| match never {}).boxed_unsync());
                    *none.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    none
                }
            })
        })
    }
}

/// A rig whose service `s` is `worker`, and the other listener.
async fn rig(config: quorate_proxy::Config, worker: &Worker) -> (Rig, SocketAddr, Trigger) {
    let rig = Rig::start(config, Some(12)).await;
    rig.offer("s1", &worker.url(), &["s"]);
    let listener = net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = shutdown::channel();
    let other = Other(rig.proxy.as_ref().unwrap().inlet().clone());
    quorate_rt::spawn(serve(listener, other, ServeLimits::default(), stopped));
    (rig, addr, stop)
}

/// Answers nothing before it is told to.
async fn waiting_worker() -> (Worker, Arc<Notify>) {
    let go: Arc<Notify> = Arc::default();
    let told = go.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let told = told.clone();
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                told.notified().await;
                client.send(rig::ok("late").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (worker, go)
}

/// A client whose request has reached the worker.
async fn asking(rig: &Rig, addr: SocketAddr, others: u64) -> Client {
    let mut client = Client::connect(addr).await;
    client.send(REQUEST.as_bytes()).await.unwrap();
    eventually("the worker has it", || rig.in_flight("s1") == others + 1).await;
    client
}

#[tokio::test]
async fn a_drain_waits_for_requests_of_the_other_listener() {
    let (worker, go) = waiting_worker().await;
    let (mut rig, addr, _stop) = rig(config(), &worker).await;
    let mut open = asking(&rig, addr, 0).await;
    let proxy = rig.proxy.take().unwrap();
    let inlet = proxy.inlet().clone();
    let mut draining = Box::pin(proxy.drain());
    let mut late = Client::connect(addr).await;
    // New ones are refused as soon as it has begun, and the open one is waited for.
    timeout(PATIENCE, async {
        tokio::select! {
            () = &mut draining => panic!("a request is open"),
            answer = late.ask(REQUEST) => assert_eq!(answer.status, 503),
        }
    })
    .await
    .unwrap();
    assert!(timeout(Duration::from_millis(300), &mut draining).await.is_err(), "a request is open");
    go.notify_one();
    let (answer, ()) =
        timeout(PATIENCE, async { tokio::join!(open.answer("GET"), &mut draining) }).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "late"));
    drop(inlet);
}

#[tokio::test]
async fn a_drain_cuts_requests_of_the_other_listener_at_its_limit() {
    let (worker, _go) = waiting_worker().await;
    let mut config = config();
    config.drain = Duration::from_millis(300);
    let (mut rig, addr, _stop) = rig(config, &worker).await;
    let mut open = asking(&rig, addr, 0).await;
    timeout(PATIENCE, rig.proxy.take().unwrap().drain()).await.expect("drained in time");
    assert_eq!(open.answer("GET").await.status, 503);
}

#[tokio::test]
async fn who_takes_no_answer_is_cut() {
    /// More than all buffers on the way hold.
    const LENGTH: usize = 64 << 20;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        let _ = client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes()).await;
        let piece = vec![b'x'; 1 << 20];
        while client.send(&piece).await.is_ok() {}
    })
    .await;
    let mut config = config();
    config.limits.client_stall = Duration::from_millis(300);
    let (rig, addr, _stop) = rig(config, &worker).await;
    let mut stalled = TcpStream::connect(addr).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stalled, REQUEST.as_bytes()).await.unwrap();
    eventually("the worker has it", || worker.connections() == 1).await;
    eventually("it is given up", || rig.in_flight("s1") == 0).await;
    rig.until_metric(OPEN, 0).await;
    let mut taken = Vec::new();
    let _ = timeout(PATIENCE, stalled.read_to_end(&mut taken)).await.expect("the connection is closed");
    assert!(taken.len() < LENGTH, "{}", taken.len());
}

/// Slow is not the same as standing still: a worker that takes its time is waited for, and so is a client.
#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let body = "0123456789abcdef".repeat(64 << 10);
    let answer = rig::ok(&body);
    let worker = Worker::answering(move |_| answer.clone()).await;
    let (_rig, addr, _stop) = rig(config(), &worker).await;
    let mut client = Client::connect(addr).await;
    for _ in 0..2 {
        assert!(client.ask(REQUEST).await.body == body);
    }
}

#[tokio::test]
async fn beyond_the_bound_requests_are_refused_at_once() {
    let (worker, go) = waiting_worker().await;
    let mut config = config();
    config.limits.connections_max = 2;
    let (rig, addr, _stop) = rig(config, &worker).await;
    let mut first = asking(&rig, addr, 0).await;
    let mut second = asking(&rig, addr, 1).await;
    let mut third = Client::connect(addr).await;
    assert_eq!(third.ask(REQUEST).await.status, 503);
    // Whichever the worker has first.
    go.notify_one();
    eventually("one is answered", || rig.in_flight("s1") == 1).await;
    go.notify_one();
    assert_eq!(
        (first.answer("GET").await.body, second.answer("GET").await.body),
        ("late".into(), "late".into())
    );
}
