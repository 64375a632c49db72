use super::*;

fn fields<T: std::fmt::Debug>(result: Result<T, Vec<Invalid>>) -> Vec<String> {
    result.expect_err("wrong").into_iter().map(|wrong| wrong.field).collect()
}

#[test]
fn what_is_not_said_is_as_the_contract_has_it() {
    assert!(Retries::default().validate().is_ok());
    assert!(Breaker::default().validate().is_ok());
    assert!(Outlier::default().validate().is_ok());
    assert!(HealthCheck::default().validate().is_ok());
    assert!(EndpointLimits::default().validate().is_ok());
}

#[test]
fn each_wrong_bound_is_named() {
    let retries = Retries { max: 200, on: vec![503, 200], ..Retries::default() };
    assert_eq!(fields(retries.validate()), ["max", "on[1]"]);
    let backoff = Backoff { initial_ms: 500, max_ms: 100 };
    assert_eq!(fields(Retries { backoff, ..Retries::default() }.validate()), ["backoff.max"]);
    assert_eq!(
        fields(Breaker { failures: 0, trials: 0, ..Breaker::default() }.validate()),
        ["failures", "trials"]
    );
    let check = HealthCheck { timeout_ms: 20_000, healthy: 0, ..HealthCheck::default() };
    assert_eq!(fields(check.validate()), ["timeout", "healthy"]);
    let rare = |timeout_ms| HealthCheck { interval_ms: 3_600_000, timeout_ms, ..HealthCheck::default() };
    assert!(rare(limit::HEALTH_TIMEOUT_MS_MAX).validate().is_ok());
    let wrong = rare(limit::HEALTH_TIMEOUT_MS_MAX + 1).validate().expect_err("too long");
    assert_eq!((wrong[0].field.as_str(), wrong[0].allowed.as_str()), ("timeout", "10ms to 1m"));
    let probe = HealthProbe::Http { path: "healthz".into() };
    assert_eq!(fields(HealthCheck { probe, ..HealthCheck::default() }.validate()), ["path"]);
    let limits = EndpointLimits { in_flight_max: Some(0), ..EndpointLimits::default() };
    assert_eq!(fields(limits.validate()), ["in_flight_max"]);
    let outlier = Outlier { ejected_percent_max: 101, ..Outlier::default() };
    assert_eq!(fields(outlier.validate()), ["ejected_percent_max"]);
}

#[test]
fn statuses_are_sorted_and_single() {
    let retries = Retries { on: vec![504, 502, 504], ..Retries::default() }.validate().expect("valid");
    assert_eq!(retries.on, [502, 504]);
}

#[test]
fn names_read_back() {
    for balancing in Balancing::ALL {
        assert_eq!(Balancing::parse(balancing.as_str()), Ok(balancing));
        assert!(Balancing::ALLOWED.contains(balancing.as_str()));
    }
    for protocol in Protocol::ALL {
        assert_eq!(Protocol::parse(protocol.as_str()), Ok(protocol));
        assert!(Protocol::ALLOWED.contains(protocol.as_str()));
    }
    assert!(Balancing::parse("random").is_err() && Protocol::parse("http2").is_err());
}

#[test]
fn a_key_is_of_something_that_a_request_can_have() {
    assert_eq!(KeySource::header("X-User"), Ok(KeySource::Header("x-user".into())));
    assert!(KeySource::header("a b").is_err() && KeySource::cookie("a=b").is_err());
    assert_eq!(KeySource::cookie("Session"), Ok(KeySource::Cookie("Session".into())));
    assert!(KeySource::path_segment(0).is_err() && KeySource::path_segment(1).is_ok());
}
