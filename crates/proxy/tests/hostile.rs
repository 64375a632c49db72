//! What strangers send: each request that arrives at a worker is one that was decided on, and says what we say.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_rt::time::timeout;
use rig::{Client, PATIENCE, Rig, Worker, get};

/// Sends bytes, ends, and returns all that comes back.
async fn raw(rig: &Rig, bytes: &[u8]) -> String {
    let mut client = rig.client().await;
    client.send(bytes).await.unwrap();
    read_all(&mut client).await
}

async fn read_all(client: &mut Client) -> String {
    let mut all = String::new();
    // A first answer must come; silence after it is the end.
    let first = timeout(PATIENCE, client.head()).await.expect("an answer in time");
    all += &first.unwrap_or_default();
    while let Ok(Some(more)) = timeout(std::time::Duration::from_millis(150), client.head()).await {
        all += "\n";
        all += &more;
    }
    all
}

/// S4: hop-by-hop abuse.
#[tokio::test]
async fn our_headers_reach_the_worker_whatever_connection_names() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for named in
        ["X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-Routed-By", "Host", "X-Workspace-ID"]
    {
        for connection in
            [named.to_owned(), format!("close, {named}"), format!("keep-alive,{named} ,Upgrade")]
        {
            let answer = rig
                .ask(&get("/", &format!("Connection: {connection}\r\nX-Forwarded-For: 6.6.6.6\r\n")))
                .await;
            assert_eq!(answer.status, 200, "{connection}");
            let heard = worker.last();
            let way = heard.header("X-Forwarded-For").expect("it is ours");
            assert!(way == "127.0.0.1" || way == "6.6.6.6, 127.0.0.1", "{way}");
            assert_eq!(way == "127.0.0.1", named == "X-Forwarded-For", "dropped before ours was added");
            assert_eq!(heard.header("Host"), Some("r.example"), "{connection}");
            assert_eq!(heard.header("X-Forwarded-Host"), Some("r.example"), "{connection}");
            assert_eq!(heard.header("X-Forwarded-Proto"), Some("http"), "{connection}");
            assert_eq!(heard.header("X-Routed-By"), Some("workspace-engine-router"), "{connection}");
            assert_eq!(heard.header("X-Workspace-ID"), Some("w1"), "{connection}");
            assert_eq!(heard.header("Connection"), None, "{connection}");
        }
    }
}

/// S4: a length that is named away must not turn the body into a request.
#[tokio::test]
async fn the_framing_can_not_be_named_away() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let inner = get("/smuggled", "");
    for framing in [
        format!("Content-Length: {}\r\nConnection: Content-Length\r\n", inner.len()),
        format!("Content-Length: {}\r\nConnection: close, content-length\r\n", inner.len()),
    ] {
        let before = worker.heard().len();
        let post = get("/outer", &framing).replace("GET", "POST") + &inner;
        let answer = rig.ask(&post).await;
        assert_eq!(answer.status, 200);
        let heard = worker.heard();
        assert_eq!(heard.len(), before + 1, "one request is one request");
        assert_eq!(heard[before].body, inner.as_bytes());
    }
    let chunked = format!(
        "{}{:x}\r\n{inner}\r\n0\r\n\r\n",
        get("/outer", "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n")
            .replace("GET", "POST"),
        inner.len()
    );
    let before = worker.heard().len();
    assert_eq!(rig.ask(&chunked).await.status, 200);
    let heard = worker.heard();
    assert_eq!((heard.len(), heard[before].body.as_slice()), (before + 1, inner.as_bytes()));
}

/// S4: an answer can't have ours dropped either.
#[tokio::test]
async fn a_worker_can_not_name_our_answers_headers_away() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nConnection: X-Quorate-Index, Access-Control-Allow-Origin, Content-Length, X-Once\r\n\
         Content-Length: 2\r\nX-Quorate-Index: 999\r\nX-Quorate-Stale: 1\r\nX-Once: 1\r\n\r\nok"
            .into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        let answer = client.ask(&get("/", "")).await;
        assert_eq!((answer.body.as_str(), answer.header("X-Quorate-Index")), ("ok", Some("2")));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!((answer.header("X-Once"), answer.header("X-Quorate-Stale")), (None, None));
    }
}

/// S5: forged control headers.
#[tokio::test]
async fn our_names_never_come_from_a_client() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let forged = "X-Quorate-Index: 1\r\nx-quorate-node: evil\r\nX_Quorate_Node: evil\r\nX-Routed-By: evil\r\nX_Quorate_Hops: 7\r\n\
                  X_Routed_By: evil\r\nX_Forwarded_For: 6.6.6.6\r\nX_Workspace_ID: other\r\nX-Forwarded_Host: evil\r\n";
    assert_eq!(rig.ask(&get("/", forged)).await.status, 200);
    let head = worker.last().head.to_lowercase();
    assert!(!head.contains("evil") && !head.contains("6.6.6.6") && !head.contains("other"), "{head}");
    assert_eq!(worker.last().header("X-Quorate-Hops"), Some("1"));
    let head = head.replace("x-quorate-hops: 1", "");
    assert!(!head.contains("x-quorate-") && !head.contains('_'), "{head}");
}

/// S1: framing that two readers would read differently.
#[tokio::test]
async fn ambiguous_framing_is_refused_or_read_one_way() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let post = |framing: &str, body: &str| {
        get("/outer", framing).replace("GET", "POST") + body + &get("/smuggled", "")
    };
    for framing in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length:\r\n",
        "Content-Length : 3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "X: a\r\n Transfer-Encoding: chunked\r\n",
        "X: a\0b\r\n",
        ": nameless\r\n",
    ] {
        let before = worker.heard().len();
        let answers = raw(&rig, post(framing, "abc").as_bytes()).await;
        assert!(answers.starts_with("HTTP/1.1 400"), "{framing:?}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "closed after it: {framing:?}: {answers}");
        assert_eq!(worker.heard().len(), before, "{framing:?}");
    }
    for framing in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 99\r\nTransfer-Encoding: gzip, chunked\r\n",
    ] {
        let before = worker.heard().len();
        let answers = raw(&rig, post(framing, "2\r\nab\r\n0\r\n\r\n").as_bytes()).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "closed after it: {framing:?}: {answers}");
        let heard = worker.heard();
        assert!(heard.len() <= before + 1, "{framing:?}");
        for request in &heard[before..] {
            assert_eq!(
                (request.body.as_slice(), request.header("Content-Length")),
                (&b"ab"[..], None),
                "{framing:?}"
            );
            assert_eq!(request.header("Transfer-Encoding"), Some("chunked"), "{framing:?}");
        }
    }
    let old = "POST / HTTP/1.0\r\nX-Workspace-ID: w1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(raw(&rig, old.as_bytes()).await.contains(" 400 "));
}

/// S1: broken chunks end the connection; what follows them is not a request.
#[tokio::test]
async fn a_broken_chunk_is_followed_by_nothing() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for chunks in [
        "zz\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcXX0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
    ] {
        let post = get("/outer", "Transfer-Encoding: chunked\r\n").replace("GET", "POST");
        let mut client = rig.client().await;
        client.send(format!("{post}{chunks}{}", get("/smuggled", "")).as_bytes()).await.unwrap();
        let _ = timeout(PATIENCE, client.head()).await.expect("an answer or an end");
        assert!(worker.heard().iter().all(|h| !h.line().contains("smuggled")), "{chunks:?}");
    }
    assert_eq!(rig.ask(&get("/", "")).await.status, 200, "the next client is served");
}

/// S6: one host, and the same for everybody.
#[tokio::test]
async fn a_second_opinion_on_the_host_is_refused() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for request in [
        "GET / HTTP/1.1\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\nX-Workspace-ID: w1\r\n\r\n",
        "GET http://u:p@a/ HTTP/1.1\r\nHost: u:p@a\r\nX-Workspace-ID: w1\r\n\r\n",
    ] {
        let answers = raw(&rig, request.as_bytes()).await;
        assert!(answers.starts_with("HTTP/1.1 400"), "{request:?}: {answers}");
        assert!(answers.to_lowercase().contains("connection: close"), "{request:?}: {answers}");
    }
    assert!(worker.heard().is_empty());
    let absolute = "GET http://R.example:80/x?y HTTP/1.1\r\nHost: r.example:80\r\nX-Workspace-ID: w1\r\n\r\n";
    assert_eq!(rig.ask(absolute).await.status, 200);
    let heard = worker.last();
    assert_eq!((heard.line(), heard.header("Host")), ("GET /x?y HTTP/1.1", Some("r.example:80")));
}

/// S7: what is decided on is what is forwarded.
#[tokio::test]
async fn a_path_is_forwarded_as_it_came() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for path in [
        "/v1/workspaces/w1/../../admin",
        "/v1/workspaces/w1/%2e%2e/admin",
        "//v1//workspaces/w1",
        "/v1/workspaces/a%2Fb;c?d=%00",
        "/v1/workspaces/%E6%97%A5/",
    ] {
        assert_eq!(rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: r\r\n\r\n")).await.status, 200, "{path}");
        assert_eq!(worker.last().line(), format!("GET {path} HTTP/1.1"));
    }
}

/// S9, the part that concerns requests.
#[tokio::test]
async fn connect_and_trace_are_not_routed() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for request in [
        "CONNECT 127.0.0.1:9090 HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nX-Workspace-ID: w1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: r\r\nX-Workspace-ID: w1\r\n\r\n",
    ] {
        assert!(raw(&rig, request.as_bytes()).await.starts_with("HTTP/1.1 405"), "{request:?}");
    }
    assert!(worker.heard().is_empty());
}

/// D5: garbage from a worker is a worker that is not available, and no garbage for the next client.
#[tokio::test]
async fn a_garbled_answer_is_an_unavailable_worker() {
    let worker = Worker::answering(|heard| match heard.line().contains("/bad") {
        true => "HTTP/1.1 nonsense\r\n\r\n".into(),
        false => rig::ok("good"),
    })
    .await;
    let rig = Rig::with(&worker).await;
    for _ in 0..3 {
        let bad = rig.ask(&get("/bad", "")).await;
        assert_eq!(bad.status, 503);
        assert!(
            bad.body.starts_with(r#"{"error":"Worker unavailable","message":"Failed to connect to worker: "#),
            "{}",
            bad.body
        );
        assert_eq!(rig.ask(&get("/", "")).await.body, "good");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let worker = Worker::answering(|heard| rig::ok(heard.line().split(' ').nth(1).unwrap())).await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let many: String = (0..20).map(|i| get(&format!("/{i}"), "")).collect();
    client.send(many.as_bytes()).await.unwrap();
    for i in 0..20 {
        assert_eq!(client.answer("GET").await.body, format!("/{i}"));
    }
    assert_eq!(worker.connections(), 1);
}

/// S1, from the other side: a worker's ambiguous framing does not reach the client.
#[tokio::test]
async fn an_answer_has_one_length() {
    let worker = Worker::answering(|heard| match heard.line().split(' ').nth(1).unwrap() {
        "/both" => {
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                .into()
        }
        "/twice" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok".into(),
        "/differ" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!".into(),
        _ => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok".into(),
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for (path, length) in [("/both", None), ("/twice", Some("2")), ("/until-the-end", None)] {
        let answer = client.ask(&get(path, "")).await;
        assert_eq!((answer.body.as_str(), answer.header("Content-Length")), ("ok", length), "{path}");
    }
    assert_eq!(client.ask(&get("/differ", "")).await.status, 503);
}
