//! Bodies stream both ways, and are never held whole.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_rt::time::{sleep, timeout};
use rig::{Client, PATIENCE, Rig, Worker, config, eventually, get};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

const MIB: u64 = 1 << 20;

/// Resident memory of this process: client, proxy and worker together.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[tokio::test]
async fn a_chunk_of_an_answer_arrives_before_the_next_is_sent() {
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let gate = gate.clone();
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                let _ =
                    client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
                gate.notified().await;
                let _ = client.send(b"3\r\ntwo\r\n").await;
                gate.notified().await;
                let _ = client.send(b"0\r\n\r\n").await;
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send(get("/", "").as_bytes()).await.unwrap();
        let head = timeout(PATIENCE, client.head()).await.expect("before the end").expect("a head");
        assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        assert_eq!(timeout(PATIENCE, client.chunk()).await.expect("before the next").unwrap(), b"one");
        go.notify_one();
        assert_eq!(timeout(PATIENCE, client.chunk()).await.expect("before the end").unwrap(), b"two");
        go.notify_one();
        assert_eq!(timeout(PATIENCE, client.chunk()).await.expect("the end").unwrap(), b"");
    }
    assert_eq!(worker.connections(), 1, "a streamed answer gives its connection back");
}

#[tokio::test]
async fn a_chunk_of_a_request_arrives_before_the_next_is_sent() {
    let seen = Arc::new(AtomicU64::new(0));
    let count = seen.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let count = count.clone();
        async move {
            let mut client = Client::of(tcp);
            while let Some(head) = client.head().await {
                assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
                while let Some(chunk) = client.chunk().await.filter(|c| !c.is_empty()) {
                    assert_eq!(chunk, b"abc");
                    count.fetch_add(1, Ordering::SeqCst);
                }
                let _ = client.send(rig::ok("done").as_bytes()).await;
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for round in 0..2 {
        let head = get("/", "Transfer-Encoding: chunked\r\n").replace("GET", "POST");
        client.send(head.as_bytes()).await.unwrap();
        for n in 1..=3 {
            client.send(b"3\r\nabc\r\n").await.unwrap();
            eventually("the worker has it", || seen.load(Ordering::SeqCst) == round * 3 + n).await;
        }
        client.send(b"0\r\n\r\n").await.unwrap();
        assert_eq!(client.answer("POST").await.body, "done");
    }
    assert_eq!(worker.connections(), 1);
}

#[tokio::test]
async fn a_huge_body_each_way_leaves_memory_flat() {
    const SIZE: u64 = 192 * MIB;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        let head = client.head().await.expect("a request");
        assert!(head.contains(&SIZE.to_string()), "{head}");
        // The body arrives whole and in order, and goes back as it comes.
        let _ = client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).await;
        let mut buffer = vec![0; 65_536];
        let mut left = SIZE;
        while left > 0 {
            let n = client.tcp.read(&mut buffer).await.unwrap();
            assert!(n > 0, "{left} bytes are missing");
            left -= n as u64;
            client.send(&buffer[..n]).await.unwrap();
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = get("/", &format!("Content-Length: {SIZE}\r\n")).replace("GET", "PUT");
    client.send(head.as_bytes()).await.unwrap();
    let before = resident();
    let answer = client.head().await.expect("a head");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (mut from, mut to) = client.tcp.split();
    let sending = async {
        for i in 0..SIZE / MIB {
            to.write_all(&vec![i as u8; MIB as usize]).await.unwrap();
        }
    };
    let receiving = async {
        let (mut buffer, mut got, mut peak) = (vec![0; 65_536], 0u64, 0);
        while got < SIZE {
            let n = from.read(&mut buffer).await.unwrap();
            assert!(n > 0, "broke off at {got}");
            for (i, byte) in buffer[..n].iter().enumerate().step_by(4_096) {
                assert_eq!(*byte, ((got + i as u64) / MIB) as u8);
            }
            got += n as u64;
            if got % (8 * MIB) < n as u64 {
                peak = resident().max(peak);
            }
        }
        peak
    };
    let ((), peak) =
        timeout(PATIENCE * 3, async { tokio::join!(sending, receiving) }).await.expect("in time");
    let grown = peak.saturating_sub(before) / MIB;
    assert!(grown < 48, "{grown} MiB more while {} MiB went by", SIZE / MIB);
}

#[tokio::test]
async fn a_slow_client_holds_the_worker_back() {
    let written = Arc::new(AtomicU64::new(0));
    let count = written.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let count = count.clone();
        async move {
            let mut client = Client::of(tcp);
            client.message().await;
            let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n").await;
            while client.send(&[0; 65_536]).await.is_ok() {
                count.fetch_add(65_536, Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    client.send(get("/", "").as_bytes()).await.unwrap();
    let mut last = u64::MAX;
    timeout(PATIENCE, async {
        while last != written.load(Ordering::SeqCst) || last == 0 {
            last = written.load(Ordering::SeqCst);
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("it stops");
    assert!(last < 64 * MIB, "{} MiB went into buffers", last / MIB);
}

#[tokio::test]
async fn an_answer_may_begin_before_the_request_ends() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.head().await;
        let _ = client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n").await;
        let body = client.exactly(6).await.expect("the rest of the request");
        let _ = client.send(format!("6\r\n{}\r\n0\r\n\r\n", String::from_utf8_lossy(&body)).as_bytes()).await;
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = get("/", "Content-Length: 6\r\n").replace("GET", "POST");
    client.send(head.as_bytes()).await.unwrap();
    timeout(PATIENCE, client.head()).await.expect("before the body is sent").expect("a head");
    assert_eq!(client.chunk().await.unwrap(), b"early");
    client.send(b"abcdef").await.unwrap();
    assert_eq!(timeout(PATIENCE, client.chunk()).await.expect("in time").unwrap(), b"abcdef");
    assert_eq!(client.chunk().await.unwrap(), b"");
}

#[tokio::test]
async fn a_long_upload_that_goes_on_is_not_too_slow() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(400);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    client.send(get("/", "Content-Length: 10\r\n").replace("GET", "POST").as_bytes()).await.unwrap();
    for byte in b"0123456789" {
        sleep(Duration::from_millis(150)).await;
        client.send(&[*byte]).await.unwrap();
    }
    assert_eq!(client.answer("POST").await.status, 200);
    assert_eq!(worker.last().body, b"0123456789");
}

#[tokio::test]
async fn an_upload_that_stops_is_too_slow() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    // Four gigabytes are promised; nothing is set aside for them.
    let head = get("/", "Content-Length: 4294967296\r\n").replace("GET", "POST");
    client.send(head.as_bytes()).await.unwrap();
    client.send(b"some").await.unwrap();
    assert_eq!(client.answer("POST").await.status, 503);
    assert!(client.is_closed().await, "the rest of the body can not be told from a next request");
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn a_client_that_expects_to_be_asked_is_asked() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = get("/", "Content-Length: 3\r\nExpect: 100-continue\r\n").replace("GET", "POST");
    client.send(head.as_bytes()).await.unwrap();
    let asked = timeout(PATIENCE, client.head()).await.expect("in time").expect("an interim answer");
    assert!(asked.starts_with("HTTP/1.1 100"), "{asked}");
    client.send(b"abc").await.unwrap();
    assert_eq!(client.answer("POST").await.status, 200);
    assert_eq!(worker.last().body, b"abc");
}

#[tokio::test]
async fn a_garbled_request_body_is_the_clients_fault() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = get("/", "Transfer-Encoding: chunked\r\n").replace("GET", "POST");
    client.send(head.as_bytes()).await.unwrap();
    client.send(b"3\r\nabc\r\nnothex\r\n").await.unwrap();
    let _ = timeout(PATIENCE, client.head()).await.expect("an answer or an end");
    assert!(worker.heard().is_empty(), "half a request is none");
    eventually("it is counted once", || {
        let of = |outcome| rig.metric(&format!("quorate_proxy_requests_total{{outcome=\"{outcome}\"}}"));
        of("bad_request") + of("abandoned") == 1 && of("worker_unavailable") == 0
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_for_those_who_take_them() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n".into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    client.send(get("/", "TE: trailers\r\nConnection: TE\r\n").as_bytes()).await.unwrap();
    client.head().await.expect("a head");
    assert_eq!(client.chunk().await.unwrap(), b"abc");
    assert_eq!(client.exactly(3).await.unwrap(), b"0\r\n");
    let trailers = timeout(PATIENCE, client.exactly(12)).await.expect("in time").expect("trailers");
    assert_eq!(String::from_utf8(trailers).unwrap().to_lowercase(), "x-sum: 7\r\n\r\n");
    assert_eq!(worker.last().header("TE"), Some("trailers"));
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let worker =
        Worker::answering(|heard| rig::ok(&String::from_utf8_lossy(&heard.body).to_uppercase())).await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        let head = "POST / HTTP/1.1\r\nHost: r\r\nX-Workspace-ID: w1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
        client.send(head.as_bytes()).await.unwrap();
        // Not a byte of the body before that.
        let asked = timeout(PATIENCE, client.head()).await.expect("asked in time").unwrap();
        assert_eq!(asked, "HTTP/1.1 100 Continue");
        client.send(b"hello").await.unwrap();
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "HELLO"));
    }
    // Who is refused before is not asked.
    let head = "POST / HTTP/1.1\r\nHost: r\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(head.as_bytes()).await.unwrap();
    assert_eq!(client.answer("POST").await.status, 400);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            client.head().await.unwrap();
            let body = client.exactly("5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n".len()).await.unwrap();
            *record.lock().unwrap() = String::from_utf8(body).unwrap();
            let head = "HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n";
            let answer = format!("{head}4\r\nbody\r\n0\r\nx-end: 7\r\n\r\n");
            client.send(answer.as_bytes()).await.unwrap();
            client.head().await;
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = "PUT /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\nTE: trailers\r\nConnection: TE\r\n\
                Trailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n").as_bytes()).await.unwrap();
    let head = timeout(PATIENCE, client.head()).await.unwrap().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let expected = "4\r\nbody\r\n0\r\nx-end: 7\r\n\r\n";
    let rest = timeout(PATIENCE, client.exactly(expected.len())).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(rest).unwrap(), expected);
    assert_eq!(*heard.lock().unwrap(), "5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n");
}
