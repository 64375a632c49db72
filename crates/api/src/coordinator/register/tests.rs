use super::*;
use quorate_model::ServiceOffer;
use serde_json::json;
use std::time::Duration;

fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(90)).expect("valid")
}

fn registering(body: &Value) -> Registering {
    read(body.to_string().as_bytes(), ttl()).unwrap_or_else(|e| panic!("{body}: {e:?}"))
}

fn refused(body: &Value) -> String {
    crate::fields::in_one_line(&read(body.to_string().as_bytes(), ttl()).expect_err(&body.to_string()))
}

/// Where each service is reached.
fn reached(body: &Value) -> Vec<String> {
    let said = registering(body);
    let offer = said.offer();
    let url = |service: &ServiceOffer| service.url.clone().unwrap_or_else(|| offer.address.clone());
    offer.services.iter().map(|service| format!("{}={}", service.name, url(service))).collect()
}

#[test]
fn the_bodies_of_all_ages_are_read() {
    let first = json!({
        "capabilities": {"cpu_cores": 8, "ram": "15.6GB", "containerized": true, "worker_type": "cpu"},
        "services": [
            {"name": "upload", "container": "upload", "port": 8103, "health": "healthy", "version": "1.0"},
            {"name": "rag", "container": "rag", "port": 8102, "health": "unhealthy", "version": 2},
        ],
        "ip_address": "10.0.0.7", "tunnel_url": null, "wants_heartbeat_leadership": true,
    });
    let said = registering(&first);
    assert_eq!(said.id, None);
    let extras = said.offer().extras();
    assert!(extras.wants_delegate);
    assert_eq!(extras.unhealthy.iter().map(ServiceName::as_str).collect::<Vec<_>>(), ["rag"]);
    assert_eq!(&*said.offer().services[1].version, "2");
    assert_eq!(reached(&first), ["upload=http://10.0.0.7:8103", "rag=http://10.0.0.7:8102"]);
    let later = json!({
        "worker_id": "w1", "services": ["upload", "ocr"], "ip_address": "http://10.0.0.7",
        "containers": [{"name": "ocr", "service_url": "https://ocr.example", "health_endpoint": "/health"}],
        "unknown": {"a": 1},
    });
    assert_eq!(registering(&later).id.expect("named").as_str(), "w1");
    assert_eq!(reached(&later), ["upload=http://10.0.0.7:8103", "ocr=https://ocr.example"]);
}

#[test]
fn a_service_is_reached_where_the_first_word_about_it_says() {
    let one = |service: Value, more: Value| {
        let mut body = json!({"services": [service]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        reached(&body).remove(0)
    };
    let full = json!({"name": "a", "port": 9000, "service_url": "http://own:1"});
    let both = json!({"ip_address": "10.0.0.7", "tunnel_url": "https://t.example"});
    assert_eq!(one(full, both.clone()), "a=http://own:1");
    assert_eq!(one(json!({"name": "a", "port": 9000}), both), "a=https://t.example");
    for (ip, at) in [
        ("10.0.0.7", "a=http://10.0.0.7:9000"),
        ("worker.internal", "a=http://worker.internal:9000"),
        ("10.0.0.7:7000", "a=http://10.0.0.7:7000"),
        ("http://10.0.0.7", "a=http://10.0.0.7:9000"),
        ("http://10.0.0.7/", "a=http://10.0.0.7:9000"),
        ("http://10.0.0.7:7000", "a=http://10.0.0.7:7000"),
        ("http://10.0.0.7/base", "a=http://10.0.0.7/base"),
        ("https://w.example", "a=https://w.example"),
        ("fd00::7", "a=http://[fd00::7]:9000"),
        ("http://[fd00::7]", "a=http://[fd00::7]:9000"),
    ] {
        assert_eq!(one(json!({"name": "a", "port": 9000}), json!({"ip_address": ip})), at, "{ip}");
        assert_eq!(one(json!({"name": "a", "port": "9000"}), json!({"ip_address": ip})), at, "{ip}");
    }
    assert_eq!(one(json!("vllm"), json!({"ip_address": "h"})), "vllm=http://h:8000");
    assert_eq!(one(json!("own"), json!({"ip_address": "h"})), "own=http://h");
}

#[test]
fn a_worker_without_services_needs_no_address() {
    let said = registering(&json!({"capabilities": {"has_gpu": true}, "services": [], "tunnel_url": ""}));
    assert_eq!(said.offer().address.as_str(), NOWHERE);
    assert!(said.is_nowhere() && !registering(&json!({"ip_address": "h"})).is_nowhere());
    let body = RegisteredBody::new(said.offer(), None, None);
    assert_eq!((body.tier, body.heartbeat_interval, body.services_registered), (1, 30, 0));
}

#[test]
fn each_wrong_field_is_named() {
    for (body, expected) in [
        (json!({"worker_id": ""}), "worker_id: is empty"),
        (json!({"worker_id": 7}), "worker_id: is a number"),
        (json!({"capabilities": [1]}), "capabilities: is an array"),
        (json!({"capabilities": {"k": "x".repeat(300)}}), "capabilities.k: "),
        (json!({"services": "upload"}), "services: is a string"),
        (json!({"services": [""]}), "services[0]: is empty"),
        (json!({"services": [{"name": ""}]}), "services[0].name: is empty"),
        (json!({"services": [{"port": 1}]}), "services[0].name: is missing"),
        (json!({"services": [7]}), "services[0]: is no service"),
        (json!({"services": [{"name": "a", "port": 0}]}), "services[0].port: is no port"),
        (json!({"services": [{"name": "a", "port": 70_000}]}), "services[0].port: is no port"),
        (json!({"services": [{"name": "a", "container": "\""}]}), "services[0].container: is too long"),
        (json!({"services": ["a", "a/b"]}), "services[1]: `a/b` can't be named by the path of a request"),
        (json!({"services": [{"name": ".."}]}), "services[0].name: `..` can't"),
        (json!({"containers": [{"name": "a\\b"}]}), "containers[0].name: `a\\b` can't"),
        (json!({"services": ["a", {"name": "a"}]}), "services[1].name: is `a` once more"),
        (json!({"services": [{"name": "a"}, "b", "a"]}), "services[2]: is `a` once more"),
        (json!({"containers": [{"name": "a"}, {"name": "a"}]}), "containers[1].name: is `a` once more"),
        (json!({"services": vec!["s"; 49]}), "services: has 49 items"),
        (json!({"containers": [{"name": "a", "service_url": "a:1"}]}), "containers[0].service_url: "),
        (json!({"containers": ["a"]}), "containers[0]: is a string"),
        (json!({"services": ["a"]}), "ip_address: is missing: nothing says where service a is reached"),
        (json!({"services": ["a"], "ip_address": "a b"}), "ip_address: "),
        (json!({"services": ["a"], "ip_address": 7}), "ip_address: is a number"),
        (json!({"tunnel_url": "ftp://t"}), "tunnel_url: the scheme is `ftp`"),
        (json!({"wants_heartbeat_leadership": "yes"}), "wants_heartbeat_leadership: is no boolean"),
    ] {
        let shown = refused(&body);
        assert!(shown.starts_with(expected), "{body}: {shown}");
    }
    assert!(read(b"", ttl()).is_err() && read(b"[]", ttl()).is_err());
}

/// The details of as many services as there may be, each as long as it may be, fit into a registration.
#[test]
fn the_largest_registration_is_within_the_bounds_of_the_model() {
    let service = |i: usize| {
        json!({
            "name": format!("{i:0>128}"), "container": "c".repeat(DETAIL_BYTES_MAX), "port": 65_535,
            "health": "h".repeat(HEALTH_BYTES_MAX), "health_endpoint": "/".repeat(DETAIL_BYTES_MAX),
        })
    };
    let services: Vec<_> = (0..SERVICES_MAX).map(service).collect();
    let body = json!({"services": services, "ip_address": "h", "group": "g"});
    assert_eq!(registering(&body).offer().services.len(), SERVICES_MAX);
}
