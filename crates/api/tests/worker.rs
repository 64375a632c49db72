//! Registrations through the native API: what is accepted, what is refused and how it is shown again.

use quorate_api::{
    Problem, fields,
    worker::{self, LeaseGrant, WorkerBody},
};
use quorate_model::{Epoch, Lifecycle, LogIndex, LogTime, Registration, Ttl, Worker, WorkerId};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

fn ttl(seconds: u64) -> Ttl {
    Ttl::new(Duration::from_secs(seconds)).expect("valid")
}

fn read(body: Value) -> Result<Registration, Vec<String>> {
    let body = fields::object(body.to_string().as_bytes()).expect("an object");
    worker::registration(WorkerId::parse("w1").expect("valid"), body, ttl(30))
        .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

fn full() -> Value {
    json!({
        "address": "http://10.0.0.7:8081",
        "partitions": [1, 0, 1],
        "keyspace": "orders",
        "services": [{"name": "upload", "version": "1", "url": "http://10.0.0.7:9000"}, {"name": "plain"}],
        "labels": {"zone": "a"},
        "capabilities": {"cpu_cores": 8, "gpu": false, "arch": "arm64", "load": 0.25},
        "ttl": "1m30s",
        "weight": 50,
    })
}

fn shown(registration: Registration, lifecycle: Lifecycle, count: Option<i32>) -> Value {
    let worker = Worker {
        registration: Arc::new(registration),
        lost: Vec::new(),
        intent: quorate_model::Intent::default(),
        epoch: Epoch(42),
        incarnation: Epoch(40),
        registered_at: LogTime(1_767_225_600_000),
        lifecycle,
        changed: LogIndex(43),
    };
    let has = |p: quorate_model::Partition| count.map(|count| (0..count).contains(&p.0));
    serde_json::to_value(WorkerBody::new(&worker, has)).expect("serialises")
}

#[test]
fn what_was_registered_is_shown_again() {
    let body = shown(read(full()).expect("valid"), Lifecycle::Live, Some(1));
    assert_eq!(
        body,
        json!({
            "id": "w1",
            "address": "http://10.0.0.7:8081",
            "status": "live",
            "epoch": 42,
            "lease": 40,
            "keyspace": "orders",
            "partitions": [0, 1],
            "partitions_out_of_range": [1],
            "services": [{"name": "upload", "version": "1", "url": "http://10.0.0.7:9000"}, {"name": "plain"}],
            "labels": {"zone": "a"},
            "capabilities": {"cpu_cores": 8, "gpu": false, "arch": "arm64", "load": 0.25},
            "ttl": "1m30s",
            "weight": 50,
            "registered_weight": 50,
            "duty": "in_service",
            "duty_since": null,
            "registered_at": "2026-01-01T00:00:00.000Z",
            "status_since": null,
            "changed_index": 43,
        })
    );
}

#[test]
fn an_address_is_enough() {
    let registration = read(json!({"address": "http://h:1"})).expect("valid");
    assert_eq!(
        (registration.ttl, registration.weight, registration.keyspace.as_str()),
        (ttl(30), 100, "default")
    );
    let body = shown(registration, Lifecycle::Expired { at: LogTime(1_767_225_600_001) }, None);
    assert_eq!(body["status"], "expired");
    assert_eq!(body["status_since"], "2026-01-01T00:00:00.001Z");
}

#[test]
fn partitions_are_not_called_out_of_range_while_the_count_is_unknown() {
    let body = shown(read(full()).expect("valid"), Lifecycle::Live, None);
    assert_eq!((&body["partitions"], &body["partitions_out_of_range"]), (&json!([0, 1]), &json!([])));
}

#[test]
fn each_wrong_field_is_named_with_what_is_allowed() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"address": "http://h:1"});
        body[field] = value;
        read(body).expect_err(field)
    };
    for (field, value, expected) in [
        ("address", json!("ftp://h"), "address: the scheme is `ftp`; allowed: an absolute http or https URL"),
        ("address", json!(7), "address: is a number; allowed: an absolute http or https URL"),
        ("address", json!(null), "address: is missing; allowed: an absolute http or https URL"),
        ("partitions", json!([0, null]), "partitions[1]: is null; allowed: a whole number"),
        ("partitions", json!({}), "partitions: is an object; allowed: an array"),
        ("keyspace", json!(""), "keyspace: is empty; allowed: 1 to 128 bytes"),
        ("keyspace", json!(["x"]), "keyspace: is an array; allowed: a string"),
        ("services", json!(["x"]), "services[0]: is a string; allowed: an object"),
        ("services", json!([{"version": "1"}]), "services[0].name: is missing; allowed"),
        (
            "services",
            json!([{"name": "a", "uri": "x"}]),
            "services[0].uri: is no known field; did you mean url?; allowed: name, version, url",
        ),
        ("services", json!([{"name": "a", "url": "h:1"}]), "services[0].url: "),
        (
            "services",
            json!([{"name": "a"}, {"name": "b"}, {"name": "a"}]),
            "services[2].name: is `a` once more; allowed: each service once",
        ),
        ("labels", json!({"a": 1}), "labels.a: is a number; allowed: a string"),
        ("labels", json!({"a": "x".repeat(257)}), "labels.a: "),
        (
            "capabilities",
            json!({"cpu_cores": [1]}),
            "capabilities.cpu_cores: is no such value; allowed: true, false, a number",
        ),
        ("ttl", json!("30"), "ttl: is no duration; allowed: a duration such as"),
        ("ttl", json!(30), "ttl: is a number; allowed: a duration such as"),
        ("ttl", json!("500ms"), "ttl: is 500ms; allowed: 1s to 24h"),
        ("ttl", json!("25h"), "ttl: is 25h; allowed: 1s to 24h"),
        ("weight", json!(-1), "weight: is -1; allowed: 0 to 1000000"),
        ("weight", json!(1_000_001), "weight: is 1000001; allowed: 0 to 1000000"),
        (
            "partitons",
            json!([]),
            "partitons: is no known field; did you mean partitions?; allowed: address, partitions, keyspace, services",
        ),
    ] {
        let wrong = with(field, value);
        assert!(wrong.len() == 1 && wrong[0].starts_with(expected), "{wrong:?} should be {expected}");
    }
}

/// Its worker would be listed and get no request, ever.
#[test]
fn a_service_that_no_path_can_name_is_refused() {
    for name in ["a/b", "/", ".", "..", "a\\b", "a\u{7}b", "a\u{85}b"] {
        let body = json!({"address": "http://h:1", "services": [{"name": "fine"}, {"name": name}]});
        let wrong = read(body).expect_err(name);
        assert!(wrong.len() == 1 && wrong[0].starts_with("services[1].name: "), "{wrong:?}");
    }
    for name in ["...", ".a", "a b", "a%2Fb", "日本"] {
        let body = json!({"address": "http://h:1", "services": [{"name": name}]});
        assert!(read(body).is_ok(), "{name}");
    }
}

#[test]
fn all_wrong_fields_come_in_one_answer() {
    let body = json!({"adress": "x", "ttl": "soon", "weight": "heavy", "partitions": [1, "2"]});
    let wrong = read(body).expect_err("five");
    assert_eq!(wrong.len(), 5, "{wrong:?}");
    let body = json!({"address": "http://h:1", "labels": {"k": "v".repeat(300)}, "oops": 1});
    let wrong = read(body).expect_err("a field's bound and an unknown one");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}

#[test]
fn a_secret_in_an_address_is_not_told_back() {
    let wrong = read(json!({"address": "http://user:hunter2@h:1"})).expect_err("names a user");
    assert!(!wrong[0].contains("hunter2"), "{wrong:?}");
    let problem = Problem::of_field("address", "names a user", "no user");
    assert_eq!(problem.status, 400);
}

/// C5: many keys cost what they weigh, and no more than their bounds get through.
#[test]
fn a_crowd_of_keys_is_refused_by_its_bound() {
    let labels: serde_json::Map<_, _> = (0..50_000).map(|i| (format!("k{i}"), json!("v"))).collect();
    let wrong = read(json!({"address": "http://h:1", "labels": labels})).expect_err("too many");
    assert_eq!(wrong, ["labels: has 50000 items; allowed: at most 64"]);
}

#[test]
fn a_lease_says_when_to_beat() {
    let w1 = WorkerId::parse("w1").expect("valid");
    let lease = serde_json::to_value(LeaseGrant::new(&w1, Epoch(7), ttl(30))).expect("serialises");
    let interval = lease["heartbeat_interval"].as_str().expect("text");
    assert_eq!((&lease["id"], &lease["epoch"], &lease["ttl"]), (&json!(7), &json!(7), &json!("30s")));
    assert_eq!(quorate_api::duration::parse(interval), Some(worker::heartbeat_interval(&w1, ttl(30))));
}

#[test]
fn intervals_are_a_third_of_the_ttl_give_or_take_a_tenth_and_each_worker_keeps_its_own() {
    let interval =
        |i: u32| worker::heartbeat_interval(&WorkerId::parse(&format!("w{i}")).expect("valid"), ttl(30));
    let all: Vec<_> = (0..1_000).map(interval).collect();
    assert!(all.iter().all(|i| (Duration::from_secs(9)..=Duration::from_secs(11)).contains(i)));
    assert_eq!(interval(1), interval(1));
    // Spread over the whole range, not heaped at one place: each tenth of it has its share.
    let mut shares = [0u32; 10];
    for interval in all {
        shares[usize::try_from((interval.as_millis() - 9_000) / 201).expect("small")] += 1;
    }
    assert!(shares.iter().all(|share| (50..200).contains(share)), "{shares:?}");
}

#[test]
fn no_interval_is_shorter_than_the_shortest() {
    let id = |i: u32| WorkerId::parse(&format!("w{i}")).expect("valid");
    let shortest = (0..1_000).map(|i| worker::heartbeat_interval(&id(i), ttl(1))).min();
    assert_eq!(shortest, Some(worker::HEARTBEAT_INTERVAL_MIN));
}
