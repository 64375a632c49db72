//! Local workloads: what they lead to, as their status says it.

use super::*;
use crate::tunnels::{end, open, open_gateway};

fn local(name: &str, service: &str) -> Value {
    let spec = json!({"sandboxRef": {"name": "pr-12"}, "service": {"name": service}});
    json!({"kind": "LocalWorkload", "metadata": {"name": name}, "spec": spec})
}

async fn shown(fake: &Arc<Fake>, path: &str) -> Value {
    fake.ask(get(path)).await.json()
}

fn message(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().expect("a list").iter();
    let ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready.map(|condition| condition["message"].as_str().expect("a text").to_owned()).collect()
}

async fn explained(fake: &Arc<Fake>) -> Value {
    let ask = json!({"method": "GET", "url": "http://shop.example/api/service/cart/x", "headers": {"x-route-key": "k"}});
    fake.ask(Ask::json("POST", "/v1/explain", ask)).await.json()
}

#[tokio::test]
async fn its_status_says_who_is_led_to_it_and_whether_anybody_is_there() {
    let fake = Fake::formed();
    made(&fake, "localworkloads", &local("laptop", "cart")).await;
    made(&fake, "sandboxes", &sandbox("pr-12", json!({"services": [{"name": "cart"}]}))).await;
    let keyless = shown(&fake, "localworkloads/laptop").await;
    assert_eq!(ready(&keyless), ("False", "NoRoutingKey"));
    let routes = json!({"routes": [{"routingKey": "k", "targetSandbox": "pr-12"}]});
    made(&fake, "routegroups", &group("shop", routes)).await;
    let alone = shown(&fake, "localworkloads/laptop").await;
    assert_eq!((ready(&alone), &alone["status"]["routingKey"]), (("False", "NotConnected"), &json!("k")));
    assert!(message(&alone).contains("nobody holds the tunnel team-a.laptop"), "{alone}");
    assert_eq!(shown(&fake, "sandboxes/pr-12").await["status"]["phase"], "Pending");
    let told = explained(&fake).await;
    assert!(
        told["decision"]["fallback"].as_str().is_some_and(|why| why.contains("tunnel://team-a.laptop")),
        "{told}"
    );

    let gateway = open_gateway(&fake, "n1");
    open(&fake, "team-a.laptop", gateway);
    let held = shown(&fake, "localworkloads/laptop").await;
    assert_eq!((ready(&held), &held["status"]["phase"]), (("True", "Connected"), &json!("Connected")));
    assert!(message(&held).contains("which hangs on the node n1"), "{held}");
    let connection = &held["status"]["connection"];
    assert_eq!(connection["tunnelId"], "team-a.laptop");
    assert!(connection["connectedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{held}");
    assert_eq!(shown(&fake, "sandboxes/pr-12").await["status"]["phase"], "Running");
    let told = explained(&fake).await;
    assert_eq!(
        (&told["decision"]["action"], &told["decision"]["sandbox"]),
        (&json!("forward"), &json!("k")),
        "{told}"
    );

    made(&fake, "localworkloads", &local("desktop", "cart")).await;
    let former = shown(&fake, "localworkloads/laptop").await;
    assert_eq!(ready(&former), ("False", "Replaced"));
    assert!(message(&former).contains("desktop"), "{former}");
    assert_eq!(fake.ask(Ask::new("DELETE", &at("localworkloads/desktop"))).await.status, 200);
    end(&fake, "n1", gateway);
    assert_eq!(ready(&shown(&fake, "localworkloads/laptop").await), ("False", "NotConnected"));
    assert_eq!(fake.ask(Ask::new("DELETE", &at("sandboxes/pr-12"))).await.status, 200);
    assert_eq!(ready(&shown(&fake, "localworkloads/laptop").await), ("False", "SandboxNotFound"));
    assert_eq!(rules(&fake, "k"), 0);
}

/// What the cluster says itself is not kept: it would stand when it is not so any more.
#[tokio::test]
async fn whoever_puts_back_what_was_read_keeps_no_condition_alive() {
    let fake = Fake::formed();
    let mut read = made(&fake, "localworkloads", &local("laptop", "cart")).await;
    assert_eq!(ready(&read), ("False", "SandboxNotFound"));
    read["status"]["message"] = json!("mine");
    let told = put(&fake, "localworkloads/laptop/status", &read).await;
    assert_eq!(told.status, 200, "{}", told.text);
    made(&fake, "sandboxes", &sandbox("pr-12", json!({"routingKey": "k"}))).await;
    let now = shown(&fake, "localworkloads/laptop").await;
    assert_eq!((ready(&now), &now["status"]["message"]), (("False", "NotConnected"), &json!("mine")));
}
