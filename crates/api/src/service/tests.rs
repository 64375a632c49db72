use super::*;
use serde_json::json;

fn read(body: Value) -> Result<ServicePolicy, Vec<String>> {
    policy(body.as_object().expect("an object").clone())
        .map_err(|wrong| wrong.into_iter().map(|w| w.field).collect())
}

#[test]
fn a_policy_is_read_as_a_whole() {
    let all = read(json!({"hold": "5s", "hold_waiting_max": 7, "timeout": "1m"})).expect("valid");
    assert_eq!(all.hold, Hold::new(Duration::from_secs(5), 7).ok());
    assert_eq!(all.timeout(), Some(Duration::from_secs(60)));
    let some = read(json!({"hold": "2s"})).expect("valid");
    assert_eq!(some.hold.map(Hold::waiting_max), Some(Hold::WAITING_DEFAULT));
    assert_eq!(read(json!({})), Ok(ServicePolicy::default()));
    assert_eq!(read(json!({"hold": null, "timeout": null})), Ok(ServicePolicy::default()));
}

#[test]
fn each_wrong_field_of_a_policy_is_named() {
    for (body, fields) in [
        (json!({"hold": "11s", "timeout": "1ms"}), vec!["hold", "timeout"]),
        (json!({"hold": 5}), vec!["hold"]),
        (json!({"hold": "5s", "hold_waiting_max": 0}), vec!["hold_waiting_max"]),
        (json!({"hold": "5s", "hold_waiting_max": 100_001}), vec!["hold_waiting_max"]),
        (json!({"hold_waiting_max": 5}), vec!["hold_waiting_max"]),
        (json!({"retries": 3, "hold": "soon"}), vec!["hold", "retries"]),
        (json!({"protocol": "http2", "balancing": "random"}), vec!["protocol", "balancing"]),
        (json!({"balancing": "consistent-hash"}), vec!["hash_on"]),
        (json!({"health": {"tcp": true, "http": {}}}), vec!["health.http"]),
        (json!({"health": {"tcp": null}}), vec!["health.tcp"]),
        (json!({"health": {"http": null, "grpc": null}}), vec!["health.http", "health.grpc"]),
        (json!({"health": {"http": {"path": "x"}}}), vec!["health.http.path"]),
        (json!({"health": {"grpc": {"service": "a/b"}}}), vec!["health.grpc.service"]),
        (json!({"health": {"interval": "1s", "timeout": "2s"}}), vec!["health.timeout"]),
        (json!({"health": {"unhealthy": 0, "path": "/"}}), vec!["health.unhealthy", "health.path"]),
        (json!({"retries": {"budget": {"percent": 101}}}), vec!["retries.budget.percent"]),
        (json!({"breaker": {"failures": 0, "open": "1ms"}}), vec!["breaker.failures", "breaker.open"]),
        (json!({"outlier": {"ejection": "1m", "ejection_max": "1s"}}), vec!["outlier.ejection_max"]),
        (json!({"limits": {"in_flight_max": 0}}), vec!["limits.in_flight_max"]),
        (json!({"slow_start": "2h", "prefer_zone": "a"}), vec!["prefer_zone", "slow_start"]),
        (json!({"default_version": 1}), vec!["default_version"]),
        (json!({"default_version": "a\u{7}"}), vec!["default_version"]),
        (json!({"timeout": "1ms", "limits": {"pending": 1}}), vec!["timeout", "limits.pending"]),
    ] {
        assert_eq!(read(body.clone()), Err(fields.iter().map(ToString::to_string).collect()), "{body}");
    }
}

#[test]
fn a_whole_policy_is_read_back_as_it_was_written() {
    let whole = json!({
        "hold": "5s", "hold_waiting_max": 7, "timeout": "20s",
        "protocol": "h2c", "balancing": "consistent-hash", "hash_on": {"header": "x-user"},
        "health": {"grpc": {"service": "pkg.S"}, "interval": "1s", "timeout": "500ms", "unhealthy": 2, "healthy": 1},
        "retries": {
            "max": 1, "on": [503], "backoff": {"initial": "10ms", "max": "1s"},
            "retry_non_idempotent": false, "budget": {"percent": 5, "min_per_second": 0},
        },
        "breaker": {"failures": 3, "open": "10s", "successes": 1, "trials": 2, "shared": true},
        "outlier": {
            "failures": 3, "ejection": "1s", "ejection_max": "1m", "ejected_percent_max": 20, "panic_percent": 0,
        },
        "limits": {"connections_max": 10, "pending_max": 5, "in_flight_max": 100},
        "slow_start": "30s", "prefer_zone": true, "default_version": "v1",
    });
    let policy = read(whole.clone()).expect("valid");
    assert_eq!(json!(PolicyBody::from(&policy)), whole);
    assert_eq!(json!(ServicePut::from(&policy)), whole);
}

/// What is begun gets the contract's defaults, and a short interval alone is no mistake.
#[test]
fn what_is_begun_is_shown_with_its_defaults() {
    let policy = read(json!({"health": {}, "breaker": {}, "outlier": {}, "limits": {}})).expect("valid");
    assert_eq!(
        json!(ServicePut::from(&policy)),
        json!({
            "health": {"http": {"path": "/healthz"}, "interval": "10s", "timeout": "5s", "unhealthy": 3, "healthy": 2},
            "breaker": {"failures": 5, "open": "1m", "successes": 2, "trials": 1, "shared": false},
            "outlier": {
                "failures": 5, "ejection": "30s", "ejection_max": "5m", "ejected_percent_max": 50,
                "panic_percent": 50,
            },
        })
    );
    let health = |body: Value| json!(ServicePut::from(&read(json!({"health": body})).expect("valid")));
    for tcp in [json!({"tcp": true}), json!({"tcp": {}}), json!({"tcp": {}, "http": null})] {
        assert_eq!(health(tcp.clone())["health"]["tcp"], true, "{tcp}");
    }
    assert_eq!(health(json!({"tcp": {}, "interval": "1s"}))["health"]["timeout"], "1s");
    assert_eq!(health(json!({"tcp": true}))["health"]["tcp"], true);
}

#[test]
fn a_bound_is_told_as_it_is_written() {
    for (body, expected) in [
        (json!({"hold": "11s"}), vec!["hold: is 11s; allowed: 1s to 10s"]),
        (json!({"hold": "9999h"}), vec!["hold: is 9999h; allowed: 1s to 10s"]),
        (json!({"timeout": "2h"}), vec!["timeout: is 2h; allowed: 10ms to 1h"]),
        (
            json!({"hold": "5s", "hold_waiting_max": -1}),
            vec!["hold_waiting_max: is -1; allowed: 1 to 100000"],
        ),
        (
            json!({"hold": "5s", "hold_waiting_max": 5_000_000_000u64}),
            vec!["hold_waiting_max: is 5000000000; allowed: 1 to 100000"],
        ),
        // The hold is there: nobody is told that it is missing.
        (
            json!({"hold": 5, "hold_waiting_max": 5}),
            vec!["hold: is a number; allowed: a duration such as 500ms, 30s, 1m30s or 1.5h"],
        ),
        (
            json!({"hold_waiting_max": 5}),
            vec!["hold_waiting_max: is there without hold; allowed: both, or none"],
        ),
    ] {
        let wrong = policy(body.as_object().expect("an object").clone()).expect_err("wrong");
        let shown: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{body}");
    }
}

#[test]
fn a_policy_is_shown_as_it_was_written() {
    let policy = read(json!({"hold": "5s", "timeout": "1m30s"})).expect("valid");
    assert_eq!(
        json!(PolicyBody::from(&policy)),
        json!({"hold": "5s", "hold_waiting_max": 1_000, "timeout": "1m30s"})
    );
}
