//! Simulated workers' machines: HTTP servers that say who they are and when a request reached them. How well they do
//! that depends on their mood.

use super::{
    arrivals::{ANSWER_BYTES, Arrivals, ID, IN_CHUNKS, SENT_BYTES, VERSION, Visit, WORKER, content},
    now_ms,
};
use crate::trace;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, TRAILER},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::Service,
};
use madsim::{
    rand::{Rng, thread_rng},
    runtime::Handle,
    task::NodeId,
    time::{Sleep, sleep},
};
use quorate_rt::{
    http::{Serve, ServeLimits, Session, read_body, serve},
    net, shutdown,
};
use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, pending},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// The simulated millisecond at which a request reached a worker.
pub const ARRIVED: &str = "x-arrived-ms";
/// Where it says whether it is well.
pub const HEALTH: &str = "/healthz";
/// The most of a request's body that it reads.
const BODY_BYTES_MAX: usize = 1 << 20;
/// One that leaves gives those that it is answering this long.
const LEAVES_WITHIN: Duration = Duration::from_secs(3);
/// The content type of a call of gRPC, whose answer ends with trailers.
pub const GRPC: &str = "application/grpc";
/// How the call ended.
pub const GRPC_STATUS: &str = "grpc-status";

/// How a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers at once.
    #[default]
    Well,
    /// So do all others that ask, but who asks how it is hears 500.
    Ill,
    /// It accepts requests, and never answers.
    Hanging,
    /// It answers after a time between these, in milliseconds.
    Slow(u64, u64),
    /// Its answers break off in the middle of the body, and with them the connection.
    Dying,
    /// It does its work, and the connection breaks before it has said so.
    Vanishing,
    /// It closes all connections and accepts none.
    Refusing,
    /// It answers what it has, says that nothing more is to come (`GOAWAY` in HTTP/2), and accepts no connection: it is
    /// about to be replaced.
    Leaving,
}

impl Mood {
    /// Whether it accepts connections.
    fn listens(self) -> bool {
        !matches!(self, Self::Refusing | Self::Leaving)
    }
}

/// Where worker `number` listens.
pub fn address(number: usize) -> String {
    format!("10.0.2.{number}:8081")
}

/// A worker's machine.
pub struct Worker {
    number: usize,
    id: NodeId,
    handle: Handle,
    up: Cell<bool>,
    mood: watch::Sender<Mood>,
}

impl Worker {
    /// A new machine, switched on. What reaches it is written down in `arrivals`.
    pub fn new(handle: &Handle, number: usize, arrivals: &Arrivals) -> Self {
        let (mood, felt) = watch::channel(Mood::Well);
        let desk = Desk { number, mood: felt, arrivals: arrivals.clone() };
        let node = handle
            .create_node()
            .name(format!("w{number}"))
            .ip([10, 0, 2, u8::try_from(number).unwrap_or(1)].into())
            .init(move || open(desk.clone()))
            .build();
        Self { number, id: node.id(), handle: handle.clone(), up: Cell::new(true), mood }
    }

    /// Its simulated id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its worker's id.
    pub fn name(&self) -> String {
        format!("w{}", self.number)
    }

    /// Changes its mood.
    pub fn be(&self, mood: Mood) {
        trace::event(|| format!("{} is {mood:?}", self.name()));
        self.mood.send_replace(mood);
    }

    /// Kills its process.
    pub fn kill(&self) {
        self.up.set(false);
        self.handle.kill(self.id);
    }

    /// Starts it again, unless it runs.
    pub fn start(&self) {
        if !self.up.replace(true) {
            self.handle.restart(self.id);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kill();
        }
    }
}

/// What its process knows.
#[derive(Clone)]
struct Desk {
    number: usize,
    mood: watch::Receiver<Mood>,
    arrivals: Arrivals,
}

type Content = UnsyncBoxBody<Bytes, io::Error>;

/// Serves while it does not refuse to.
async fn open(desk: Desk) {
    let address = address(desk.number).parse().expect("an address");
    let mut mood = desk.mood.clone();
    loop {
        if mood.wait_for(|mood| mood.listens()).await.is_err() {
            return;
        }
        let Ok(listener) = net::bind(address).await else {
            // The connections that it has just closed hold the port for a moment.
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        let (trigger, shutdown) = shutdown::channel();
        // madsim tells nobody that a connection was closed, so a worker that closes idle ones would look like one that
        // never answers.
        let limits = ServeLimits {
            header_timeout: Duration::from_secs(3_600),
            drain: LEAVES_WITHIN,
            ..ServeLimits::default()
        };
        let refusal = async {
            if mood.wait_for(|mood| !mood.listens()).await.is_ok() {
                trigger.fire();
            }
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = serve(listener, desk.clone(), limits, shutdown) => {}
            () = refusal => {}
        }
    }
}

impl Serve for Desk {
    type Service = Visitor;

    fn connected(&self, _remote: SocketAddr) -> Session<Visitor> {
        let (breaks, mut mood) = (Arc::new(Notify::new()), self.mood.clone());
        let service = Visitor { desk: self.clone(), breaks: breaks.clone() };
        let cut = async move {
            let refuses = async {
                if mood.wait_for(|mood| *mood == Mood::Refusing).await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = breaks.notified() => {}
                () = refuses => {}
            }
        };
        Session { service, dismissed: Some(Box::pin(cut)) }
    }
}

/// One connection to it.
struct Visitor {
    desk: Desk,
    /// Breaks the connection.
    breaks: Arc<Notify>,
}

impl Service<Request<Incoming>> for Visitor {
    type Response = Response<Content>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Content>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (desk, breaks) = (self.desk.clone(), self.breaks.clone());
        Box::pin(async move {
            let (response, mood) = desk.answer(request).await;
            if mood == Mood::Vanishing {
                breaks.notify_one();
                pending::<()>().await;
            }
            Ok(response)
        })
    }
}

impl Desk {
    /// The answer, and the mood in which it is given.
    async fn answer(&self, request: Request<Incoming>) -> (Response<Content>, Mood) {
        let mood = *self.mood.borrow();
        if request.uri().path() == HEALTH {
            return (self.health(mood).await, mood);
        }
        let arrived_ms = now_ms();
        let (head, body) = request.into_parts();
        let mut response = match number(&head.headers, ID) {
            None => {
                self.work(mood).await;
                Response::new(whole(format!("w{}", self.number).into()))
            }
            Some(id) => {
                let visit = self.arrivals.arrived(
                    id,
                    Visit {
                        worker: self.number - 1,
                        at_ms: arrived_ms,
                        mood,
                        path: head.uri.path().into(),
                        version: number(&head.headers, VERSION),
                        executed: false,
                    },
                );
                if !self.take(id, &head.headers, body).await {
                    // The client is gone in the middle of its request, or the router is: nobody hears this.
                    return (status(StatusCode::BAD_REQUEST), mood);
                }
                self.work(mood).await;
                self.arrivals.executed(id, visit);
                answer_to(id, &head.headers, mood)
            }
        };
        let headers = response.headers_mut();
        headers.insert(ARRIVED, arrived_ms.to_string().parse().expect("digits"));
        headers.insert(WORKER, self.number.to_string().parse().expect("digits"));
        (response, mood)
    }

    async fn health(&self, mood: Mood) -> Response<Content> {
        self.work(mood).await;
        status(if mood == Mood::Ill { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK })
    }

    /// What it takes to answer in this mood.
    async fn work(&self, mood: Mood) {
        match mood {
            Mood::Well | Mood::Ill | Mood::Dying | Mood::Vanishing | Mood::Refusing | Mood::Leaving => {}
            Mood::Hanging => pending().await,
            Mood::Slow(least, most) => {
                let time = thread_rng().gen_range(least..most);
                sleep(Duration::from_millis(time)).await;
            }
        }
    }

    /// Reads a request's body. Whether it came to its end.
    async fn take(&self, id: u64, headers: &HeaderMap, body: Incoming) -> bool {
        let Ok(body) = read_body(body, BODY_BYTES_MAX).await else { return false };
        let sent = usize::try_from(number(headers, SENT_BYTES).unwrap_or(0)).unwrap_or(0);
        if body != content(id, sent) {
            let what = format!("w{} got {} bytes for {sent}, or others", self.number, body.len());
            self.arrivals.spoiled(id, what);
        }
        true
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn status(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn whole(bytes: Bytes) -> Content {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The answer that belongs to request `id`, all of it or half.
fn answer_to(id: u64, headers: &HeaderMap, mood: Mood) -> Response<Content> {
    let bytes = usize::try_from(number(headers, ANSWER_BYTES).unwrap_or(0)).unwrap_or(0);
    let mut content = Bytes::from(content(id, bytes));
    let length = (!headers.contains_key(IN_CHUNKS)).then_some(bytes as u64);
    let breaks = (mood == Mood::Dying).then(|| {
        content.truncate(bytes / 2);
        let after = thread_rng().gen_range(0..200);
        Box::pin(sleep(Duration::from_millis(after)))
    });
    let is_call = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == GRPC);
    let trailers = is_call.then(|| {
        HeaderMap::from_iter([(HeaderName::from_static(GRPC_STATUS), HeaderValue::from_static("0"))])
    });
    // A body of known length has no trailers in HTTP/1.1.
    let length = length.filter(|_| !is_call);
    let body = Broken { content: Some(content), length, breaks, trailers };
    let mut response = Response::new(body.boxed_unsync());
    if is_call {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        response.headers_mut().insert(TRAILER, HeaderValue::from_static(GRPC_STATUS));
    }
    response.headers_mut().insert(ID, id.to_string().parse().expect("digits"));
    response
}

/// A body that may break off.
struct Broken {
    content: Option<Bytes>,
    /// As the head promises it.
    length: Option<u64>,
    /// What is waited for before it does; `None`: it does not.
    breaks: Option<Pin<Box<Sleep>>>,
    /// What follows it.
    trailers: Option<HeaderMap>,
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(content) = self.content.take().filter(|content| !content.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(content))));
        }
        match &mut self.breaks {
            None => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            Some(wait) => wait.as_mut().poll(cx).map(|()| Some(Err(io::ErrorKind::BrokenPipe.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
