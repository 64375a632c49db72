//! Sandboxes: where the requests that carry a routing key go instead.

use super::{Operator, RampRecord, Told, named};
use crate::{Error, nodes::Call};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /v1/sandboxes/{key}`, an item of `GET /v1/sandboxes`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SandboxRecord {
    /// What requests carry.
    pub key: String,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<SandboxRuleRecord>,
    /// Where the ramps of its rules stand.
    #[serde(default)]
    pub ramps: Vec<RampRecord>,
    /// When it ends; `None`: when it is taken away.
    #[serde(default)]
    pub ends_at: Option<String>,
    /// The log index of its last change.
    #[serde(default)]
    pub changed_index: u64,
}

/// A rule of a sandbox, as far as a table shows it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct SandboxRuleRecord {
    /// Its only target.
    #[serde(default)]
    pub target: Option<String>,
    /// Its targets, by weight.
    #[serde(default)]
    pub targets: Vec<SandboxTargetRecord>,
}

/// One of several targets.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct SandboxTargetRecord {
    /// An address, a service, or a version of one.
    #[serde(default)]
    pub target: String,
    /// Its share.
    #[serde(default)]
    pub weight: u64,
}

impl Operator {
    /// All of `GET /v1/sandboxes`; with `ends_within`, such as `1h`, those that end so soon, the first to end first.
    pub async fn sandboxes(&self, ends_within: Option<&str>) -> Result<Told<Vec<SandboxRecord>>, Error> {
        let query: Vec<_> = ends_within.map(|span| ("ends_within", span)).into_iter().collect();
        self.list_by(&["v1", "sandboxes"], &query).await
    }

    /// `GET /v1/sandboxes/{key}`.
    pub async fn sandbox(&self, key: &str) -> Result<Told<SandboxRecord>, Error> {
        self.one(Method::GET, &["v1", "sandboxes", named("sandbox", key)?], None).await
    }

    /// The same as the leader knows it: at least as new as any write that was acknowledged before.
    pub async fn standing_sandbox(&self, key: &str) -> Result<Told<SandboxRecord>, Error> {
        self.get(&["v1", "sandboxes", named("sandbox", key)?], &[("consistent", "true")]).await
    }

    /// `PUT /v1/sandboxes/{key}`; with `if_match` only in the place of the one that was changed last at this index.
    pub async fn set_sandbox(&self, key: &str, body: &Value, if_match: Option<u64>) -> Result<Value, Error> {
        self.put(&["v1", "sandboxes", named("sandbox", key)?], body, if_match).await
    }

    /// `POST /v1/sandboxes/{key}/extend`: it stands for `ttl`, such as `24h`, from now on.
    pub async fn extend_sandbox(&self, key: &str, ttl: &str) -> Result<Value, Error> {
        self.extend_sandbox_at(key, ttl, None).await
    }

    /// The same; with `if_match` only of the one that was changed last at this index.
    pub async fn extend_sandbox_at(
        &self,
        key: &str,
        ttl: &str,
        if_match: Option<u64>,
    ) -> Result<Value, Error> {
        let path = &["v1", "sandboxes", named("sandbox", key)?, "extend"];
        let body = json!({"ttl": ttl});
        let call = Call { method: Method::POST, path, query: &[], body: Some(&body), if_match };
        Ok(self.nodes.call(&call).await?.json)
    }

    /// `DELETE /v1/sandboxes/{key}`, only of the one that was changed last at this index.
    pub async fn delete_sandbox_at(&self, key: &str, changed: u64) -> Result<Value, Error> {
        let path = &["v1", "sandboxes", named("sandbox", key)?];
        let call = Call { method: Method::DELETE, path, query: &[], body: None, if_match: Some(changed) };
        Ok(self.nodes.call(&call).await?.json)
    }

    /// `DELETE /v1/sandboxes/{key}`.
    pub async fn delete_sandbox(&self, key: &str) -> Result<Value, Error> {
        self.raw(Method::DELETE, &["v1", "sandboxes", named("sandbox", key)?], None).await
    }
}
