//! `/v1/presence`, and what watchers are told of users.

use crate::{
    ask::Ask,
    fake::Fake,
    watching::{Event, Watcher, registration},
};
use quorate_model::{
    BootId, Command, ConnectionId, Epoch, FeatureLevel, GatewayEnd, NodeName, PresenceCommand, Reply,
    SecondLogin, SessionChange, SessionOutcome, UserId,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("valid")
}

fn with_level() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::SEVENTH });
    fake
}

fn run(fake: &Arc<Fake>, command: PresenceCommand) -> Reply {
    fake.apply(Command::Presence(command)).reply
}

fn open_gateway(fake: &Arc<Fake>, name: &str) -> Epoch {
    match run(fake, PresenceCommand::OpenGateway { node: node(name), boot: BootId(1) }) {
        Reply::Registered { epoch } => epoch,
        other => panic!("{other:?}"),
    }
}

fn end(fake: &Arc<Fake>, name: &str, epoch: Epoch) {
    run(fake, PresenceCommand::EndGateways(vec![GatewayEnd { node: node(name), epoch }]));
}

fn change(fake: &Arc<Fake>, gateway: Epoch, changes: Vec<SessionChange>) -> Vec<SessionOutcome> {
    match run(fake, PresenceCommand::Sessions { gateway, changes }) {
        Reply::Sessions(outcomes) => outcomes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn login(user: &str, connection: u128, second: SecondLogin) -> SessionChange {
    let user = UserId::parse(user).expect("valid");
    SessionChange::Open { user, connection: ConnectionId::from_random(connection), second }
}

fn open(fake: &Arc<Fake>, gateway: Epoch, user: &str, connection: u128) -> Epoch {
    match change(fake, gateway, vec![login(user, connection, SecondLogin::Many)])[..] {
        [SessionOutcome::Opened { epoch }] => epoch,
        ref other => panic!("{other:?}"),
    }
}

fn users(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| item["user"].as_str().expect("a user")).collect()
}

#[tokio::test]
async fn a_user_is_shown_with_node_and_connection_and_gone_with_the_node() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    let epoch = open(&fake, gateway, "bob at home", 1);
    let answer = fake.ask(Ask::get("/v1/presence/bob%20at%20home")).await;
    assert_eq!(answer.header("x-quorate-index"), Some(&*fake.state().index().to_string()));
    let mut body = answer.json();
    let since = body["sessions"][0].as_object_mut().and_then(|one| one.remove("since")).expect("since when");
    assert!(since.as_str().is_some_and(|since| since.ends_with('Z')), "{since}");
    let session = json!({
        "user": "bob at home", "node": "n1", "gateway": gateway.0, "epoch": epoch.0,
        "connection": "00000000-0000-4000-8000-000000000001",
    });
    assert_eq!(body, json!({"user": "bob at home", "sessions": [session]}));
    let newer = open(&fake, gateway, "bob at home", 2);
    let body = fake.ask(Ask::get("/v1/presence/bob%20at%20home")).await.json();
    let epochs: Vec<_> = body["sessions"].as_array().expect("a list").iter().map(|s| &s["epoch"]).collect();
    assert_eq!(epochs, [&json!(newer.0), &json!(epoch.0)], "the newest first");
    end(&fake, "n1", gateway);
    assert_eq!(fake.ask(Ask::get("/v1/presence/bob%20at%20home")).await.problem(), "user_not_connected");
    assert_eq!(fake.ask(Ask::get("/v1/presence/a%0Ab")).await.wrong_fields(), ["path.user"]);
}

#[tokio::test]
async fn a_list_is_by_user_or_of_one_gateway_and_in_pages_of_those_that_stand() {
    let fake = with_level();
    let (one, two) = (open_gateway(&fake, "n1"), open_gateway(&fake, "n2"));
    for (user, gateway) in [("d", one), ("b:b", two), ("a", one), ("c", two), ("a", two), ("a", two)] {
        open(&fake, gateway, user, fake.state().index().0.into());
    }
    // A page may end within a user's sessions.
    let (mut seen, mut path) = (Vec::new(), "/v1/presence?limit=2".to_owned());
    loop {
        let page = fake.ask(Ask::get(&path)).await.json();
        seen.extend(users(&page).into_iter().map(String::from));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/presence?limit=2&cursor={}", cursor.replace(':', "%3A"));
    }
    assert_eq!(seen, ["a", "a", "a", "b:b", "c", "d"]);
    let page = fake.ask(Ask::get("/v1/presence?gateway=n2&limit=3")).await.json();
    assert_eq!(users(&page), ["b:b", "c", "a"], "the oldest first");
    let cursor = page["next_cursor"].as_str().expect("there is more").replace(':', "%3A");
    let page = fake.ask(Ask::get(&format!("/v1/presence?gateway=n2&limit=3&cursor={cursor}"))).await.json();
    assert_eq!((users(&page), &page["next_cursor"]), (vec!["a"], &json!(null)));
    end(&fake, "n2", two);
    assert_eq!(users(&fake.ask(Ask::get("/v1/presence")).await.json()), ["a", "d"]);
    assert_eq!(users(&fake.ask(Ask::get("/v1/presence?gateway=n2")).await.json()), [""; 0]);
    for wrong in ["x", "1", "x:a", "1:"] {
        let path = format!("/v1/presence?cursor={wrong}");
        assert_eq!(fake.ask(Ask::get(&path)).await.wrong_fields(), ["query.cursor"], "{wrong}");
    }
    assert_eq!(fake.ask(Ask::get("/v1/presence?gateway=")).await.wrong_fields(), ["query.gateway"]);
}

#[tokio::test]
async fn a_blocking_query_answers_when_a_gateway_has_ended() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    open(&fake, gateway, "alice", 1);
    let index = fake.state().index();
    let asking = quorate_rt::spawn({
        let fake = fake.clone();
        async move { fake.ask(Ask::get(&format!("/v1/presence?index={index}&wait=60s"))).await.json() }
    });
    end(&fake, "n1", gateway);
    assert!(users(&asking.await.expect("it answers")).is_empty());
}

/// What a subscriber knows, by nothing but the events: sessions by epoch, with their user and lease.
#[derive(Default)]
struct Subscriber {
    known: BTreeMap<u64, (String, u64)>,
    last: Option<String>,
    resets: usize,
}

impl Subscriber {
    /// Takes an event in; panics where one is missing, comes twice or leads back.
    fn take(&mut self, event: &Event) {
        match event.kind.as_str() {
            "reset" => {
                self.known.clear();
                self.resets += 1;
            }
            "presence" => {
                for one in event.data["opened"].as_array().expect("a list") {
                    let number = |field: &str| one[field].as_u64().expect("a number");
                    let said = (one["user"].as_str().expect("a user").to_owned(), number("gateway"));
                    let before = self.known.insert(number("epoch"), said);
                    assert_eq!(before, None, "{one} came twice");
                }
                for one in event.data["closed"].as_array().expect("a list") {
                    let gone = self.known.remove(&one["epoch"].as_u64().expect("a number"));
                    assert_eq!(gone.map(|(user, _)| json!(user)), Some(one["user"].clone()), "never came");
                }
            }
            "gateway" => {
                let (node, stands) = (event.data["name"].as_str(), event.data["gateway"]["epoch"].as_u64());
                // Leases of one node follow on each other: whatever hung on an earlier one is gone.
                assert!(node.is_some_and(|node| node == "n1" || node == "n2"));
                if event.data["change"] != "stands" {
                    let other = if node == Some("n1") { 2 } else { 1 };
                    self.known.retain(|_, (user, lease)| {
                        user.ends_with(&format!("@{other}")) || Some(*lease) == stands
                    });
                }
            }
            _ => {}
        }
        if let Some(id) = &event.id {
            self.last = Some(id.clone());
        }
    }

    /// Up to where the fake stands.
    async fn follow(&mut self, fake: &Arc<Fake>) {
        let query = match &self.last {
            Some(last) => format!("?kinds=presence,gateway&from={last}"),
            None => "?kinds=presence,gateway".into(),
        };
        let mut watcher = Watcher::on(fake, &query).await;
        loop {
            let event = watcher.next().await.expect("not the end");
            self.take(&event);
            if event.kind == "synced" {
                return;
            }
        }
    }
}

/// R12: a subscriber whose connection breaks again and again, at any event, over gateways that end, and over a history
/// that is compacted while it is away, knows each time exactly who is there.
#[tokio::test]
async fn a_subscriber_across_breaks_and_compaction_has_no_gap_no_duplicate_and_no_step_back() {
    let fake = with_level();
    let mut leases = [open_gateway(&fake, "n1"), open_gateway(&fake, "n2")];
    let (mut subscriber, mut random, mut standing) = (Subscriber::default(), 7u64, Vec::new());
    let mut next = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    for round in 0..60 {
        // The fake keeps 300 changes: in some rounds more happen than that.
        let changes = if round % 20 == 19 { 1_000 } else { next(12) };
        for _ in 0..changes {
            let at = usize::try_from(next(2)).expect("few");
            match next(10) {
                0 if round % 5 == 0 => {
                    end(&fake, ["n1", "n2"][at], leases[at]);
                    leases[at] = open_gateway(&fake, ["n1", "n2"][at]);
                }
                1..=3 if !standing.is_empty() => {
                    let (gateway, epoch) =
                        standing.swap_remove(usize::try_from(next(standing.len() as u64)).expect("few"));
                    if leases.contains(&gateway) {
                        change(&fake, gateway, vec![SessionChange::Close { epoch }]);
                    }
                }
                _ => {
                    let both = [next(6), next(6)].map(|n| format!("u{n}@{}", at + 1));
                    let second = if next(2) == 0 { SecondLogin::Replace } else { SecondLogin::Reject };
                    let changes = both.iter().map(|user| login(user, next(4).into(), second)).collect();
                    for outcome in change(&fake, leases[at], changes) {
                        if let SessionOutcome::Opened { epoch } = outcome {
                            standing.push((leases[at], epoch));
                        }
                    }
                }
            }
        }
        subscriber.follow(&fake).await;
        let state = fake.state();
        let wanted = state
            .sessions()
            .iter()
            .map(|session| (session.epoch.0, (session.user.to_string(), session.gateway.epoch.0)));
        assert_eq!(subscriber.known, wanted.collect::<BTreeMap<_, _>>(), "round {round}");
    }
    assert_eq!(subscriber.resets, 4, "at the start, and whenever the history had gone on without it");
}

/// Scenario: users log in by the thousands, and whoever watches workers and was away for a moment has to read all of them
/// anew.
#[tokio::test]
async fn a_storm_of_logins_costs_no_watcher_of_workers_its_place() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    fake.apply(registration("w1", 0));
    let last = fake.state().index();
    fake.apply(registration("w2", 1));
    // The fake keeps 300 changes.
    for nth in 0..400 {
        open(&fake, gateway, &format!("u{nth}"), nth);
    }
    fake.apply(registration("w3", 2));
    let begins = async |kinds: &str| {
        let mut watcher = Watcher::on(&fake, &format!("?from={last}&kinds={kinds}")).await;
        let mut next = async || watcher.next().await.expect("not the end");
        [next().await, next().await, next().await]
    };
    let told = begins("worker,gateway").await;
    let shown = told.map(|event| (event.kind, event.id, event.data["name"].clone()));
    let at = |index: u64| Some(index.to_string());
    let index = fake.state().index().0;
    let (second, third) = (at(last.0 + 1), at(index));
    assert_eq!(
        shown,
        [
            ("worker".to_owned(), second, json!("w2")),
            ("worker".to_owned(), third.clone(), json!("w3")),
            ("synced".to_owned(), third, json!(null)),
        ]
    );
    // Whoever watches users has to begin anew.
    assert_eq!(begins("worker,presence").await[0].kind, "reset");
}

#[tokio::test]
async fn a_prefix_is_about_users_and_leaves_out_the_others_of_one_command() {
    let fake = with_level();
    let gateway = open_gateway(&fake, "n1");
    open(&fake, gateway, "team-a/alice", 1);
    open(&fake, gateway, "team-b/bob", 2);
    let mut watcher = Watcher::on(&fake, "?kinds=presence&prefix=team-a/").await;
    let mut next = async || watcher.next().await.expect("not the end");
    let of = |event: &Event, list: &str| -> Vec<String> {
        let list = event.data[list].as_array().expect("a list");
        list.iter().map(|one| one["user"].as_str().expect("a user").to_owned()).collect()
    };
    assert_eq!(next().await.kind, "reset");
    let stands = next().await;
    assert_eq!(
        (&stands.data["change"], of(&stands, "opened")),
        (&json!("stands"), vec!["team-a/alice".into()])
    );
    assert_eq!(next().await.kind, "synced");
    let all = ["team-a/carol", "team-b/dave", "team-a/alice"];
    let changes = all.map(|user| login(user, 9, SecondLogin::Replace)).into();
    change(&fake, gateway, changes);
    let event = next().await;
    assert_eq!(event.data["change"], "changed");
    assert_eq!(of(&event, "opened"), ["team-a/carol", "team-a/alice"]);
    assert_eq!(of(&event, "closed"), ["team-a/alice"]);
    // What is about others only is not told at all.
    open(&fake, gateway, "team-b/erin", 5);
    open(&fake, gateway, "team-a/frank", 6);
    assert_eq!(of(&next().await, "opened"), ["team-a/frank"]);
}
