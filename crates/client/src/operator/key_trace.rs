//! Where a routing key was on its way, as operators are shown it.

use super::{Operator, Told, named};
use crate::{Error, nodes::Call};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /v1/sandboxes/{key}/trace`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct KeyTraceRecord {
    /// Each node.
    #[serde(default)]
    pub nodes: Vec<FollowingRecord>,
    /// The newest traces, the oldest of them first.
    #[serde(default)]
    pub traces: Vec<TrailRecord>,
    /// How many older ones are not there.
    #[serde(default)]
    pub left_out: u64,
}

/// A node, and whether it follows the key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct FollowingRecord {
    /// Which.
    pub node: String,
    /// How many of its cores did not tell.
    #[serde(default)]
    pub cores_silent: u32,
    /// Requests that it could not keep for as long as it would have had to.
    #[serde(default)]
    pub passed_over: u64,
    /// Why nothing is known of it, or why it does not follow the key.
    #[serde(default)]
    pub why: Option<String>,
}

/// The hops of one trace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct TrailRecord {
    /// Its ids.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Whether the key was lost in it.
    #[serde(default)]
    pub lost: bool,
    /// In order of time.
    #[serde(default)]
    pub hops: Vec<HopRecord>,
}

/// A request that passed a node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct HopRecord {
    /// Which node.
    pub node: String,
    /// When it came.
    #[serde(default)]
    pub at: String,
    /// Until the head of its answer.
    #[serde(default)]
    pub elapsed: String,
    /// The place of the hop that was under way when it came.
    #[serde(default)]
    pub inside: Option<usize>,
    /// `present`, `not_yet` or `lost`.
    #[serde(default)]
    pub key: String,
    /// In what it had the key.
    #[serde(default)]
    pub forms: Vec<String>,
    /// The place of the last hop on its way that had the key.
    #[serde(default)]
    pub lost_after: Option<usize>,
    /// It had another key.
    #[serde(default)]
    pub other_key: bool,
    /// Its method.
    #[serde(default)]
    pub method: String,
    /// The host that was asked for.
    #[serde(default)]
    pub host: String,
    /// What was asked for.
    #[serde(default)]
    pub path: String,
    /// What decided where it went.
    #[serde(default)]
    pub decided_by: String,
    /// The service that it went to.
    #[serde(default)]
    pub service: Option<String>,
    /// The address that it went to.
    #[serde(default)]
    pub address: Option<String>,
    /// What was answered.
    #[serde(default)]
    pub status: Option<u16>,
    /// Where it had been sent first, and by what, where that failed and it went elsewhere.
    #[serde(default)]
    pub failed_over: Option<String>,
}

impl Operator {
    /// `POST /v1/sandboxes/{key}/trace`: all nodes follow it for `span`, such as `60s`.
    pub async fn follow_key(&self, key: &str, span: &str) -> Result<Value, Error> {
        let path = &["v1", "sandboxes", named("sandbox", key)?, "trace"];
        let body = json!({"for": span});
        let call = Call { method: Method::POST, path, query: &[], body: Some(&body), if_match: None };
        Ok(self.nodes.call(&call).await?.json)
    }

    /// `GET /v1/sandboxes/{key}/trace`.
    pub async fn key_trace(&self, key: &str) -> Result<Told<KeyTraceRecord>, Error> {
        self.one(Method::GET, &["v1", "sandboxes", named("sandbox", key)?, "trace"], None).await
    }
}
