//! The service coordinator's dialect: each row of its contract.

use crate::{
    ask::{Answer, Ask},
    fake::{Fake, worker},
};
use quorate_model::{Command, Duty, FeatureLevel, LeaseEvent};
use serde_json::{Value, json};
use std::sync::Arc;

/// A cluster whose members can all read everything that a worker says.
pub fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::NEWEST });
    fake
}

/// What the original's agent sends, with services at `ip` and these ports.
pub fn agent(ip: &str, services: &[(&str, u16)]) -> Value {
    let service = |(name, port): &(&str, u16)| json!({"name": name, "container": name, "port": port, "health": "healthy", "version": "1.0"});
    json!({
        "capabilities": {
            "cpu_cores": 8, "ram": "15.6GB", "storage": "100GB", "containerized": true, "worker_type": "cpu",
            "ip_address": ip,
        },
        "services": services.iter().map(service).collect::<Vec<_>>(),
        "ip_address": ip,
        "tunnel_url": null,
        "wants_heartbeat_leadership": !services.is_empty(),
    })
}

pub async fn post(fake: &Arc<Fake>, path: &str, body: &Value) -> Answer {
    fake.ask(Ask::json("POST", path, body.clone())).await
}

/// Registers, and answers with the id.
pub async fn register(fake: &Arc<Fake>, body: &Value) -> String {
    let answer = post(fake, "/api/worker/register", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["worker_id"].as_str().expect("an id").to_owned()
}

pub async fn get(fake: &Arc<Fake>, path: &str) -> Value {
    let answer = fake.ask(Ask::get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

pub fn named(id: &str, mut body: Value) -> Value {
    body["worker_id"] = id.into();
    body
}

#[tokio::test]
async fn the_process_says_that_it_works() {
    let fake = formed();
    assert_eq!(fake.ask(Ask::get("/health")).await.exactly(), (200, r#"{"status":"healthy","edge":true}"#));
    let admin = get(&fake, "/api/admin/health").await;
    assert_eq!((&admin["status"], &admin["coordinator"]), (&json!("healthy"), &json!("cloudflare-worker")));
    let at = admin["timestamp"].as_str().expect("text");
    assert!(at.ends_with('Z') && at.len() == "2026-01-01T00:00:00.000Z".len(), "{at}");
}

#[tokio::test]
async fn a_registration_is_answered_to_the_letter() {
    let fake = formed();
    let body = named("w1", agent("10.0.0.7", &[("upload", 8103), ("rag", 8102)]));
    let answer = post(&fake, "/api/worker/register", &body).await;
    assert_eq!(
        answer.exactly(),
        (
            200,
            r#"{"worker_id":"w1","tier":2,"heartbeat_interval":30,"is_heartbeat_leader":true,"services_registered":2,"heartbeat_delegate_url":null,"heartbeat_epoch":4}"#
        )
    );
    let other = named("w2", agent("10.0.0.8", &[("upload", 8103)]));
    let answer = post(&fake, "/api/worker/register", &other).await.json();
    assert_eq!(answer["is_heartbeat_leader"], false);
    assert_eq!(answer["heartbeat_delegate_url"], "http://10.0.0.7:8103");
    assert_eq!(answer["heartbeat_epoch"], json!(null), "the role is not its own");
    let mut alone = named("w3", agent("10.0.0.9", &[]));
    alone["group"] = "other".into();
    let answer = post(&fake, "/api/worker/register", &alone).await.json();
    assert_eq!(
        (&answer["is_heartbeat_leader"], &answer["heartbeat_delegate_url"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(fake.state().worker("w1").expect("registered").registration.ttl.as_ms(), 90_000);
}

#[tokio::test]
async fn tiers_are_those_of_the_contract() {
    let fake = formed();
    for (capabilities, tier) in [
        (json!({"has_gpu": true, "has_storage": true}), 1),
        (json!({"gpu_memory": "24GB"}), 1),
        (json!({"cpu_cores": 4, "storage_type": "ssd"}), 2),
        (json!({"cpu_cores": 2, "worker_type": "cpu"}), 2),
        (json!({"cpu_cores": 2, "has_storage": true}), 3),
        (json!({"has_gpu": false}), 2),
        (json!(null), 2),
    ] {
        let body = json!({"worker_id": "w", "capabilities": capabilities, "services": []});
        assert_eq!(post(&fake, "/api/worker/register", &body).await.json()["tier"], tier, "{capabilities}");
    }
}

#[tokio::test]
async fn an_id_is_given_where_none_is_named() {
    let fake = formed();
    let id = register(&fake, &agent("10.0.0.7", &[("upload", 8103)])).await;
    let [word, ms, chance]: [&str; 3] =
        id.split('-').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{id}"));
    assert!(word == "worker" && ms.parse::<u64>().is_ok() && chance.len() == 9, "{id}");
    assert!(chance.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
    assert_ne!(id, register(&fake, &agent("10.0.0.8", &[("upload", 8103)])).await, "another machine");
    assert_ne!(
        id,
        register(&fake, &agent("10.0.0.7", &[("rag", 8102)])).await,
        "another agent of one machine"
    );
    let nowhere = json!({"capabilities": {"cpu_cores": 4}, "services": []});
    let first = register(&fake, &nowhere).await;
    assert_ne!(register(&fake, &nowhere).await, first, "nothing says that it is the same");
}

#[tokio::test]
async fn workers_are_a_bare_array_with_what_they_said() {
    let fake = formed();
    let mut body = named("w1", agent("10.0.0.7", &[("upload", 8103)]));
    body["capabilities"]["gpus"] = json!([{"name": "L4", "memory": 24}]);
    body["tunnel_url"] = json!("https://w1.tunnel.example");
    register(&fake, &body).await;
    register(&fake, &json!({"worker_id": "w2", "services": ["notes"], "ip_address": "http://10.0.0.8"}))
        .await;
    let beat = json!({
        "worker_id": "w1", "status": "healthy", "current_load": 0.25, "available_memory": "12.3GB",
        "services_status": {"upload": "unhealthy"},
    });
    assert_eq!(post(&fake, "/api/worker/heartbeat", &beat).await.exactly(), (200, r#"{"status":"ok"}"#));
    let workers = get(&fake, "/api/admin/workers").await;
    let [first, second] = workers.as_array().expect("a bare array").as_slice() else { panic!("{workers}") };
    let keys: Vec<_> = first.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "available_memory",
        "capabilities",
        "current_load",
        "ip_address",
        "is_heartbeat_leader",
        "last_heartbeat",
        "registered_at",
        "services",
        "status",
        "tier",
        "tunnel_url",
        "worker_id",
    ];
    assert_eq!(keys, expected);
    assert_eq!(first["capabilities"], body["capabilities"], "as it was said");
    let upload = json!([{
        "name": "upload", "container": "upload", "port": 8103, "health": "unhealthy", "version": "1.0",
        "service_url": "https://w1.tunnel.example",
    }]);
    assert_eq!(first["services"], upload);
    assert_eq!(
        (&first["ip_address"], &first["tunnel_url"], &first["status"], &first["current_load"]),
        (&json!("10.0.0.7"), &json!("https://w1.tunnel.example"), &json!("healthy"), &json!(0.25))
    );
    assert_eq!(first["available_memory"], "12.3GB");
    assert_eq!(second["services"], json!(["notes"]), "a name where it said a name");
    assert_eq!(
        (&second["current_load"], &second["available_memory"], &second["tunnel_url"]),
        (&json!(0.0), &json!(null), &json!(null))
    );
}

#[tokio::test]
async fn workers_of_other_dialects_are_shown_too() {
    let fake = formed();
    let native = json!({
        "address": "http://10.0.0.9:80", "services": [{"name": "ocr"}], "capabilities": {"has_gpu": true}
    });
    fake.ask(Ask::json("PUT", "/v1/workers/native", native)).await;
    let workers = get(&fake, "/api/admin/workers").await;
    assert_eq!(
        workers[0]["services"],
        json!([{"name": "ocr", "health": "healthy", "service_url": "http://10.0.0.9:80"}])
    );
    assert_eq!((&workers[0]["tier"], &workers[0]["ip_address"]), (&json!(1), &json!("http://10.0.0.9:80")));
}

#[tokio::test]
async fn services_and_stats_count_who_takes_requests() {
    let fake = formed();
    for (id, ip) in [("w1", "10.0.0.1"), ("w2", "10.0.0.2"), ("w3", "10.0.0.3"), ("w4", "10.0.0.4")] {
        register(&fake, &named(id, agent(ip, &[("upload", 8103)]))).await;
    }
    let ill = json!({"worker_id": "w5", "services": [{"name": "rag", "port": 8102, "health": "starting"}],
        "ip_address": "10.0.0.5", "capabilities": {"has_gpu": true}});
    register(&fake, &ill).await;
    fake.lease("w1", LeaseEvent::Suspected);
    fake.lease("w2", LeaseEvent::Expired);
    fake.apply(Command::SetDuty { id: worker("w3"), duty: Duty::Draining, if_index: None });
    let services = fake.ask(Ask::get("/api/admin/services")).await;
    assert_eq!(
        services.exactly().1,
        r#"{"services":{"rag":{"total_workers":1,"healthy_workers":0,"status":"unavailable"},"upload":{"total_workers":4,"healthy_workers":2,"status":"available"}},"total_services":2}"#
    );
    let stats = fake.ask(Ask::get("/api/admin/stats")).await;
    assert_eq!(
        stats.exactly().1,
        r#"{"total_workers":5,"healthy_workers":3,"offline_workers":1,"by_tier":{"1":1,"2":4,"3":0}}"#
    );
    let workers = get(&fake, "/api/admin/workers").await;
    let status: Vec<_> = workers.as_array().expect("an array").iter().map(|w| w["status"].clone()).collect();
    assert_eq!(status, ["healthy", "offline", "draining", "healthy", "healthy"]);
    let well = json!({"worker_id": "w5", "services_status": {"rag": "healthy"}});
    post(&fake, "/api/worker/heartbeat", &well).await;
    let unwell = json!({"worker_id": "w4", "status": "degraded"});
    post(&fake, "/api/worker/heartbeat", &unwell).await;
    let counts = get(&fake, "/api/admin/services").await;
    assert_eq!(counts["services"]["rag"]["status"], "available");
    assert_eq!(counts["services"]["upload"]["healthy_workers"], 1);
    assert_eq!(get(&fake, "/api/admin/workers").await[3]["status"], "degraded");
}

#[tokio::test]
async fn nothing_registered_is_counted_as_nothing() {
    let fake = formed();
    assert_eq!(fake.ask(Ask::get("/api/admin/workers")).await.exactly(), (200, "[]"));
    let services = fake.ask(Ask::get("/api/admin/services")).await;
    assert_eq!(services.exactly(), (200, r#"{"services":{},"total_services":0}"#));
    let stats = get(&fake, "/api/admin/stats").await;
    assert_eq!(stats["by_tier"], json!({"1": 0, "2": 0, "3": 0}));
}

#[tokio::test]
async fn a_heartbeat_of_somebody_unknown_is_told_so() {
    let fake = formed();
    let answer = post(&fake, "/api/worker/heartbeat", &json!({"worker_id": "nobody"})).await;
    assert_eq!(answer.exactly(), (404, r#"{"error":"Worker not found"}"#));
    assert_eq!(fake.proposals(), 0);
}

#[tokio::test]
async fn a_goodbye_is_always_well() {
    let fake = formed();
    register(&fake, &named("w 1", agent("10.0.0.7", &[("upload", 8103)]))).await;
    for path in ["w%201", "w%201", "nobody", "%20", "%FF", &"x".repeat(300)] {
        let answer = fake.ask(Ask::new("DELETE", &format!("/api/worker/unregister/{path}"))).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{path}");
    }
    assert_eq!(get(&fake, "/api/admin/workers").await, json!([]));
    let gone = post(&fake, "/api/worker/heartbeat", &json!({"worker_id": "w 1"})).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn cors_and_unknown_paths_are_the_coordinators() {
    let fake = formed();
    let asks = [
        (Ask::get("/health"), 200),
        (Ask::get("/api/admin/stats"), 200),
        (Ask::get("/api/admin/nothing"), 404),
        (Ask::get("/api/worker"), 404),
        (Ask::get("/api/worker/register"), 404),
        (Ask::new("DELETE", "/api/worker/unregister/"), 404),
        (Ask::new("POST", "/health"), 404),
        (Ask::new("OPTIONS", "/api/worker/register"), 200),
        (Ask::new("OPTIONS", "/api/admin/nothing"), 200),
        (Ask::json("POST", "/api/worker/heartbeat", json!({})), 400),
    ];
    for (ask, status) in asks {
        let answer = fake.ask(ask.clone()).await;
        assert_eq!(answer.status, status, "{ask:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{ask:?}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("Content-Type"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        if status == 404 {
            assert_eq!(answer.exactly().1, r#"{"error":"Not found"}"#, "{ask:?}");
        }
    }
    let options = fake.ask(Ask::new("OPTIONS", "/api/worker/heartbeat")).await;
    assert_eq!(options.exactly(), (200, ""));
    let others = fake.ask(Ask::get("/api/workers")).await;
    assert_eq!(others.header("access-control-allow-credentials"), Some("true"), "the workspace router's");
}

/// In the middle of an upgrade some node can't read all that a worker may say.
#[tokio::test]
async fn during_an_upgrade_workers_register_without_what_is_new() {
    let fake = Fake::formed();
    let mut body = agent("10.0.0.7", &[("upload", 8103)]);
    body["tunnel_url"] = json!("https://t.example");
    let id = register(&fake, &body).await;
    let shown = get(&fake, "/api/admin/workers").await;
    assert_eq!((&shown[0]["is_heartbeat_leader"], &shown[0]["tunnel_url"]), (&json!(false), &json!(null)));
    assert_eq!(shown[0]["services"][0]["service_url"], "https://t.example");
    fake.apply(Command::RaiseLevel { to: FeatureLevel::NEWEST });
    assert_eq!(register(&fake, &body).await, id);
    let shown = get(&fake, "/api/admin/workers").await;
    assert_eq!(shown[0]["is_heartbeat_leader"], true);
    assert_eq!(shown[0]["tunnel_url"], "https://t.example");
}

/// A service that is not well yet is known and not chosen, until a heartbeat says that it is: one entry, once.
#[tokio::test]
async fn a_service_that_recovers_is_registered_as_such_once() {
    let fake = formed();
    let body = json!({
        "worker_id": "w1", "ip_address": "10.0.0.7",
        "services": [{"name": "rag", "health": "starting"}, {"name": "ocr", "health": "down"}, "upload"],
    });
    register(&fake, &body).await;
    let healthy = async |service: &str| {
        get(&fake, "/api/admin/services").await["services"][service]["healthy_workers"].clone()
    };
    assert_eq!(
        (healthy("rag").await, healthy("ocr").await, healthy("upload").await),
        (json!(0), json!(0), json!(1))
    );
    post(&fake, "/api/worker/heartbeat", &json!({"worker_id": "w1"})).await;
    assert_eq!((healthy("rag").await, fake.proposals()), (json!(0), 1), "nothing was said of it");
    for _ in 0..3 {
        let beat = json!({"worker_id": "w1", "services_status": {"rag": "healthy", "ocr": "down", "other": "healthy"}});
        post(&fake, "/api/worker/heartbeat", &beat).await;
        assert_eq!((healthy("rag").await, healthy("ocr").await, fake.proposals()), (json!(1), json!(0), 2));
    }
}
