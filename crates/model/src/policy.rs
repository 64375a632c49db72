//! How requests are spread over the endpoints of a service or a route, and what happens when one of them fails.
//!
//! Everything here is optional. A service without a policy behaves as it did before there were policies, so an upgrade
//! changes nothing for anybody.

use crate::{
    limit,
    name::{Invalid, excerpt},
};
use http::HeaderName;
use std::time::Duration;

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1, in the clear or over TLS as its URL says.
    Http1,
    /// HTTP/2 in the clear, by prior knowledge (RFC 9113, 3.3).
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::H2c, Self::H2];
    /// As an error lists them.
    pub const ALLOWED: &'static str = "http1, h2c or h2";

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
            Self::H2 => "h2",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        known.ok_or_else(|| Invalid::new("protocol", format!("is {}", excerpt(text)), Self::ALLOWED))
    }
}

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balancing {
    /// One after the other, by weight.
    RoundRobin,
    /// The one that has the fewest requests for its weight.
    LeastConnections,
    /// By the client's address: the same one as long as the endpoints stay.
    SourceIp,
    /// By a key of the request; when one of n endpoints goes, about one n-th of the keys move.
    ConsistentHash,
    /// The better of two random ones, by latency and requests (peak EWMA).
    #[default]
    P2c,
}

impl Balancing {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::RoundRobin, Self::LeastConnections, Self::SourceIp, Self::ConsistentHash, Self::P2c];
    /// As an error lists them.
    pub const ALLOWED: &'static str = "round-robin, least-connections, source-ip, consistent-hash or p2c";

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::SourceIp => "source-ip",
            Self::ConsistentHash => "consistent-hash",
            Self::P2c => "p2c",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|balancing| balancing.as_str() == text);
        known.ok_or_else(|| Invalid::new("balancing", format!("is {}", excerpt(text)), Self::ALLOWED))
    }
}

/// What of a request says which requests belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// The value of a header.
    Header(Box<str>),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The value of a query parameter.
    Query(Box<str>),
    /// A segment of the path; the first one is 1.
    PathSegment(u16),
    /// The trace id of `traceparent` (W3C Trace Context).
    Trace,
    /// The client's address.
    SourceIp,
}

impl KeySource {
    /// By a header.
    pub fn header(name: &str) -> Result<Self, Invalid> {
        Ok(Self::Header(header_name("header", name)?))
    }

    /// By a cookie, whose name is a token (RFC 6265, 4.1.1).
    pub fn cookie(name: &str) -> Result<Self, Invalid> {
        // Header names and tokens have the same letters, but for the case.
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) if name.len() <= limit::LABEL_BYTES_MAX => Ok(Self::Cookie(name.into())),
            _ => Err(Invalid::new("cookie", format!("is {}", excerpt(name)), "a token of at most 256 bytes")),
        }
    }

    /// By a query parameter.
    pub fn query(name: &str) -> Result<Self, Invalid> {
        let is_right = !name.is_empty() && name.len() <= limit::LABEL_BYTES_MAX;
        is_right
            .then(|| Self::Query(name.into()))
            .ok_or_else(|| Invalid::new("query", format!("is {}", excerpt(name)), "1 to 256 bytes of text"))
    }

    /// By a segment of the path.
    pub fn path_segment(nth: u64) -> Result<Self, Invalid> {
        let segment = u16::try_from(nth).ok().filter(|nth| (1..=limit::PATH_SEGMENT_MAX).contains(nth));
        segment.map(Self::PathSegment).ok_or_else(|| {
            let allowed = format!("1 to {}", limit::PATH_SEGMENT_MAX);
            Invalid::new("path_segment", format!("is {nth}"), allowed)
        })
    }
}

/// A header's name, in lower case.
pub(crate) fn header_name(field: &str, name: &str) -> Result<Box<str>, Invalid> {
    let allowed = "the name of a header, at most 256 bytes";
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(parsed) if name.len() <= limit::LABEL_BYTES_MAX => Ok(parsed.as_str().into()),
        _ => Err(Invalid::new(field, format!("is {}", excerpt(name)), allowed)),
    }
}

/// A span in milliseconds within bounds; the error is about `field`.
pub fn span_ms(field: &str, span: Duration, min: u32, max: u32) -> Result<u32, Invalid> {
    let ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    if (min..=max).contains(&ms) {
        return Ok(ms);
    }
    let show = |ms: u32| match ms {
        ms if ms % 3_600_000 == 0 && ms > 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 && ms > 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 && ms > 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    };
    let is = if span.as_millis() > u128::from(u32::MAX) {
        "is too long".to_owned()
    } else {
        format!("is {}", show(ms))
    };
    Err(Invalid::new(field, is, format!("{} to {}", show(min), show(max))))
}

/// A whole number within bounds; the error is about `field`.
pub fn within<N: Copy + PartialOrd + std::fmt::Display>(
    field: &str,
    number: N,
    min: N,
    max: N,
) -> Result<N, Invalid> {
    if number >= min && number <= max {
        return Ok(number);
    }
    Err(Invalid::new(field, format!("is {number}"), format!("{min} to {max}")))
}

/// How long to wait between two attempts: `initial`, doubled each time, at most `max`, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// In milliseconds.
    pub initial_ms: u32,
    /// In milliseconds.
    pub max_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 100, max_ms: 10_000 }
    }
}

/// When a request is given to another endpoint after one has failed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after the first one.
    pub max: u8,
    /// Answers that count as failed, in ascending order.
    pub on: Vec<u16>,
    /// Between two attempts.
    pub backoff: Backoff,
    /// Whether a request may be repeated whose method does not promise that twice is as good as once.
    pub non_idempotent: bool,
    /// How many requests may be retries.
    pub budget: RetryBudget,
}

/// The share of requests that may be retries: without one, a failing service gets many times its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// In percent of the requests.
    pub percent: u8,
    /// As many are always allowed, per second.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 3 }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 3,
            on: vec![502, 503, 504],
            backoff: Backoff::default(),
            non_idempotent: false,
            budget: RetryBudget::default(),
        }
    }
}

impl Retries {
    /// Checks all bounds and lists each that is wrong, by the names of the public fields.
    pub fn validate(mut self) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let mut note = |checked: Result<(), Invalid>| wrong.extend(checked.err());
        note(within("max", self.max, 0, limit::RETRIES_MAX).map(drop));
        for (nth, status) in self.on.iter().enumerate() {
            note(within(&format!("on[{nth}]"), *status, 400, 599).map(drop));
        }
        let Backoff { initial_ms, max_ms } = self.backoff;
        let (min, max) = (1, limit::BACKOFF_MS_MAX);
        let span = |ms: u32| Duration::from_millis(ms.into());
        note(span_ms("backoff.initial", span(initial_ms), min, max).map(drop));
        note(span_ms("backoff.max", span(max_ms), initial_ms.clamp(min, max), max).map(drop));
        note(within("budget.percent", self.budget.percent, 0, 100).map(drop));
        note(
            within("budget.min_per_second", self.budget.min_per_second, 0, limit::RETRIES_PER_SECOND_MAX)
                .map(drop),
        );
        self.on.sort_unstable();
        self.on.dedup();
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}

/// When an endpoint gets no requests because it failed some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open, in milliseconds.
    pub open_ms: u32,
    /// Successes in a row that close it again.
    pub successes: u32,
    /// Requests that are let through at once while it is half open.
    pub trials: u32,
    /// Whether the other nodes are told, so that one that has just started knows.
    pub shared: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open_ms: 60_000, successes: 2, trials: 1, shared: false }
    }
}

impl Breaker {
    /// Checks all bounds and lists each that is wrong.
    pub fn validate(self) -> Result<Self, Vec<Invalid>> {
        let checks = [
            within("failures", self.failures, 1, 10_000).map(drop),
            span_ms("open", Duration::from_millis(self.open_ms.into()), 100, 3_600_000).map(drop),
            within("successes", self.successes, 1, 10_000).map(drop),
            within("trials", self.trials, 1, 1_000).map(drop),
        ];
        all(self, checks)
    }
}

/// When one node stops using an endpoint that fails there, for a time that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row.
    pub failures: u32,
    /// The first ejection, in milliseconds; the n-th one is n times as long.
    pub ejection_ms: u32,
    /// The longest one, in milliseconds.
    pub ejection_ms_max: u32,
    /// Most endpoints of a service that are ejected at once, in percent. One stays, whatever this says.
    pub ejected_percent_max: u8,
    /// When fewer than this many percent are well, all get requests: most likely it is not the endpoints.
    pub panic_percent: u8,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            failures: 5,
            ejection_ms: 30_000,
            ejection_ms_max: 300_000,
            ejected_percent_max: 50,
            panic_percent: 50,
        }
    }
}

impl Outlier {
    /// Checks all bounds and lists each that is wrong.
    pub fn validate(self) -> Result<Self, Vec<Invalid>> {
        let span = |ms: u32| Duration::from_millis(ms.into());
        let checks = [
            within("failures", self.failures, 1, 10_000).map(drop),
            span_ms("ejection", span(self.ejection_ms), 100, 3_600_000).map(drop),
            span_ms(
                "ejection_max",
                span(self.ejection_ms_max),
                self.ejection_ms.clamp(100, 3_600_000),
                3_600_000,
            )
            .map(drop),
            within("ejected_percent_max", self.ejected_percent_max, 0, 100).map(drop),
            within("panic_percent", self.panic_percent, 0, 100).map(drop),
        ];
        all(self, checks)
    }
}

/// How a node finds out whether an endpoint is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What it asks.
    pub probe: HealthProbe,
    /// Between two probes of one endpoint, in milliseconds.
    pub interval_ms: u32,
    /// For the answer, in milliseconds; at most the interval.
    pub timeout_ms: u32,
    /// Failed ones in a row after which it is not well.
    pub unhealthy: u8,
    /// Good ones in a row after which it is well again.
    pub healthy: u8,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthProbe {
    /// Whether it accepts a connection.
    Tcp,
    /// `GET` of a path: 200 to 399 is good.
    Http {
        /// Begins with a slash.
        path: Box<str>,
    },
    /// `grpc.health.v1.Health/Check`: `SERVING` is good.
    Grpc {
        /// Of which of its services; empty: of the server.
        service: Box<str>,
    },
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe: HealthProbe::Http { path: "/healthz".into() },
            interval_ms: 10_000,
            timeout_ms: 5_000,
            unhealthy: 3,
            healthy: 2,
        }
    }
}

impl HealthCheck {
    /// Checks all bounds and lists each that is wrong.
    pub fn validate(self) -> Result<Self, Vec<Invalid>> {
        let span = |ms: u32| Duration::from_millis(ms.into());
        let probe = match &self.probe {
            HealthProbe::Tcp => Ok(()),
            HealthProbe::Http { path } => target_path("path", path).map(drop),
            HealthProbe::Grpc { service }
                if service.len() <= limit::LABEL_BYTES_MAX && !service.contains('/') =>
            {
                Ok(())
            }
            HealthProbe::Grpc { service } => Err(Invalid::new(
                "service",
                format!("is {}", excerpt(service)),
                "a gRPC service such as pkg.Name",
            )),
        };
        let checks = [
            probe,
            span_ms("interval", span(self.interval_ms), 100, 3_600_000).map(drop),
            span_ms("timeout", span(self.timeout_ms), 10, self.interval_ms.clamp(10, 3_600_000)).map(drop),
            within("unhealthy", self.unhealthy, 1, 100).map(drop),
            within("healthy", self.healthy, 1, 100).map(drop),
        ];
        all(self, checks)
    }
}

/// How much one node gives to one endpoint at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Connections.
    pub connections_max: Option<u32>,
    /// Requests that wait for one.
    pub pending_max: Option<u32>,
    /// Requests that are not answered yet.
    pub in_flight_max: Option<u32>,
}

impl EndpointLimits {
    /// Checks all bounds and lists each that is wrong.
    pub fn validate(self) -> Result<Self, Vec<Invalid>> {
        let check = |field, number: Option<u32>| {
            number.map_or(Ok(()), |n| within(field, n, 1, limit::PER_ENDPOINT_MAX).map(drop))
        };
        let checks = [
            check("connections_max", self.connections_max),
            check("pending_max", self.pending_max),
            check("in_flight_max", self.in_flight_max),
        ];
        all(self, checks)
    }
}

fn all<T, const N: usize>(value: T, checks: [Result<(), Invalid>; N]) -> Result<T, Vec<Invalid>> {
    let wrong: Vec<Invalid> = checks.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(value) } else { Err(wrong) }
}

/// A path to ask for: absolute, without query, in the letters that a request line allows.
pub(crate) fn target_path(field: &str, path: &str) -> Result<Box<str>, Invalid> {
    let allowed = format!(
        "a path that begins with a slash, without query, fragment or spaces, at most {} bytes",
        limit::PATH_BYTES_MAX
    );
    let is_right = path.starts_with('/')
        && path.len() <= limit::PATH_BYTES_MAX
        && !path.bytes().any(|b| matches!(b, b'?' | b'#' | b' ') || b.is_ascii_control())
        && path.parse::<http::uri::PathAndQuery>().is_ok();
    if is_right {
        return Ok(path.into());
    }
    let problem = match path {
        "" => "is empty".to_owned(),
        path if !path.starts_with('/') => format!("{} does not begin with a slash", excerpt(path)),
        path if path.len() > limit::PATH_BYTES_MAX => format!("is {} bytes long", path.len()),
        path => format!("{} has a letter that a path can't have", excerpt(path)),
    };
    Err(Invalid::new(field, problem, allowed))
}

#[cfg(test)]
mod tests {
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
}
