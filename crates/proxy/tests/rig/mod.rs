//! Real sockets: scripted workers behind a proxy on a View that was made by applying log entries, and a client that
//! speaks bytes.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

pub mod authority;
mod client;
pub mod h2;
pub mod http2;
pub mod local;
pub mod route;
pub mod sandbox;
pub mod service;

pub use client::{Answer, Client, fields};

use base64::{Engine, prelude::BASE64_STANDARD};
use quorate_model::{
    Address, BootId, ClusterId, Command, Duty, Entry, HealthChange, KeyspaceSource, LeaseChange, LeaseEvent,
    Load, LogIndex, LogTime, NodeName, Opening, Openings, Origin, Partition, PartitionCount, PartitionRange,
    Proposal, ServiceName, ServiceOffer, ServicePolicy, Ttl, Verdict, WorkerId, worker::RegistrationParts,
};
use quorate_proxy::{Breakers, Config, Feeds, Freshness, Proxy};
use quorate_routing::local::Local;
use quorate_rt::{
    published::Published,
    time::{sleep, timeout},
};
use quorate_state::{Loads, State};
use quorate_telemetry::Metrics;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

/// Long enough for a loaded machine, short enough to notice a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy and the View that it reads.
pub struct Rig {
    pub addr: SocketAddr,
    pub freshness: Arc<Freshness>,
    pub metrics: Arc<Metrics>,
    pub loads: Arc<Published<Loads>>,
    pub openings: Arc<Published<Openings>>,
    /// What this node alone was told.
    pub local: Arc<Published<Local>>,
    opened: tokio::sync::Mutex<mpsc::Receiver<Opening>>,
    pub proxy: Option<Proxy>,
    state: Mutex<State>,
    view: Arc<Published<State>>,
}

pub fn config() -> Config {
    Config::new("127.0.0.1:0".parse().unwrap(), NodeName::parse("n1").unwrap())
}

impl Rig {
    /// A formed cluster of twelve partitions, all of them owned by `worker`.
    pub async fn with(worker: &Worker) -> Self {
        let rig = Self::start(config(), Some(12)).await;
        rig.register("w1", &worker.url(), 0..12);
        rig
    }

    pub async fn start(config: Config, partitions: Option<u32>) -> Self {
        let state = Mutex::new(State::new());
        let view = Published::new(Arc::new(State::new()));
        let openings = Published::new(Arc::<Openings>::default());
        let (teller, opened) = mpsc::channel(64);
        let breakers = Breakers { told: Some(openings.clone()), opened: Some(teller) };
        let feeds = Feeds { breakers, ..Feeds::new(view.clone()) };
        let proxy = Proxy::start(config, feeds.clone()).await.expect("a free port");
        let Feeds { loads, local, freshness, metrics, .. } = feeds;
        let rig = Self {
            addr: proxy.local_addr(),
            freshness,
            metrics,
            loads,
            openings,
            local,
            opened: tokio::sync::Mutex::new(opened),
            proxy: Some(proxy),
            state,
            view,
        };
        let partitions = partitions.map(|n| PartitionCount::new(n).unwrap());
        rig.apply(Command::FormCluster { cluster: ClusterId(1), partitions, source: KeyspaceSource::Kafka });
        rig
    }

    pub fn apply(&self, command: Command) {
        let mut state = self.state.lock().unwrap();
        let index = LogIndex(state.index().0 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        let entry = Entry { at: LogTime(index.0), proposals: vec![Proposal { origin, command }] };
        let applied = state.apply(index, &entry);
        assert!(!matches!(applied.replies[0], quorate_model::Reply::Refused(_)), "{applied:?}");
        self.view.store(Arc::new(state.clone()));
    }

    /// The state that requests are decided on.
    pub fn view(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    pub fn register(&self, id: &str, url: &str, partitions: std::ops::Range<i32>) {
        let mut parts = RegistrationParts::new(
            WorkerId::parse(id).unwrap(),
            Address::parse(url).unwrap(),
            Ttl::new(Duration::from_secs(30)).unwrap(),
        );
        parts.partitions = partitions.map(Partition).collect();
        self.apply(Command::RegisterWorker {
            registration: parts.validate().unwrap(),
            range: PartitionRange::Lenient,
            if_index: None,
        });
    }

    /// Registers a worker that offers `services`, each as `name` or `name=url`; an earlier one of that id is replaced.
    pub fn offer(&self, id: &str, url: &str, services: &[&str]) {
        let mut parts = RegistrationParts::new(
            WorkerId::parse(id).unwrap(),
            Address::parse(url).unwrap(),
            Ttl::new(Duration::from_secs(30)).unwrap(),
        );
        let offer = |service: &&str| {
            let (name, url) =
                service.split_once('=').map_or((*service, None), |(name, url)| (name, Some(url)));
            let url = url.map(|url| Address::parse(url).unwrap());
            ServiceOffer { name: ServiceName::parse(name).unwrap(), version: "1".into(), url }
        };
        parts.services = services.iter().map(offer).collect();
        self.apply(Command::RegisterWorker {
            registration: parts.validate().unwrap(),
            range: PartitionRange::Lenient,
            if_index: None,
        });
    }

    /// What happens to a worker's lease.
    pub fn lease(&self, id: &str, event: LeaseEvent) {
        let epoch = self.state.lock().unwrap().worker(id).unwrap().epoch;
        let id = WorkerId::parse(id).unwrap();
        self.apply(Command::ChangeLeases(vec![LeaseChange { id, epoch, event }]));
    }

    /// What an operator wants of a worker.
    pub fn duty(&self, id: &str, duty: Duty) {
        self.apply(Command::SetDuty { id: WorkerId::parse(id).unwrap(), duty, if_index: None });
    }

    /// A service's policy.
    pub fn policy(&self, service: &str, policy: ServicePolicy) {
        self.apply(Command::PutService {
            name: ServiceName::parse(service).unwrap(),
            policy,
            if_index: None,
        });
    }

    /// What health checks find of a worker, for the service `s`.
    pub fn verdict(&self, id: &str, verdict: Verdict) {
        let incarnation = self.state.lock().unwrap().worker(id).unwrap().incarnation;
        let (service, worker) = (ServiceName::parse("s").unwrap(), WorkerId::parse(id).unwrap());
        self.apply(Command::ChangeHealth(vec![HealthChange { service, worker, incarnation, verdict }]));
    }

    /// What a worker says about itself.
    pub fn says(&self, id: &str, load: Load) {
        let mut loads = (*self.loads.get()).clone();
        loads.insert(WorkerId::parse(id).unwrap(), Arc::new(load));
        self.loads.store(Arc::new(loads));
    }

    /// The life that a worker is in.
    pub fn epoch(&self, id: &str) -> u64 {
        self.state.lock().unwrap().worker(id).unwrap().epoch.0
    }

    /// The next breaker of the proxy that opens, where others are told.
    pub async fn opened(&self) -> Opening {
        self.opened.lock().await.recv().await.expect("the proxy runs")
    }

    /// Waits until all cores have taken up the openings that were stored last: nobody else keeps the ones before.
    pub async fn until_taken_up(&self) {
        let stored = self.openings.get();
        // The cell, this one, and twice each core, which reads and keeps it: the one that listens and the inlet's.
        eventually("every core has looked", || Arc::strong_count(&stored) >= 6).await;
    }

    pub fn in_flight(&self, id: &str) -> u64 {
        self.proxy.as_ref().unwrap().in_flight().of(id)
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: &str) -> Answer {
        self.client().await.ask(request).await
    }

    /// The value of a rendered metric line.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find_map(|l| l.strip_prefix(series).and_then(|rest| rest.strip_prefix(' ')));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    pub async fn until_metric(&self, series: &str, value: u64) {
        eventually(series, || self.metric(series) == value).await;
    }
}

/// Waits for something that must happen soon.
pub async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    timeout(PATIENCE, async {
        while !happened() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

/// The same of something that has to be asked for.
pub async fn eventually_async(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    timeout(PATIENCE, async {
        while !happened().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

/// A request as a worker received it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Everything before the empty line, as sent.
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Heard {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        fields(&self.head).filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }

    /// The one value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} more than once in\n{}", self.head);
        all.first().copied()
    }
}

/// A worker: records what it hears.
pub struct Worker {
    pub addr: SocketAddr,
    pub heard: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
    alive: watch::Sender<bool>,
}

impl Worker {
    /// Answers each request with what `answer` makes of it; keeps connections alive unless told to close.
    pub async fn answering(answer: impl Fn(&Heard) -> String + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = heard.clone();
        Self::scripted_with(heard, move |tcp, connection| {
            let (answer, record) = (answer.clone(), record.clone());
            async move {
                let mut client = Client::of(tcp);
                while let Some((head, body)) = client.message().await {
                    let heard = Heard { head, body, connection };
                    let text = answer(&heard);
                    record.lock().unwrap().push(heard);
                    if client.send(text.as_bytes()).await.is_err() || text.contains("onnection: close") {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Says 200 and `ok` to everything.
    pub async fn ok() -> Self {
        Self::answering(|_| ok("ok")).await
    }

    /// Does with each connection what `script` says.
    pub async fn scripted<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_with(Arc::default(), script).await
    }

    async fn scripted_with<F: Future<Output = ()> + Send + 'static>(
        heard: Arc<Mutex<Vec<Heard>>>,
        script: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (alive, mut living) = watch::channel(true);
        let count = connections.clone();
        quorate_rt::spawn(async move {
            loop {
                let tcp = tokio::select! {
                    _ = living.wait_for(|alive| !alive) => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let script = script(tcp, count.fetch_add(1, Ordering::SeqCst));
                let mut living = living.clone();
                quorate_rt::spawn(async move {
                    tokio::select! {
                        _ = living.wait_for(|alive| !alive) => {}
                        () = script => {}
                    }
                });
            }
        });
        Self { addr, heard, connections, alive }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The last request.
    pub fn last(&self) -> Heard {
        self.heard().pop().expect("a request")
    }

    /// Closes the listener and all connections, and waits until dialling is refused.
    pub async fn die(&self) {
        self.alive.send_replace(false);
        let addr = self.addr;
        timeout(PATIENCE, async {
            while TcpStream::connect(addr).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("dialling is refused");
    }
}

/// What a worker says to a WebSocket's handshake.
pub fn accept(head: &str) -> String {
    let key = fields(head).find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).unwrap().1;
    assert_eq!(BASE64_STANDARD.decode(key).unwrap().len(), 16);
    let salted = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
    BASE64_STANDARD.encode(digest)
}

/// A plain 200.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A request for workspace `w1` with further header lines.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: r.example\r\nX-Workspace-ID: w1\r\n{headers}\r\n")
}
