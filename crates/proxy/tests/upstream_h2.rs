//! Workers that speak HTTP/2: few connections, many requests.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Response};
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Answer, Client, PATIENCE, Rig,
    authority::Authority,
    eventually, get,
    h2::{Call, Gate, Manner, Pair, by_tls, serve},
    ok,
};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /x HTTP/1.1\r\nHost: r.example\r\nX-Workspace-ID: w1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Asks `count` times at once, each on a connection of its own.
fn ask_at_once(rig: &Rig, count: usize, request: &str) -> JoinSet<Answer> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let (addr, request) = (rig.addr, request.to_owned());
        asked.spawn(async move { Client::connect(addr).await.ask(&request).await });
    }
    asked
}

async fn statuses(asked: JoinSet<Answer>) -> Vec<u16> {
    let mut statuses: Vec<_> = asked.join_all().await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

/// Waits at the gate, then says 200 and `ok`.
fn at_gate(gate: &Gate) -> impl Fn(Call) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + use<> {
    let gate = gate.clone();
    move |mut call| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            call.answer("ok");
        })
    }
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let gate = Gate::new();
    let pair = Pair::serving(Limits::default(), Manner::default(), at_gate(&gate)).await;
    let asked = ask_at_once(&pair.rig, 60, &get("/x", ""));
    // All of them are at the worker at once, though none was there when the first came.
    eventually("all are asked", || gate.came() == 60).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 60]);
    assert_eq!(pair.worker.connections(), 1);
    pair.rig.until_metric("quorate_proxy_upstream_connections_total{use=\"opened\"}", 1).await;
}

#[tokio::test]
async fn the_worker_s_own_limit_is_kept_by_another_connection() {
    let gate = Gate::new();
    let manner = Manner { streams_max: Some(4), ..Manner::default() };
    let pair = Pair::serving(Limits::default(), manner, at_gate(&gate)).await;
    let asked = ask_at_once(&pair.rig, 10, &get("/x", ""));
    eventually("all are asked", || gate.came() == 10).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 10]);
    assert_eq!(pair.worker.connections(), 3, "4 + 4 + 2; a worker that is asked for more refuses");
}

#[tokio::test]
async fn what_has_no_place_waits_and_beyond_that_is_refused() {
    let gate = Gate::new();
    let limits = Limits {
        worker_h2_connections_max: 1,
        worker_h2_streams_max: 2,
        worker_waiting_max: 1,
        worker_waiting_timeout: PATIENCE * 2,
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), at_gate(&gate)).await;
    let mut asked = ask_at_once(&pair.rig, 2, &get("/x", ""));
    eventually("both places are taken", || gate.came() == 2).await;
    let addr = pair.rig.addr;
    for _ in 0..2 {
        asked.spawn(async move { Client::connect(addr).await.ask(&get("/x", "")).await });
    }
    // One of the two waits, the other one is answered, though the gate is closed.
    let full = asked.join_next().await.unwrap().unwrap();
    assert_eq!(full.status, 503);
    assert!(full.body.contains("1 requests wait already"), "{}", full.body);
    assert_eq!(gate.came(), 2);
    gate.open();
    assert_eq!(statuses(asked).await, [200; 3]);
    assert_eq!((gate.came(), pair.worker.connections()), (3, 1));
}

#[tokio::test]
async fn nobody_waits_for_a_place_longer_than_allowed() {
    let gate = Gate::new();
    let limits = Limits {
        worker_h2_connections_max: 1,
        worker_h2_streams_max: 1,
        worker_waiting_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), at_gate(&gate)).await;
    let first = ask_at_once(&pair.rig, 1, &get("/x", ""));
    eventually("the place is taken", || gate.came() == 1).await;
    let late = pair.rig.ask(&get("/x", "")).await;
    assert_eq!(late.status, 503);
    assert!(late.body.contains("no room on its connections within 100ms"), "{}", late.body);
    gate.open();
    assert_eq!(statuses(first).await, [200]);
}

/// A client that goes away while somebody dials for him takes neither the dial nor those who wait with him.
#[tokio::test]
async fn who_waits_does_not_depend_on_who_came_first() {
    let gate = Gate::new();
    let authority = Authority::new();
    let accepted = gate.clone();
    let worker = by_tls(&authority, &["h2"], move |io, nth| {
        let accepted = accepted.clone();
        async move {
            accepted.pass().await;
            serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
    })
    .await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    let mut first = pair.rig.client().await;
    first.send(get("/x", "").as_bytes()).await.unwrap();
    eventually("it is dialled", || gate.came() == 1).await;
    let others = ask_at_once(&pair.rig, 3, &get("/x", ""));
    drop(first);
    pair.rig.until_metric("quorate_proxy_requests_total{outcome=\"abandoned\",status=\"none\"}", 1).await;
    gate.open();
    assert_eq!(statuses(others).await, [200; 3]);
    assert_eq!(pair.worker.connections(), 1);
}

#[tokio::test]
async fn a_worker_that_leaves_again_and_again_loses_no_request() {
    let manner = Manner { leaves_after: Some(7), ..Manner::default() };
    let pair = Pair::serving(Limits::default(), manner, |mut call: Call| async move {
        let (body, _) = call.body().await;
        call.answer(body);
    })
    .await;
    let mut clients = JoinSet::new();
    for client in 0..6 {
        let addr = pair.rig.addr;
        clients.spawn(async move {
            let mut asking = Client::connect(addr).await;
            for nth in 0..50 {
                let text = format!("{client}/{nth}");
                let answer = asking.ask(&post(&text)).await;
                assert_eq!((answer.status, answer.body), (200, text));
            }
        });
    }
    clients.join_all().await;
    assert!(pair.worker.connections() >= 300 / 20, "{}", pair.worker.connections());
}

/// Reads HTTP/2's frames by hand, and answers the first HEADERS by a GOAWAY that says that no request was looked at.
#[tokio::test]
async fn what_a_goodbye_says_was_not_looked_at_is_sent_again() {
    let pair = Pair::scripted(Limits::default(), |mut io, nth| async move {
        if nth > 0 {
            let echo = |mut call: Call| async move {
                let (body, _) = call.body().await;
                call.answer(body);
            };
            return serve(io, nth, Manner::default(), echo).await;
        }
        io.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        io.flush().await.unwrap();
        io.read_exact(&mut [0; 24]).await.unwrap();
        loop {
            let mut head = [0; 9];
            io.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            io.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == 1 {
                break;
            }
        }
        io.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        io.flush().await.unwrap();
        // It stays, so that it is the GOAWAY that is understood, not the end.
        std::future::pending().await
    })
    .await;
    let answer = pair.rig.ask(&post("not idempotent")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "not idempotent"));
    assert_eq!(pair.worker.connections(), 2);
}

#[tokio::test]
async fn a_refused_request_is_sent_again_whatever_its_method() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let (body, _) = call.body().await;
            if is_first {
                call.respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                call.answer(body);
            }
        }
    })
    .await;
    let answer = pair.rig.ask(&post("not idempotent")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "not idempotent"));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// Answers nothing on its first connection: ends it with the first request in its hands.
async fn dying() -> Pair {
    Pair::scripted(Limits::default(), |io, nth| async move {
        if nth > 0 {
            return serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
        let mut connection = h2::server::handshake(io).await.unwrap();
        connection.accept().await.unwrap().unwrap();
    })
    .await
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_only_if_idempotent() {
    let pair = dying().await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(pair.worker.connections(), 2);
    let pair = dying().await;
    assert_eq!(pair.rig.ask(&post("once")).await.status, 503);
    assert_eq!(pair.worker.connections(), 1, "it could have been done twice");
}

/// A machine that is gone says nothing: only the PING without an answer tells.
#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_given_up() {
    let limits = Limits {
        worker_ping_interval: Duration::from_millis(300),
        worker_ping_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let pair = Pair::scripted(limits, |io, nth| async move {
        if nth > 0 {
            return serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
        let mut connection = h2::server::handshake(io).await.unwrap();
        let held = connection.accept().await.unwrap().unwrap();
        // Nobody reads or writes any more.
        std::future::pending::<()>().await;
        drop(held);
    })
    .await;
    // The request's own time would be longer than the test waits.
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(pair.worker.connections(), 2);
}

#[tokio::test]
async fn a_slow_answer_is_no_death() {
    let limits = Limits {
        worker_ping_interval: Duration::from_millis(100),
        worker_ping_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), |mut call: Call| async move {
        quorate_rt::time::sleep(Duration::from_secs(4)).await;
        call.answer("at last");
    })
    .await;
    assert_eq!(pair.rig.ask(&post("x")).await.body, "at last");
    assert_eq!(pair.worker.connections(), 1);
}

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
    let seen = Arc::new(Mutex::new(None));
    let record = seen.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let record = record.clone();
        async move {
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
    for head in ["Content-Length: 1000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = pair.rig.client().await;
        let request = format!("PUT /x HTTP/1.1\r\nHost: h\r\nX-Workspace-ID: w1\r\n{head}");
        client.send(request.as_bytes()).await.unwrap();
        drop(client);
        eventually("the worker knows", || *seen.lock().unwrap() == Some(Some(Reason::CANCEL))).await;
        *seen.lock().unwrap() = None;
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

#[tokio::test]
async fn an_unused_connection_is_closed() {
    let limits = Limits { pool_idle: Duration::from_millis(500), ..Limits::default() };
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let pair = Pair::scripted(limits, move |io, nth| {
        let count = count.clone();
        async move {
            serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    eventually("it is closed", || ended.load(Ordering::SeqCst) == 1).await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200, "and dialled anew");
}

#[tokio::test]
async fn a_worker_that_can_not_be_reached_is_told_to_all_who_wait() {
    let authority = Authority::new();
    let worker = by_tls(&authority, &["h2"], |_, _| async {}).await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    // It accepts, shakes hands and closes: whoever waits is told, and not one after the other.
    let refused = statuses(ask_at_once(&pair.rig, 20, &get("/x", ""))).await;
    assert_eq!(refused, [503; 20]);
    pair.worker.die().await;
    assert_eq!(statuses(ask_at_once(&pair.rig, 20, &get("/x", ""))).await, [503; 20]);
}

/// The worker chooses HTTP/1.1 in the handshake: then it is spoken to in that, and its connections are kept.
#[tokio::test]
async fn a_worker_that_chooses_http1_gets_it() {
    let authority = Authority::new();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let worker = by_tls(&authority, &["http/1.1"], move |mut io, _| {
        let count = count.clone();
        async move {
            let mut request = Vec::new();
            while let Ok(1..) = io.read_buf(&mut request).await {
                if request.ends_with(b"\r\n\r\n") {
                    request.clear();
                    count.fetch_add(1, Ordering::SeqCst);
                    io.write_all(ok("ok").as_bytes()).await.unwrap();
                    io.flush().await.unwrap();
                }
            }
        }
    })
    .await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    assert_eq!(statuses(ask_at_once(&pair.rig, 10, &get("/x", ""))).await, [200; 10]);
    let opened = pair.worker.connections();
    let mut client = pair.rig.client().await;
    for _ in 0..10 {
        assert_eq!(client.ask(&get("/x", "")).await.body, "ok");
    }
    assert_eq!((heard.load(Ordering::SeqCst), pair.worker.connections()), (20, opened));
}
