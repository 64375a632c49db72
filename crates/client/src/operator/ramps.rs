//! Ramps: where they stand, and an operator's word about one.

use super::{Operator, named};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

/// Where a ramp stands: `ramp_status` of a route, an item of `ramps` of a sandbox.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct RampRecord {
    /// Of a sandbox: the rule's place, from 0.
    #[serde(default)]
    pub rule: Option<u16>,
    /// `running`, `paused`, `aborted` or `done`.
    #[serde(default)]
    pub status: String,
    /// Which step stands, from 1; 0: none yet.
    #[serde(default)]
    pub step: u64,
    /// How many there are.
    #[serde(default)]
    pub steps: u64,
    /// The weights now.
    #[serde(default)]
    pub weights: Vec<u64>,
    /// When the next step begins.
    #[serde(default)]
    pub next_step_at: Option<String>,
    /// Who stopped it.
    #[serde(default)]
    pub stopped_by: Option<String>,
    /// What it was stopped for.
    #[serde(default)]
    pub stopped_for: Option<ErrorsRecord>,
    /// What the nodes have counted within the window.
    #[serde(default)]
    pub seen: Vec<ErrorsRecord>,
}

/// How the requests to one destination fared.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct ErrorsRecord {
    /// Its place, from 0.
    #[serde(default)]
    pub destination: u16,
    /// Those that failed.
    #[serde(default)]
    pub failures: u64,
    /// All together.
    #[serde(default)]
    pub requests: u64,
}

/// What becomes of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampOrder {
    /// It stays where it is, and its clock stands still.
    Pause,
    /// It goes on with the rest of its step's time.
    Resume,
    /// The destinations have their own weights again, for good.
    Abort,
}

impl RampOrder {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

impl Operator {
    /// `POST /v1/routes/{name}/ramp/{order}`.
    pub async fn order_route_ramp(&self, name: &str, order: RampOrder) -> Result<Value, Error> {
        let path = &["v1", "routes", named("route", name)?, "ramp", order.as_str()];
        self.raw(Method::POST, path, None).await
    }

    /// `POST /v1/sandboxes/{key}/rules/{rule}/ramp/{order}`.
    pub async fn order_sandbox_ramp(&self, key: &str, rule: u16, order: RampOrder) -> Result<Value, Error> {
        let rule = rule.to_string();
        let path = &["v1", "sandboxes", named("sandbox", key)?, "rules", &rule, "ramp", order.as_str()];
        self.raw(Method::POST, path, None).await
    }
}
