//! What the service coordinator's dialect refuses, and what it can't do.

use crate::{
    ask::Ask,
    coordinator::{agent, formed, get, named, post, register},
};
use quorate_management::Reason;
use quorate_model::{BootId, Command, NodeId, NodeName, NodeRecord};
use serde_json::json;

#[tokio::test]
async fn what_is_wrong_is_named() {
    let fake = formed();
    for (body, message) in [
        (json!({"worker_id": ""}), "worker_id: is empty; allowed: "),
        (json!({"services": [{"name": ""}], "ip_address": "h"}), "services[0].name: is empty; allowed: "),
        (json!({"services": ["upload"]}), "ip_address: is missing: "),
        (json!({"capabilities": 7}), "capabilities: is a number; allowed: an object"),
    ] {
        let answer = post(&fake, "/api/worker/register", &body).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Registration failed")), "{body}");
        let said = answer.json()["message"].as_str().expect("text").to_owned();
        assert!(said.starts_with(message), "{said}");
    }
    let answer = post(&fake, "/api/worker/heartbeat", &json!({"worker_id": "w", "current_load": "x"})).await;
    assert_eq!(
        answer.exactly(),
        (400, r#"{"error":"current_load: is no number; allowed: a number, 0 to 1"}"#)
    );
    let large = vec![b' '; (1 << 20) + 1];
    let asks = ["/api/worker/register", "/api/worker/heartbeat"]
        .map(|path| Ask::new("POST", path).body(large.clone()));
    for ask in asks {
        let answer = fake.ask(ask).await;
        assert_eq!(answer.status, 413);
        assert!(answer.text.contains("body: has more than 1048576 bytes"), "{}", answer.text);
    }
    for broken in ["", "{", "[]", "\"x\""] {
        let answer = fake.ask(Ask::new("POST", "/api/worker/register").body(broken)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("Registration failed")),
            "{broken}"
        );
    }
    assert_eq!(fake.proposals(), 0);
}

#[tokio::test]
async fn an_address_of_the_router_itself_is_refused() {
    let fake = formed();
    fake.apply(Command::DescribeNode(NodeRecord {
        id: NodeId(2),
        name: NodeName::parse("n2").expect("a name"),
        boot: BootId(1),
        peer: "n2.example:7070".into(),
        management: "n2.example:9090".into(),
        version: "test".into(),
    }));
    for (body, field) in [
        (
            json!({"services": [{"name": "a", "service_url": "http://localhost:8080/api/service/a"}]}),
            "service_url",
        ),
        (json!({"services": [{"name": "a", "service_url": "http://127.0.0.1:9090"}]}), "service_url"),
        (json!({"services": [{"name": "a", "port": 8080}], "ip_address": "router-1.example"}), "ip_address"),
        (json!({"services": ["a"], "tunnel_url": "https://n2.example:9090"}), "tunnel_url"),
        (json!({"services": [], "tunnel_url": "http://n2.example:7070"}), "tunnel_url"),
        (json!({"containers": [{"name": "a", "service_url": "http://0.0.0.0:8080"}]}), "service_url"),
    ] {
        let answer = post(&fake, "/api/worker/register", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.text.contains("an address of the router itself"), "{}", answer.text);
        assert!(answer.text.contains(&format!("\"{field}: ")), "{field}: {}", answer.text);
    }
    let native =
        json!({"address": "http://10.0.0.9", "services": [{"name": "a", "url": "http://localhost:9090"}]});
    let answer = fake.ask(Ask::json("PUT", "/v1/workers/w", native)).await;
    assert_eq!((answer.status, answer.wrong_fields()), (400, vec!["services[0].url".into()]));
    let original = json!({"workerId": "w", "httpAddress": "http://127.0.0.1:8080", "partitions": []});
    let answer = post(&fake, "/register", &original).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("httpAddress: http://127.0.0.1:8080 is an address of"), "{}", answer.text);
    assert_eq!(fake.proposals(), 0);
    let beside = json!({"services": [{"name": "a", "service_url": "http://127.0.0.1:8081"}]});
    assert_eq!(post(&fake, "/api/worker/register", &beside).await.status, 200);
}

#[tokio::test]
async fn without_a_quorum_it_is_said_and_can_be_tried_again() {
    let fake = formed();
    register(&fake, &named("w1", agent("10.0.0.7", &[("upload", 8103)]))).await;
    fake.break_down(Reason::NoQuorum);
    let answer = post(&fake, "/api/worker/register", &agent("10.0.0.8", &[("upload", 8103)])).await;
    assert_eq!(
        answer.exactly(),
        (500, r#"{"error":"Registration failed","message":"no leader with a quorum was found in time"}"#)
    );
    assert_eq!(
        (answer.header("retry-after"), answer.header("x-quorate-leader")),
        (Some("1"), Some("10.0.0.2:9090"))
    );
    let answer = post(&fake, "/api/worker/heartbeat", &json!({"worker_id": "w1"})).await;
    assert_eq!(answer.exactly(), (500, r#"{"error":"no leader with a quorum was found in time"}"#));
    let answer = fake.ask(Ask::new("DELETE", "/api/worker/unregister/w1")).await;
    let not_yet = r#"{"status":"ok","message":"The cluster can't be changed now: the lease ends by itself"}"#;
    assert_eq!(answer.exactly(), (200, not_yet), "the contract has no other answer to a goodbye");
    assert_eq!(get(&fake, "/api/admin/workers").await[0]["status"], "healthy", "reads go on");
}
