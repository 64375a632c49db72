//! Three nodes behind a secret, and those who do not belong to them.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use quorate_codec::{
    log::encode_vote,
    peer::{
        Append, Challenge, Introduction, Transfer, VoteAsked, decode_challenge, encode_append,
        encode_challenge, encode_hand_over, encode_heartbeats, encode_introduction, encode_proof,
        encode_transfer, encode_vote_asked,
    },
    proposal::encode_proposals,
    raft::{LogId, Vote},
    snapshot,
};
use quorate_consensus::{
    AddressBook, Applied, Committed, Consensus, Options, Secret, SelfId, Unavailable,
    peer::{
        header, path,
        proof::{Exchange, Side},
        wire,
    },
};
use quorate_model::{
    Address, BootId, ClusterId, Command, FeatureLevel, KeyspaceSource, LogIndex, NodeId, NodeLevels,
    NodeName, NodeRecord, Origin, PartitionCount, PartitionRange, Proposal, RegistrationParts, Ttl, WorkerId,
};
use quorate_rt::{
    http::{H2Client, ServeLimits, full, read_body},
    net, rng, shutdown, time,
};
use quorate_storage::{CrashMode, Disk, SimDisk};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

const NODES: usize = 3;

/// A secret of its own for each number.
pub fn secret(number: u8) -> Secret {
    Secret::new(&[number; 32]).expect("long enough")
}

/// A node that is in no cluster.
pub fn me(id: u64, secret: Option<Secret>) -> SelfId {
    SelfId { id: NodeId(id), name: name(8), cluster: Arc::default(), secret }
}

fn name(i: usize) -> NodeName {
    NodeName::parse(&format!("n{}", i + 1)).expect("valid")
}

fn register(id: &str) -> Command {
    let ttl = Ttl::new(Duration::from_secs(3_600)).expect("valid");
    let address = Address::parse("http://h:1").expect("valid");
    let parts = RegistrationParts::new(WorkerId::parse(id).expect("valid"), address, ttl);
    let registration = parts.validate().expect("valid");
    Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
}

struct Running {
    consensus: Consensus,
    stop: shutdown::Trigger,
}

/// Three nodes.
pub struct Cluster {
    book: BTreeMap<NodeName, String>,
    disks: Vec<SimDisk>,
    running: Vec<Option<Running>>,
}

impl Cluster {
    /// Started with one secret, and formed.
    pub async fn formed(secret: &Secret) -> Self {
        let cluster = Self::start_all(Some(secret.clone())).await;
        let complete = |c: &Self| (0..NODES).all(|i| c.consensus(i).view().get().nodes().count() == NODES);
        cluster.until(complete).await;
        // The last entry that a new cluster writes by itself.
        cluster.until(|c| (0..NODES).all(|i| c.consensus(i).feature_level() == FeatureLevel::NEWEST)).await;
        cluster.until(|c| c.picture().1.windows(2).all(|two| two[0] == two[1])).await;
        cluster
    }

    /// Started.
    pub async fn start_all(secret: Option<Secret>) -> Self {
        // Bound once to get free ports, then released for the nodes.
        let held: Vec<_> =
            (0..NODES).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("free")).collect();
        let address = |l: &std::net::TcpListener| l.local_addr().expect("bound").to_string();
        let book = held.iter().enumerate().map(|(i, l)| (name(i), address(l))).collect();
        drop(held);
        let disks = (0..NODES).map(|_| SimDisk::default()).collect();
        let mut cluster = Self { book, disks, running: (0..NODES).map(|_| None).collect() };
        for i in 0..NODES {
            cluster.start(i, secret.clone()).await;
        }
        cluster
    }

    /// Starts one node.
    pub async fn start(&mut self, i: usize, secret: Option<Secret>) {
        let disk = self.disks[i].open(&name(i)).expect("its own disk");
        let identity = disk.identity();
        let applied = Applied::new(Arc::default());
        let (log, machine) =
            quorate_storage::open(&disk, applied.clone(), Arc::default()).await.expect("a sound disk");
        let record = NodeRecord {
            id: identity.id,
            name: name(i),
            boot: BootId(rng::random_u64()),
            peer: self.address(i).into(),
            management: "127.0.0.1:9".into(),
            version: "test".into(),
        };
        let cluster = Arc::new(identity.cluster.map_or_else(OnceLock::new, OnceLock::from));
        let options = Options {
            me: SelfId { id: identity.id, name: name(i), cluster, secret },
            book: AddressBook::new(self.book.clone()),
            record,
            heartbeat: Duration::from_millis(50),
            election: Duration::from_millis(250),
            partitions: PartitionCount::new(12).ok(),
            source: KeyspaceSource::Static,
            levels: NodeLevels { max: FeatureLevel::NEWEST, cluster: FeatureLevel::FIRST },
            snapshot_every: 200,
            gateway_ttl: Duration::from_secs(5),
        };
        let consensus = Consensus::start(options, log, machine, applied).await.expect("starts");
        let address = self.address(i).parse().expect("an address");
        let listener = net::bind(address).await.expect("free");
        let (stop, stopped) = shutdown::channel();
        let limits = ServeLimits { drain: Duration::from_millis(10), ..ServeLimits::default() };
        quorate_rt::spawn(quorate_rt::http::serve(listener, consensus.peer_service(), limits, stopped));
        self.running[i] = Some(Running { consensus, stop });
    }

    /// Ends one node.
    pub async fn crash(&mut self, i: usize) {
        let running = self.running[i].take().expect("runs");
        running.stop.fire();
        self.disks[i].crash(CrashMode::LoseAll);
        running.consensus.shutdown().await;
        time::sleep(Duration::from_millis(50)).await;
    }

    /// One node's consensus.
    pub fn consensus(&self, i: usize) -> &Consensus {
        &self.running[i].as_ref().expect("runs").consensus
    }

    /// One node's peer address.
    pub fn address(&self, i: usize) -> String {
        self.book[&name(i)].clone()
    }

    /// Who leads.
    pub fn leader(&self) -> usize {
        (0..NODES).find(|i| self.consensus(*i).speaks_for_quorum()).expect("there is a leader")
    }

    /// The terms and the applied indexes of all nodes.
    pub fn picture(&self) -> (Vec<u64>, Vec<LogIndex>) {
        let all = || (0..NODES).map(|i| self.consensus(i));
        let terms = all().map(|c| c.metrics().current_term).collect();
        (terms, all().map(|c| c.view().get().index()).collect())
    }

    /// Registers a worker through one node.
    pub async fn write(&self, i: usize, id: &str) -> Result<Committed, Unavailable> {
        self.consensus(i).propose(register(id)).await
    }

    /// Waits for a condition.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let deadline = time::Instant::now() + Duration::from_secs(15);
        while !condition(self) {
            assert!(time::Instant::now() < deadline, "the condition did not come true in time");
            time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Every message of the protocol, each meant to do harm.
pub fn messages(term: u64, to: NodeId) -> Vec<(&'static str, Vec<u8>)> {
    let vote = Vote { term, node: 666, committed: false };
    let leader = Vote { committed: true, ..vote };
    let last = Some(LogId { term, leader: 666, index: 1_000_000 });
    let asked = encode_vote_asked(&VoteAsked { vote, last, transfer: true });
    let append = Append { vote: leader, previous: None, records: Vec::new(), committed: None };
    let state = quorate_state::State::new().parts();
    let meta = snapshot::SnapshotMeta { last_log_id: last, ..Default::default() };
    let container = snapshot::encode(&meta, &state);
    let snapshot = [&wire::frame(&encode_vote(&leader))[..], &container].concat();
    let origin = Origin { boot: BootId(666), sequence: 1 };
    let proposals = encode_proposals(&[Proposal { origin, command: register("intruder") }]);
    vec![
        (path::HELLO, Vec::new()),
        (path::VOTE, asked.clone()),
        (path::PRE_VOTE, asked),
        (path::APPEND, wire::frame(&encode_append(&append)).to_vec()),
        (path::SNAPSHOT, snapshot),
        (path::TRANSFER, encode_transfer(&Transfer { from: leader, to, last: None })),
        (path::PROPOSE, proposals),
        (path::HEARTBEATS, encode_heartbeats(&[])),
        (path::READ_INDEX, Vec::new()),
        (path::HAND_OVER, encode_hand_over(None)),
        (path::LEASES, Vec::new()),
        ("/no/such/path", Vec::new()),
    ]
}

/// Somebody who reached the peer port.
pub struct Stranger {
    /// Its connection.
    pub connection: H2Client,
    /// Whom it claims to be.
    pub from: NodeId,
    /// To whom it speaks.
    pub to: NodeId,
    /// Of which cluster it says that it is.
    pub cluster: Option<ClusterId>,
}

impl Stranger {
    /// Connects and says nothing.
    pub async fn connect(address: &str, to: NodeId) -> Self {
        let connection = H2Client::connect(address).await.expect("it listens");
        Self { connection, from: NodeId(666), to, cluster: None }
    }

    /// Sends one message.
    pub async fn send(&mut self, path: &str, body: Vec<u8>) -> (StatusCode, Bytes) {
        let mut request = Request::post(format!("http://peer{path}"))
            .header(header::FROM, self.from.0)
            .header(header::TO, self.to.0);
        if let Some(cluster) = self.cluster {
            request = request.header(header::CLUSTER, cluster.to_string());
        }
        let request = request.body(full(body)).expect("a request");
        let answer = self.connection.send(request).await.expect("an answer");
        (answer.status(), read_body(answer.into_body(), 1 << 20).await.expect("a body"))
    }

    /// Tries to prove itself; the last answer.
    pub async fn prove(&mut self, secret: &Secret, cluster: Option<ClusterId>) -> (StatusCode, Bytes) {
        let introduction = Introduction { from: self.from, to: Some(self.to), cluster, nonce: [9; 32] };
        let (status, said) = self.send(path::CHALLENGE, encode_introduction(&introduction)).await;
        if status != StatusCode::OK {
            return (status, said);
        }
        let exchange = Exchange { introduction, challenge: decode_challenge(&said).expect("a challenge") };
        self.send(path::PROOF, encode_proof(&secret.prove(Side::Dialler, &exchange))).await
    }
}

/// Somebody who took a peer's address and does not know the secret; also which paths it was asked.
pub async fn impostor(id: NodeId, proof: fn(Bytes) -> Bytes) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = net::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let hears = hears.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = read_body(request.into_body(), 1 << 20).await.expect("a body");
            hears.lock().expect("no panic").push(path.clone());
            let challenge = Challenge { id, cluster: None, nonce: [8; 32] };
            Ok::<_, Infallible>(Response::new(full(match path.as_str() {
                path::CHALLENGE => Bytes::from(encode_challenge(&challenge)),
                _ => proof(body),
            })))
        }
    });
    let (stop, stopped) = shutdown::channel();
    quorate_rt::spawn(async move {
        quorate_rt::http::serve(listener, service, ServeLimits::default(), stopped).await;
        drop(stop);
    });
    (address, heard)
}
