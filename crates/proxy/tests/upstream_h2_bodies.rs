//! Bodies to and from workers that speak HTTP/2, and their ends.

mod rig;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Response};
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, eventually, get,
    h2::{Call, Gate, Manner, Pair, post},
};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

#[tokio::test]
async fn trailers_pass_both_ways() {
    let pair = Pair::serving(Limits::default(), Manner::default(), |mut call: Call| async move {
        let (body, trailers) = call.body().await;
        assert_eq!(call.request.headers()["te"], "trailers");
        assert_eq!((&body[..], &trailers.unwrap()["x-sum"]), (&b"hello"[..], &HeaderValue::from_static("5")));
        let head = Response::builder().header("trailer", "x-end").body(()).unwrap();
        let mut stream = call.respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"body"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("7"));
        stream.send_trailers(trailers).unwrap();
    })
    .await;
    let mut client = pair.rig.client().await;
    let head = "POST /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\nTE: trailers\r\nConnection: TE\r\n\
                Trailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n").as_bytes()).await.unwrap();
    let head = timeout(PATIENCE, client.head()).await.unwrap().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let rest = timeout(PATIENCE, client.exactly("4\r\nbody\r\n0\r\nx-end: 7\r\n\r\n".len())).await.unwrap();
    assert_eq!(String::from_utf8(rest.unwrap()).unwrap(), "4\r\nbody\r\n0\r\nx-end: 7\r\n\r\n");
}

/// What a worker's stream was reset with.
fn reset_of(call: &mut Call) -> impl Future<Output = Reason> + '_ {
    poll_fn(|cx| call.respond.poll_reset(cx).map(|reason| reason.expect("a reset, not an error")))
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_to_the_worker() {
    let (gate, seen) = (Gate::new(), Arc::new(Mutex::new(None)));
    let (came, record) = (gate.clone(), seen.clone());
    gate.open();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let (came, record) = (came.clone(), record.clone());
        async move {
            if call.request.uri().path() == "/after" {
                return call.answer("ok");
            }
            came.pass().await;
            *record.lock().unwrap() = Some(reset_of(&mut call).await);
        }
    })
    .await;
    let mut client = pair.rig.client().await;
    client.send(get("/x", "").as_bytes()).await.unwrap();
    eventually("it is asked", || gate.came() == 1).await;
    drop(client);
    eventually("the worker knows", || *seen.lock().unwrap() == Some(Reason::CANCEL)).await;
    assert_eq!(pair.rig.ask(&get("/after", "")).await.status, 200);
    assert_eq!(pair.worker.connections(), 1, "the others on it notice nothing");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_on_is_reset() {
    let seen = Arc::new(Mutex::new(None));
    let record = seen.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let record = record.clone();
        async move {
            let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"begun"), false).unwrap();
            let reason = poll_fn(|cx| stream.poll_reset(cx)).await;
            *record.lock().unwrap() = Some(reason.expect("a reset, not an error"));
        }
    })
    .await;
    let mut client = pair.rig.client().await;
    client.send(get("/x", "").as_bytes()).await.unwrap();
    timeout(PATIENCE, client.head()).await.unwrap().unwrap();
    assert_eq!(timeout(PATIENCE, client.chunk()).await.unwrap().unwrap(), b"begun");
    drop(client);
    eventually("the worker knows", || *seen.lock().unwrap() == Some(Reason::CANCEL)).await;
}

/// A client that breaks its body off: the worker must not take what came for all of it.
#[tokio::test]
async fn a_body_that_breaks_off_is_reset() {
    let (gate, seen) = (Gate::new(), Arc::new(Mutex::new(None)));
    let (came, record) = (gate.clone(), seen.clone());
    gate.open();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let (came, record) = (came.clone(), record.clone());
        async move {
            came.pass().await;
            let body = call.request.body_mut();
            let broken = loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error.reason(),
                    None => break None,
                }
            };
            *record.lock().unwrap() = Some(broken);
        }
    })
    .await;
    let heads = ["Content-Length: 1000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"];
    for (nth, head) in heads.iter().enumerate() {
        let mut client = pair.rig.client().await;
        let request = format!("PUT /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\n{head}");
        client.send(request.as_bytes()).await.unwrap();
        eventually("it is asked", || gate.came() == nth + 1).await;
        drop(client);
        eventually("the worker knows", || seen.lock().unwrap().is_some()).await;
        assert_eq!(seen.lock().unwrap().take(), Some(Some(Reason::CANCEL)));
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once() {
    let pair = Pair::serving(Limits::default(), Manner::default(), |mut call: Call| async move {
        // Echoed piece by piece: the answer is read while the body is sent.
        let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
        let body = call.request.body_mut();
        while let Some(piece) = body.data().await {
            let mut piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            while !piece.is_empty() {
                stream.reserve_capacity(piece.len());
                let room = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                stream.send_data(piece.split_to(room.min(piece.len())), false).unwrap();
            }
        }
        stream.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let body: String = ('a'..='z').cycle().take(1 << 20).collect();
    let mut asked = JoinSet::new();
    for _ in 0..4 {
        let (addr, body) = (pair.rig.addr, body.clone());
        asked.spawn(async move {
            let mut client = Client::connect(addr).await;
            let request = post(&body);
            // The answer comes while the body is sent: somebody has to read it.
            let (reading, writing) = client.tcp.split();
            let (mut reading, mut writing) = (tokio::io::BufReader::new(reading), writing);
            let sent = async {
                writing.write_all(request.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            };
            let received = async {
                let mut all = Vec::new();
                while !all.ends_with(b"0\r\n\r\n") {
                    assert_ne!(reading.read_buf(&mut all).await.unwrap(), 0, "cut");
                }
                all
            };
            let all = tokio::select! { () = sent => unreachable!(), all = received => all };
            let text = String::from_utf8(all).unwrap();
            let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let mut echoed = String::new();
            loop {
                let (size, more) = rest.split_once("\r\n").unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if size == 0 {
                    break;
                }
                echoed.push_str(&more[..size]);
                rest = &more[size + 2..];
            }
            assert!(echoed == body, "{} bytes", echoed.len());
        });
    }
    timeout(PATIENCE, asked.join_all()).await.expect("in time");
    assert_eq!(pair.worker.connections(), 1);
}

/// The worker answers before it has heard all, and takes the rest later.
#[tokio::test]
async fn an_early_answer_comes_through_and_the_body_goes_on() {
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let count = count.clone();
        async move {
            call.answer("early");
            let (body, _) = call.body().await;
            count.store(body.len(), Ordering::SeqCst);
        }
    })
    .await;
    let mut client = pair.rig.client().await;
    let head = "POST /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\nContent-Length: 400000\r\n\r\n";
    client.send(head.as_bytes()).await.unwrap();
    assert_eq!(client.answer("POST").await.body, "early");
    client.send(&vec![b'x'; 400_000]).await.unwrap();
    eventually("the worker has all", || heard.load(Ordering::SeqCst) == 400_000).await;
    let next = client.ask(&get("/x", "")).await;
    assert_eq!((next.status, next.body.as_str()), (200, "early"));
}

/// The worker answers, and takes no more, and does not say so.
#[tokio::test]
async fn a_body_that_nobody_takes_ends_some_time_after_the_answer() {
    let seen = Arc::new(Mutex::new(None));
    let record = seen.clone();
    let limits = Limits { client_stall: std::time::Duration::from_millis(300), ..Limits::default() };
    let pair = Pair::serving(limits, Manner::default(), move |mut call: Call| {
        let record = record.clone();
        async move {
            call.answer("early");
            *record.lock().unwrap() = Some(reset_of(&mut call).await);
        }
    })
    .await;
    let mut client = pair.rig.client().await;
    let head = "POST /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\nContent-Length: 400000\r\n\r\n";
    client.send(&[head.as_bytes(), &[b'x'; 100_000]].concat()).await.unwrap();
    assert_eq!(client.answer("POST").await.body, "early");
    eventually("it is given up", || *seen.lock().unwrap() == Some(Reason::CANCEL)).await;
}

/// Somebody who does not take his answer holds up nobody else on the connection.
#[tokio::test]
async fn a_client_that_stands_still_holds_up_no_other() {
    let pair = Pair::serving(Limits::default(), Manner::default(), |mut call: Call| async move {
        if call.request.uri().path() == "/small" {
            return call.answer("small");
        }
        let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
        loop {
            stream.reserve_capacity(16 << 10);
            let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            if stream.send_data(vec![0; room].into(), false).is_err() {
                return;
            }
        }
    })
    .await;
    let mut still = Vec::new();
    for _ in 0..20 {
        let mut client = pair.rig.client().await;
        client.send(get("/large", "").as_bytes()).await.unwrap();
        timeout(PATIENCE, client.head()).await.unwrap().unwrap();
        still.push(client);
    }
    for _ in 0..20 {
        assert_eq!(pair.rig.ask(&get("/small", "")).await.body, "small");
    }
    assert_eq!(pair.worker.connections(), 1);
}
