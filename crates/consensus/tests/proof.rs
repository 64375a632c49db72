//! The cluster's secret: nodes that share it form a cluster, and nobody else changes a bit of it.
#![cfg(not(madsim))]

mod guarded;

use bytes::Bytes;
use guarded::{Cluster, Stranger, impostor, me, messages, secret};
use http::StatusCode;
use quorate_codec::peer::{Introduction, decode_challenge, encode_introduction, encode_proof};
use quorate_consensus::peer::{
    client::{CallError, Dialler, Links},
    gate::{PROVE_WITHIN, UNPROVEN_MAX},
    path,
    proof::{Exchange, Side},
};
use quorate_model::{ClusterId, NodeId};
use quorate_rt::time::{self, Instant};
use std::time::Duration;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_one_secret_form_a_cluster() {
    let cluster = Cluster::formed(&secret(1)).await;
    for i in 0..3 {
        cluster.write(i, &format!("w{i}")).await.expect("a quorum is up");
    }
}

/// Sends every message there is, and expects 401 for each.
async fn expect_refused(who: &str, stranger: &mut Stranger, term: u64) {
    for (path, body) in messages(term, stranger.to) {
        let (status, _) = stranger.send(path, body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{who}: {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_on_every_path_and_change_nothing() {
    let cluster = Cluster::formed(&secret(1)).await;
    let before = cluster.picture();
    for i in 0..3 {
        let (address, id) = (cluster.address(i), cluster.consensus(i).id());
        let term = before.0[i] + 1_000;

        let mut silent = Stranger::connect(&address, id).await;
        expect_refused("no secret", &mut silent, term).await;

        let mut wrong = Stranger::connect(&address, id).await;
        let (status, _) = wrong.prove(&secret(2), None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        expect_refused("wrong secret", &mut wrong, term).await;
        let (status, _) = wrong.prove(&secret(1), None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "a connection has one try");

        let mut foreign = Stranger::connect(&address, id).await;
        let (status, _) = foreign.prove(&secret(1), Some(ClusterId(7))).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        expect_refused("another cluster", &mut foreign, term).await;
    }
    assert_eq!(cluster.picture(), before);

    // The control: the same messages pass once the connection is proven, so the above could have failed.
    let leader = cluster.leader();
    let mut proven = Stranger::connect(&cluster.address(leader), cluster.consensus(leader).id()).await;
    assert_eq!(proven.prove(&secret(1), None).await.0, StatusCode::OK);
    let (status, _) = proven.send(path::LEASES, Vec::new()).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "who names no cluster may ask little");
    proven.cluster = cluster.consensus(leader).cluster();
    for (path, body) in messages(before.0[leader], proven.to) {
        if matches!(path, path::HELLO | path::PROPOSE | path::HEARTBEATS | path::LEASES) {
            assert_eq!(proven.send(path, body).await.0, StatusCode::OK, "{path}");
        }
    }
    cluster.until(|c| c.picture() != before).await;
    proven.from = NodeId(4_321);
    let (status, _) = proven.send(path::HELLO, Vec::new()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "in the name of another node than the one that was proven");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_proof_is_worth_nothing_on_another_connection() {
    let cluster = Cluster::formed(&secret(1)).await;
    let (address, id) = (cluster.address(0), cluster.consensus(0).id());
    let mut first = Stranger::connect(&address, id).await;
    let introduction = Introduction { from: first.from, to: Some(id), cluster: None, nonce: [5; 32] };
    let said = encode_introduction(&introduction);
    let (_, challenge) = first.send(path::CHALLENGE, said.clone()).await;
    let exchange = Exchange { introduction, challenge: decode_challenge(&challenge).expect("ours") };
    let recorded = encode_proof(&secret(1).prove(Side::Dialler, &exchange));
    assert_eq!(first.send(path::PROOF, recorded.clone()).await.0, StatusCode::OK);
    assert_eq!(first.send(path::HELLO, Vec::new()).await.0, StatusCode::OK);

    let mut second = Stranger::connect(&address, id).await;
    assert_eq!(second.send(path::PROOF, recorded.clone()).await.0, StatusCode::UNAUTHORIZED, "out of turn");
    assert_eq!(second.send(path::CHALLENGE, said.clone()).await.0, StatusCode::OK);
    assert_eq!(second.send(path::CHALLENGE, said).await.0, StatusCode::UNAUTHORIZED, "introduced twice");
    assert_eq!(second.send(path::PROOF, recorded).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(second.send(path::HELLO, Vec::new()).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_right_secret_neither_joins_nor_disturbs() {
    let mut cluster = Cluster::formed(&secret(1)).await;
    let odd = (cluster.leader() + 1) % 3;
    let writer = (odd + 1) % 3;
    for (nth, theirs) in [Some(secret(2)), None].into_iter().enumerate() {
        cluster.crash(odd).await;
        let term = cluster.consensus(writer).metrics().current_term;
        cluster.start(odd, theirs).await;
        let id = format!("while-away-{nth}");
        cluster.write(writer, &id).await.expect("two of three are a quorum");
        time::sleep(2 * SECOND).await;
        assert_eq!(cluster.consensus(writer).metrics().current_term, term, "no election");
        assert!(cluster.consensus(odd).view().get().worker(&id).is_none(), "it hears nothing");
        assert_eq!(cluster.consensus(odd).peers_reachable(), 0);
        cluster.write(odd, "from-outside").await.expect_err("nobody listens to it");
    }
    cluster.crash(odd).await;
    cluster.start(odd, Some(secret(1))).await;
    cluster.until(|c| c.consensus(odd).view().get().worker("while-away-1").is_some()).await;
    assert!(cluster.consensus(odd).view().get().worker("from-outside").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_and_without_a_secret_refuse_each_other() {
    let guarded = Cluster::formed(&secret(1)).await;
    let open = Cluster::start_all(None).await;
    let without = Links::new(Dialler::new(me(99, None)));
    let refused = without.call(None, &guarded.address(0), (path::HELLO, Vec::new()), SECOND).await;
    assert!(matches!(refused, Err(CallError::Unproven { .. })), "{refused:?}");
    let with = Links::new(Dialler::new(me(99, Some(secret(1)))));
    let refused = with.call(None, &open.address(0), (path::HELLO, Vec::new()), SECOND).await;
    assert!(matches!(refused, Err(CallError::Unproven { .. })), "{refused:?}");
    with.call(None, &guarded.address(0), (path::HELLO, Vec::new()), SECOND).await.expect("one secret");
    without.call(None, &open.address(0), (path::HELLO, Vec::new()), SECOND).await.expect("no secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_an_impostor() {
    let links = Links::new(Dialler::new(me(99, Some(secret(1)))));
    for proof in [
        |_: Bytes| Bytes::from(encode_proof(&[0; 32])),
        // The caller's own proof, sent back to it.
        |ours: Bytes| ours,
        |_: Bytes| Bytes::new(),
    ] {
        let (address, heard) = impostor(NodeId(1), proof).await;
        let refused = links.call(Some(NodeId(1)), &address, (path::PROPOSE, vec![1; 100]), SECOND).await;
        assert!(matches!(refused, Err(CallError::Unproven { .. })), "{refused:?}");
        assert_eq!(*heard.lock().expect("no panic"), [path::CHALLENGE, path::PROOF]);
    }
    // One that calls itself by another name, or by ours, does not even get our proof.
    for id in [NodeId(2), NodeId(99)] {
        let (address, heard) = impostor(id, |ours| ours).await;
        let refused = links.call(Some(NodeId(1)), &address, (path::PROPOSE, vec![1; 100]), SECOND).await;
        assert!(matches!(refused, Err(CallError::Unproven { .. })), "{refused:?}");
        assert_eq!(*heard.lock().expect("no panic"), [path::CHALLENGE]);
    }
}

/// When the other side closes; anything that it says before is passed over.
async fn closed(tcp: &mut TcpStream) {
    let mut buffer = [0; 1_024];
    while !matches!(tcp.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unproven_connection_is_closed_in_time_and_a_proven_one_stays() {
    let cluster = Cluster::formed(&secret(1)).await;
    let (address, id) = (cluster.address(0), cluster.consensus(0).id());
    let start = Instant::now();
    let mut silent = TcpStream::connect(&address).await.expect("it listens");
    let mut half = Stranger::connect(&address, id).await;
    let mut proven = Stranger::connect(&address, id).await;
    assert_eq!(half.send(path::HELLO, Vec::new()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(proven.prove(&secret(1), None).await.0, StatusCode::OK);
    time::timeout(PROVE_WITHIN + SECOND, closed(&mut silent)).await.expect("closed in time");
    assert!(start.elapsed() >= PROVE_WITHIN - SECOND, "not before: {:?}", start.elapsed());
    while !half.connection.is_closed() {
        assert!(start.elapsed() < PROVE_WITHIN + SECOND, "talking does not help");
        time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(proven.send(path::HELLO, Vec::new()).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_makes_room_for_itself_and_peers_get_in() {
    let cluster = Cluster::formed(&secret(1)).await;
    let address = cluster.address(0);
    let mut oldest = TcpStream::connect(&address).await.expect("it listens");
    time::sleep(Duration::from_millis(100)).await;
    let mut flood = Vec::new();
    for _ in 0..UNPROVEN_MAX {
        flood.push(TcpStream::connect(&address).await.expect("it listens"));
    }
    time::timeout(SECOND, closed(&mut oldest)).await.expect("the oldest makes room");
    let dialler = Dialler::new(me(99, Some(secret(1))));
    let to = Some(cluster.consensus(0).id());
    dialler.connect(to, &address, SECOND).await.expect("a peer gets in");
}
