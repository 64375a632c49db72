//! How traffic is treated, as services and routes say it alike: keys, balancing, retries, health checks, breakers.
//!
//! Readers fill in what is not said with the model's defaults; bodies show it all. So what is read back is what holds,
//! and stays the same when it is written again.

mod shown;

pub(crate) use shown::span;
pub use shown::{
    BackoffBody, BalancingBody, BreakerBody, BudgetBody, GrpcHealthBody, HealthBody, HttpHealthBody, KeyBody,
    LimitsBody, OutlierBody, ProtocolBody, RetriesBody,
};

use crate::{
    Wrong,
    fields::{Fields, any_text, count, flag, list, millis, nested, number, only_true, text},
};
use quorate_model::{
    Backoff, Balancing, Breaker, EndpointLimits, HealthCheck, HealthProbe, Invalid, KeySource, Outlier,
    Protocol, Retries, RetryBudget, limit,
};
use serde_json::Value;

/// Most statuses that a retry may be for; there are no more.
const STATUSES_MAX: usize = 200;

/// What an endpoint speaks.
pub(crate) fn protocol(value: Value) -> Result<Protocol, Wrong> {
    text(Protocol::ALLOWED, Protocol::parse)(value)
}

/// Which endpoint gets a request.
pub(crate) fn balancing(value: Value) -> Result<Balancing, Wrong> {
    text(Balancing::ALLOWED, Balancing::parse)(value)
}

/// What of a request says which requests belong together.
pub(crate) fn key(value: Value) -> Result<KeySource, Wrong> {
    nested(value, |fields| {
        fields.one_of(["header", "cookie", "query", "path_segment", "trace", "source_ip"]);
        let segment = |value| {
            let nth = number(limit::PATH_SEGMENT_MAX.into())(value)?;
            KeySource::path_segment(nth).map_err(|wrong| vec![wrong])
        };
        let header = fields.optional("header", text("the name of a header", KeySource::header));
        let cookie = fields.optional("cookie", text("the name of a cookie", KeySource::cookie));
        let query = fields.optional("query", text("the name of a query parameter", KeySource::query));
        let segment = fields.optional("path_segment", segment);
        let trace = fields.optional("trace", only_true).map(|()| KeySource::Trace);
        let source_ip = fields.optional("source_ip", only_true).map(|()| KeySource::SourceIp);
        header.or(cookie).or(query).or(segment).or(trace).or(source_ip)
    })
}

/// When a request is given to another endpoint. Bounds are checked with the route or the service that it is of.
pub(crate) fn retries(value: Value) -> Result<Retries, Wrong> {
    nested(value, |fields| {
        let default = Retries::default();
        let status = |value| number(999)(value).map(|status| u16::try_from(status).unwrap_or(u16::MAX));
        let read = Retries {
            max: fields.optional("max", count(limit::RETRIES_MAX)).unwrap_or(default.max),
            on: fields.optional("on", list(STATUSES_MAX, status)).unwrap_or(default.on),
            backoff: fields.optional("backoff", backoff).unwrap_or_default(),
            non_idempotent: fields.optional("retry_non_idempotent", flag).unwrap_or(default.non_idempotent),
            budget: fields.optional("budget", budget).unwrap_or_default(),
        };
        checked(fields, read.validate())
    })
}

fn backoff(value: Value) -> Result<Backoff, Wrong> {
    nested(value, |fields| {
        let default = Backoff::default();
        let initial_ms = fields.optional("initial", millis).unwrap_or(default.initial_ms);
        let max_ms = fields.optional("max", millis).unwrap_or(default.max_ms.max(initial_ms));
        Some(Backoff { initial_ms, max_ms })
    })
}

fn budget(value: Value) -> Result<RetryBudget, Wrong> {
    nested(value, |fields| {
        let default = RetryBudget::default();
        let max = limit::RETRIES_PER_SECOND_MAX;
        Some(RetryBudget {
            percent: fields.optional("percent", count(100u8)).unwrap_or(default.percent),
            min_per_second: fields.optional("min_per_second", count(max)).unwrap_or(default.min_per_second),
        })
    })
}

/// How a node finds out whether an endpoint is well.
pub(crate) fn health(value: Value) -> Result<HealthCheck, Wrong> {
    nested(value, |fields| {
        let default = HealthCheck::default();
        if fields.at_most_one_of(["tcp", "http", "grpc"]).is_none() {
            no_null_probe(fields);
        }
        let tcp = fields.optional("tcp", true_or_nothing).map(|()| HealthProbe::Tcp);
        let http = fields.optional("http", http_probe);
        let grpc = fields.optional("grpc", grpc_probe);
        let interval = fields.optional("interval", millis);
        let timeout = fields.optional("timeout", millis);
        let interval_ms = interval.unwrap_or(default.interval_ms);
        let read = HealthCheck {
            probe: tcp.or(http).or(grpc).unwrap_or(default.probe),
            interval_ms,
            // A short interval alone is no mistake: the timeout that nobody named shrinks with it.
            timeout_ms: timeout.unwrap_or(default.timeout_ms.min(interval_ms)),
            unhealthy: fields.optional("unhealthy", count(100u8)).unwrap_or(default.unhealthy),
            healthy: fields.optional("healthy", count(100u8)).unwrap_or(default.healthy),
        };
        // The model does not know where in a document they stand.
        let place = |wrong: Invalid| match wrong.field.as_str() {
            "path" => wrong.renamed("http.path"),
            "service" => wrong.renamed("grpc.service"),
            _ => wrong,
        };
        checked(fields, read.validate().map_err(|wrong| wrong.into_iter().map(place).collect()))
    })
}

/// Whoever names a kind without a value (`tcp:` in YAML) wants that kind, and must not get another one.
fn no_null_probe(fields: &mut Fields) {
    for (name, allowed) in [
        ("tcp", "true or {}"),
        ("http", "an object, such as {\"path\": \"/healthz\"}"),
        ("grpc", "an object, such as {\"service\": \"pkg.S\"}; {} is for the whole server"),
    ] {
        if fields.is_null(name) {
            fields.add_inside([Invalid::new(name, "is null", allowed)]);
        }
    }
}

/// `true`, or an object with nothing in it.
fn true_or_nothing(value: Value) -> Result<(), Wrong> {
    match value {
        Value::Object(_) => nested(value, |_| Some(())),
        other => only_true(other),
    }
}

fn http_probe(value: Value) -> Result<HealthProbe, Wrong> {
    nested(value, |fields| {
        let path = fields.optional("path", any_text).map(String::into_boxed_str);
        Some(path.map_or(HealthCheck::default().probe, |path| HealthProbe::Http { path }))
    })
}

fn grpc_probe(value: Value) -> Result<HealthProbe, Wrong> {
    nested(value, |fields| {
        let service = fields.optional("service", any_text).unwrap_or_default().into();
        Some(HealthProbe::Grpc { service })
    })
}

/// When an endpoint gets no requests because it failed some.
pub(crate) fn breaker(value: Value) -> Result<Breaker, Wrong> {
    nested(value, |fields| {
        let default = Breaker::default();
        let read = Breaker {
            failures: fields.optional("failures", count(u32::MAX)).unwrap_or(default.failures),
            open_ms: fields.optional("open", millis).unwrap_or(default.open_ms),
            successes: fields.optional("successes", count(u32::MAX)).unwrap_or(default.successes),
            trials: fields.optional("trials", count(u32::MAX)).unwrap_or(default.trials),
            shared: fields.optional("shared", flag).unwrap_or(default.shared),
        };
        checked(fields, read.validate())
    })
}

/// When one node stops using an endpoint that fails there.
pub(crate) fn outlier(value: Value) -> Result<Outlier, Wrong> {
    nested(value, |fields| {
        let default = Outlier::default();
        let ejection_ms = fields.optional("ejection", millis).unwrap_or(default.ejection_ms);
        let longest = fields.optional("ejection_max", millis);
        let percent = count(100u8);
        let read = Outlier {
            failures: fields.optional("failures", count(u32::MAX)).unwrap_or(default.failures),
            ejection_ms,
            ejection_ms_max: longest.unwrap_or(default.ejection_ms_max.max(ejection_ms)),
            ejected_percent_max: fields
                .optional("ejected_percent_max", percent)
                .unwrap_or(default.ejected_percent_max),
            panic_percent: fields.optional("panic_percent", count(100u8)).unwrap_or(default.panic_percent),
        };
        checked(fields, read.validate())
    })
}

/// How much one node gives to one endpoint at once.
pub(crate) fn limits(value: Value) -> Result<EndpointLimits, Wrong> {
    nested(value, |fields| {
        let read = EndpointLimits {
            connections_max: fields.optional("connections_max", count(u32::MAX)),
            pending_max: fields.optional("pending_max", count(u32::MAX)),
            in_flight_max: fields.optional("in_flight_max", count(u32::MAX)),
        };
        checked(fields, read.validate())
    })
}

/// What the model says of what `fields` were read to. `None`: it is wrong, and listed.
fn checked<T>(fields: &mut Fields, checked: Result<T, Vec<Invalid>>) -> Option<T> {
    checked.map_err(|wrong| add_unless_unread(fields, wrong)).ok()
}

/// Adds what the model finds wrong with what `fields` were read to, but not what is listed already: a field that could
/// not be read stands there as its default, and says nothing.
pub(crate) fn add_unless_unread(fields: &mut Fields, wrong: Vec<Invalid>) {
    let mut unread = fields.wrong_places();
    // What these say is held against what those should have said.
    for (field, said_of) in [
        ("balancing", "hash_on"),
        ("match", "rewrite"),
        ("match", "redirect"),
        ("redirect", "destinations"),
        ("target", "targets"),
    ] {
        if unread.iter().any(|place| is_inside(field, place)) {
            unread.push(said_of.into());
        }
    }
    let is_known =
        |place: &str| unread.iter().any(|other| is_inside(other, place) || is_inside(place, other));
    let wrong: Vec<_> = wrong.into_iter().filter(|one| !is_known(&one.field)).collect();
    fields.add_inside(wrong);
}

fn is_inside(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
