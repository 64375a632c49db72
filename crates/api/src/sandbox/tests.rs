use super::*;
use serde_json::json;

fn read(body: Value) -> Result<Sandbox, Wrong> {
    sandbox(body.as_object().expect("an object").clone())
}

/// The places that are wrong.
fn places(body: Value) -> Vec<String> {
    read(body).expect_err("wrong").into_iter().map(|one| one.field).collect()
}

#[test]
fn the_contracts_body_is_read() {
    let body = json!({
        "rules": [{
            "path_prefixes": ["/api/v1"], "paths_exact": [],
            "headers": {"Content-Type": "application/json"}, "target": "http://10.0.0.8:80",
            "add_headers": {"X-Environment": "sandbox"}, "fallback": true,
        }],
        "ttl": "24h",
    });
    let sandbox = read(body).expect("valid");
    let rule = &sandbox.rules[0];
    assert_eq!(&*rule.headers[0].0, "content-type");
    assert_eq!(rule.add_headers[0].1, "sandbox");
    assert_eq!((rule.fallback, sandbox.ttl.map(SandboxTtl::as_ms)), (Fallback::default(), Some(86_400_000)));
}

/// What is shown can be sent again, and says the same.
#[test]
fn what_is_shown_reads_back() {
    for body in [
        json!({"rules": [{"target": "upload@v2", "fallback": false, "service": "upload"}]}),
        json!({"rules": [{"target": "h:80", "sticky": {"header": "x-user"}, "fallback": {"on_5xx": true}}], "ttl": "5m"}),
        json!({"rules": [
            {"targets": [{"target": "a", "weight": 0}, {"target": "https://h/base"}], "add_headers": {"x-é": "1"}},
            {"targets": [{"target": "a", "weight": 7}], "paths_exact": ["/x"], "path_prefixes": ["/y/"]},
        ]}),
    ] {
        let Ok(sandbox) = read(body.clone()) else {
            assert!(body.to_string().contains('é'), "{:?}", read(body));
            continue;
        };
        let shown = serde_json::to_value(SandboxPut::from(&sandbox)).expect("serialises");
        assert_eq!(read(shown), Ok(sandbox));
    }
}

#[test]
fn every_mistake_has_its_place() {
    let body = json!({
        "rules": [
            {"target": "http://u:secret@h", "headers": {"a b": "1", "ok": "a\nb"}, "colour": "blue"},
            {"targets": [{"target": "a", "weight": 0}], "add_headers": {"Connection": "close"}, "fallback": 1},
            {"target": "a", "targets": [{"target": "b"}]},
            {},
            {"target": "a", "headers": {"X-A": "1", "x-a": "2"}, "path_prefixes": ["x"], "paths_exact": ["/a?b"]},
            {"targets": [{"target": "a@", "weight": -1}, {"weight": 1}], "sticky": {}, "service": ""},
        ],
        "ttl": "1s",
        "name": "k",
    });
    assert_eq!(
        places(body.clone()),
        [
            "rules[0].headers[\"a b\"]",
            "rules[0].headers.ok",
            "rules[0].target",
            "rules[0].colour",
            "rules[1].add_headers.Connection",
            "rules[1].fallback",
            "rules[1].targets",
            "rules[2].targets",
            "rules[3].target",
            "rules[4].path_prefixes[0]",
            "rules[4].paths_exact[0]",
            "rules[4].headers.x-a",
            "rules[5].service",
            "rules[5].targets[0].target",
            "rules[5].targets[0].weight",
            "rules[5].targets[1].target",
            "rules[5].sticky",
            "ttl",
            "name",
        ]
    );
    assert!(!format!("{:?}", read(body)).contains("secret"));
    assert_eq!(places(json!({})), ["rules"]);
    assert_eq!(places(json!({"rules": []})), ["rules"]);
}

#[test]
fn a_ttl_of_nothing_is_none() {
    let with = |ttl: Value| read(json!({"rules": [{"target": "a"}], "ttl": ttl})).map(|read| read.ttl);
    for none in [json!(0), json!("0"), json!("0s"), json!(null)] {
        assert_eq!(with(none.clone()), Ok(None), "{none}");
    }
    assert_eq!(with(json!("300s")).map(|ttl| ttl.map(SandboxTtl::as_ms)), Ok(Some(300_000)));
    for bad in [json!("299s"), json!("169h"), json!(86_400), json!("-5m"), json!(true)] {
        let wrong = with(bad.clone()).expect_err("refused");
        assert_eq!(wrong[0].field, "ttl", "{bad}");
    }
    let extended = |body: Value| extend(body.as_object().expect("an object").clone());
    assert_eq!(extended(json!({"ttl": "168h"})).map(SandboxTtl::as_ms), Ok(604_800_000));
    for bad in [json!({}), json!({"ttl": "0"}), json!({"ttl": "1s"}), json!({"ttl": "1h", "x": 1})] {
        assert!(extended(bad.clone()).is_err(), "{bad}");
    }
}

/// What a refusal says: the field, what is wrong, what is allowed.
fn refused(body: Value) -> Vec<String> {
    read(body).expect_err("wrong").iter().map(ToString::to_string).collect()
}

/// Each of these is refused where it stands in a route, and stood in a sandbox without anybody being told.
#[test]
fn what_no_request_can_meet_is_refused_as_in_routes() {
    let wrong = |rule: Value| {
        let mut rule = rule;
        rule["target"] = json!("a");
        refused(json!({"rules": [rule]})).join("\n")
    };
    for (rule, problem) in [
        (
            json!({"path_prefixes": ["/a*"]}),
            "rules[0].path_prefixes[0]: `/a*` has a `*`; allowed: no wildcard",
        ),
        (json!({"path_prefixes": ["/a//b"]}), "rules[0].path_prefixes[0]: `/a//b` has an empty segment"),
        (
            json!({"path_prefixes": ["/a/../b"]}),
            "rules[0].path_prefixes[0]: `/a/../b` has `.` or `..` as a segment",
        ),
        (json!({"paths_exact": ["/a/.."]}), "rules[0].paths_exact[0]: `/a/..` has `.` or `..` as a segment"),
        (json!({"paths_exact": ["/a*"]}), "rules[0].paths_exact[0]: `/a*` has a `*`"),
        (
            json!({"paths_exact": ["/a%0a"]}),
            "rules[0].paths_exact[0]: `/a%0a` has an encoded control character",
        ),
        (
            json!({"headers": {"Connection": "close"}}),
            "rules[0].headers.Connection: connection belongs to the connection",
        ),
        (json!({"headers": {"x-a": " v"}}), "rules[0].headers.x-a: ` v` has spaces around it"),
        (json!({"service": "a/b"}), "rules[0].service: `a/b` can't be named by the path of a request"),
        (json!({"service": ".."}), "rules[0].service: `..` can't be named by the path of a request"),
    ] {
        let said = wrong(rule.clone());
        assert!(said.starts_with(problem), "{rule}: {said}");
    }
    // A prefix ends anywhere: what stands last need not be a whole segment.
    for good in ["/", "/a/", "/.", "/a/..", "/%2A", "/.well-known"] {
        assert!(read(json!({"rules": [{"target": "a", "path_prefixes": [good]}]})).is_ok(), "{good}");
    }
}

#[test]
fn whatever_is_wrong_with_a_ttl_the_answer_says_what_it_may_be() {
    let allowed = "a duration such as 24h, 300s (5 minutes) to 604800s (7 days)";
    for ttl in [json!(300), json!("300"), json!("299s"), json!("169h"), json!(true)] {
        let said = refused(json!({"rules": [{"target": "a"}], "ttl": ttl})).join("\n");
        assert!(
            said.starts_with("ttl: ") && said.ends_with(&format!("; allowed: {allowed}, or 0 for none")),
            "{said}"
        );
        let body = json!({"ttl": ttl});
        let wrong = extend(body.as_object().expect("an object").clone()).expect_err("refused");
        assert_eq!(
            (wrong.len(), wrong[0].allowed.as_str()),
            (1, allowed),
            "nothing ends by an extension of 0"
        );
    }
}

/// A part of a ramp that can't be read hides nothing of what else is wrong with it, nor does a header's name its value.
#[test]
fn what_can_not_be_read_hides_no_other_mistake() {
    let ramp = json!({
        "colour": "red",
        "steps": [
            {"after": 5, "weights": [95, 5]},
            {"after": "10m", "weights": [1]},
            {"after": "5m", "weights": [0, 0]},
            {"after": "20m", "weights": ["x", 1]},
        ],
        "on_errors": {"percent": 0, "min_requests": 0, "window": "1s", "then": "panic"},
    });
    let targets = json!([{"target": "a"}, {"target": "b"}]);
    let mut found = places(json!({"rules": [{"targets": targets, "ramp": ramp}]}));
    found.sort_unstable();
    let ramp = |place: &str| format!("rules[0].ramp.{place}");
    let expected = [
        "colour",
        "on_errors.min_requests",
        "on_errors.percent",
        "on_errors.then",
        "on_errors.window",
        "steps[0].after",
        "steps[1].weights",
        "steps[2].after",
        "steps[2].weights",
        "steps[3].weights[0]",
    ];
    assert_eq!(found, expected.map(ramp));
    for field in ["headers", "add_headers"] {
        let said = refused(json!({"rules": [{"target": "a", field: {"x y": "z\u{7}"}}]}));
        assert_eq!(said.len(), 2, "{said:?}");
    }
    let said = refused(json!({"rules": [{"target": "a", "headers": {"x y": "z "}}]}));
    assert!(said.iter().any(|one| one.contains("`z ` has spaces around it")), "{said:?}");
}

#[test]
fn one_range_is_told_of_a_percentage_whatever_is_wrong_with_it() {
    for percent in [json!(0), json!(101), json!("5"), json!(null)] {
        let ramp = json!({"steps": [{"after": "0s", "weights": [1, 2]}], "on_errors": {"percent": percent}});
        let targets = json!([{"target": "a"}, {"target": "b"}]);
        let said = refused(json!({"rules": [{"targets": targets, "ramp": ramp}]}));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].ends_with("allowed: a number above 0, at most 100, in steps of 0.0001"), "{said:?}");
    }
}

#[test]
fn what_a_tunnel_may_be_called_is_said() {
    let said = refused(json!({"rules": [{"target": "tunnel:Foo"}]})).join("\n");
    assert!(said.contains("a-z") || said.contains("lower"), "{said}");
    let said = refused(json!({"rules": [{"target": "a/b"}]})).join("\n");
    assert!(said.ends_with("service@version, or tunnel:NAME"), "{said}");
}
