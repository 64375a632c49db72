//! How long a sandbox stands.

use crate::{limit, name::Invalid, number::LogTime};
use std::time::Duration;

/// How long a sandbox stands, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxTtl(u64);

impl SandboxTtl {
    /// What is allowed, as an error says it.
    pub const ALLOWED: &'static str = "300s (5 minutes) to 604800s (7 days)";

    /// Checks the bounds ([`limit::SANDBOX_TTL_MS_MIN`], [`limit::SANDBOX_TTL_MS_MAX`]).
    pub fn new(duration: Duration) -> Result<Self, Invalid> {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if (limit::SANDBOX_TTL_MS_MIN..=limit::SANDBOX_TTL_MS_MAX).contains(&ms) {
            return Ok(Self(ms));
        }
        let problem = if ms < limit::SANDBOX_TTL_MS_MIN { "is too short" } else { "is too long" };
        Err(Invalid::new("ttl", problem, Self::ALLOWED))
    }

    /// In milliseconds.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// As a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// When what begins at `now` ends.
    pub fn from(self, now: LogTime) -> LogTime {
        LogTime(now.0.saturating_add(self.0))
    }
}
