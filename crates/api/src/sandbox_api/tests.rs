use super::{
    params::{Asked, Freshness},
    put::{create, delete, replace, status},
    *,
};
use quorate_model::{DnsLabel, LogIndex, ObjectId, ObjectPrecondition, object::ObjectSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn label(text: &str) -> DnsLabel {
    DnsLabel::parse(text).expect("a label")
}

fn named(spec: Value) -> Value {
    json!({"metadata": {"name": "x"}, "spec": spec})
}

fn put(resource: Resource, body: &Value) -> Result<Put, Refused> {
    create(resource, &label("ns"), body.to_string().as_bytes())
}

/// The places that are wrong.
fn wrong(refused: Refused) -> Vec<String> {
    match refused {
        Refused::Invalid { wrong, .. } => wrong.into_iter().map(|one| one.field).collect(),
        Refused::Malformed(why) => panic!("{why}"),
    }
}

fn check(resource: Resource, spec: Value, expected: &[&str]) {
    let found = put(resource, &named(spec)).err().map(wrong).unwrap_or_default();
    assert_eq!(found, expected);
}

#[test]
fn a_sandbox_is_read_and_each_mistake_has_its_place() {
    let whole = json!({
        "ttl": 300, "labels": {"a": "b"}, "routingKey": "k",
        "services": [{
            "name": "cart",
            "targetRef": {"kind": "Deployment", "name": "cart"},
            "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}]}],
        }],
        "resources": {"cpu": "500m", "memory": 2},
    });
    check(Resource::Sandboxes, whole, &[]);
    check(Resource::Sandboxes, json!({}), &[]);
    for (ttl, expected) in [(299, true), (300, false), (604_800, false), (604_801, true)] {
        check(Resource::Sandboxes, json!({"ttl": ttl}), if expected { &["spec.ttl"] } else { &[] });
    }
    let bad = json!({
        "ttl": "1h", "routingKey": "a b", "sevices": [], "resources": {"cpu": "much", "disk": 1},
        "services": [{"name": "a/b", "targetRef": {"kind": 1}, "containers": [{}]}, {"nme": "x"}],
    });
    check(
        Resource::Sandboxes,
        bad,
        &[
            "spec.ttl",
            "spec.routingKey",
            "spec.services[0].name",
            "spec.services[0].targetRef.kind",
            "spec.services[0].targetRef.name",
            "spec.services[0].containers[0].name",
            "spec.services[1].name",
            "spec.services[1].nme",
            "spec.resources.cpu",
            "spec.resources.disk",
            "spec.sevices",
        ],
    );
    let twice = json!({"services": [{"name": "a"}, {"name": "a"}]});
    check(Resource::Sandboxes, twice, &["spec.services[1].name"]);
}

#[test]
fn a_route_group_is_read_and_each_mistake_has_its_place() {
    let whole = json!({
        "selector": {"matchLabels": {"app": "shop"}}, "defaultRoutingKey": "production",
        "routingKeyHeader": "X-Routing-Key",
        "routes": [{
            "routingKey": "k", "targetSandbox": "s", "paths": [{"prefix": "/a"}, {"exact": "/b"}],
            "additionalHeaders": {"X-Environment": "sandbox"},
        }],
    });
    let read = put(Resource::RouteGroups, &named(whole)).expect("valid");
    let ObjectSpec::RouteGroup(group) = read.object.spec() else { panic!("{read:?}") };
    assert_eq!((group.header.as_deref(), group.default_key()), (Some("x-routing-key"), "production"));
    let route = &group.routes[0];
    assert_eq!((&*route.path_prefixes[0], &*route.paths_exact[0]), ("/a", "/b"));
    assert_eq!(&*route.add_headers[0].0, "x-environment");
    let bad = json!({
        "routingKeyHeader": "a b",
        "routes": [
            {"targetSandbox": "S", "paths": [{"prefix": "a"}, {}, {"prefix": "/", "exact": "/"}]},
            {"routingKey": "k", "targetSandbox": "s", "additionalHeaders": {"Connection": "close"}},
            {"routingKey": "k", "targetSandbox": "s", "additionalHeaders": {"A": "1", "a": "2"}},
        ],
    });
    check(
        Resource::RouteGroups,
        bad,
        &[
            "spec.routingKeyHeader",
            "spec.routes[0].routingKey",
            "spec.routes[0].targetSandbox",
            "spec.routes[0].paths[0].prefix",
            "spec.routes[0].paths[1]",
            "spec.routes[0].paths[2].exact",
            "spec.routes[1].additionalHeaders.Connection",
            "spec.routes[2].additionalHeaders.a",
        ],
    );
}

#[test]
fn a_local_workload_names_its_sandbox_and_its_service() {
    let whole = json!({
        "sandboxRef": {"name": "s"},
        "service": {"name": "cart", "ports": [{"name": "http", "containerPort": 8080, "localPort": 3000}]},
        "connection": {"target": "localhost:3000", "timeout": 300},
    });
    check(Resource::LocalWorkloads, whole, &[]);
    check(Resource::LocalWorkloads, json!({}), &["spec.sandboxRef", "spec.service"]);
    let bad = json!({"sandboxRef": {"name": "S"}, "service": {"name": "a", "ports": [{"containerPort": 0}]}});
    check(Resource::LocalWorkloads, bad, &["spec.sandboxRef.name", "spec.service.ports[0].containerPort"]);
}

#[test]
fn a_body_for_another_path_is_malformed() {
    let id = ObjectId { resource: Resource::Sandboxes, namespace: label("ns"), name: label("x") };
    let malformed = |body: Value| {
        let refused = replace(&id, body.to_string().as_bytes());
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{body}: {refused:?}");
    };
    malformed(json!({"kind": "RouteGroup", "spec": {}}));
    malformed(json!({"apiVersion": "v1", "spec": {}}));
    malformed(json!({"metadata": {"name": "y"}, "spec": {}}));
    malformed(json!({"metadata": {"namespace": "other"}, "spec": {}}));
    malformed(json!([]));
    assert!(replace(&id, br#"{"spec": {}}"#).is_ok(), "the path says all that is needed");
    let version = json!({"metadata": {"name": "x", "resourceVersion": "7"}, "spec": {}});
    assert!(matches!(put(Resource::Sandboxes, &version), Err(Refused::Malformed(_))));
    let read = replace(&id, version.to_string().as_bytes()).expect("valid").precondition;
    assert_eq!(read, ObjectPrecondition { changed: Some(LogIndex(7)), uid: None });
}

#[test]
fn metadata_are_checked_field_by_field() {
    let metadata = json!({
        "name": "X", "labels": {"a b": "c", "ok": "c d", "example.com/fine": ""}, "resourceVersion": "x",
        "uid": "1", "finalizers": [],
    });
    let found = put(Resource::Sandboxes, &json!({"metadata": metadata, "spec": {}})).expect_err("wrong");
    let expected = [
        "metadata.name",
        "metadata.labels[\"a b\"]",
        "metadata.labels.ok",
        "metadata.resourceVersion",
        "metadata.uid",
        "metadata.finalizers",
    ];
    assert_eq!(wrong(found), expected);
}

#[test]
fn a_status_says_where_services_answer() {
    let id = |resource| ObjectId { resource, namespace: label("ns"), name: label("x") };
    let read = |resource, said: Value| {
        status(&id(resource), json!({"spec": 7, "status": said}).to_string().as_bytes())
    };
    let services = json!([
        {"name": "a", "status": "Running", "endpoint": "10.0.0.1:80"},
        {"name": "b", "endpoint": "https://h/base"},
        {"name": "c", "endpoint": ""},
        {"name": "d", "endpoint": "h"},
    ]);
    let said = json!({"phase": "Running", "services": services, "expiresAt": "soon"});
    let put = read(Resource::Sandboxes, said).expect("valid").status;
    let endpoints: Vec<_> = put.endpoints.iter().map(|(name, at)| format!("{name} {at}")).collect();
    assert_eq!(endpoints, ["a http://10.0.0.1:80", "b https://h/base", "d http://h"]);
    assert!(!put.text.as_str().contains("expiresAt"), "that is the cluster's to say");
    let bad = json!({"phase": "Walking", "services": [{"endpoint": "a b"}], "conditions": [{"type": "X"}]});
    let found = read(Resource::Sandboxes, bad).expect_err("wrong");
    let expected = [
        "status.conditions[0].status",
        "status.phase",
        "status.services[0].name",
        "status.services[0].endpoint",
    ];
    assert_eq!(wrong(found), expected);
    let conditions = json!([{"type": "Ready", "status": "True"}, {"type": "Seen", "status": "True"}]);
    let group = read(Resource::RouteGroups, json!({"observedGeneration": 9, "conditions": conditions}));
    let kept: Value = serde_json::from_str(group.expect("valid").status.text.as_str()).expect("JSON");
    assert_eq!(kept, json!({"conditions": [{"type": "Seen", "status": "True"}]}));
}

#[test]
fn a_removal_may_name_the_version_that_it_is_about() {
    assert_eq!(delete(b""), Ok(Deletion::default()));
    let body = br#"{"kind": "DeleteOptions", "propagationPolicy": "Foreground", "preconditions": {"resourceVersion": "7"}}"#;
    assert_eq!(delete(body).expect("valid").precondition.changed, Some(LogIndex(7)));
    assert_eq!(delete(br#"{"precondition": {}}"#).map_err(wrong), Err(vec!["precondition".into()]));
}

#[test]
fn a_selector_chooses_by_labels_as_kubernetes_does() {
    let labels: BTreeMap<Box<str>, Box<str>> =
        [("app".into(), "shop".into()), ("tier".into(), "web".into())].into();
    for (text, expected) in [
        ("", true),
        ("app", true),
        ("app=shop", true),
        ("app==shop,tier=web", true),
        ("app = shop , tier!=db", true),
        ("env!=prod", true),
        ("app in (a, shop)", true),
        ("app notin (a,b)", true),
        ("env notin (a)", true),
        ("!env", true),
        ("!app", false),
        ("env", false),
        ("app=web", false),
        ("app!=shop", false),
        ("app in (a)", false),
        ("env in (a)", false),
        ("app,env", false),
    ] {
        let selector = Selector::parse(text).expect(text);
        assert_eq!(selector.is_met(&labels), expected, "{text}");
    }
    for bad in ["=a", "a b", "a in (b", "a in b)", "a on (b)", "a=b c", "a in ((b))", "in (a)"] {
        assert!(Selector::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn parameters_are_known_by_name() {
    let read = |text: &str, asked| {
        let pairs: Vec<_> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Params::read(&pairs, asked)
    };
    let list = read("limit=5000&continue=a&labelSelector=x&pretty=true", Asked::List).expect("known");
    assert_eq!((list.page(), list.after), (1_000, Some(label("a"))));
    assert_eq!(read("limit=2", Asked::List).expect("known").page(), 2);
    let fresh = |text| read(text, Asked::Object).expect("known").freshness;
    assert_eq!(fresh("resourceVersion=0"), Freshness::Any);
    assert_eq!(fresh("resourceVersion="), Freshness::Newest);
    assert_eq!(fresh("resourceVersion=7"), Freshness::AtLeast(LogIndex(7)));
    assert!(read("dryRun=All", Asked::Write).expect("known").dry_run);
    for (text, asked) in [
        ("limit=x", Asked::List),
        ("watch=true", Asked::List),
        ("labelSelector=(", Asked::List),
        ("fieldSelector=a", Asked::List),
        ("limit=1", Asked::Object),
        ("dryRun=Some", Asked::Write),
        ("dryrun=All", Asked::Write),
    ] {
        assert!(read(text, asked).is_err(), "{text}");
    }
}
