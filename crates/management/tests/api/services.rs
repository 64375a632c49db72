//! `/v1/services`.

use crate::{
    ask::Ask,
    fake::{Fake, found},
};
use quorate_model::{LeaseEvent, Verdict};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) async fn offer(fake: &Arc<Fake>, id: &str, body: Value) {
    let mut whole = json!({"address": format!("http://{id}:1"), "services": [{"name": "upload"}]});
    for (key, value) in body.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    let answer = fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), whole)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

pub(crate) async fn get(fake: &Arc<Fake>, path: &str) -> Value {
    let answer = fake.ask(Ask::get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

pub(crate) async fn post(fake: &Arc<Fake>, path: &str) {
    let answer = fake.ask(Ask::new("POST", path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn each_endpoint_says_what_becomes_of_requests_and_where_they_go() {
    let fake = Fake::formed();
    for id in ["a", "b", "c", "d", "e", "f"] {
        offer(&fake, id, json!({})).await;
    }
    let own = json!([{"name": "upload", "version": "2", "url": "http://a:99/base"}]);
    offer(&fake, "a", json!({"services": own, "weight": 7})).await;
    fake.lease("b", LeaseEvent::Suspected);
    fake.lease("c", LeaseEvent::Suspected);
    fake.lease("c", LeaseEvent::Expired);
    post(&fake, "/v1/workers/d/drain").await;
    post(&fake, "/v1/workers/e/offline").await;
    let service = get(&fake, "/v1/services/upload").await;
    let endpoints = service["endpoints"].as_array().expect("a list");
    let seen: Vec<_> =
        endpoints.iter().map(|e| (e["worker"].as_str().unwrap(), e["status"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("a", "live"),
            ("b", "suspect"),
            ("c", "expired"),
            ("d", "draining"),
            ("e", "offline"),
            ("f", "live")
        ]
    );
    assert_eq!((&service["endpoint_count"], &service["serving_count"]), (&json!(6), &json!(3)));
    let a = &endpoints[0];
    assert_eq!(
        (&a["url"], &a["version"], &a["weight"]),
        (&json!("http://a:99/base"), &json!("2"), &json!(7))
    );
    assert_eq!((&endpoints[1]["url"], &endpoints[1]["version"]), (&json!("http://b:1"), &Value::Null));
    assert!(a["epoch"].as_u64() > endpoints[1]["epoch"].as_u64(), "the newest registration");
    // Expired weighs more than drained: the drain has nothing to wait for.
    post(&fake, "/v1/workers/c/drain").await;
    assert_eq!(get(&fake, "/v1/services/upload").await["endpoints"][2]["status"], "expired");
}

/// What health checks have found is shown until they find otherwise, or the worker registers anew.
#[tokio::test]
async fn an_endpoint_that_health_checks_find_unwell_is_ejected() {
    let fake = Fake::formed();
    for id in ["a", "b"] {
        offer(&fake, id, json!({})).await;
    }
    // Whoever is not checked is not found to be anything.
    found(&fake, "a", Verdict::Unhealthy);
    fake.ask(Ask::json("PUT", "/v1/services/upload", json!({"health": {}}))).await;
    let status = async |fake: &Arc<Fake>| {
        let service = get(fake, "/v1/services/upload").await;
        (service["endpoints"][0]["status"].clone(), service["serving_count"].clone())
    };
    assert_eq!(status(&fake).await, (json!("live"), json!(2)));
    found(&fake, "a", Verdict::Unhealthy);
    assert_eq!(status(&fake).await, (json!("ejected"), json!(1)));
    let counted = get(&fake, "/api/admin/services").await["services"]["upload"].clone();
    assert_eq!((&counted["total_workers"], &counted["healthy_workers"]), (&json!(2), &json!(1)));
    // An operator's word, and a silence, weigh more than a check.
    post(&fake, "/v1/workers/a/drain").await;
    assert_eq!(status(&fake).await, (json!("draining"), json!(1)));
    post(&fake, "/v1/workers/a/resume").await;
    assert_eq!(status(&fake).await, (json!("ejected"), json!(1)));
    found(&fake, "a", Verdict::Healthy);
    assert_eq!(status(&fake).await, (json!("live"), json!(2)));
    found(&fake, "a", Verdict::Unhealthy);
    offer(&fake, "a", json!({})).await;
    assert_eq!(status(&fake).await, (json!("live"), json!(2)), "another life");
}

#[tokio::test]
async fn a_policy_says_how_traffic_is_treated() {
    let fake = Fake::formed();
    let body = json!({
        "balancing": "consistent-hash", "hash_on": {"header": "x-user"}, "protocol": "h2c",
        "health": {"tcp": true, "interval": "2s"}, "breaker": {"failures": 3}, "slow_start": "30s",
    });
    let set = fake.ask(Ask::json("PUT", "/v1/services/upload", body)).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let shown = get(&fake, "/v1/services/upload").await["policy"].clone();
    assert_eq!(
        shown["health"],
        json!({"tcp": true, "interval": "2s", "timeout": "2s", "unhealthy": 3, "healthy": 2})
    );
    assert_eq!(shown["breaker"]["open"], "1m");
    assert_eq!((&shown["hash_on"]["header"], &shown["protocol"]), (&json!("x-user"), &json!("h2c")));
    let wrong =
        json!({"balancing": "best", "health": {"http": {"path": "x"}}, "limits": {"in_flight_max": 0}});
    let answer = fake.ask(Ask::json("PUT", "/v1/services/upload", wrong)).await;
    assert_eq!(answer.wrong_fields(), ["balancing", "health.http.path", "limits.in_flight_max"]);
}

#[tokio::test]
async fn services_and_endpoints_are_paged() {
    let fake = Fake::formed();
    for id in ["a", "b", "c"] {
        offer(&fake, id, json!({"services": [{"name": "rag"}, {"name": "upload"}]})).await;
    }
    let first = get(&fake, "/v1/services?limit=1").await;
    assert_eq!((&first["items"][0]["name"], &first["next_cursor"]), (&json!("rag"), &json!("rag")));
    let second = get(&fake, "/v1/services?limit=1&cursor=rag").await;
    assert_eq!((&second["items"][0]["name"], &second["next_cursor"]), (&json!("upload"), &Value::Null));
    let page = get(&fake, "/v1/services/rag?limit=2").await;
    assert_eq!((page["endpoints"].as_array().unwrap().len(), &page["next_cursor"]), (2, &json!("b")));
    let rest = get(&fake, "/v1/services/rag?limit=2&cursor=b").await;
    assert_eq!((&rest["endpoints"][0]["worker"], &rest["next_cursor"]), (&json!("c"), &Value::Null));
    assert_eq!(rest["endpoint_count"], 3, "the count is of all");
    for path in ["/v1/services?cursor=", "/v1/services/rag?cursor="] {
        assert_eq!(fake.ask(Ask::get(path)).await.wrong_fields(), ["query.cursor"], "{path}");
    }
}

#[tokio::test]
async fn a_policy_is_set_read_and_taken_away() {
    let fake = Fake::formed();
    let put = |body: Value| Ask::json("PUT", "/v1/services/upload", body);
    let body = json!({"hold": "5s", "hold_waiting_max": 10, "timeout": "20s"});
    let set = fake.ask(put(body.clone())).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let index = set.json()["index"].as_u64().expect("a number");
    assert_eq!(set.header("etag"), Some(format!("\"{index}\"").as_str()));
    let shown = fake.ask(Ask::get("/v1/services/upload")).await;
    assert_eq!((&shown.json()["policy"], shown.header("etag")), (&body, set.header("etag")));
    assert_eq!((&shown.json()["endpoints"], &shown.json()["changed_index"]), (&json!([]), &json!(index)));
    // The whole policy is what is said.
    fake.ask(put(json!({"timeout": "20s"}))).await;
    let shown = get(&fake, "/v1/services/upload").await;
    assert_eq!(shown["policy"], json!({"hold": null, "hold_waiting_max": null, "timeout": "20s"}));
    let delete = || Ask::new("DELETE", "/v1/services/upload");
    assert_eq!(fake.ask(delete()).await.status, 200);
    assert_eq!(fake.ask(delete()).await.problem(), "service_unknown");
    assert_eq!(fake.ask(Ask::get("/v1/services/upload")).await.problem(), "service_unknown");
    // Without a policy the workers' offers are still there.
    offer(&fake, "a", json!({})).await;
    assert_eq!(get(&fake, "/v1/services/upload").await["policy"], Value::Null);
    assert_eq!(fake.ask(delete()).await.problem(), "service_unknown");
}

#[tokio::test]
async fn policies_are_checked_and_conditional() {
    let fake = Fake::formed();
    let put = |path: &str, body: Value| Ask::json("PUT", path, body);
    let wrong = fake.ask(put("/v1/services/upload", json!({"hold": "1h", "retry": 1}))).await;
    assert_eq!(
        (wrong.problem(), wrong.wrong_fields()),
        ("invalid_request".into(), vec!["hold".into(), "retry".into()])
    );
    let named = fake.ask(put(&format!("/v1/services/{}", "x".repeat(129)), json!({}))).await;
    assert_eq!(named.wrong_fields(), ["path.name"]);
    // No worker could offer it, and no path name it.
    for name in ["a%2Fb", "a%5Cb", "%2E%2E"] {
        let named = fake.ask(put(&format!("/v1/services/{name}"), json!({"hold": "5s"}))).await;
        assert_eq!((named.status, named.wrong_fields()), (400, vec!["path.name".into()]), "{name}");
    }
    let before = fake.proposals();
    let dry = fake.ask(put("/v1/services/upload?dry_run=true", json!({"hold": "5s"}))).await;
    assert_eq!((&dry.json()["dry_run"], fake.proposals()), (&json!(true), before));
    let missing = fake.ask(put("/v1/services/upload", json!({})).header("if-match", "3")).await;
    assert_eq!((missing.status, missing.problem()), (412, "precondition_failed".into()));
    let set = fake.ask(put("/v1/services/upload", json!({"hold": "5s"})).header("if-none-match", "*")).await;
    let tag = set.header("etag").expect("a tag").to_owned();
    assert_eq!(
        fake.ask(put("/v1/services/upload", json!({})).header("if-none-match", "*")).await.status,
        412
    );
    let stale = Ask::new("DELETE", "/v1/services/upload").header("if-match", "1");
    assert_eq!(fake.ask(stale).await.status, 412);
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/services/upload").header("if-match", tag)).await.status, 200);
}

#[tokio::test]
async fn a_keyspace_says_how_long_requests_wait_for_the_next_owner() {
    let fake = Fake::formed();
    let body = json!({"partitions": 12, "hold": "2s"});
    let set = fake.ask(Ask::json("PUT", "/v1/keyspaces/default", body)).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let shown = get(&fake, "/v1/keyspaces/default").await;
    assert_eq!((&shown["hold"], &shown["hold_waiting_max"]), (&json!("2s"), &json!(1_000)));
    let wrong = fake.ask(Ask::json("PUT", "/v1/keyspaces/default", json!({"partitions": 12, "hold": "11s"})));
    assert_eq!(wrong.await.wrong_fields(), ["hold"]);
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_not_well_gets_nothing_and_is_not_counted() {
    let fake = Fake::formed();
    for id in ["a", "b", "c"] {
        offer(&fake, id, json!({"services": [{"name": "rag"}, {"name": "upload"}]})).await;
    }
    for beat in [
        json!({"worker_id": "a", "status": "healthy", "services_status": {"upload": "unhealthy"}}),
        json!({"worker_id": "b", "status": "overloaded"}),
    ] {
        let answer = fake.ask(Ask::json("POST", "/api/worker/heartbeat", beat)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    for (service, serving, statuses) in
        [("rag", 2, ["live", "unhealthy", "live"]), ("upload", 1, ["unhealthy", "unhealthy", "live"])]
    {
        let one = get(&fake, &format!("/v1/services/{service}")).await;
        let all = get(&fake, "/v1/services").await;
        let listed = all["items"].as_array().unwrap().iter().find(|item| item["name"] == service).unwrap();
        for shown in [&one, listed] {
            assert_eq!((&shown["endpoint_count"], &shown["serving_count"]), (&json!(3), &json!(serving)));
            let seen: Vec<_> = shown["endpoints"].as_array().unwrap().iter().map(|e| &e["status"]).collect();
            assert_eq!(seen, statuses, "{service}");
        }
    }
}

#[tokio::test]
async fn a_blocking_list_is_not_woken_by_what_is_not_in_it() {
    let fake = Fake::formed();
    offer(&fake, "a", json!({})).await;
    for (i, path) in ["/v1/services", "/v1/services/upload", "/v1/delegates"].into_iter().enumerate() {
        let before = fake.state().index();
        let put = Ask::json(
            "PUT",
            &format!("/v1/keyspaces/other{i}"),
            json!({"partitions": 24, "source": "static"}),
        );
        let answer = fake.ask(put).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut waiting = std::pin::pin!(fake.ask(Ask::get(&format!("{path}?index={}&wait=30s", before.0))));
        assert!(futures_util::poll!(&mut waiting).is_pending(), "{path} waits");
        let (answer, ()) =
            futures_util::future::join(waiting, offer(&fake, "a", json!({"weight": 5 + i}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
