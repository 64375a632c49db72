//! `/v1/watch`: what a watcher is told, from where, and what ends it.

use crate::{
    ask::Ask,
    fake::{Fake, found, worker},
    original::register,
};
use axum::body::BodyDataStream;
use futures_util::StreamExt;
use quorate_management::Readiness;
use quorate_model::{
    Address, Command, Duty, Extras, Hold, KeyspaceName, KeyspaceSource, LeaseEvent, LogIndex, Partition,
    PartitionCount, PartitionRange, RegistrationParts, ServiceName, ServicePolicy, Ttl, Verdict,
};
use quorate_rt::time;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

/// Nothing here takes a moment; a test that waits for longer has failed.
const SOON: Duration = Duration::from_secs(30);

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub id: Option<String>,
    pub data: Value,
}

/// An open watch.
pub struct Watcher {
    body: BodyDataStream,
    text: String,
}

impl Watcher {
    async fn open(fake: &Arc<Fake>, ask: Ask) -> Self {
        let response = fake.router().oneshot(ask.into()).await.expect("infallible");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    pub async fn on(fake: &Arc<Fake>, query: &str) -> Self {
        Self::open(fake, Ask::get(&format!("/v1/watch{query}"))).await
    }

    /// The next block, as it came; `None`: the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let piece = time::timeout(SOON, self.body.next()).await.expect("something comes");
            self.text.push_str(std::str::from_utf8(&piece?.expect("a piece")).expect("text"));
        }
    }

    /// The next event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let named = block.lines().find_map(|line| line.strip_prefix(name));
                named.map(|value| value.trim_start().to_owned())
            };
            if let Some(data) = field("data:") {
                let data = serde_json::from_str(&data).expect("JSON");
                return Some(Event { kind: field("event:").expect("a kind"), id: field("id:"), data });
            }
        }
    }

    /// The events up to `synced`, in short.
    async fn until_synced(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let event = self.next().await.expect("not the end");
            let done = event.kind == "synced";
            told.push(short(&event));
            if done {
                return told;
            }
        }
    }

    async fn one(&mut self) -> String {
        short(&self.next().await.expect("not the end"))
    }
}

fn short(event: &Event) -> String {
    let text = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
    let words = [
        event.id.clone().unwrap_or("-".into()),
        event.kind.clone(),
        text("change"),
        text("reason"),
        text("name"),
    ];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

pub fn grow(count: u32) -> Command {
    Command::PutKeyspace {
        name: KeyspaceName::default_name(),
        partitions: PartitionCount::new(count).ok(),
        source: KeyspaceSource::Static,
        hold: None,
        if_index: None,
    }
}

pub fn registration(id: &str, partition: i32) -> Command {
    let address = Address::parse("http://10.0.0.9:1").expect("an address");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("a TTL");
    let parts = RegistrationParts {
        partitions: vec![Partition(partition)],
        ..RegistrationParts::new(worker(id), address, ttl)
    };
    let registration = parts.validate().expect("valid");
    Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
}

#[tokio::test]
async fn a_watch_begins_with_what_stands_and_goes_on_with_each_change() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 1]).await;
    let mut watcher = Watcher::on(&fake, "").await;
    assert_eq!(watcher.block().await, Some("retry: 1000".into()));
    let began = watcher.until_synced().await;
    assert_eq!(
        began,
        ["- reset start", "- level stands", "- keyspace stands default", "- worker stands w1", "2 synced"]
    );
    register(&fake, "w2", &[1]).await;
    fake.lease("w1", LeaseEvent::Expired);
    fake.apply(grow(24));
    let told = [watcher.one().await, watcher.one().await, watcher.one().await, watcher.one().await];
    assert_eq!(
        told,
        ["3.0 worker lost w1", "3 worker registered w2", "4 worker status w1", "5 keyspace changed default"]
    );
}

#[tokio::test]
async fn a_change_carries_the_record_as_the_api_shows_it() {
    let fake = Fake::formed();
    let mut watcher = Watcher::on(&fake, "?from=1").await;
    register(&fake, "w1", &[0, 99]).await;
    let shown = fake.ask(Ask::get("/v1/workers/w1")).await.json();
    watcher.until_synced().await;
    fake.lease("w1", LeaseEvent::Suspected);
    let suspected = watcher.next().await.expect("an event");
    assert_eq!(suspected.data["from"], "live");
    assert_eq!(
        (&suspected.data["to"], &suspected.data["worker"]["status"]),
        (&json!("suspect"), &json!("suspect"))
    );
    let mut again = Watcher::on(&fake, "?from=1").await;
    assert_eq!(again.next().await.expect("an event").data["worker"], shown, "as it stood then");
    fake.ask(Ask::new("DELETE", "/v1/workers/w1")).await;
    let gone = watcher.next().await.expect("an event");
    assert_eq!((&gone.data["change"], &gone.data["worker"]), (&json!("removed"), &Value::Null));
    assert!(gone.data.as_object().expect("an object").contains_key("worker"), "null, not missing");
}

#[tokio::test]
async fn what_operators_decide_is_told_and_stands_for_those_who_come_later() {
    let fake = Fake::formed();
    fake.apply(registration("w1", 0));
    let mut watcher = Watcher::on(&fake, "?from=2").await;
    watcher.until_synced().await;
    let name = ServiceName::parse("upload").expect("a name");
    let hold = Hold::new(Duration::from_secs(5), 10).expect("a hold");
    let policy = ServicePolicy::new(Some(hold), Some(Duration::from_secs(3))).expect("a policy");
    fake.apply(Command::SetDuty { id: worker("w1"), duty: Duty::Draining, if_index: None });
    fake.apply(Command::SetWeight { id: worker("w1"), weight: Some(7), if_index: None });
    fake.apply(Command::PutService { name: name.clone(), policy, if_index: None });
    let drained = watcher.next().await.expect("an event");
    assert_eq!((short(&drained), &drained.data["duty"]), ("3 worker intent w1".into(), &json!("draining")));
    assert_eq!(watcher.next().await.expect("an event").data["weight"], 7);
    let expected = json!({"hold": "5s", "hold_waiting_max": 10, "timeout": "3s", "changed_index": 5});
    assert_eq!(watcher.next().await.expect("an event").data["policy"], expected);
    let began = Watcher::on(&fake, "?kinds=service").await.until_synced().await;
    assert_eq!(began, ["- reset start", "- service stands upload", "5 synced"]);
    fake.apply(Command::DeleteService { name, if_index: None });
    let deleted = watcher.next().await.expect("an event");
    assert_eq!((short(&deleted), &deleted.data["policy"]), ("6 service removed upload".into(), &Value::Null));
}

#[tokio::test]
async fn routes_and_what_health_checks_find_are_told_and_stand_for_those_who_come_later() {
    let fake = Fake::formed();
    let body = json!({"address": "http://w1:1", "services": [{"name": "upload"}]});
    assert_eq!(fake.ask(Ask::json("PUT", "/v1/workers/w1", body)).await.status, 200);
    fake.ask(Ask::json("PUT", "/v1/services/upload", json!({"health": {}}))).await;
    let from = fake.state().index();
    let mut watcher = Watcher::on(&fake, &format!("?from={from}")).await;
    watcher.until_synced().await;
    let route = json!({"match": {}, "destinations": [{"service": "upload"}]});
    fake.ask(Ask::json("PUT", "/v1/routes/web", route)).await;
    found(&fake, "w1", Verdict::Unhealthy);
    let event = watcher.next().await.expect("an event");
    assert_eq!((event.kind.as_str(), &event.data["change"]), ("route", &json!("changed")));
    assert_eq!(event.data["route"]["destinations"][0], json!({"service": "upload", "weight": 100}));
    let event = watcher.next().await.expect("an event");
    assert_eq!((event.kind.as_str(), &event.data["change"]), ("service", &json!("health")));
    let told = |event: &Value| (event["name"].clone(), event["endpoint"].clone(), event["health"].clone());
    assert_eq!(told(&event.data), (json!("upload"), json!("w1"), json!("unhealthy")));
    let began = Watcher::on(&fake, "?kinds=service,route").await.until_synced().await;
    let stands = ["- service stands upload", "- route stands web", "- service stands upload"];
    assert_eq!(began[1..4], stands, "a policy, a route, and who is not well");
    found(&fake, "w1", Verdict::Healthy);
    assert_eq!(told(&watcher.next().await.expect("an event").data).2, "healthy");
    fake.ask(Ask::new("DELETE", "/v1/routes/web")).await;
    let event = watcher.next().await.expect("an event");
    assert_eq!((&event.data["change"], &event.data["route"]), (&json!("removed"), &Value::Null));
}

#[tokio::test]
async fn a_group_that_gets_another_delegate_or_none_says_so() {
    let fake = Fake::formed();
    let candidate = |id: &str| {
        let body = json!({"address": "http://10.0.0.9:1", "services": [{"name": "upload"}]});
        let object = body.as_object().expect("an object").clone();
        let default = Ttl::new(Duration::from_secs(30)).expect("a TTL");
        let mut parts =
            quorate_api::worker::registration(worker(id), object, default).expect("valid").into_parts();
        parts.extras = Extras { wants_delegate: true, ..Extras::default() }.boxed();
        let registration = parts.validate().expect("valid");
        Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
    };
    let mut watcher = Watcher::on(&fake, "?from=1&kinds=delegate").await;
    fake.apply(candidate("w1"));
    fake.apply(candidate("w2"));
    let mut told = Vec::new();
    for lost in ["w1", "w2"] {
        fake.apply(Command::UnregisterWorker { id: worker(lost), epoch: None, if_index: None });
    }
    while told.len() < 3 {
        let event = watcher.next().await.expect("an event");
        if event.kind == "delegate" {
            assert_eq!(event.data["name"], "default");
            told.push(event.data.pointer("/delegate/worker").cloned().unwrap_or_default());
        }
    }
    assert_eq!(told, [json!("w1"), json!("w2"), Value::Null]);
}

#[tokio::test]
async fn whoever_comes_back_with_its_last_event_misses_nothing_and_hears_nothing_twice() {
    let fake = Fake::formed();
    fake.apply_together(vec![registration("w1", 0), registration("w2", 1), registration("w3", 0)]);
    fake.apply(grow(24));
    let all = Watcher::on(&fake, "?from=1").await.until_synced().await;
    let events = [
        "2.0 worker registered w1",
        "2.1 worker registered w2",
        "2.2 worker removed w1",
        "2.3 worker removed w1",
        "2 worker registered w3",
        "3 keyspace changed default",
        "3 synced",
    ];
    assert_eq!(all[1..], events[1..]);
    for (nth, event) in all.iter().enumerate() {
        let id = event.split(' ').next().expect("an id");
        let ask = Ask::get("/v1/watch").header("last-event-id", id);
        let rest = Watcher::open(&fake, ask).await.until_synced().await;
        let expected: Vec<_> = all[nth + 1..].to_vec();
        let expected = if expected.is_empty() { vec!["3 synced".to_owned()] } else { expected };
        assert_eq!(rest, expected, "behind {event}");
    }
    // What the reader has heard last goes before what the page asked for at first.
    let ask = Ask::get("/v1/watch?from=1").header("last-event-id", "2");
    assert_eq!(Watcher::open(&fake, ask).await.one().await, "3 keyspace changed default");
}

#[tokio::test]
async fn a_watch_hears_only_of_what_it_is_about() {
    let fake = Fake::formed();
    let mut watcher = Watcher::on(&fake, "?kinds=worker&prefix=b").await;
    assert_eq!(watcher.until_synced().await, ["- reset start", "1 synced"]);
    register(&fake, "a1", &[0]).await;
    fake.apply(grow(24));
    register(&fake, "b1", &[1]).await;
    assert_eq!(watcher.one().await, "4 worker registered b1");
}

#[tokio::test]
async fn what_is_no_longer_known_begins_anew() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.install_snapshot();
    let began = Watcher::on(&fake, "?from=1").await.until_synced().await;
    assert_eq!(began[0], "- reset history");
    assert_eq!(began.last().map(String::as_str), Some("2 synced"));
    assert_eq!(Watcher::on(&fake, "?from=2").await.until_synced().await, ["2 synced"], "nothing is missing");
}

#[tokio::test]
async fn a_watch_ends_when_the_node_does_and_no_wait_outlives_it() {
    let fake = Fake::formed();
    let mut watcher = Watcher::on(&fake, "").await;
    watcher.until_synced().await;
    let blocked = fake.ask(Ask::get("/v1/workers?index=9&wait=5m"));
    let early = fake.ask(Ask::get("/v1/watch?from=99"));
    let ending = async {
        tokio::task::yield_now().await;
        fake.end();
    };
    let all = futures_util::future::join3(blocked, early, ending);
    let (blocked, early, ()) = time::timeout(SOON, all).await.expect("nobody waits on");
    assert_eq!((blocked.status, blocked.json()["index"].clone()), (200, json!(1)));
    assert_eq!((early.status, early.problem()), (503, "shutting_down".into()));
    assert_eq!(watcher.next().await, None);
}

#[tokio::test]
async fn a_node_that_lags_behind_a_watcher_says_so() {
    let fake = Fake::formed();
    let late = async {
        tokio::task::yield_now().await;
        fake.apply(grow(24));
        fake.apply(grow(36));
    };
    let (mut watcher, ()) = futures_util::future::join(Watcher::on(&fake, "?from=2"), late).await;
    assert_eq!(watcher.one().await, "3 keyspace changed default", "it waited, and told nothing twice");
}

#[tokio::test]
async fn an_index_that_is_not_reached_is_refused() {
    let fake = Fake::formed();
    fake.run_out_of_patience();
    let far = fake.ask(Ask::get("/v1/watch?from=99")).await;
    assert_eq!((far.status, far.problem()), (504, "index_not_reached".into()));
}

#[tokio::test]
async fn silence_is_shown_with_the_position_that_was_reached() {
    let fake = Fake::formed();
    let mut watcher = Watcher::on(&fake, "?from=1&kinds=level").await;
    watcher.until_synced().await;
    fake.apply(grow(24));
    let keep_alive = async {
        loop {
            let block = watcher.block().await.expect("not the end");
            assert!(block.starts_with(": keep-alive\nid: "), "{block}");
            if block.ends_with("id: 2") {
                return;
            }
        }
    };
    time::timeout(SOON, keep_alive).await.expect("it is shown again and again");
    // A node that is cut off can't know whether anything has happened.
    fake.set_readiness(Readiness::Ready, Some(Duration::from_secs(12)));
    let stale =
        async { while watcher.block().await != Some(": keep-alive, stale for 12 s\nid: 2".into()) {} };
    time::timeout(SOON, stale).await.expect("it says so");
}

#[tokio::test]
async fn places_are_bounded_and_come_free() {
    let fake = Fake::formed();
    let mut watchers = Vec::new();
    for _ in 0..256 {
        watchers.push(Watcher::on(&fake, "?from=1").await);
    }
    let full = fake.ask(Ask::get("/v1/watch")).await;
    assert_eq!((full.status, full.problem(), full.header("retry-after")), (503, "busy".into(), Some("5")));
    watchers.clear();
    let free = async {
        while fake.router().oneshot(Ask::get("/v1/watch").into()).await.expect("infallible").status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(SOON, free).await.expect("whoever goes leaves its place");
}

#[tokio::test]
async fn bad_questions_are_refused_by_name() {
    let fake = Fake::formed();
    for (ask, field) in [
        (Ask::get("/v1/watch?from=yesterday"), "query.from"),
        (Ask::get("/v1/watch?kinds=worker,routes"), "query.kinds"),
        (Ask::get("/v1/watch?index=5"), "query.index"),
        (Ask::get("/v1/watch").header("last-event-id", "5.x"), "Last-Event-ID"),
    ] {
        let answer = fake.ask(ask.clone()).await;
        assert_eq!((answer.status, answer.wrong_fields()), (400, vec![field.to_owned()]), "{ask:?}");
    }
    assert_eq!(fake.state().index(), LogIndex(1));
}
