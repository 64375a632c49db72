//! How traffic is treated, as it is shown and as a body may say it.

use crate::duration;
use quorate_model::{
    Balancing, Breaker, EndpointLimits, HealthCheck, HealthProbe, KeySource, Outlier, Protocol, Retries,
};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

pub(crate) fn span(ms: u32) -> String {
    duration::format(Duration::from_millis(ms.into()))
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolBody {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in the clear, by prior knowledge.
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl From<Protocol> for ProtocolBody {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1,
            Protocol::H2c => Self::H2c,
            Protocol::H2 => Self::H2,
        }
    }
}

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BalancingBody {
    /// One after the other, by weight.
    RoundRobin,
    /// The one that has the fewest requests for its weight.
    LeastConnections,
    /// By the client's address.
    SourceIp,
    /// By the key that `hash_on` names.
    ConsistentHash,
    /// The better of two random ones, by latency and requests.
    P2c,
}

impl From<Balancing> for BalancingBody {
    fn from(balancing: Balancing) -> Self {
        match balancing {
            Balancing::RoundRobin => Self::RoundRobin,
            Balancing::LeastConnections => Self::LeastConnections,
            Balancing::SourceIp => Self::SourceIp,
            Balancing::ConsistentHash => Self::ConsistentHash,
            Balancing::P2c => Self::P2c,
        }
    }
}

/// What of a request says which requests belong together: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// The value of this header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The value of this cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// The value of this query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// This segment of the path; the first one is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 64)]
    pub path_segment: Option<u16>,
    /// The trace id of `traceparent`; only `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<bool>,
    /// The client's address; only `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<bool>,
}

impl From<&KeySource> for KeyBody {
    fn from(key: &KeySource) -> Self {
        let none = Self::default();
        match key {
            KeySource::Header(name) => Self { header: Some(name.to_string()), ..none },
            KeySource::Cookie(name) => Self { cookie: Some(name.to_string()), ..none },
            KeySource::Query(name) => Self { query: Some(name.to_string()), ..none },
            KeySource::PathSegment(nth) => Self { path_segment: Some(*nth), ..none },
            KeySource::Trace => Self { trace: Some(true), ..none },
            KeySource::SourceIp => Self { source_ip: Some(true), ..none },
        }
    }
}

/// When a request is given to another endpoint after one has failed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetriesBody {
    /// Attempts after the first one; 3 if not said.
    #[schema(minimum = 0, maximum = 10, required = false)]
    pub max: u8,
    /// Answers that count as failed, 400 to 599; 502, 503 and 504 if not said.
    #[schema(required = false)]
    pub on: Vec<u16>,
    /// Between two attempts.
    #[schema(required = false)]
    pub backoff: BackoffBody,
    /// Whether requests may be repeated whose method does not promise that twice is as good as once, such as POST;
    /// false if not said.
    #[schema(required = false)]
    pub retry_non_idempotent: bool,
    /// How many requests may be retries.
    #[schema(required = false)]
    pub budget: BudgetBody,
}

/// How long to wait between two attempts: doubled each time, with jitter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackoffBody {
    /// Before the first retry; 100ms if not said.
    #[schema(required = false, examples("100ms"))]
    pub initial: String,
    /// At most; 10s if not said.
    #[schema(required = false, examples("10s"))]
    pub max: String,
}

/// The share of requests that may be retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// Of the requests; 20 if not said.
    #[schema(minimum = 0, maximum = 100, required = false)]
    pub percent: u8,
    /// As many are always allowed; 3 if not said.
    #[schema(minimum = 0, maximum = 100_000, required = false)]
    pub min_per_second: u32,
}

impl From<&Retries> for RetriesBody {
    fn from(retries: &Retries) -> Self {
        Self {
            max: retries.max,
            on: retries.on.clone(),
            backoff: BackoffBody {
                initial: span(retries.backoff.initial_ms),
                max: span(retries.backoff.max_ms),
            },
            retry_non_idempotent: retries.non_idempotent,
            budget: BudgetBody {
                percent: retries.budget.percent,
                min_per_second: retries.budget.min_per_second,
            },
        }
    }
}

/// How a node finds out whether an endpoint is well: by one of `tcp`, `http` and `grpc`; `http` if none is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthBody {
    /// Whether it accepts a connection; only `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<bool>,
    /// Whether it answers a GET with 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHealthBody>,
    /// Whether it answers `grpc.health.v1.Health/Check` with SERVING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcHealthBody>,
    /// Between two probes; 10s if not said.
    #[schema(required = false, examples("10s"))]
    pub interval: String,
    /// For the answer, at most the interval; 5s if not said.
    #[schema(required = false, examples("5s"))]
    pub timeout: String,
    /// Failed ones in a row after which it is not well; 3 if not said.
    #[schema(minimum = 1, maximum = 100, required = false)]
    pub unhealthy: u8,
    /// Good ones in a row after which it is well again; 2 if not said.
    #[schema(minimum = 1, maximum = 100, required = false)]
    pub healthy: u8,
}

/// A health check by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpHealthBody {
    /// What is asked for; `/healthz` if not said.
    #[schema(required = false, examples("/healthz"))]
    pub path: String,
}

/// A health check by gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcHealthBody {
    /// Which of its services; of the server as a whole if not said.
    #[schema(required = false)]
    pub service: String,
}

impl From<&HealthCheck> for HealthBody {
    fn from(check: &HealthCheck) -> Self {
        let (mut tcp, mut http, mut grpc) = (None, None, None);
        match &check.probe {
            HealthProbe::Tcp => tcp = Some(true),
            HealthProbe::Http { path } => http = Some(HttpHealthBody { path: path.to_string() }),
            HealthProbe::Grpc { service } => grpc = Some(GrpcHealthBody { service: service.to_string() }),
        }
        Self {
            tcp,
            http,
            grpc,
            interval: span(check.interval_ms),
            timeout: span(check.timeout_ms),
            unhealthy: check.unhealthy,
            healthy: check.healthy,
        }
    }
}

/// When an endpoint gets no requests because it failed some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakerBody {
    /// Failures in a row that open it; 5 if not said.
    #[schema(minimum = 1, maximum = 10_000, required = false)]
    pub failures: u32,
    /// How long it stays open, 100ms to 1h; 1m if not said.
    #[schema(required = false, examples("1m"))]
    pub open: String,
    /// Successes in a row that close it again; 2 if not said.
    #[schema(minimum = 1, maximum = 10_000, required = false)]
    pub successes: u32,
    /// Requests that are let through at once while it is half open; 1 if not said.
    #[schema(minimum = 1, maximum = 1_000, required = false)]
    pub trials: u32,
    /// Whether the other nodes are told; false if not said.
    #[schema(required = false)]
    pub shared: bool,
}

impl From<&Breaker> for BreakerBody {
    fn from(breaker: &Breaker) -> Self {
        Self {
            failures: breaker.failures,
            open: span(breaker.open_ms),
            successes: breaker.successes,
            trials: breaker.trials,
            shared: breaker.shared,
        }
    }
}

/// When one node stops using an endpoint that fails there, for a time that grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutlierBody {
    /// Failures in a row; 5 if not said.
    #[schema(minimum = 1, maximum = 10_000, required = false)]
    pub failures: u32,
    /// How long the first time, 100ms to 1h; 30s if not said.
    #[schema(required = false, examples("30s"))]
    pub ejection: String,
    /// How long at most; 5m if not said.
    #[schema(required = false, examples("5m"))]
    pub ejection_max: String,
    /// Most endpoints of a service that are ejected at once, in percent; 50 if not said.
    #[schema(minimum = 0, maximum = 100, required = false)]
    pub ejected_percent_max: u8,
    /// When fewer than this many percent are well, all get requests; 50 if not said.
    #[schema(minimum = 0, maximum = 100, required = false)]
    pub panic_percent: u8,
}

impl From<&Outlier> for OutlierBody {
    fn from(outlier: &Outlier) -> Self {
        Self {
            failures: outlier.failures,
            ejection: span(outlier.ejection_ms),
            ejection_max: span(outlier.ejection_ms_max),
            ejected_percent_max: outlier.ejected_percent_max,
            panic_percent: outlier.panic_percent,
        }
    }
}

/// How much one node gives to one endpoint at once; what is not said is not bounded here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsBody {
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub connections_max: Option<u32>,
    /// Requests that wait for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub pending_max: Option<u32>,
    /// Requests that are not answered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub in_flight_max: Option<u32>,
}

impl LimitsBody {
    /// `None`: nothing is bounded.
    pub(crate) fn of(limits: EndpointLimits) -> Option<Self> {
        let EndpointLimits { connections_max, pending_max, in_flight_max } = limits;
        (limits != EndpointLimits::default()).then_some(Self { connections_max, pending_max, in_flight_max })
    }
}
