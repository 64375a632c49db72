//! When an endpoint gets no requests because it failed some, and how many it gets at all.

use super::{all, span_ms, within};
use crate::{limit, name::Invalid, opening::OPEN_MS_MAX};
use std::time::Duration;

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
            span_ms("open", Duration::from_millis(self.open_ms.into()), 100, OPEN_MS_MAX).map(drop),
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
