//! A breaker that opens at one node, as the others' data planes hear of it: from proxy to consensus, over the network,
//! and into another proxy.
#![cfg(not(madsim))]

mod support;

use http::Request;
use quorate_model::{
    Address, Command, PartitionRange, RegistrationParts, Reply, ServiceName, ServiceOffer, ServicePolicy,
    Ttl, WorkerId,
    policy::{Balancing, Breaker},
};
use quorate_node::Node;
use quorate_rt::{
    http::{full, request_once},
    net,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{cluster, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OPENED: &str = "quorate_proxy_breaker_changes_total{change=\"opened\"}";

/// A worker that answers each request with this status, and how many it had.
async fn worker(status: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = net::bind("127.0.0.1:0".parse().expect("valid")).await.expect("a free port");
    let (addr, asked) = (listener.local_addr().expect("bound"), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    quorate_rt::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let count = count.clone();
            quorate_rt::spawn(async move {
                let mut heard = Vec::new();
                while tcp.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
                    if heard.ends_with(b"\r\n\r\n") {
                        heard.clear();
                        count.fetch_add(1, Ordering::SeqCst);
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        if tcp.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (addr, asked)
}

async fn propose(node: &Node, command: Command) {
    let proposed = node.consensus().propose(command).await.expect("there is a leader");
    assert!(!matches!(proposed.reply, Reply::Refused(_)), "{proposed:?}");
}

fn registration(id: &str, at: SocketAddr) -> Command {
    let address = Address::parse(&format!("http://{at}")).expect("valid");
    let ttl = Ttl::new(Duration::from_secs(600)).expect("valid");
    let mut parts = RegistrationParts::new(WorkerId::parse(id).expect("valid"), address, ttl);
    parts.services = vec![ServiceOffer { name: service(), version: "1".into(), url: None }];
    let registration = parts.validate().expect("valid");
    Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
}

fn service() -> ServiceName {
    ServiceName::parse("upload").expect("valid")
}

async fn ask(node: &Node) -> u16 {
    let at = node.routing_addr().to_string();
    let request = Request::get("/api/service/upload/x").header("host", &at).body(full(&b""[..]));
    let answer = request_once(&at, request.expect("valid"), 1 << 20).await.expect("an answer");
    answer.status().as_u16()
}

fn opened(node: &Node) -> u64 {
    let text = node.metrics().render();
    let value = text.lines().find_map(|line| line.strip_prefix(OPENED)?.strip_prefix(' '));
    value.expect("it is there from the start").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_one_node_has_found_sick_is_left_alone_by_the_others() {
    let nodes = cluster().await;
    let ((sick, asked), (good, _)) = (worker("500 X").await, worker("204 X").await);
    propose(&nodes[0], registration("sick", sick)).await;
    propose(&nodes[0], registration("good", good)).await;
    let breaker = Breaker { failures: 3, open_ms: 3_600_000, shared: true, ..Breaker::default() };
    let policy = ServicePolicy {
        balancing: Some(Balancing::RoundRobin),
        breaker: Some(breaker),
        ..ServicePolicy::default()
    };
    propose(&nodes[0], Command::PutService { name: service(), policy, if_index: None }).await;
    let has_all = |node: &Node| {
        let view = node.view().get();
        let both = view.service("upload").is_some_and(|service| service.serving_count() == 2);
        both && view.service("upload").is_some_and(|service| service.stored_policy().is_some())
    };
    until("all know", || nodes.iter().all(has_all)).await;
    // The others have asked for it before, which opens nothing: from here on they learn by hearsay only.
    for node in &nodes[1..] {
        for _ in 0..2 {
            ask(node).await;
        }
    }
    assert_eq!((asked.load(Ordering::SeqCst), opened(&nodes[1]), opened(&nodes[2])), (2, 0, 0));
    for _ in 0..6 {
        ask(&nodes[0]).await;
    }
    assert_eq!((asked.load(Ordering::SeqCst), opened(&nodes[0])), (5, 1), "its own three failures");
    until("all have taken it up", || nodes.iter().all(|node| opened(node) == 1)).await;
    for node in &nodes {
        for _ in 0..6 {
            assert_eq!(ask(node).await, 204);
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 5, "nobody had to find out for himself");
    for node in nodes {
        node.shutdown().await;
    }
}
