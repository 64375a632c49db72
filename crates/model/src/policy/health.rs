//! How a node finds out whether an endpoint is well.

use super::{all, span_ms, target_path, within};
use crate::{
    limit,
    name::{Invalid, excerpt},
};
use std::time::Duration;

/// How a node finds out whether an endpoint is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What it asks.
    pub probe: HealthProbe,
    /// Between two probes of one endpoint, in milliseconds.
    pub interval_ms: u32,
    /// For the answer, in milliseconds; at most the interval and [`limit::HEALTH_TIMEOUT_MS_MAX`].
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
        let timeout_max = self.interval_ms.clamp(10, limit::HEALTH_TIMEOUT_MS_MAX);
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
            span_ms("timeout", span(self.timeout_ms), 10, timeout_max).map(drop),
            within("unhealthy", self.unhealthy, 1, 100).map(drop),
            within("healthy", self.healthy, 1, 100).map(drop),
        ];
        all(self, checks)
    }
}
