//! Somebody who reaches the peer listener and is not a peer: nothing changes, not even a term.

use crate::support::{PATIENCE, cluster::Cluster, eventually, machine_shared, node::Node, within};
use hyper::Request;
use quorate_codec::{
    log::{LogId, LogRecord, Payload, Vote, encode_vote},
    peer::{self, Append, Hello, Transfer, VoteAsked},
    proposal::encode_proposals,
};
use quorate_model::{BootId, Command, Origin, Proposal, WorkerId};
use quorate_rt::http::{H2Client, full, read_body};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

const TERM: u64 = 1_000_000;
const CLUSTER: &str = "x-quorate-cluster";
const FROM: &str = "x-quorate-from";
const TO: &str = "x-quorate-to";

/// What a request says of its sender and its recipient.
#[derive(Clone, Debug)]
pub struct Claims {
    pub cluster: Option<String>,
    pub from: u64,
    pub to: Option<u64>,
}

/// One request over HTTP/2, as peers speak; status and body of the answer.
pub fn call(node: &Node, claims: &Claims, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let address = node.peer.to_string();
    let mut request = Request::post(format!("http://{address}{path}")).header(FROM, claims.from);
    if let Some(cluster) = &claims.cluster {
        request = request.header(CLUSTER, cluster);
    }
    if let Some(to) = claims.to {
        request = request.header(TO, to);
    }
    let request = request.body(full(body)).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let exchange = async {
            let mut connection = H2Client::connect(&address).await.expect("it listens");
            let answer = connection.send(request).await.expect("it answers");
            let status = answer.status().as_u16();
            (status, read_body(answer.into_body(), 1 << 20).await.expect("a body").to_vec())
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("in time")
    })
}

/// What a node says of itself, once that includes its cluster.
pub fn hello(node: &Node) -> Hello {
    let nobody = Claims { cluster: None, from: 7, to: None };
    eventually("it knows its cluster", || {
        let (status, body) = call(node, &nobody, "/peer/v1/hello", Vec::new());
        assert_eq!(status, 200);
        Some(peer::decode_hello(&body).expect("a hello")).filter(|hello| hello.cluster.is_some())
    })
}

/// Everything that could change a cluster, from a candidate, a leader or a peer that there is not.
fn attacks(node: &Hello) -> Vec<(&'static str, Vec<u8>)> {
    let vote = |committed| Vote { term: TERM, node: 7, committed };
    let at = LogId { term: TERM, leader: 7, index: 1_000 };
    let asked = peer::encode_vote_asked(&VoteAsked { vote: vote(false), last: Some(at), transfer: true });
    let record = LogRecord { term: TERM, leader: 7, index: 1_000, payload: Payload::Blank };
    let append = peer::encode_append(&Append {
        vote: vote(true),
        previous: None,
        records: vec![record],
        committed: Some(at),
    });
    let framed = |message: Vec<u8>| {
        [&u32::try_from(message.len()).expect("small").to_le_bytes()[..], &message].concat()
    };
    let transfer = peer::encode_transfer(&Transfer { from: vote(true), to: node.id, last: None });
    let command =
        Command::UnregisterWorker { id: WorkerId::parse("w1").expect("an id"), epoch: None, if_index: None };
    let proposal = Proposal { origin: Origin { boot: BootId(7), sequence: 1 }, command };
    vec![
        ("/raft/v1/vote", asked.clone()),
        ("/raft/v1/pre-vote", asked),
        ("/raft/v1/append", framed(append)),
        ("/raft/v1/transfer", transfer),
        ("/raft/v1/snapshot", framed(encode_vote(&vote(true)))),
        ("/peer/v1/propose", encode_proposals(&[proposal])),
        ("/peer/v1/hand-over", peer::encode_hand_over(None)),
        ("/peer/v1/heartbeats", peer::encode_heartbeats(&[])),
        ("/peer/v1/leases", Vec::new()),
        ("/peer/v1/read-index", Vec::new()),
    ]
}

/// All that must not change.
fn picture(cluster: &Cluster) -> Vec<(Value, Value, Value)> {
    let look = |node: &Node| {
        let said = node.get("/v1/cluster?consistent=true");
        (said["term"].clone(), said["leader"].clone(), node.get("/v1/workers")["items"].clone())
    };
    cluster.nodes.iter().map(look).collect()
}

#[test]
fn a_stranger_with_a_wrong_cluster_or_a_wrong_recipient_changes_nothing_not_even_a_term() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let before = picture(&cluster);
    for node in &cluster.nodes {
        let known = hello(node);
        let ours = known.cluster.expect("it has a cluster").to_string();
        let other = format!("{}{}", if ours.starts_with('0') { "1" } else { "0" }, &ours[1..]);
        let right = Claims { cluster: Some(ours), from: 7, to: Some(known.id.0) };
        for claims in [
            Claims { cluster: Some(other), ..right.clone() },
            Claims { cluster: Some(String::new()), ..right.clone() },
            Claims { cluster: Some("no cluster at all".into()), ..right.clone() },
            Claims { to: Some(known.id.0 ^ 1), ..right.clone() },
            Claims { to: None, ..right.clone() },
        ] {
            for (path, body) in attacks(&known) {
                let (status, answer) = call(node, &claims, path, body);
                assert_eq!(status, 421, "{path} {claims:?}: {}", String::from_utf8_lossy(&answer));
            }
        }
    }
    assert_eq!(picture(&cluster), before);
    cluster.nodes[0].register("later", "http://127.0.0.1:1", &[]).ok();
    assert_eq!(cluster.nodes[0].get("/v1/cluster")["term"], before[0].0);
}

#[test]
fn what_is_no_message_changes_nothing() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let before = picture(&cluster);
    for node in &cluster.nodes {
        let known = hello(node);
        let ours = known.cluster.expect("it has a cluster").to_string();
        let right = Claims { cluster: Some(ours), from: 7, to: Some(known.id.0) };
        for (path, body) in attacks(&known).into_iter().filter(|(_, body)| !body.is_empty()) {
            for bad in [body[..body.len() - 1].to_vec(), vec![0xff; 40], [b"\x63".to_vec(), body].concat()] {
                let (status, answer) = call(node, &right, path, bad);
                // A stream has no status of its own for a frame that can't be read: it ends.
                let ended = path == "/raft/v1/append" && (status, answer.len()) == (200, 0);
                let text = String::from_utf8_lossy(&answer).into_owned();
                assert!(ended || status == 400, "{path}: {status} {text}");
            }
        }
        let (status, _) = call(node, &right, "/v1/workers", Vec::new());
        assert_eq!(status, 404);
        for garbage in
            [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET /v1/workers HTTP/1.1\r\nhost: x\r\n\r\n", &[0; 512]]
        {
            let mut tcp = TcpStream::connect(node.peer).expect("it listens");
            tcp.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
            tcp.write_all(garbage).expect("sent");
            // Whatever it says to that, or nothing.
            let _ = tcp.read(&mut [0; 1_024]);
        }
    }
    assert_eq!(picture(&cluster), before);
    for node in &mut cluster.nodes {
        assert!(within(Duration::ZERO, || node.has_ended()).is_none(), "{} goes on", node.name);
    }
}

/// A cluster whose nodes have these secrets, each in a file of its own: a node that starts must not
/// read a file that is being written for the next one.
fn with_secrets(folder: &std::path::Path, secrets: [&str; 3]) -> Cluster {
    let mut cluster = Cluster::planned();
    for (node, secret) in cluster.nodes.iter_mut().zip(secrets) {
        let file = folder.join(&node.name);
        std::fs::write(&file, secret.repeat(40)).expect("written");
        node.args.extend(["--cluster-secret-file".to_owned(), file.display().to_string()]);
        node.start();
    }
    cluster
}

#[test]
fn with_a_secret_even_who_knows_every_id_changes_nothing_without_it() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = with_secrets(folder.path(), ["a", "a", "a"]);
    cluster.ready();
    let _workers = cluster.with_workers();
    let before = picture(&cluster);
    let said = cluster.nodes[0].get("/v1/cluster?consistent=true");
    for (node, known) in cluster.nodes.iter().zip(said["nodes"].as_array().expect("a list")) {
        let id: u64 = known["id"].as_str().expect("text").parse().expect("a number");
        let ours = said["cluster_id"].as_str().map(str::to_owned);
        let claims = Claims { cluster: ours, from: 7, to: Some(id) };
        let hello = Hello {
            cluster: None,
            id: quorate_model::NodeId(id),
            name: quorate_model::NodeName::parse(&node.name).expect("a name"),
            boot: BootId(0),
            initialized: true,
            members: Vec::new(),
            applied: quorate_model::LogIndex(0),
        };
        for (path, body) in attacks(&hello).into_iter().chain([("/peer/v1/hello", Vec::new())]) {
            let (status, answer) = call(node, &claims, path, body);
            assert_eq!(status, 401, "{path}: {}", String::from_utf8_lossy(&answer));
        }
    }
    assert_eq!(picture(&cluster), before);
}

#[test]
fn a_node_with_another_secret_is_no_part_of_the_cluster_and_says_why() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = with_secrets(folder.path(), ["a", "a", "b"]);
    eventually("all say why", || {
        let told = |node: &Node| node.log().contains("does not fit our cluster secret");
        cluster.nodes.iter().all(told).then_some(())
    });
    for node in &mut cluster.nodes {
        node.becomes("starting");
    }
    let right = cluster.nodes[0].args.last().expect("its file").clone();
    cluster.nodes[2].kill();
    *cluster.nodes[2].args.last_mut().expect("its file") = right;
    cluster.nodes[2].start();
    cluster.ready();
}
