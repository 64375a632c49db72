//! `/v1/tunnels`, and what watchers are told of them.

use crate::{ask::Ask, fake::Fake, watching::Watcher};
use quorate_model::{
    BootId, Command, Epoch, FeatureLevel, GatewayEnd, NodeName, PresenceCommand, Reply, TunnelName,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("valid")
}

fn granted(fake: &Arc<Fake>, command: PresenceCommand) -> Epoch {
    match fake.apply(Command::Presence(command)).reply {
        Reply::Registered { epoch } => epoch,
        other => panic!("{other:?}"),
    }
}

pub fn open_gateway(fake: &Arc<Fake>, name: &str) -> Epoch {
    granted(fake, PresenceCommand::OpenGateway { node: node(name), boot: BootId(1) })
}

pub fn open(fake: &Arc<Fake>, name: &str, gateway: Epoch) -> Epoch {
    granted(fake, PresenceCommand::OpenTunnel { name: TunnelName::parse(name).expect("valid"), gateway })
}

pub fn end(fake: &Arc<Fake>, name: &str, epoch: Epoch) {
    let ended = vec![GatewayEnd { node: node(name), epoch }];
    fake.apply(Command::Presence(PresenceCommand::EndGateways(ended)));
}

fn with_level() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::SIXTH });
    fake
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn a_tunnel_is_shown_with_its_node_and_gone_with_it() {
    let fake = with_level();
    assert_eq!(fake.ask(Ask::get("/v1/tunnels/laptop")).await.problem(), "tunnel_unknown");
    let gateway = open_gateway(&fake, "n1");
    let epoch = open(&fake, "laptop", gateway);
    let shown = fake.ask(Ask::get("/v1/tunnels/laptop")).await;
    let mut body = shown.json();
    let since = body.as_object_mut().and_then(|body| body.remove("since")).expect("since when");
    assert!(since.as_str().is_some_and(|since| since.ends_with('Z')), "{since}");
    assert_eq!(body, json!({"name": "laptop", "node": "n1", "epoch": epoch.0, "gateway": gateway.0}));
    end(&fake, "n1", gateway);
    assert_eq!(fake.ask(Ask::get("/v1/tunnels/laptop")).await.problem(), "tunnel_unknown");
    assert_eq!(names(&fake.ask(Ask::get("/v1/tunnels")).await.json()), [""; 0]);
}

#[tokio::test]
async fn a_list_is_by_name_and_in_pages_of_those_that_stand() {
    let fake = with_level();
    let (one, two) = (open_gateway(&fake, "n1"), open_gateway(&fake, "n2"));
    for (name, gateway) in [("d", one), ("b", two), ("a", one), ("c", two), ("e", one)] {
        open(&fake, name, gateway);
    }
    let page = fake.ask(Ask::get("/v1/tunnels?limit=2")).await.json();
    assert_eq!((names(&page), &page["next_cursor"]), (vec!["a", "b"], &json!("b")));
    let page = fake.ask(Ask::get("/v1/tunnels?limit=2&cursor=b")).await.json();
    assert_eq!(names(&page), ["c", "d"]);
    end(&fake, "n1", one);
    assert_eq!(names(&fake.ask(Ask::get("/v1/tunnels")).await.json()), ["b", "c"]);
    assert_eq!(fake.ask(Ask::get("/v1/tunnels?cursor=A")).await.wrong_fields(), ["query.cursor"]);
    assert_eq!(fake.ask(Ask::get("/v1/tunnels/A")).await.wrong_fields(), ["path.name"]);
}

/// Whoever waits for a list of tunnels is woken by the end of a gateway too: it is the end of its tunnels.
#[tokio::test]
async fn a_blocking_query_answers_when_a_gateway_has_ended() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    open(&fake, "laptop", gateway);
    let index = fake.state().index();
    let asking = quorate_rt::spawn({
        let fake = fake.clone();
        async move { fake.ask(Ask::get(&format!("/v1/tunnels?index={index}&wait=60s"))).await.json() }
    });
    end(&fake, "n1", gateway);
    let answer = asking.await.expect("it answers");
    assert!(names(&answer).is_empty() && answer["index"].as_u64() > Some(index.0), "{answer}");
}

#[tokio::test]
async fn watchers_are_told_of_tunnels_and_once_of_a_gateway_s_end() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    let epoch = open(&fake, "laptop", gateway);
    let mut watcher = Watcher::on(&fake, "?kinds=tunnel,gateway").await;
    let told = |event: crate::watching::Event| (event.kind, event.data);
    let mut next = async || told(watcher.next().await.expect("not the end"));
    assert_eq!(next().await.0, "reset");
    let (kind, data) = next().await;
    assert_eq!((kind.as_str(), &data["change"], &data["name"]), ("gateway", &json!("stands"), &json!("n1")));
    assert_eq!(data["gateway"]["epoch"], json!(gateway.0));
    let (kind, data) = next().await;
    assert_eq!((kind.as_str(), &data["change"]), ("tunnel", &json!("stands")));
    assert_eq!((&data["tunnel"]["node"], &data["tunnel"]["epoch"]), (&json!("n1"), &json!(epoch.0)));
    assert_eq!(next().await.0, "synced");
    let second = open(&fake, "other", gateway);
    let (kind, data) = next().await;
    assert_eq!((kind.as_str(), &data["change"]), ("tunnel", &json!("changed")));
    assert_eq!(data["tunnel"]["epoch"], json!(second.0));
    let name = TunnelName::parse("other").expect("valid");
    fake.apply(Command::Presence(PresenceCommand::CloseTunnel { name, epoch: second }));
    let (_, data) = next().await;
    assert_eq!(
        (&data["change"], &data["name"], &data["tunnel"]),
        (&json!("removed"), &json!("other"), &json!(null))
    );
    end(&fake, "n1", gateway);
    let (kind, data) = next().await;
    assert_eq!(
        (kind.as_str(), &data["change"], &data["gateway"]),
        ("gateway", &json!("removed"), &json!(null))
    );
    let next_lease = open_gateway(&fake, "n1");
    let (kind, data) = next().await;
    assert_eq!((kind.as_str(), &data["gateway"]["epoch"]), ("gateway", &json!(next_lease.0)));
}
