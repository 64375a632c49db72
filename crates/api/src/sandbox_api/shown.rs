//! What goes out.
//!
//! A spec is shown as it was put. A status is what whoever looks after the object said, and what nobody said is made
//! from what the cluster knows ([`Facts`]). It is made anew each time: who serves what changes without the object.

use super::{API_VERSION, LocalFacts};
use crate::timestamp;
use quorate_model::{DnsLabel, LogIndex, Resource, StoredObject, object::ObjectSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the cluster knows about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Of a sandbox: for each of its services, whether somebody answers for it.
    Sandbox(Vec<bool>),
    /// Of a route group.
    RouteGroup {
        /// Sandboxes that it leads to and that are not there.
        missing: Vec<DnsLabel>,
        /// The headers that keys are read from, where its own is none of them.
        read_instead: Option<String>,
    },
    /// Of a local workload.
    LocalWorkload(Box<LocalFacts>),
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SandboxApiObject)]
pub struct ObjectBody {
    /// `sandbox.example.com/v1alpha1`.
    pub api_version: &'static str,
    /// `Sandbox`, `RouteGroup` or `LocalWorkload`.
    pub kind: &'static str,
    /// What the cluster keeps about it.
    pub metadata: MetadataBody,
    /// As it was put.
    #[schema(value_type = Object)]
    pub spec: Value,
    /// How it is.
    #[schema(value_type = Object)]
    pub status: Value,
}

/// What the cluster keeps about an object.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SandboxApiMetadata)]
pub struct MetadataBody {
    /// A DNS label.
    pub name: String,
    /// A DNS label.
    pub namespace: String,
    /// What lists are chosen by.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub labels: Value,
    /// Kept for whoever put it.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub annotations: Value,
    /// The log index of its last change. A PUT that names it is carried out only if nobody else was faster.
    pub resource_version: String,
    /// How often its spec was changed, from 1.
    pub generation: u64,
    /// When it was made.
    #[schema(format = "date-time")]
    pub creation_timestamp: String,
    /// Another one of the same name has another.
    pub uid: String,
}

/// An object as watchers are told: what was put. What is made of it when somebody asks is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SandboxApiObserved)]
pub struct ObservedObject {
    /// `Sandbox`, `RouteGroup` or `LocalWorkload`.
    pub kind: &'static str,
    /// What the cluster keeps about it.
    pub metadata: MetadataBody,
    /// As it was put.
    #[schema(value_type = Object)]
    pub spec: Value,
    /// As it was put; not there: nobody has.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub status: Value,
}

impl From<&StoredObject> for ObservedObject {
    fn from(stored: &StoredObject) -> Self {
        Self {
            kind: stored.id().resource.kind(),
            metadata: stored.into(),
            spec: parsed(stored.object.text.as_str()),
            status: stored.status.as_ref().map_or(Value::Null, |status| parsed(status.text.as_str())),
        }
    }
}

impl From<&StoredObject> for MetadataBody {
    fn from(stored: &StoredObject) -> Self {
        let (object, id) = (&stored.object, stored.id());
        let pairs = |pairs: &BTreeMap<Box<str>, Box<str>>| {
            if pairs.is_empty() { Value::Null } else { json!(pairs) }
        };
        Self {
            name: id.name.to_string(),
            namespace: id.namespace.to_string(),
            labels: pairs(&object.labels),
            annotations: pairs(&object.annotations),
            resource_version: stored.changed.to_string(),
            generation: stored.generation,
            creation_timestamp: timestamp::seconds(stored.created_at),
            uid: uid(stored.uid),
        }
    }
}

/// A list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SandboxApiList)]
pub struct ListBody {
    /// `sandbox.example.com/v1alpha1`.
    pub api_version: &'static str,
    /// `SandboxList`, `RouteGroupList` or `LocalWorkloadList`.
    pub kind: String,
    /// Where it is from.
    pub metadata: ListMetadataBody,
    /// By name.
    pub items: Vec<ObjectBody>,
}

/// Where a list is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SandboxApiListMetadata)]
pub struct ListMetadataBody {
    /// The log index of what answered it.
    pub resource_version: String,
    /// For the next page; not there: this is the last one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl ListBody {
    /// A page of objects of a kind, and the name behind which the next one goes on.
    pub fn new(resource: Resource, index: LogIndex, items: Vec<ObjectBody>, next: Option<String>) -> Self {
        let metadata = ListMetadataBody { resource_version: index.to_string(), next };
        Self { api_version: API_VERSION, kind: format!("{}List", resource.kind()), metadata, items }
    }
}

/// An object, as clients see it.
pub fn object_shown(stored: &StoredObject, facts: &Facts) -> ObjectBody {
    ObjectBody {
        api_version: API_VERSION,
        kind: stored.id().resource.kind(),
        metadata: stored.into(),
        spec: parsed(stored.object.text.as_str()),
        status: status(stored, facts),
    }
}

/// As UUIDs are written.
pub(super) fn uid(uid: u128) -> String {
    let digits = format!("{uid:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// It was JSON when it came in, and nobody has changed it since.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn status(stored: &StoredObject, facts: &Facts) -> Value {
    let said = stored.status.as_ref().map(|status| parsed(status.text.as_str()));
    let mut status = match said {
        Some(Value::Object(map)) => map,
        Some(_) | None => Map::new(),
    };
    match facts {
        Facts::Sandbox(there) => {
            of_sandbox(&mut status, stored, there);
            if let Some(ends) = stored.ends {
                status.insert("expiresAt".into(), timestamp::seconds(ends).into());
            }
        }
        Facts::RouteGroup { missing, read_instead } => {
            let ready = ready_group(stored, missing, read_instead.as_deref());
            put_condition(&mut status, stored, ready);
            status.insert("observedGeneration".into(), stored.generation.into());
        }
        Facts::LocalWorkload(facts) => {
            facts.fill(&mut status, stored);
            put_condition(&mut status, stored, facts.ready(stored));
        }
    }
    Value::Object(status)
}

/// Whether it is ready, why, and that in a sentence.
pub(super) type Ready = (bool, &'static str, String);

fn of_sandbox(status: &mut Map<String, Value>, stored: &StoredObject, there: &[bool]) {
    let ObjectSpec::Sandbox(spec) = stored.object.spec() else { return };
    let word = |there: bool| if there { "Running" } else { "Pending" };
    let services = spec.services.iter().zip(there);
    let missing: Vec<_> =
        services.clone().filter(|(_, there)| !**there).map(|(name, _)| name.as_str()).collect();
    let is_running = !there.is_empty() && missing.is_empty();
    let shown = services.map(|(name, there)| json!({"name": name.as_str(), "status": word(*there)}));
    let shown: Vec<_> = shown.collect();
    status.entry("phase").or_insert_with(|| word(is_running).into());
    status.entry("services").or_insert_with(|| shown.into());
    let says_so = conditions(status).iter().any(is_ready);
    if !says_so {
        let ready: Ready = match &missing[..] {
            [] if there.is_empty() => (false, "NoServices", "it has no service".into()),
            [] => (true, "ServicesRunning", "each of its services is answered for".into()),
            missing => {
                let version = &stored.id().name;
                let why = format!("nobody answers for {} in version {version}", missing.join(", "));
                (false, "ServicesPending", why)
            }
        };
        put_condition(status, stored, ready);
    }
}

fn has_routes(stored: &StoredObject) -> bool {
    stored.object.spec().as_group().is_some_and(|group| !group.routes.is_empty())
}

fn ready_group(stored: &StoredObject, missing: &[DnsLabel], read_instead: Option<&str>) -> Ready {
    if let Some(read) = read_instead {
        let why = format!("routing keys are not read from its routingKeyHeader, but from {read}");
        return (false, "HeaderNotRead", why);
    }
    if missing.is_empty() {
        let why = match has_routes(stored) {
            true => "its routes are in force",
            false => "it has no routes: nothing is sent anywhere by it",
        };
        return (true, "RoutesActive", why.into());
    }
    let names: Vec<_> = missing.iter().map(DnsLabel::as_str).collect();
    let why = format!(
        "no such sandbox: {}; requests that it would lead there go where they would go without their key",
        names.join(", ")
    );
    (false, "SandboxNotFound", why)
}

fn conditions(status: &Map<String, Value>) -> &[Value] {
    status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_ready(condition: &Value) -> bool {
    condition.get("type") == Some(&"Ready".into())
}

/// When it became so nobody knows: it is made from what is now.
fn put_condition(status: &mut Map<String, Value>, stored: &StoredObject, (is_ready, reason, message): Ready) {
    let condition = json!({
        "type": "Ready",
        "status": if is_ready { "True" } else { "False" },
        "reason": reason,
        "message": message,
        "observedGeneration": stored.generation,
    });
    match status.entry("conditions").or_insert_with(|| json!([])) {
        Value::Array(conditions) => conditions.push(condition),
        other => *other = json!([condition]),
    }
}
