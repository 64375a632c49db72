//! What a delegate takes, and from whom.

use crate::group::{candidate, eventually, heartbeats, ids, listens, member, router, started};
use quorate_client::{DelegateOffer, Error, HeartbeatWay, WhenSilent};
use serde_json::{Value, json};

/// A heartbeat by hand; status and answer.
async fn by_hand(delegate: &str, sequence: u64) -> (u16, Value) {
    let body = json!({"worker": "ghost", "epoch": 5, "lease": 1, "sequence": sequence, "interval_ms": 700});
    let answer = http(delegate, "POST", "/v1/delegate/heartbeat", &body.to_string()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), serde_json::from_str(body).unwrap_or_default())
}

async fn http(to: &str, method: &str, path: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = to.trim_start_matches("http://").trim_end_matches('/');
    let mut tcp = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tcp.write_all((head + body).as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("answered");
    answer
}

#[tokio::test]
async fn one_that_beats_once_is_passed_on_once_and_then_reported() {
    let (router, group) = router().await;
    let _delegate = started(candidate(&router, "d", WhenSilent::Report)).await;
    let url = listens(&group);
    // The role is known there from the registration on. A busy machine may take too long for one.
    let mut sent = 0;
    loop {
        sent += 1;
        let (status, said) = by_hand(&url, sent).await;
        if status == 200 {
            assert_eq!(said["sequence"], json!(sent));
            break;
        }
        assert_eq!(status, 503, "{said}");
    }
    eventually("it is reported", || router.count("POST /v1/workers/ghost/report-down") >= 1).await;
    let calls = || heartbeats(&router).into_iter().flatten().collect::<Vec<_>>();
    let before = calls().len();
    eventually("more calls", || calls().len() >= before + 3).await;
    let named = calls().iter().rposition(|call| call.contains("ghost")).expect("it was passed on");
    assert!(named < before && calls().iter().filter(|call| call.contains("ghost")).count() as u64 <= sent);
    let report = router.seen().into_iter().find(|seen| seen.line.ends_with("report-down")).expect("one");
    assert_eq!((&report.body["by"], &report.body["epoch"]), (&json!("d"), &json!(5)));
    // What was heard before counts for nothing.
    assert_eq!(by_hand(&url, sent).await.0, 400);
}

#[tokio::test]
async fn what_is_no_heartbeat_is_refused() {
    let (router, group) = router().await;
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let url = listens(&group);
    let stale = json!({"worker": "m", "epoch": 4, "lease": 1, "sequence": 1, "interval_ms": 700}).to_string();
    let named = |id: &str| {
        json!({"worker": id, "epoch": 5, "lease": 1, "sequence": 1, "interval_ms": 700}).to_string()
    };
    let not_yet = stale.replace("\"epoch\":4", "\"epoch\":6");
    let path = "/v1/delegate/heartbeat";
    for (method, path, body, expected) in [
        ("GET", path, "", "405"),
        ("POST", "/", "", "404"),
        ("POST", "/v1/delegate/heartbeat/x", "", "404"),
        ("POST", path, "", "400"),
        ("POST", path, "{\"worker\": 5}", "400"),
        ("POST", path, &format!("{{\"worker\": \"{}\"}}", "x".repeat(5_000)), "400"),
        ("POST", path, &named(""), "400"),
        ("POST", path, &named(&"x".repeat(254)), "400"),
        ("POST", path, &named("m\n"), "400"),
        ("POST", path, &named(" m"), "400"),
        ("POST", path, &stale, "409"),
        ("POST", path, &not_yet, "503"),
    ] {
        let answer = http(&url, method, path, body).await;
        assert_eq!(&answer[9..12], expected, "{method} {path}: {answer}");
    }
    let answer = http(&url, "POST", path, &named("")).await;
    assert!(answer.contains("worker: is empty; allowed: 1 to 253 bytes"), "{answer}");
}

/// Scenario: the routers find one member of a call wrong. Cause: the whole group was told that it is cut off, each time
/// anew.
#[tokio::test]
async fn a_member_that_routers_refuse_does_not_spoil_the_call() {
    let (router, group) = router().await;
    group.lock().expect("sound").refused = Some("bad".into());
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let _bad = started(member(&router, "bad")).await;
    let (all, others) = (ids(&["bad", "d"]), ids(&["d"]));
    eventually("the others go without it, at once", || {
        heartbeats(&router).windows(2).any(|two| two[0] == all && two[1] == others)
    })
    .await;
    eventually("it beats for itself", || router.count("POST /v1/workers/bad/heartbeat") >= 2).await;
}

#[tokio::test]
async fn with_a_token_both_sides_prove_that_they_know_it() {
    let (router, group) = router().await;
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait).token("secret")).await;
    let _good = started(member(&router, "good").token("secret")).await;
    let _wrong = started(member(&router, "wrong").token("guessed")).await;
    let _none = started(member(&router, "none")).await;
    eventually("the one that knows it goes by the delegate", || {
        heartbeats(&router).contains(&ids(&["d", "good"]))
    })
    .await;
    for id in ["wrong", "none"] {
        eventually("the others beat for themselves", || {
            router.count(&format!("POST /v1/workers/{id}/heartbeat")) >= 3
        })
        .await;
        let named = heartbeats(&router).into_iter().flatten().any(|call| call.contains(id));
        assert!(!named, "{id} was passed on");
    }
    assert_eq!(by_hand(&listens(&group), 1).await.0, 401);
    let sent = router.seen().into_iter().map(|seen| seen.head).collect::<String>();
    assert!(sent.contains("bearer secret"), "routers are sent the token");
}

/// A delegate that knows no token can't prove that it does: a member that has one does not believe its answers.
#[tokio::test]
async fn an_answer_without_a_proof_is_not_believed() {
    let (router, _) = router().await;
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let worker = started(member(&router, "m1").token("secret")).await;
    eventually("it beats for itself", || router.count("POST /v1/workers/m1/heartbeat") >= 3).await;
    assert_eq!(*worker.heartbeat_ways().borrow(), HeartbeatWay::Direct);
}

#[tokio::test]
async fn a_place_that_the_group_cannot_reach_is_refused_before_anything_is_sent() {
    let (router, _) = router().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let offer = |listen: &str, url: Option<&str>| DelegateOffer {
        listen: listen.parse().expect("an address"),
        url: url.map(str::to_owned),
        when_silent: WhenSilent::Wait,
    };
    for (offer, part) in [
        (offer("0.0.0.0:0", None), "every address"),
        (offer("127.0.0.1:0", Some("https://d:1")), "allowed: an http URL"),
        (offer("127.0.0.1:0", Some("d:1")), "allowed: an http URL"),
        (offer(&taken.local_addr().expect("bound").to_string(), None), "can't listen"),
    ] {
        let error = member(&router, "m1").delegate(offer).start().await.expect_err("refused");
        assert!(
            matches!(error, Error::Invalid(_) | Error::Setup(_)) && error.to_string().contains(part),
            "{error}"
        );
    }
    assert_eq!(router.lines().len(), 0);
}
