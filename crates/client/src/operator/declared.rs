//! What operators declare: routes, and documents of many objects; and why requests go where they go.

use super::{Download, Operator, RampRecord, Told, named};
use crate::{
    Error,
    nodes::{Call, next_chunk},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// More than all that a cluster may have declared takes.
const CONFIG_BYTES_MAX: usize = 1 << 30;

/// `GET /v1/routes/{name}`, an item of `GET /v1/routes`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct RouteRecord {
    /// Its name.
    pub name: String,
    /// Which requests it is for, as the router says it.
    #[serde(default, rename = "match")]
    pub matches: Value,
    /// Where they go.
    #[serde(default)]
    pub destinations: Vec<DestinationRecord>,
    /// Where the client is told to ask instead.
    #[serde(default)]
    pub redirect: Option<Value>,
    /// Before others that have less of it.
    #[serde(default)]
    pub priority: i64,
    /// The log index of its last change.
    #[serde(default)]
    pub changed_index: u64,
    /// Where its ramp stands, if it has one.
    #[serde(default)]
    pub ramp_status: Option<RampRecord>,
}

/// Where a part of the requests goes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct DestinationRecord {
    /// To a service.
    #[serde(default)]
    pub service: Option<String>,
    /// To those who offer the service in this version.
    #[serde(default)]
    pub version: Option<String>,
    /// To an address.
    #[serde(default)]
    pub url: Option<String>,
    /// To the owner of a partition.
    #[serde(default)]
    pub keyspace: Option<String>,
    /// Its share.
    #[serde(default)]
    pub weight: u64,
}

/// What a document changes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Declared {
    /// The log index of the write, or of what it was checked against.
    #[serde(default)]
    pub index: u64,
    /// Where what is declared had changed last before.
    #[serde(default)]
    pub base_index: Option<u64>,
    /// Each object that is another one.
    #[serde(default)]
    pub changes: Vec<DeclaredChange>,
}

/// An object that a document changes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct DeclaredChange {
    /// route, sandbox, service or keyspace.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// created, changed or removed; of what is past also ended.
    pub change: String,
    /// What it said, where that was asked for.
    #[serde(default)]
    pub before: Option<Value>,
    /// What it says then, where that was asked for.
    #[serde(default)]
    pub after: Option<Value>,
}

/// `GET /v1/config/history`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct ConfigHistory {
    /// The newest first.
    #[serde(default)]
    pub items: Vec<ConfigEntry>,
    /// The earliest index of which it is known what was declared.
    #[serde(default)]
    pub known_from: Option<u64>,
}

/// A log entry that changed what is declared.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct ConfigEntry {
    /// Where in the log.
    pub index: u64,
    /// When.
    #[serde(default)]
    pub time: String,
    /// How many objects it changed.
    #[serde(default)]
    pub change_count: usize,
    /// Some of them.
    #[serde(default)]
    pub changes: Vec<DeclaredChange>,
}

/// What becomes of the objects that a document does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Stay,
    /// Routes, sandboxes and policies go.
    Go,
}

/// Whether a write is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// It is.
    Out,
    /// It is only checked.
    Check,
}

/// Why a request goes where it goes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Explained {
    /// The routing key that the request carries.
    #[serde(default)]
    pub key: Option<Key>,
    /// What becomes of it.
    #[serde(default)]
    pub decision: Decision,
    /// The rules that were tried, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Routes that are not told of.
    #[serde(default)]
    pub rules_left_out: u64,
}

/// A routing key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Key {
    /// The key.
    #[serde(default)]
    pub key: String,
    /// Where the request says it.
    #[serde(default)]
    pub form: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Decision {
    /// forward, redirect or answer.
    #[serde(default)]
    pub action: String,
    /// In a sentence.
    #[serde(default)]
    pub why: String,
    /// Why it goes, or when it would go, where it would go without its key.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Where a redirect leads.
    #[serde(default)]
    pub location: Option<String>,
    /// The status of an answer of the node's own.
    #[serde(default)]
    pub status: Option<u16>,
    /// Which of the destinations of a route.
    #[serde(default)]
    pub destination: Option<ChosenDestination>,
    /// Who may get it.
    #[serde(default)]
    pub endpoints: Vec<Candidate>,
}

/// One of the destinations of a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct ChosenDestination {
    /// Such as `service upload`.
    #[serde(default)]
    pub target: String,
    /// Its weight.
    #[serde(default)]
    pub weight: u64,
    /// All weights together.
    #[serde(default)]
    pub total_weight: u64,
    /// Which step of a ramp says so.
    #[serde(default)]
    pub ramp: Option<String>,
}

/// Who may get a request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Candidate {
    /// The worker, if it is one.
    #[serde(default)]
    pub worker: Option<String>,
    /// Where it is reached.
    #[serde(default)]
    pub url: String,
    /// How it is.
    #[serde(default)]
    pub status: String,
    /// Whether it may get the request.
    #[serde(default)]
    pub serves: bool,
}

/// A rule that was tried.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Rule {
    /// route, service or workspace.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it decides.
    #[serde(default)]
    pub matched: bool,
    /// Why it does not.
    #[serde(default)]
    pub reasons: Vec<Reason>,
}

/// What a rule asks for and the request does not have.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Reason {
    /// Which field of the rule.
    #[serde(default)]
    pub field: String,
    /// What it asks for.
    #[serde(default)]
    pub wanted: String,
    /// What the request has.
    #[serde(default)]
    pub found: String,
}

impl Operator {
    /// All of `GET /v1/routes`.
    pub async fn routes(&self) -> Result<Told<Vec<RouteRecord>>, Error> {
        self.list(&["v1", "routes"]).await
    }

    /// `GET /v1/routes/{name}`.
    pub async fn route(&self, name: &str) -> Result<Told<RouteRecord>, Error> {
        self.one(Method::GET, &["v1", "routes", named("route", name)?], None).await
    }

    /// `PUT /v1/routes/{name}`; with `if_match` only in the place of the one that was changed last at this index.
    pub async fn set_route(&self, name: &str, body: &Value, if_match: Option<u64>) -> Result<Value, Error> {
        self.put(&["v1", "routes", named("route", name)?], body, if_match).await
    }

    /// `DELETE /v1/routes/{name}`.
    pub async fn delete_route(&self, name: &str) -> Result<Value, Error> {
        self.raw(Method::DELETE, &["v1", "routes", named("route", name)?], None).await
    }

    /// `PUT /v1/services/{name}` with a policy as it stands in a file; with `if_match` only in the place of the one
    /// that was changed last at this index.
    pub async fn put_service(&self, name: &str, body: &Value, if_match: Option<u64>) -> Result<Value, Error> {
        self.put(&["v1", "services", named("service", name)?], body, if_match).await
    }

    /// `GET /v1/config`, and the index at which any of it changed last, where the node says; with `at` as it stood after
    /// that entry.
    pub async fn config(&self, at: Option<u64>) -> Result<Told<Option<u64>>, Error> {
        let path = &["v1", "config"];
        let at = at.map(|at| at.to_string());
        let query: Vec<_> = at.iter().map(|at| ("at", at.as_str())).collect();
        let call = Call { method: Method::GET, path, query: &query, body: None, if_match: None };
        let Download { node, mut response } = self.nodes.download(&call).await?;
        let wrong = |problem| Error::Answer { node: node.clone(), problem };
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let changed = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
        let mut body = Vec::new();
        while let Some(piece) = next_chunk(&mut response).await.map_err(wrong)? {
            if body.len() + piece.len() > CONFIG_BYTES_MAX {
                return Err(wrong(format!("the document is larger than {CONFIG_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        let json = serde_json::from_slice(&body).map_err(|e| wrong(format!("no JSON: {e}")))?;
        Ok(Told { value: changed, json, stale: None })
    }

    /// `PUT` or `PATCH /v1/config`: many objects in one entry, all of them or none; with `if_match` only if all that is
    /// declared has last changed at this index.
    pub async fn declare(
        &self,
        document: &Value,
        others: Others,
        carry: Carry,
        if_match: Option<u64>,
    ) -> Result<Told<Declared>, Error> {
        let method = match others {
            Others::Stay => Method::PATCH,
            Others::Go => Method::PUT,
        };
        self.change((method, &["v1", "config"]), document, carry, if_match).await
    }

    /// `POST /v1/config/rollback`: what was declared after the entry `to` is brought back in one entry.
    pub async fn roll_back(
        &self,
        to: u64,
        carry: Carry,
        if_match: Option<u64>,
    ) -> Result<Told<Declared>, Error> {
        let path: &[&str] = &["v1", "config", "rollback"];
        self.change((Method::POST, path), &json!({"to": to}), carry, if_match).await
    }

    /// The last `limit` entries of `GET /v1/config/history`.
    pub async fn config_history(&self, limit: u16) -> Result<Told<ConfigHistory>, Error> {
        self.get(&["v1", "config", "history"], &[("limit", &limit.to_string())]).await
    }

    /// A check tells what each object says before and then.
    async fn change(
        &self,
        (method, path): (Method, &[&str]),
        body: &Value,
        carry: Carry,
        if_match: Option<u64>,
    ) -> Result<Told<Declared>, Error> {
        let query: &[(&str, &str)] = match carry {
            Carry::Out => &[],
            Carry::Check => &[("dry_run", "true"), ("diff", "true")],
        };
        let answer = self.nodes.call(&Call { method, path, query, body: Some(body), if_match }).await?;
        super::told(answer)
    }

    /// `POST /v1/explain`.
    pub async fn explain(&self, request: &Value) -> Result<Told<Explained>, Error> {
        self.one(Method::POST, &["v1", "explain"], Some(request)).await
    }
}
