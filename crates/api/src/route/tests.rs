use super::*;
use quorate_model::{LogIndex, StoredRoute};
use serde_json::json;

fn read(body: Value) -> Result<Route, Wrong> {
    let name = RouteName::parse("web").expect("a name");
    route(name, body.as_object().expect("an object").clone())
}

/// The places of all mistakes, in the order of the answer.
fn places(body: Value) -> Vec<String> {
    read(body).expect_err("wrong").into_iter().map(|wrong| wrong.field).collect()
}

/// With somewhere to go and everything matched, where nothing else is said.
fn with(fields: Value) -> Value {
    let mut body = json!({"match": {}, "destinations": [{"service": "a"}]});
    for (key, value) in fields.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

fn shown(body: Value) -> Value {
    json!(RoutePut::from(&read(body.clone()).unwrap_or_else(|wrong| panic!("{body}: {wrong:?}"))))
}

fn whole() -> Value {
    json!({
        "match": {
            "host": "*.example.com", "path_prefix": "/api", "methods": ["GET", "PUT"],
            "headers": {"x-env": "blue", "x-id": {"regex": "[0-9]+"}, "x-on": {"present": true}},
            "query": {"q": "v"},
        },
        "destinations": [
            {"service": "upload", "weight": 80},
            {"service": "upload", "version": "v2", "weight": 5},
            {"url": "http://10.0.0.9:80", "protocol": "h2c", "weight": 20},
            {"keyspace": "default", "weight": 0},
        ],
        "sticky": {"cookie": "c"},
        "balancing": "consistent-hash",
        "hash_on": {"path_segment": 2},
        "timeout": "30s", "idle_timeout": "1m", "per_try_timeout": "5s",
        "retries": {
            "max": 2, "on": [502, 503], "backoff": {"initial": "50ms", "max": "1s"},
            "retry_non_idempotent": true, "budget": {"percent": 10, "min_per_second": 1},
        },
        "cors": {
            "allowed_origins": ["https://*.example.com"], "allowed_methods": ["GET"],
            "allowed_headers": ["x-env"], "exposed_headers": ["x-id"], "allow_credentials": true,
            "max_age": "10m",
        },
        "rewrite": {"path_prefix": "/v2", "host": "inside"},
        "request_headers": {"set": {"x-a": "1"}, "add": {"x-b": "1", "x-c": ["1", "2"]}, "remove": ["x-d"]},
        "response_headers": {"remove": ["server"]},
        "mirror": {"service": "shadow", "version": "v@3", "percent": 0.5},
        "priority": -3,
    })
}

#[test]
fn what_is_read_back_is_what_was_written() {
    assert_eq!(shown(whole()), whole());
    let redirect = json!({
        "match": {"path_exact": "/old"},
        "redirect": {"status": 308, "scheme": "https", "host": "example.com", "port": 8443, "path": "/new"},
        "priority": 0,
    });
    assert_eq!(shown(redirect.clone()), redirect);
}

#[test]
fn what_is_not_said_is_not_shown_and_what_is_begun_has_its_defaults() {
    let smallest = json!({"match": {}, "destinations": [{"service": "a", "weight": 100}], "priority": 0});
    assert_eq!(shown(with(json!({}))), smallest);
    // As the contract's example has them: nothing is meant.
    assert_eq!(shown(with(json!({"cors": {}, "rewrite": {}, "mirror": {}, "sticky": null}))), smallest);
    assert_eq!(
        shown(with(json!({"retries": {}})))["retries"],
        json!({"max": 3, "on": [502, 503, 504], "backoff": {"initial": "100ms", "max": "10s"},
            "retry_non_idempotent": false, "budget": {"percent": 20, "min_per_second": 3}})
    );
    let mirror = with(json!({"mirror": {"url": "http://h"}}));
    assert_eq!(shown(mirror)["mirror"], json!({"url": "http://h", "percent": 100}));
    let redirect = json!({"match": {}, "redirect": {"host": "example.com"}});
    assert_eq!(shown(redirect)["redirect"], json!({"status": 302, "host": "example.com"}));
}

#[test]
fn one_thing_is_written_in_several_ways() {
    for (written, kept) in [
        (json!({"match": {"path_prefix": "/x/*"}}), json!({"path_prefix": "/x"})),
        (json!({"match": {"path_prefix": "/"}}), json!({"path_prefix": "/"})),
        (json!({"match": {"methods": ["get", "Get", "PURGE"]}}), json!({"methods": ["GET", "PURGE"]})),
        (json!({"match": {"headers": {"X-A": "V"}}}), json!({"headers": {"x-a": "V"}})),
        (json!({"match": {"host": "API.example.com."}}), json!({"host": "api.example.com"})),
        (json!({"match": {"query": {"q": " v"}}}), json!({"query": {"q": " v"}})),
        (
            json!({"match": {"grpc_service": "pkg.S", "grpc_method": "M"}}),
            json!({"grpc_service": "pkg.S", "grpc_method": "M"}),
        ),
    ] {
        assert_eq!(shown(with(written.clone()))["match"], kept, "{written}");
    }
    for (url, kept) in [
        ("10.0.0.9:80", json!({"url": "http://10.0.0.9:80", "weight": 100})),
        ("https://h/base", json!({"url": "https://h/base", "weight": 100})),
        ("upload", json!({"service": "upload", "weight": 100})),
    ] {
        let body = with(json!({"destinations": [{"url": url}]}));
        assert_eq!(shown(body)["destinations"], json!([kept]), "{url}");
    }
    let any =
        with(json!({"cors": {"allowed_origins": ["*"], "allowed_methods": ["*"], "allowed_headers": ["*"]}}));
    assert_eq!(shown(any)["cors"], json!({"allowed_origins": ["*"], "allow_credentials": false}));
}

#[test]
fn each_mistake_has_its_place() {
    let two = json!([{"service": "a"}, {"service": "b", "weight": -1}]);
    for (body, expected) in [
        (json!({}), &["match", "destinations"][..]),
        (with(json!({"desinations": []})), &["desinations"]),
        (with(json!({"match": {"path": "/x"}})), &["match.path"]),
        (with(json!({"destinations": []})), &["destinations"]),
        (with(json!({"destinations": two})), &["destinations[1].weight"]),
        (with(json!({"destinations": [{"service": "a", "weight": 0}]})), &["destinations"]),
        (with(json!({"destinations": [{"service": "a", "weight": 1_000_001}]})), &["destinations[0].weight"]),
        (with(json!({"destinations": [{"service": "a", "url": "http://h"}]})), &["destinations[0].url"]),
        (with(json!({"destinations": [{"weight": 1}]})), &["destinations[0]"]),
        (with(json!({"destinations": [{"service": "a", "protocol": "h2"}]})), &["destinations[0].protocol"]),
        (
            with(json!({"destinations": [{"url": "http://h", "protocol": "h2"}]})),
            &["destinations[0].protocol"],
        ),
        (with(json!({"destinations": [{"service": "a", "version": ""}]})), &["destinations[0].version"]),
        (with(json!({"destinations": [{"service": "a", "version": 2}]})), &["destinations[0].version"]),
        (with(json!({"destinations": [{"url": "a", "version": "v2"}]})), &["destinations[0].version"]),
        (
            with(json!({"destinations": [{"keyspace": "default", "version": "v2"}]})),
            &["destinations[0].version"],
        ),
        (with(json!({"mirror": {"url": "http://h", "version": "v2"}})), &["mirror.version"]),
        (with(json!({"destinations": "a"})), &["destinations"]),
        (with(json!({"match": {"path_regex": "("}})), &["match.path_regex"]),
        (with(json!({"match": {"headers": {"x": {"regex": "["}}}})), &["match.headers.x.regex"]),
        (with(json!({"match": {"headers": {"x": {"present": false}}}})), &["match.headers.x.present"]),
        (with(json!({"match": {"headers": {"x": {}}}})), &["match.headers.x"]),
        (with(json!({"match": {"headers": {"x": 1}}})), &["match.headers.x"]),
        (with(json!({"match": {"headers": {"a b": "v"}}})), &["match.headers[\"a b\"]"]),
        (with(json!({"match": {"headers": {"X": "v", "x": "w"}}})), &["match.headers"]),
        (with(json!({"match": {"query": {"q": {"regex": "["}}}})), &["match.query.q.regex"]),
        (with(json!({"match": {"path_prefix": "x"}})), &["match.path_prefix"]),
        (with(json!({"match": {"path_exact": "x?y"}})), &["match.path_exact"]),
        (with(json!({"match": {"path_exact": "/x", "path_prefix": "/y"}})), &["match.path_prefix"]),
        (with(json!({"match": {"grpc_method": "M"}})), &["match.grpc_method"]),
        (with(json!({"match": {"grpc_service": "a/b"}})), &["match.grpc_service"]),
        (with(json!({"match": {"methods": ["GET", "a b"]}})), &["match.methods[1]"]),
        (with(json!({"match": {"host": "a:80"}})), &["match.host"]),
        // Well formed, and no request is ever theirs.
        (with(json!({"match": {"path_prefix": "/t/../x"}})), &["match.path_prefix"]),
        (with(json!({"match": {"path_exact": "/a/*/b"}})), &["match.path_exact"]),
        (with(json!({"match": {"methods": ["GET", "trace"]}})), &["match.methods[1]"]),
        (with(json!({"match": {"headers": {"Connection": "close"}}})), &["match.headers.Connection"]),
        (with(json!({"match": {"headers": {"x": "v "}}})), &["match.headers.x"]),
        (with(json!({"match": {"host": "*.[::1]"}})), &["match.host"]),
    ] {
        assert_eq!(places(body.clone()), expected, "{body}");
    }
}

#[test]
fn each_mistake_of_what_becomes_of_requests_has_its_place() {
    let post = |retries: Value| with(json!({"match": {"methods": ["post"]}, "retries": retries}));
    for (body, expected) in [
        (post(json!({})), &["retries"][..]),
        (post(json!({"retry_non_idempotent": "yes"})), &["retries.retry_non_idempotent"]),
        (with(json!({"retries": {"max": 11}})), &["retries.max"]),
        (with(json!({"retries": {"on": [503, 200]}})), &["retries.on[1]"]),
        (with(json!({"retries": {"backoff": {"initial": "5s", "max": "1s"}}})), &["retries.backoff.max"]),
        (with(json!({"retries": {"retry": 1}})), &["retries.retry"]),
        (with(json!({"sticky": {}})), &["sticky"]),
        (with(json!({"sticky": {"trace": true, "header": "x"}})), &["sticky.trace"]),
        (with(json!({"sticky": {"source_ip": false}})), &["sticky.source_ip"]),
        (with(json!({"balancing": "consistent-hash"})), &["hash_on"]),
        (with(json!({"hash_on": {"path_segment": 1}})), &["hash_on"]),
        (with(json!({"balancing": "best", "hash_on": {"query": "q"}})), &["balancing"]),
        (
            with(json!({"balancing": "consistent-hash", "hash_on": {"path_segment": 0}})),
            &["hash_on.path_segment"],
        ),
        (with(json!({"timeout": "1ms", "idle_timeout": 5})), &["idle_timeout", "timeout"]),
        (
            with(json!({"cors": {"allowed_origins": ["*"], "allow_credentials": true}})),
            &["cors.allow_credentials"],
        ),
        (with(json!({"cors": {"allow_credentials": true}})), &["cors.allowed_origins"]),
        (with(json!({"cors": {"allowed_origins": ["example.com"]}})), &["cors.allowed_origins[0]"]),
        (with(json!({"rewrite": {"path_prefix": "/v2"}})), &["rewrite.path_prefix"]),
        (
            with(json!({"match": {"path_prefix": "/a"}, "rewrite": {"path_prefix": "/v2", "path": "/x"}})),
            &["rewrite.path_prefix"],
        ),
        (with(json!({"rewrite": {"path": "x"}})), &["rewrite.path"]),
        (with(json!({"request_headers": {"set": {"Host": "h"}}})), &["request_headers.set.Host"]),
        (with(json!({"request_headers": {"add": {"x": ["a", "b\n"]}}})), &["request_headers.add.x[1]"]),
        (with(json!({"response_headers": {"remove": ["a b"]}})), &["response_headers.remove[0]"]),
        (with(json!({"mirror": {"percent": 5}})), &["mirror"]),
        (with(json!({"mirror": {"service": "a", "percent": 100.5}})), &["mirror.percent"]),
        (with(json!({"mirror": {"keyspace": "default"}})), &["mirror", "mirror.keyspace"]),
        (with(json!({"priority": 1.5})), &["priority"]),
        (with(json!({"redirect": {"host": "h"}})), &["destinations"]),
        (json!({"match": {}, "redirect": {}}), &["redirect"]),
        (json!({"match": {}, "redirect": {"host": "h", "status": 200}}), &["redirect.status"]),
        (json!({"match": {}, "redirect": {"host": "h", "port": 0}}), &["redirect.port"]),
        (json!({"match": {}, "redirect": {"scheme": "ftp"}}), &["redirect.scheme"]),
    ] {
        assert_eq!(places(body.clone()), expected, "{body}");
    }
}

/// A method that may not be repeated is repeated only if the document says so where it speaks of retries.
#[test]
fn a_repeated_post_must_be_wanted_twice() {
    let body = |wanted: bool| {
        with(json!({"match": {"methods": ["POST"]}, "retries": {"max": 1, "retry_non_idempotent": wanted}}))
    };
    assert!(read(body(true)).is_ok());
    let wrong = read(body(false)).expect_err("not wanted");
    assert!(wrong[0].allowed.contains("`retry_non_idempotent: true`"), "{wrong:?}");
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let body = json!({
        "match": {"path_prefix": "x", "headers": {"x": {"regex": "("}}},
        "destinations": [{"service": "a", "weight": "much"}, {"url": "ftp://h"}],
        "timeout": "0s",
        "retries": {"max": 99, "on": [99]},
        "rewrite": {"path_prefix": "/v2"},
        "nonsense": 1,
    });
    assert_eq!(
        places(body),
        [
            "match.path_prefix",
            "match.headers.x.regex",
            "destinations[0].weight",
            "destinations[1].url",
            "retries.max",
            "retries.on[0]",
            "timeout",
            "nonsense",
        ]
    );
}

#[test]
fn a_stored_route_says_when_it_was_made_and_changed() {
    let route = read(with(json!({}))).expect("valid");
    let stored = StoredRoute { route, created: LogIndex(5), changed: LogIndex(9), ramp: None };
    assert_eq!(
        json!(RouteBody::from(&stored)),
        json!({"name": "web", "created_index": 5, "changed_index": 9, "match": {},
            "destinations": [{"service": "a", "weight": 100}], "priority": 0})
    );
}

/// What the page on routes shows is what is read.
#[test]
fn the_documents_of_the_page_are_read() {
    let page = include_str!("../../../../docs/routes.md");
    let documents: Vec<&str> =
        page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(documents.len(), 3);
    for document in documents {
        let body: Value = serde_json::from_str(document).expect(document);
        read(body).unwrap_or_else(|wrong| panic!("{document}: {wrong:?}"));
    }
}
