//! Delegates: who they are told to be, and what only they may say.

use crate::{
    ask::{Answer, Ask},
    fake::{Fake, worker},
};
use quorate_management::{Look, ProbedBy, Reason, Verdict};
use quorate_model::{LeaseEvent, NodeName};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

async fn register(fake: &Arc<Fake>, id: &str, group: &str, wants: bool) -> Value {
    let body = json!({"address": format!("http://{id}:1"), "services": [{"name": "upload"}],
        "labels": {"group": group}, "wants_delegate": wants});
    let answer = fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn on_behalf(fake: &Arc<Fake>, by: &str, epoch: &Value, workers: Value) -> Answer {
    let body = json!({"workers": workers, "on_behalf": true, "worker": by, "epoch": epoch});
    fake.ask(Ask::json("POST", "/v1/heartbeats", body)).await
}

async fn report(fake: &Arc<Fake>, id: &str, by: &str, epoch: &Value) -> Answer {
    let body = json!({"by": by, "epoch": epoch, "reason": "no answer to /health"});
    fake.ask(Ask::json("POST", &format!("/v1/workers/{id}/report-down"), body)).await
}

#[tokio::test]
async fn workers_are_told_the_delegate_of_their_group_when_they_register() {
    let fake = Fake::formed();
    assert_eq!(register(&fake, "m1", "g", false).await["heartbeat_delegate"], Value::Null);
    let own = register(&fake, "d1", "g", true).await["heartbeat_delegate"].clone();
    assert_eq!((&own["worker"], &own["url"]), (&json!("d1"), &json!("http://d1:1")));
    assert_eq!(register(&fake, "m2", "g", false).await["heartbeat_delegate"], own);
    assert_eq!(register(&fake, "m3", "other", false).await["heartbeat_delegate"], Value::Null);
    let plain = json!({"address": "http://h:1"});
    let answer = fake.ask(Ask::json("PUT", "/v1/workers/plain", plain)).await.json();
    assert_eq!(answer.get("heartbeat_delegate"), None, "it asked for nothing");
    assert_eq!(answer["heartbeat_delegate_url"], Value::Null, "nobody leads its group");
    assert_eq!(register(&fake, "m4", "g", false).await["heartbeat_delegate_url"], own["url"]);
    let list = fake.ask(Ask::get("/v1/delegates")).await.json();
    assert_eq!(
        (&list["items"][0]["group"], &list["items"][0]["epoch"], list["items"].as_array().unwrap().len()),
        (&json!("g"), &own["epoch"], 1)
    );
}

#[tokio::test]
async fn a_heartbeat_tells_the_delegate_that_stands_and_where_it_takes_those_of_its_group() {
    let fake = Fake::formed();
    register(&fake, "m1", "g", false).await;
    let beat = || fake.ask(Ask::json("POST", "/v1/workers/m1/heartbeat", json!({})));
    assert_eq!(beat().await.json()["heartbeat_delegate"], Value::Null);
    for (label, told) in [("http://d1:7947", "http://d1:7947"), ("no URL", "http://d1:1")] {
        let body = json!({"address": "http://d1:1", "services": [{"name": "upload"}], "wants_delegate": true,
            "labels": {"group": "g", "delegate_url": label}});
        let own =
            fake.ask(Ask::json("PUT", "/v1/workers/d1", body)).await.json()["heartbeat_delegate"].clone();
        assert_eq!((&own["worker"], &own["url"]), (&json!("d1"), &json!(told)));
        assert_eq!(beat().await.json()["heartbeat_delegate"], own);
    }
    fake.ask(Ask::json("PUT", "/v1/workers/plain", json!({"address": "http://h:1"}))).await;
    let plain = fake.ask(Ask::json("POST", "/v1/workers/plain/heartbeat", json!({}))).await.json();
    assert_eq!(plain.get("heartbeat_delegate"), None, "it asked for nothing");
}

#[tokio::test]
async fn a_delegate_speaks_for_its_group_only() {
    let fake = Fake::formed();
    let epoch = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    register(&fake, "m1", "g", false).await;
    register(&fake, "other", "h", false).await;
    let answer = on_behalf(&fake, "d1", &epoch, json!(["d1", "m1", "other", "nobody"])).await;
    assert_eq!(
        answer.json(),
        json!({"ok": ["d1", "m1"], "unknown": ["nobody"], "displaced": [], "refused": ["other"]})
    );
    let agent = fake.ask(Ask::json("POST", "/v1/heartbeats", json!({"workers": ["m1", "other"]}))).await;
    assert_eq!(agent.json(), json!({"ok": ["m1", "other"], "unknown": [], "displaced": []}));
}

#[tokio::test]
async fn a_delegate_that_was_succeeded_is_told_by_any_node() {
    let fake = Fake::formed();
    let old = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    register(&fake, "d2", "g", true).await;
    register(&fake, "m1", "g", false).await;
    // The node that is asked has not heard of the succession.
    fake.lag();
    fake.lease("d1", LeaseEvent::Suspected);
    fake.lease("d1", LeaseEvent::Expired);
    let answer = on_behalf(&fake, "d1", &old, json!(["m1"])).await;
    assert_eq!((answer.status, answer.problem()), (409, "delegate_stale".into()));
    let stands = answer.json()["delegate"].clone();
    assert_eq!(stands["worker"], "d2");
    assert!(stands["epoch"].as_u64() > old.as_u64(), "{stands}");
    // A revived one does not get the role back, and its old epoch is worth nothing.
    fake.lease("d1", LeaseEvent::Revived);
    assert_eq!(on_behalf(&fake, "d1", &old, json!(["m1"])).await.problem(), "delegate_stale");
    assert_eq!(on_behalf(&fake, "d2", &old, json!(["m1"])).await.problem(), "delegate_stale");
    assert_eq!(on_behalf(&fake, "d2", &stands["epoch"], json!(["m1"])).await.json()["ok"], json!(["m1"]));
    let nobody = on_behalf(&fake, "m9", &json!(1), json!(["m1"])).await;
    assert_eq!((nobody.problem(), &nobody.json()["delegate"]), ("delegate_stale".into(), &Value::Null));
}

#[tokio::test]
async fn nobody_speaks_for_a_group_without_a_quorum() {
    let fake = Fake::formed();
    let epoch = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    fake.break_down(Reason::NoQuorum);
    assert_eq!(on_behalf(&fake, "d1", &epoch, json!(["d1"])).await.problem(), "no_quorum");
}

#[tokio::test]
async fn a_report_is_looked_into_under_the_workers_own_epoch() {
    let fake = Fake::formed();
    let epoch = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    register(&fake, "m1", "g", false).await;
    let found = |node: &str, connected| ProbedBy {
        node: NodeName::parse(node).expect("valid"),
        connected,
        detail: "as it is".into(),
    };
    for (verdict, word) in [
        (Verdict::Down, "down"),
        (Verdict::Up, "up"),
        (Verdict::Unconfirmed, "unconfirmed"),
        (Verdict::Heard, "heard"),
    ] {
        fake.find(Look { verdict, probes: vec![found("n1", Some(false)), found("n2", None)] });
        let answer = report(&fake, "m1", "d1", &epoch).await;
        assert_eq!(answer.json()["verdict"], word, "{}", answer.text);
        assert_eq!(
            answer.json()["probes"][0],
            json!({"node": "n1", "connected": false, "detail": "as it is"})
        );
        assert_eq!(answer.json()["probes"][1]["connected"], Value::Null);
    }
    let lives = fake.state().worker("m1").expect("there").epoch;
    assert_eq!(fake.looked_at(), vec![(worker("m1"), lives); 4]);
    fake.lease("m1", LeaseEvent::Suspected);
    fake.lease("m1", LeaseEvent::Expired);
    assert_eq!(report(&fake, "m1", "d1", &epoch).await.json(), json!({"verdict": "expired", "probes": []}));
    assert_eq!(fake.looked_at().len(), 4, "there is nothing to look at");
}

#[tokio::test]
async fn a_second_report_is_told_that_the_worker_is_looked_at() {
    let fake = Fake::formed();
    let epoch = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    register(&fake, "m1", "g", false).await;
    fake.refuse_looks(Reason::LookedAt { retry_after: Duration::from_millis(4_100) });
    let again = report(&fake, "m1", "d1", &epoch).await;
    assert_eq!((again.status, again.problem(), again.header("retry-after")), (503, "busy".into(), Some("5")));
    assert_eq!(again.json()["detail"], "the worker is being looked at already, or was a moment ago");
    fake.refuse_looks(Reason::TooManyLooks { retry_after: Duration::from_secs(1) });
    let full = report(&fake, "m1", "d1", &epoch).await;
    assert_eq!(full.json()["detail"], "too many workers are being looked at");
}

#[tokio::test]
async fn only_the_delegate_of_the_group_may_report() {
    let fake = Fake::formed();
    let epoch = register(&fake, "d1", "g", true).await["heartbeat_delegate"]["epoch"].clone();
    register(&fake, "m1", "g", false).await;
    register(&fake, "other", "h", false).await;
    for (id, by, at) in [("m1", "d1", json!(1)), ("m1", "m1", epoch.clone())] {
        assert_eq!(report(&fake, id, by, &at).await.problem(), "delegate_stale", "{id} by {by} at {at}");
    }
    // Its role stands: it must not be told that it has lost it.
    let strange = report(&fake, "other", "d1", &epoch).await;
    assert_eq!((strange.status, strange.problem()), (409, "not_in_group".into()));
    assert_eq!(strange.json()["delegate"], Value::Null, "that group has none");
    assert_eq!(report(&fake, "m9", "d1", &epoch).await.problem(), "worker_unknown");
    let wrong = fake.ask(Ask::json("POST", "/v1/workers/m1/report-down", json!({"why": 1}))).await;
    assert_eq!(wrong.wrong_fields(), ["by", "epoch", "why"]);
    assert_eq!(fake.looked_at(), []);
}
