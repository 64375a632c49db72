//! Workers: what they register, and how they are shown.

use crate::{
    Wrong,
    answer::{Validated, VisibleBody},
    delegate::HeartbeatDelegate,
    duration,
    fields::{Fields, any_text, entries, flag, list, nested, number, partition, span_in, text},
    intent::DutyBody,
    service::repeated,
    timestamp,
};
use quorate_model::{
    Address, Capability, Epoch, Extras, Invalid, KeyspaceName, Lifecycle, LogTime, Partition, Registration,
    RegistrationParts, ServiceName, ServiceOffer, Ttl, Worker, WorkerId, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;

/// `PUT /v1/workers/{id}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    /// An absolute http or https URL without user, query or fragment.
    #[schema(
        min_length = 8,
        max_length = 2048,
        pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        examples("http://10.0.0.7:8081")
    )]
    pub address: String,
    /// Partitions that it serves. Contested ones go to the newest registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100_000)]
    pub partitions: Option<Vec<i32>>,
    /// Whose partitions; `default` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub keyspace: Option<String>,
    /// Services that it offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 256)]
    pub services: Option<Vec<ServiceBody>>,
    /// Free text for people and policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What the machine can do: booleans, numbers and strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, CapabilityBody>>)]
    pub capabilities: Option<BTreeMap<String, Value>>,
    /// How long it lives without a heartbeat: 1s to 24h; the cluster's setting if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("30s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub ttl: Option<String>,
    /// Its share of the traffic; 100 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub weight: Option<u32>,
    /// Whether it would send heartbeats for its whole group (label `group`); false if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wants_delegate: Option<bool>,
}

/// A service that a worker offers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub version: Option<String>,
    /// Where it is reached, if not at the worker's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 2048, pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    pub url: Option<String>,
}

/// A fact about a machine.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CapabilityBody {
    /// true or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

/// Reads the body of a registration of `id`.
pub fn registration(id: WorkerId, body: Map<String, Value>, default_ttl: Ttl) -> Result<Registration, Wrong> {
    let mut fields = Fields::of_body(body);
    let parts = registration_parts(&mut fields, id, default_ttl);
    let wrong = fields.finish();
    match parts {
        Some(parts) if wrong.is_empty() => parts.validate(),
        // What single fields say and what they say together belongs into one answer.
        Some(parts) => Err(wrong.into_iter().chain(parts.validate().err().into_iter().flatten()).collect()),
        None => Err(wrong),
    }
}

fn registration_parts(fields: &mut Fields, id: WorkerId, default_ttl: Ttl) -> Option<RegistrationParts> {
    let uri = "an absolute http or https URL";
    let address = fields.required("address", uri, text(uri, Address::parse));
    let partitions = fields.optional("partitions", list(limit::PARTITIONS_PER_WORKER_MAX, partition));
    let keyspace = fields.optional("keyspace", text("a string", KeyspaceName::parse));
    let services =
        fields.optional("services", list(limit::SERVICES_PER_WORKER_MAX, service)).unwrap_or_default();
    fields.add(
        repeated(services.iter().map(|service| &service.name))
            .map(|(at, wrong)| wrong.renamed(format!("services[{at}].name"))),
    );
    let labels = fields.optional("labels", entries(any_text));
    let capabilities = fields.optional("capabilities", entries(capability));
    let ttl = fields.optional("ttl", ttl);
    let weight = fields.optional("weight", number(1_000_000));
    let wants_delegate = fields.optional("wants_delegate", flag).unwrap_or(false);
    let boxed = |(key, value): (String, String)| (key.into_boxed_str(), value.into_boxed_str());
    Some(RegistrationParts {
        keyspace: keyspace.unwrap_or_default(),
        partitions: partitions.unwrap_or_default(),
        services,
        labels: labels.unwrap_or_default().into_iter().map(boxed).collect(),
        capabilities: capabilities.unwrap_or_default().into_iter().map(|(k, v)| (k.into(), v)).collect(),
        weight: weight.map_or(100, |w| u32::try_from(w).unwrap_or(u32::MAX)),
        extras: Extras { wants_delegate, ..Extras::default() }.boxed(),
        ..RegistrationParts::new(id, address?, ttl.unwrap_or(default_ttl))
    })
}

fn ttl(value: Value) -> Result<Ttl, Wrong> {
    let bounds = Duration::from_millis(limit::TTL_MS_MIN)..=Duration::from_millis(limit::TTL_MS_MAX);
    Ttl::new(span_in(bounds)(value)?).map_err(|e| vec![e.renamed("")])
}

fn service(value: Value) -> Result<ServiceOffer, Wrong> {
    nested(value, |fields| {
        let name =
            fields.required("name", "the service's name", text("a string", ServiceName::parse_offered));
        let version = fields.optional("version", any_text);
        let url = fields.optional("url", text("an absolute http or https URL", Address::parse));
        Some(ServiceOffer { name: name?, version: version.unwrap_or_default().into(), url })
    })
}

fn capability(value: Value) -> Result<Capability, Wrong> {
    match value {
        Value::Bool(flag) => Ok(Capability::Flag(flag)),
        Value::Number(number) => Ok(Capability::Number(number.to_string().into())),
        Value::String(text) => Ok(Capability::Text(text.into())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(vec![Invalid::new("", "is no such value", "true, false, a number or a string")])
        }
    }
}

/// A lease that was granted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LeaseGrant {
    /// Which life of the worker this is; named in heartbeats and at the end.
    pub id: u64,
    /// The fencing token: larger than every earlier one.
    pub epoch: u64,
    /// How long it lasts after a heartbeat.
    pub ttl: String,
    /// How often to send heartbeats.
    pub heartbeat_interval: String,
}

impl LeaseGrant {
    /// A new lease of the worker `id`.
    pub fn new(id: &WorkerId, epoch: Epoch, ttl: Ttl) -> Self {
        Self {
            id: epoch.0,
            epoch: epoch.0,
            ttl: duration::format(ttl.as_duration()),
            heartbeat_interval: in_one_unit(heartbeat_interval(id, ttl)),
        }
    }
}

/// The share of a third of the TTL, in thousandths: from, and to.
const SHARE: (u64, u64) = (900, 1_100);

/// No [`heartbeat_interval`] is shorter.
pub const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(limit::TTL_MS_MIN * SHARE.0 / 3_000);

/// A third of the TTL, give or take a tenth: one lost heartbeat does not make a worker suspect, two do not expire it.
///
/// The share is drawn from the id, so that a worker keeps its own whoever answers it, and workers that started
/// together drift apart.
pub fn heartbeat_interval(id: &WorkerId, ttl: Ttl) -> Duration {
    // FNV-1a: frozen, unlike the hashes of the standard library.
    let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let (least, most) = SHARE;
    let thousandths = least + (hash ^ hash >> 32) % (most - least + 1);
    let ms = ttl.as_ms() * thousandths / 3_000;
    // Long ones are read by people, too: whole seconds.
    Duration::from_millis(if ms < 60_000 { ms } else { ms / 1_000 * 1_000 })
}

/// Also the plainest reader of durations reads one unit.
fn in_one_unit(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        duration::format(duration)
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// A registration that was carried out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Registered {
    /// The worker's new lease.
    pub lease: LeaseGrant,
    /// The log index at which it was applied.
    pub index: u64,
    /// With `visible`: which nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<VisibleBody>,
    /// Who sends heartbeats for its group; null: nobody. Only for a worker that asked for the role or has a label
    /// `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HeartbeatDelegate>)]
    pub heartbeat_delegate: Option<Option<HeartbeatDelegate>>,
    /// Where the worker is that sends heartbeats for its group; null: nobody does.
    #[schema(required)]
    pub heartbeat_delegate_url: Option<String>,
}

/// What `PUT /v1/workers/{id}` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum RegisterAnswer {
    /// It holds a new lease.
    Registered(Registered),
    /// With `dry_run`.
    Validated(Validated),
}

/// A worker, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkerBody {
    /// Who.
    pub id: String,
    /// Where.
    pub address: String,
    /// `live`, `suspect` (heartbeats are late) or `expired` (routes nothing; a heartbeat revives it).
    pub status: StatusBody,
    /// The fencing token.
    pub epoch: u64,
    /// The id of its lease.
    pub lease: u64,
    /// Whose partitions.
    pub keyspace: String,
    /// Those it holds, those out of range included.
    pub partitions: Vec<i32>,
    /// Those that the keyspace does not have: they route nothing until its count grows.
    pub partitions_out_of_range: Vec<i32>,
    /// Services that it offers.
    pub services: Vec<ServiceBody>,
    /// Free text.
    pub labels: BTreeMap<String, String>,
    /// What the machine can do.
    #[schema(value_type = BTreeMap<String, CapabilityBody>)]
    pub capabilities: BTreeMap<String, Value>,
    /// How long it lives without a heartbeat.
    pub ttl: String,
    /// Its share of the traffic: an operator's, else the registered one.
    pub weight: u32,
    /// The share that it registered.
    pub registered_weight: u32,
    /// Whether an operator lets it have requests.
    pub duty: DutyBody,
    /// Since when, where an operator has decided; else null.
    #[schema(required, format = "date-time")]
    pub duty_since: Option<String>,
    /// When it registered.
    #[schema(format = "date-time")]
    pub registered_at: String,
    /// Since when it is suspect or expired; null while it is live.
    #[schema(required, format = "date-time")]
    pub status_since: Option<String>,
    /// The log index of the record's last change, for `If-Match`.
    pub changed_index: u64,
}

/// The word for where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusBody {
    /// Heartbeats arrive.
    Live,
    /// They are late.
    Suspect,
    /// They did not arrive in time.
    Expired,
}

impl From<quorate_model::Status> for StatusBody {
    fn from(status: quorate_model::Status) -> Self {
        match status {
            quorate_model::Status::Live => Self::Live,
            quorate_model::Status::Suspect => Self::Suspect,
            // Departed workers are unknown to clients, so this is never shown of them.
            quorate_model::Status::Expired | quorate_model::Status::Departed => Self::Expired,
        }
    }
}

impl WorkerBody {
    /// `has` says which partitions the worker's keyspace has; `None`: its count is not known.
    pub fn new(worker: &Worker, has: impl Fn(Partition) -> Option<bool>) -> Self {
        let offer = &worker.registration;
        let out_of_range = offer.partitions.iter().filter(|p| has(**p) == Some(false));
        Self {
            id: worker.id().to_string(),
            address: offer.address.to_string(),
            status: worker.status().into(),
            epoch: worker.epoch.0,
            lease: worker.incarnation.0,
            keyspace: offer.keyspace.to_string(),
            partitions: offer.partitions.iter().map(|p| p.0).collect(),
            partitions_out_of_range: out_of_range.map(|p| p.0).collect(),
            services: offer.services.iter().map(ServiceBody::from).collect(),
            labels: offer.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            capabilities: offer.capabilities.iter().map(|(k, v)| (k.to_string(), shown(v))).collect(),
            ttl: duration::format(offer.ttl.as_duration()),
            weight: worker.weight(),
            registered_weight: offer.weight,
            duty: worker.intent.duty.into(),
            duty_since: Some(worker.intent.since).filter(|at| at.0 > 0).map(timestamp::millis),
            registered_at: timestamp::millis(worker.registered_at),
            status_since: since(&worker.lifecycle).map(timestamp::millis),
            changed_index: worker.changed.0,
        }
    }
}

impl From<&ServiceOffer> for ServiceBody {
    fn from(offer: &ServiceOffer) -> Self {
        Self {
            name: offer.name.to_string(),
            version: Some(offer.version.to_string()).filter(|version| !version.is_empty()),
            url: offer.url.as_ref().map(ToString::to_string),
        }
    }
}

fn since(lifecycle: &Lifecycle) -> Option<LogTime> {
    match lifecycle {
        Lifecycle::Live => None,
        Lifecycle::Suspect { since } => Some(*since),
        Lifecycle::Expired { at } | Lifecycle::Displaced { at } | Lifecycle::Unregistered { at } => Some(*at),
    }
}

fn shown(capability: &Capability) -> Value {
    match capability {
        Capability::Flag(flag) => Value::Bool(*flag),
        // It was a number when it came in; a newer node's spelling that this one can't read stays text.
        Capability::Number(text) => {
            text.parse().map_or_else(|_| Value::String(text.to_string()), Value::Number)
        }
        Capability::Text(text) => Value::String(text.to_string()),
    }
}
