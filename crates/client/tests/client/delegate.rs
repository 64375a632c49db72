//! Heartbeats by way of a delegate, with a router that says who it is.

use crate::support::{Router, Say, Seen, ok, problem};
use quorate_client::{
    DelegateOffer, Error, HeartbeatWay, ServiceOffer, WhenSilent, WorkerClient, WorkerHandle, WorkerState,
    worker::WorkerBuilder,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// Long enough that a busy machine answers within a third of it, short enough to wait for many.
const INTERVAL: &str = "800ms";

/// What the router believes of the group.
#[derive(Default)]
struct Group {
    granted: u64,
    /// Where each candidate is.
    urls: BTreeMap<String, String>,
    /// Who has the role, at which epoch.
    delegate: Option<(String, u64)>,
    /// Of a delegate that is none of ours.
    stranger: Option<String>,
    interval: Option<&'static str>,
}

impl Group {
    fn named(&self) -> Value {
        let Some((worker, epoch)) = &self.delegate else { return Value::Null };
        let url = self.stranger.as_ref().or_else(|| self.urls.get(worker));
        json!({"worker": worker, "url": url, "epoch": epoch})
    }

    fn say(&mut self, seen: &Seen) -> Say {
        let (method, path) = seen.line.split_once(' ').expect("a method and a path");
        let id = path.split('/').nth(3).unwrap_or_default().to_owned();
        match (method, path) {
            ("PUT", _) => {
                self.granted += 1;
                if let Some(url) = seen.body["labels"]["delegate_url"].as_str() {
                    self.urls.insert(id.clone(), url.into());
                    self.delegate.get_or_insert((id, 5));
                }
                let lease = json!({"id": self.granted, "ttl": "2s", "heartbeat_interval": self.interval.unwrap_or(INTERVAL)});
                Say::Answer(200, json!({"lease": lease, "index": 1, "heartbeat_delegate": self.named()}))
            }
            ("POST", "/v1/heartbeats") => {
                let stands = self.delegate.as_ref().is_some_and(|(worker, epoch)| {
                    seen.body["worker"] == worker.as_str() && seen.body["epoch"] == *epoch
                });
                if !stands {
                    return problem(409, "delegate_stale");
                }
                let heard =
                    json!({"ok": seen.body["workers"], "unknown": [], "displaced": [], "refused": []});
                Say::Answer(200, heard)
            }
            ("POST", path) if path.ends_with("/heartbeat") => {
                Say::Answer(200, json!({"status": "ok", "heartbeat_delegate": self.named()}))
            }
            _ => ok(),
        }
    }
}

/// A router, and what it believes, which a test may change.
async fn router() -> (Router, Arc<Mutex<Group>>) {
    let group = Arc::new(Mutex::new(Group::default()));
    let shared = group.clone();
    let router = Router::start(move |seen| shared.lock().expect("no test panics inside").say(seen)).await;
    (router, group)
}

fn member(router: &Router, id: &str) -> WorkerBuilder {
    WorkerClient::builder([router.url.clone()], id, format!("http://{id}:1"))
        .labels(BTreeMap::from([("group".into(), "g".into())]))
        .services([ServiceOffer::new("upload")])
}

fn candidate(router: &Router, id: &str, when_silent: WhenSilent) -> WorkerBuilder {
    let listen = "127.0.0.1:0".parse().expect("an address");
    member(router, id).delegate(DelegateOffer { listen, url: None, when_silent })
}

async fn started(builder: WorkerBuilder) -> WorkerHandle {
    builder.start().await.expect("registered")
}

/// Waits longer than most tests here: machines are busy, and a group that was disturbed comes together again.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        crate::support::pause(10).await;
    }
    panic!("never happened: {what}");
}

/// The heartbeats that a router has seen: who, in a call on behalf, or `None` for each that came by itself.
fn heartbeats(router: &Router) -> Vec<Option<BTreeSet<String>>> {
    let seen = router.seen().into_iter().filter(|seen| seen.line.starts_with("POST /v1/"));
    let beats = seen.filter(|seen| seen.line.contains("heartbeat"));
    beats
        .map(|seen| {
            let workers = seen.body["workers"].as_array()?.iter().map(|id| id.as_str().expect("text").into());
            Some(workers.collect())
        })
        .collect()
}

fn ids(ids: &[&str]) -> Option<BTreeSet<String>> {
    Some(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[tokio::test]
async fn a_whole_group_is_heard_in_one_call_an_interval() {
    let (router, _) = router().await;
    let delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let members = [started(member(&router, "m1")).await, started(member(&router, "m2")).await];
    let all = ids(&["d", "m1", "m2"]);
    // Three calls in a row that name all of them, and between them nothing.
    eventually("the group comes together", || {
        heartbeats(&router).windows(3).any(|three| three.iter().all(|beat| *beat == all))
    })
    .await;
    let on_behalf = HeartbeatWay::OnBehalf { epoch: 5 };
    eventually("it has the role", || *delegate.heartbeat_ways().borrow() == on_behalf).await;
    for member in &members {
        let way = HeartbeatWay::ByDelegate { worker: "d".into(), epoch: 5 };
        eventually("it goes by the delegate", || *member.heartbeat_ways().borrow() == way).await;
        assert_eq!(member.state(), WorkerState::Registered { epoch: member_epoch(member) });
    }
    let call = router.seen().into_iter().find(|seen| seen.line == "POST /v1/heartbeats").expect("one");
    assert_eq!(
        (&call.body["on_behalf"], &call.body["worker"], &call.body["epoch"]),
        (&json!(true), &json!("d"), &json!(5))
    );
    let puts: Vec<_> = router.seen().into_iter().filter(|seen| seen.line.starts_with("PUT")).collect();
    assert_eq!(
        (&puts[0].body["wants_delegate"], &puts[1].body["wants_delegate"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(puts[1].body["labels"], json!({"group": "g"}));
}

fn member_epoch(member: &WorkerHandle) -> u64 {
    match member.state() {
        WorkerState::Registered { epoch } => epoch,
        other => panic!("{other:?}"),
    }
}

/// Every so often each of them is heard by the routers themselves, while all goes well.
#[tokio::test]
async fn a_member_beats_directly_now_and_then() {
    let (router, _) = router().await;
    let _delegate = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let _member = started(member(&router, "m1")).await;
    let both = ids(&["d", "m1"]);
    eventually("a direct one between calls", || {
        let beats = heartbeats(&router);
        let first = beats.windows(3).position(|three| three.iter().all(|beat| *beat == both));
        first.is_some_and(|at| beats[at..].iter().any(Option::is_none))
    })
    .await;
}

#[tokio::test]
async fn a_delegate_that_was_succeeded_tells_its_members_and_becomes_one() {
    let (router, group) = router().await;
    let first = started(candidate(&router, "d", WhenSilent::Wait)).await;
    let second = started(candidate(&router, "e", WhenSilent::Wait)).await;
    let _member = started(member(&router, "m1")).await;
    let all = ids(&["d", "e", "m1"]);
    eventually("the group comes together", || heartbeats(&router).contains(&all)).await;
    group.lock().expect("sound").delegate = Some(("e".into(), 9));
    let by = |seen: &Seen, id: &str| seen.line == "POST /v1/heartbeats" && seen.body["worker"] == id;
    eventually("the next one speaks for all", || {
        let seen = router.seen();
        seen.iter().any(|seen| {
            by(seen, "e") && seen.body["workers"] == json!(["d", "e", "m1"]) && seen.body["epoch"] == 9
        })
    })
    .await;
    let on_behalf = HeartbeatWay::OnBehalf { epoch: 9 };
    eventually("it has the role", || *second.heartbeat_ways().borrow() == on_behalf).await;
    eventually("the first goes by the second", || {
        *first.heartbeat_ways().borrow() == HeartbeatWay::ByDelegate { worker: "e".into(), epoch: 9 }
    })
    .await;
    let seen = router.seen();
    let refused = seen.iter().rposition(|seen| by(seen, "d")).expect("it spoke once");
    let heard = seen.iter().position(|seen| by(seen, "e")).expect("it spoke");
    assert!(refused < heard, "one that was refused speaks for nobody any more");
}

/// What a delegate that is none does, and whether it is asked again after the direct heartbeat that must follow.
#[tokio::test]
async fn whatever_a_delegate_does_instead_the_heartbeat_goes_to_the_routers_at_once() {
    let not_now = || problem(503, "delegate_cut_off");
    let wrong = || {
        Say::Answer(200, json!({"worker": "m1", "epoch": 5, "lease": 1, "sequence": 99, "again_in_ms": 100}))
    };
    let cases: [(&str, fn() -> Say, bool); 7] = [
        ("silence", || Say::Silence, false),
        ("a broken connection", || Say::Hangup, false),
        ("its role is over", || problem(409, "delegate_stale"), false),
        ("it can't just now", not_now, true),
        ("another program", || Say::Answer(404, Value::Null), false),
        ("a yes to everything", || Say::Answer(200, json!({"ok": true})), false),
        ("an answer to another heartbeat", wrong, false),
    ];
    let mut running = Vec::new();
    for (what, says, again) in cases {
        running.push((
            what,
            tokio_task(async move {
                let (router, group) = router().await;
                let delegate = Router::start(move |_| says()).await;
                {
                    let mut group = group.lock().expect("sound");
                    group.delegate = Some(("x".into(), 5));
                    group.stranger = Some(delegate.url.to_string());
                }
                let worker = started(member(&router, "m1")).await;
                let direct = || {
                    router
                        .seen()
                        .into_iter()
                        .filter(|seen| seen.line.ends_with("/heartbeat"))
                        .collect::<Vec<_>>()
                };
                eventually(what, || direct().len() >= 4).await;
                let sequence = |seen: &Seen| seen.body["sequence"].as_u64().expect("a number");
                let tried: Vec<_> = delegate.seen().iter().map(sequence).filter(|n| *n < 5).collect();
                let heard: Vec<_> = direct().iter().take(4).map(sequence).collect();
                let expected = if again { vec![2, 4, 6, 8] } else { vec![2, 3, 4, 5] };
                assert_eq!((tried[0], &heard), (1, &expected), "{what}");
                assert_eq!(tried.len() > 1, again, "{what}: {tried:?}");
                assert_eq!(*worker.heartbeat_ways().borrow(), HeartbeatWay::Direct);
                // The direct one follows with no pause between.
                let pause = direct()[0].at - delegate.seen()[0].at;
                assert!(pause.as_millis() < 600, "{what}: {pause:?}");
            }),
        ));
    }
    for (what, task) in running {
        task.await.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

/// The worst that a delegate can do is to take a heartbeat and to keep it.
#[tokio::test]
async fn a_heartbeat_that_is_swallowed_goes_to_the_routers_within_the_same_interval() {
    let (router, group) = router().await;
    let delegate = Router::start(|_| Say::Silence).await;
    {
        let mut group = group.lock().expect("sound");
        group.interval = Some("3s");
        group.delegate = Some(("x".into(), 5));
        group.stranger = Some(delegate.url.to_string());
    }
    let _worker = started(member(&router, "m1")).await;
    eventually("a direct one", || router.count("POST /v1/workers/m1/heartbeat") >= 1).await;
    let pause = router.seen()[1].at - delegate.seen()[0].at;
    assert!(pause.as_millis() < 3_000, "{pause:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test of a library that runs on tokio itself")]
fn tokio_task(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(future)
}

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

/// Where the delegate `d` listens.
fn listens(group: &Mutex<Group>) -> String {
    group.lock().expect("sound").urls["d"].clone()
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
    let not_yet = stale.replace("\"epoch\":4", "\"epoch\":6");
    let path = "/v1/delegate/heartbeat";
    for (method, path, body, expected) in [
        ("GET", path, "", "405"),
        ("POST", "/", "", "404"),
        ("POST", "/v1/delegate/heartbeat/x", "", "404"),
        ("POST", path, "", "400"),
        ("POST", path, "{\"worker\": 5}", "400"),
        ("POST", path, &format!("{{\"worker\": \"{}\"}}", "x".repeat(5_000)), "400"),
        ("POST", path, &stale, "409"),
        ("POST", path, &not_yet, "503"),
    ] {
        let answer = http(&url, method, path, body).await;
        assert_eq!(&answer[9..12], expected, "{method} {path}: {answer}");
    }
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
