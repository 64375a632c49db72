//! Clients that speak HTTP/2, to workers that speak HTTP/1.1.

mod rig;

use bytes::Bytes;
use http::HeaderMap;
use quorate_rt::time::{sleep, timeout};
use rig::{
    Client, PATIENCE, Rig, Worker, eventually, get,
    http2::{Http2, get2, request, whole},
    ok,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::Notify};

#[tokio::test]
async fn one_port_speaks_both() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.ask(get2("/v1/things?a=b%20c")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok"));
    assert_eq!((answer.header("x-quorate-node"), answer.header("content-length")), (Some("n1"), Some("2")));
    let heard = worker.last();
    assert_eq!(heard.line(), "GET /v1/things?a=b%20c HTTP/1.1");
    for (name, value) in [
        ("host", "r.example"),
        ("x-forwarded-host", "r.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-workspace-id", "w1"),
    ] {
        assert_eq!(heard.header(name), Some(value), "{name}");
    }
    assert_eq!(rig.ask(&get("/", "")).await.body, "ok");
    // And again, each on what it has.
    assert_eq!(client.ask(get2("/")).await.body, "ok");
    assert_eq!(rig.metric("quorate_proxy_requests_total{outcome=\"forwarded\"}"), 3);
}

#[tokio::test]
async fn a_connection_that_dribbles_its_preface_is_understood() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    // HTTP/1.1 that begins like the preface, byte by byte.
    let mut client = rig.client().await;
    for byte in get("/", "").replace("GET", "PRI").into_bytes() {
        client.send(&[byte]).await.unwrap();
    }
    assert_eq!(client.answer("PRI").await.body, "ok");
    assert_eq!(worker.last().line(), "PRI / HTTP/1.1");
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let mut tcp = tokio::net::TcpStream::connect(rig.addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    quorate_rt::spawn(async move {
        let (mut from, mut to) = tcp.split();
        let (mut out, mut back) = tokio::io::split(&mut far);
        let dribble = async {
            let mut byte = [0];
            while tokio::io::AsyncReadExt::read_exact(&mut out, &mut byte).await.is_ok() {
                to.write_all(&byte).await?;
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::join!(dribble, tokio::io::copy(&mut from, &mut back));
    });
    assert_eq!(Http2::over(near).await.ask(get2("/")).await.body, "ok");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    // Answers the first request of each connection only when all have come.
    let (all, waiting) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let count = waiting.clone();
    let gate = all.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let (gate, count) = (gate.clone(), count.clone());
        async move {
            let mut client = Client::of(tcp);
            let Some((head, _)) = client.message().await else { return };
            let told = gate.notified();
            count.fetch_add(1, Ordering::SeqCst);
            told.await;
            let _ = client.send(ok(head.split(' ').nth(1).unwrap()).as_bytes()).await;
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let mut answers = Vec::new();
    for nth in 0..100 {
        answers.push((nth, client.start(get2(&format!("/{nth}"))).await));
    }
    eventually("all are at the worker", || waiting.load(Ordering::SeqCst) == 100).await;
    assert_eq!(rig.in_flight("w1"), 100);
    all.notify_waiters();
    for (nth, answer) in answers {
        assert_eq!(whole(answer).await.unwrap().body, format!("/{nth}"));
    }
    assert_eq!(rig.metric("quorate_proxy_connections_open"), 1);
    assert_eq!(rig.in_flight("w1"), 0);
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let heard = Arc::new(std::sync::Mutex::new((String::new(), Vec::new())));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            let head = client.head().await.unwrap();
            let (_, trailers) = client.body_and_trailers().await.unwrap();
            *record.lock().unwrap() = (head, trailers);
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\n\
                          x-sum: 7\r\n\r\n";
            let _ = client.send(answer.as_bytes()).await;
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let request =
        request("POST", "/").header("te", "trailers").header("trailer", "x-check").body(()).unwrap();
    let (answer, mut body) = client.send.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "9".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    let answer = whole(answer).await.unwrap();
    assert_eq!((answer.body.as_str(), answer.trailer("x-sum")), ("ok", Some("7")));
    let (head, trailers) = heard.lock().unwrap().clone();
    let head = head.to_lowercase();
    assert!(head.contains("te: trailers") && head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(trailers, ["x-check: 9"]);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let worker = Worker::answering(|heard| {
        let body = if heard.line().starts_with("HEAD") { "" } else { "hello" };
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}")
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    for _ in 0..2 {
        let answer = client.ask(request("HEAD", "/").body(()).unwrap()).await;
        assert_eq!((answer.header("content-length"), answer.body.as_str()), (Some("5"), ""));
    }
    assert_eq!(worker.connections(), 1, "its connection is used again");
    // Our own answers too.
    let own = http::Request::head("http://r.example/nowhere").body(()).unwrap();
    let answer = client.ask(own).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (400, ""));
    assert_eq!(client.ask(get2("/")).await.body, "hello");
}

#[tokio::test]
async fn a_worker_may_answer_before_it_has_heard_all() {
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let count = count.clone();
        async move {
            let mut client = Client::of(tcp);
            let Some(head) = client.head().await else { return };
            let _ = client.send(ok("enough").as_bytes()).await;
            if head.contains("/deaf") {
                return;
            }
            while let Some(chunk) = client.chunk().await.filter(|chunk| !chunk.is_empty()) {
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let mut post = |path| client.send.send_request(request("POST", path).body(()).unwrap(), false).unwrap();
    let ((answer, mut body), (other, mut unheard)) = (post("/"), post("/deaf"));
    assert_eq!(whole(answer).await.unwrap().body, "enough");
    // Who still listens hears the rest.
    body.send_data(Bytes::from_static(b"the rest"), true).unwrap();
    eventually("the worker hears it", || heard.load(Ordering::SeqCst) == 8).await;
    // Where nobody does, the client is told that it is not wanted, and that nothing is wrong.
    assert_eq!(whole(other).await.unwrap().body, "enough");
    let reason = timeout(PATIENCE, std::future::poll_fn(|cx| unheard.poll_reset(cx))).await.expect("in time");
    assert_eq!(reason.unwrap(), h2::Reason::NO_ERROR);
    assert_eq!(client.ask(get2("/next")).await.body, "enough");
}

#[tokio::test]
async fn a_slow_reader_holds_the_worker_back() {
    const MIB: u64 = 1 << 20;
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let count = count.clone();
        async move {
            let mut client = Client::of(tcp);
            let Some(head) = client.head().await else { return };
            if head.starts_with("GET /small") {
                let _ = client.send(ok("small").as_bytes()).await;
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 256 * MIB);
            let _ = client.send(head.as_bytes()).await;
            for _ in 0..256 * 16 {
                if client.send(&[b'x'; 64 << 10]).await.is_err() {
                    return;
                }
                count.fetch_add(64 << 10, Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let large = client.start(get2("/large")).await;
    let mut large = timeout(PATIENCE, large).await.unwrap().unwrap().into_body();
    // What is on its way is what the sockets and windows hold, and then it stands still.
    let (mut last, mut still) = (u64::MAX, 0);
    while still < 10 {
        sleep(Duration::from_millis(20)).await;
        let now = sent.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    assert!(last < 32 * MIB, "{last} bytes on their way to a client that reads none");
    // Others on the connection notice nothing.
    assert_eq!(client.ask(get2("/small")).await.body, "small");
    let mut taken = 0;
    while taken < 64 * MIB {
        let data = timeout(PATIENCE, large.data()).await.expect("in time").unwrap().unwrap();
        large.flow_control().release_capacity(data.len()).unwrap();
        taken += data.len() as u64;
    }
    assert!(sent.load(Ordering::SeqCst) >= 64 * MIB, "it goes on once the client does");
}

#[tokio::test]
async fn a_slow_worker_holds_an_uploading_client_back() {
    const MIB: usize = 1 << 20;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let gate = gate.clone();
        async move {
            let mut client = Client::of(tcp);
            let Some(_) = client.head().await else { return };
            gate.notified().await;
            let Some(body) = client.exactly(64 * MIB).await else { return };
            let _ = client.send(ok(&format!("{}", body.len())).as_bytes()).await;
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let request = request("PUT", "/").header("content-length", 64 * MIB).body(()).unwrap();
    let (answer, mut body) = client.send.send_request(request, false).unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let uploading = quorate_rt::spawn(async move {
        let mut left = 64 * MIB;
        while left > 0 {
            body.reserve_capacity(left);
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap().min(left);
            left -= room;
            body.send_data(Bytes::from(vec![b'x'; room]), left == 0).unwrap();
            count.fetch_add(room, Ordering::SeqCst);
        }
    });
    // What is on its way is what the sockets and windows hold, and then it stands still.
    let (mut last, mut still) = (usize::MAX, 0);
    while still < 10 {
        sleep(Duration::from_millis(20)).await;
        let now = sent.load(Ordering::SeqCst);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
    }
    assert!(last < 32 * MIB, "{last} bytes on their way to a worker that reads none");
    go.notify_one();
    assert_eq!(whole(answer).await.unwrap().body, (64 * MIB).to_string());
    uploading.await.unwrap();
}

#[tokio::test]
async fn a_cancelled_request_reaches_the_worker() {
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gone) = (began.clone(), ended.clone());
    let worker = Worker::scripted(move |tcp, _| {
        let (told, gone) = (told.clone(), gone.clone());
        async move {
            let mut client = Client::of(tcp);
            let Some(head) = client.head().await else { return };
            if head.contains("/answering") {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
                let _ = client.send(head.as_bytes()).await;
            }
            told.notify_one();
            if client.head().await.is_none() {
                gone.notify_one();
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    for path in ["/waiting", "/answering"] {
        let answer = client.start(get2(path)).await;
        timeout(PATIENCE, began.notified()).await.expect("the worker has it");
        // Dropped before its head, or with its body: reset.
        if path == "/answering" {
            drop(timeout(PATIENCE, answer).await.unwrap().unwrap());
        } else {
            drop(answer);
        }
        timeout(PATIENCE, ended.notified()).await.expect("the worker's connection ends");
    }
    rig.until_metric("quorate_proxy_connections_open", 1).await;
    eventually("nothing is in flight", || rig.in_flight("w1") == 0).await;
}
