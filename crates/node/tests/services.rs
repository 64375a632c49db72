//! Requests for services, as a whole node takes them: on both of its listeners, in both of HTTP's versions.
#![cfg(not(madsim))]

use http::{Request, Response};
use quorate_model::{
    Address, Command, PartitionRange, RegistrationParts, ServiceName, ServiceOffer, Ttl, WorkerId,
};
use quorate_node::{
    Node, Platform,
    config::{Config, Sources},
    readiness::Phase,
};
use quorate_rt::{
    http::{H2Client, full, read_body, request_once},
    net, time,
};
use quorate_storage::SimDisk;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn node() -> Node {
    let flags = ["routing", "management", "peer"].map(|listener| (listener.into(), "127.0.0.1:0".into()));
    let sources = Sources { flags: flags.into(), ..Sources::default() };
    let config = Config::load(&sources).expect("valid");
    let disk = Arc::new(SimDisk::new().open(&config.node_name).expect("an empty disk"));
    let platform = Platform { disk, partition_source: None, secret: None, detour: None };
    let node = Node::start(config, platform).await.expect("starts");
    let deadline = time::Instant::now() + Duration::from_secs(20);
    while node.readiness().phase() != Phase::Serving {
        assert!(time::Instant::now() < deadline, "not ready in time");
        time::sleep(Duration::from_millis(10)).await;
    }
    node
}

/// Answers each request with its first line, and how many bytes its body has.
async fn worker() -> SocketAddr {
    let listener = net::bind("127.0.0.1:0".parse().expect("valid")).await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    quorate_rt::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            quorate_rt::spawn(echo(tcp));
        }
    });
    addr
}

async fn echo(mut tcp: net::TcpStream) {
    let mut heard = Vec::new();
    while tcp.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
        let Some(end) = heard.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&heard[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length = length.unwrap_or(0);
        if heard.len() < end + 4 + length {
            continue;
        }
        let said = format!("{} {length}", head.lines().next().expect("a first line"));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len());
        heard.clear();
        if tcp.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn register(node: &Node, at: SocketAddr) {
    let address = Address::parse(&format!("http://{at}")).expect("valid");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let mut parts = RegistrationParts::new(WorkerId::parse("w1").expect("valid"), address, ttl);
    let name = ServiceName::parse("upload").expect("valid");
    parts.services = vec![ServiceOffer { name, version: "1".into(), url: None }];
    let registration = parts.validate().expect("valid");
    let register = Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None };
    node.consensus().propose(register).await.expect("it leads");
}

async fn ask(at: SocketAddr, path: &str, body: &'static [u8]) -> (u16, String, Response<()>) {
    let request = Request::post(path).header("host", at.to_string()).body(full(body)).expect("valid");
    let answer = request_once(&at.to_string(), request, 1 << 20).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let text = String::from_utf8(body.into()).expect("text");
    (head.status.as_u16(), text, Response::from_parts(head, ()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_listeners_route_requests_for_services() {
    let node = node().await;
    register(&node, worker().await).await;
    for at in [node.routing_addr(), node.management_addr()] {
        let (status, said, answer) = ask(at, "/api/service/upload/a?b=c", b"hello").await;
        assert_eq!((status, said.as_str()), (200, "post /a?b=c http/1.1 5"), "{at}");
        let allowed = answer.headers().get("access-control-allow-methods").expect("CORS");
        assert_eq!(allowed, "GET, POST, DELETE, OPTIONS");
        assert!(answer.headers().contains_key("x-quorate-index"));
        let (status, said, _) = ask(at, "/api/service/nope/a", b"").await;
        assert_eq!(status, 503);
        assert!(
            said.starts_with(r#"{"error":"Service 'nope' not available","available_services":["upload"]"#)
        );
        assert_eq!(ask(at, "/api/service/upload/../a", b"").await.0, 400);
    }
    node.shutdown().await;
}

/// They were the coordinator's before it knew services, and belong to its port only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_paths_lead_to_the_service_upload() {
    let node = node().await;
    register(&node, worker().await).await;
    let management = node.management_addr();
    assert_eq!(ask(management, "/clients/7?x", b"").await.1, "post /clients/7?x http/1.1 0");
    assert_eq!(ask(management, "/uploads/f", b"").await.1, "post /uploads/f http/1.1 0");
    assert_eq!(ask(node.routing_addr(), "/uploads/f", b"").await.0, 400);
    // The APIs are still there.
    assert_eq!(ask(management, "/uploads", b"").await.0, 404);
    node.shutdown().await;
}

/// What goes through is not the APIs': their bounds on bodies are not its.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_any_size_and_http2_pass_by_the_management_listener() {
    static LARGE: [u8; 3 << 20] = [b'x'; 3 << 20];
    let node = node().await;
    register(&node, worker().await).await;
    let management = node.management_addr();
    assert_eq!(ask(management, "/api/service/upload/f", &LARGE).await.1, "post /f http/1.1 3145728");
    let mut client = H2Client::connect(&management.to_string()).await.expect("it listens");
    let both = ["/api/service/upload/a", "/api/service/upload/b"].map(|path| {
        let uri = format!("http://{management}{path}");
        let (mut client, request) =
            (client.clone(), Request::put(uri).body(full(&b"four"[..])).expect("valid"));
        async move {
            let answer = client.send(request).await.expect("an answer");
            read_body(answer.into_body(), 1 << 20).await.expect("a body")
        }
    });
    let [a, b] = both;
    let (a, b) = tokio::join!(a, b);
    assert_eq!((&a[..], &b[..]), (&b"put /a http/1.1 4"[..], &b"put /b http/1.1 4"[..]));
    let health = Request::get(format!("http://{management}/livez")).body(full("")).expect("valid");
    assert_eq!(client.send(health).await.expect("an answer").status(), 200);
    node.shutdown().await;
}
