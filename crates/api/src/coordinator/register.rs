//! `POST /api/worker/register`.

use super::{
    capabilities,
    details::{self, DETAIL_BYTES_MAX, Details, HEALTH_BYTES_MAX, Said},
    flag,
    heartbeat::is_healthy,
    inner, known,
    place::{NOWHERE, Place, usual_port},
    text_or_number,
};
use crate::{
    Wrong,
    fields::{Fields, any_text, list, text},
    service::repeated,
};
use quorate_model::{
    Address, Epoch, Extras, Invalid, Registration, RegistrationParts, ServiceName, Tier, Ttl, WorkerId,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A registration.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorRegister)]
pub struct RegisterBody {
    /// Stable id; without one the worker is given an id, the same as before where its addresses and services are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 253)]
    pub worker_id: Option<String>,
    /// What the machine can do: values of any shape. `has_gpu`, `gpu_memory`, `gpu_type`, `cpu_cores`,
    /// `worker_type`, `has_storage` and `storage_type` decide the tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub capabilities: Option<serde_json::Map<String, Value>>,
    /// Services that it offers: objects, or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 48)]
    pub services: Option<Vec<ServiceBody>>,
    /// Services by where they are reached; joined with `services` by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 48)]
    pub containers: Option<Vec<ContainerBody>>,
    /// An http or https URL, or a host, or `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub ip_address: Option<String>,
    /// Where all its services are reached, if not at their own URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 2048)]
    pub tunnel_url: Option<String>,
    /// Whether it would send heartbeats for others of its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wants_heartbeat_leadership: Option<bool>,
    /// Its group; `default` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub group: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CoordinatorService)]
pub enum ServiceBody {
    /// Only its name.
    Name(String),
    /// More of it.
    Full(ServiceObject),
}

/// A service with what is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorServiceObject)]
pub struct ServiceObject {
    /// Its name.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// The container that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 80)]
    pub container: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// `healthy`, or whatever keeps requests away from it until a heartbeat says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32)]
    pub health: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub version: Option<String>,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 2048)]
    pub service_url: Option<String>,
}

/// A service by where it is reached.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorContainer)]
pub struct ContainerBody {
    /// The service's name.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 2048)]
    pub service_url: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// The path of its health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 80)]
    pub health_endpoint: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub version: Option<String>,
}

/// What a registration answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorRegistered)]
pub struct RegisteredBody {
    /// Its id from now on.
    pub worker_id: String,
    /// 1: GPU, 2: CPU, 3: storage.
    #[schema(minimum = 1, maximum = 3)]
    pub tier: u8,
    /// How often to send heartbeats, in seconds.
    pub heartbeat_interval: u64,
    /// Whether it may send heartbeats for others of its group.
    pub is_heartbeat_leader: bool,
    /// How many services it offers.
    pub services_registered: usize,
    /// Where the worker is that does; null if it is this one, or nobody.
    #[schema(required)]
    pub heartbeat_delegate_url: Option<String>,
    /// The fencing token of its role, for calls that only the delegate may make; null if it has not the role.
    #[schema(required)]
    pub heartbeat_epoch: Option<u64>,
}

impl RegisteredBody {
    /// `leads`: by which epoch it is its group's delegate; `delegate`: where that is, if it is another worker.
    pub fn new(registration: &Registration, leads: Option<Epoch>, delegate: Option<&Address>) -> Self {
        Self {
            worker_id: registration.id.to_string(),
            tier: Tier::of(&registration.capabilities).number(),
            heartbeat_interval: super::heartbeat_interval(registration.ttl),
            is_heartbeat_leader: leads.is_some(),
            services_registered: registration.services.len(),
            heartbeat_delegate_url: delegate.filter(|_| leads.is_none()).map(ToString::to_string),
            heartbeat_epoch: leads.map(|epoch| epoch.0),
        }
    }
}

const FIELDS: &[&str] = &[
    "worker_id",
    "capabilities",
    "services",
    "containers",
    "ip_address",
    "tunnel_url",
    "wants_heartbeat_leadership",
    "group",
];
const SERVICE_FIELDS: &[&str] =
    &["name", "container", "port", "health", "health_endpoint", "version", "service_url"];

/// Most services of one registration: each may need a label for its details.
const SERVICES_MAX: usize = 48;
const URL: &str = "an absolute http or https URL";

/// A registration that was read. Its id may have to be chosen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registering {
    /// The id that it names.
    pub id: Option<WorkerId>,
    registration: Registration,
    /// The URLs that services have of their own.
    urls: Vec<Address>,
}

impl Registering {
    /// Under this id.
    pub fn named(&self, id: WorkerId) -> Registration {
        let parts = RegistrationParts { id, ..self.registration.clone().into_parts() };
        parts.validate().expect("it was valid under another id, and no bound is about an id")
    }

    /// Whether it says nowhere where it is: then nothing tells it from others.
    pub fn is_nowhere(&self) -> bool {
        self.registration.services.is_empty() && self.registration.address.as_str() == NOWHERE
    }

    /// In which field it said that it is at `address`.
    pub fn field_of(&self, address: &Address) -> &'static str {
        if self.urls.contains(address) {
            "service_url"
        } else if self.registration.extras().tunnel.as_ref() == Some(address) {
            "tunnel_url"
        } else {
            "ip_address"
        }
    }

    /// What it offers, whatever its id will be.
    pub fn offer(&self) -> &Registration {
        &self.registration
    }
}

/// Reads a registration.
pub fn read(body: &[u8], ttl: Ttl) -> Result<Registering, Wrong> {
    let mut fields = known(body, FIELDS)?;
    let id = fields.optional("worker_id", text("a string", WorkerId::parse));
    let capabilities = fields.optional("capabilities", capabilities::read).unwrap_or_default();
    let services = fields.optional("services", list(SERVICES_MAX, service)).unwrap_or_default();
    let containers = fields.optional("containers", list(SERVICES_MAX, object)).unwrap_or_default();
    // Of one service both lists may speak, each of them once.
    fields.add(twice("services", &services).chain(twice("containers", &containers)));
    let place = Place {
        ip: fields.optional("ip_address", any_text).filter(|text| !text.is_empty()),
        tunnel: fields.optional("tunnel_url", url).flatten(),
    };
    let wants_delegate = fields.optional("wants_heartbeat_leadership", flag).unwrap_or_default();
    let group = fields.optional("group", any_text);
    let joined = joined(services, containers);
    if joined.len() > SERVICES_MAX {
        let problem = format!("has {} items with containers", joined.len());
        fields.add([Invalid::new("services", problem, format!("at most {SERVICES_MAX}"))]);
    }
    let offers = match place.offers(&joined) {
        Ok(offers) => Some(offers),
        Err(problem) => {
            fields.add([problem]);
            None
        }
    };
    let wrong = fields.finish();
    let Some((address, services)) = offers.filter(|_| wrong.is_empty()) else { return Err(wrong) };
    let placeholder = || WorkerId::parse("nobody").expect("a name");
    let mut labels = BTreeMap::new();
    labels.extend(place.ip.map(|ip| (details::IP_ADDRESS.into(), ip.into())));
    labels.extend(group.map(|group| ("group".into(), group.into())));
    joined.iter().for_each(|one| details::keep(&mut labels, one.name.as_str(), &one.said));
    let unhealthy = joined.iter().filter(|one| !one.is_healthy()).map(|one| one.name.clone()).collect();
    let registration = RegistrationParts {
        services,
        labels: labels.into(),
        capabilities: capabilities.into(),
        extras: Extras { wants_delegate, tunnel: place.tunnel, unhealthy }.boxed(),
        ..RegistrationParts::new(id.clone().unwrap_or_else(placeholder), address, ttl)
    }
    .validate()?;
    let urls = joined.into_iter().filter_map(|one| one.url).collect();
    Ok(Registering { id, registration, urls })
}

fn twice(list: &'static str, all: &[Spoken]) -> impl Iterator<Item = Invalid> {
    repeated(all.iter().map(|one| &one.name)).map(move |(at, wrong)| {
        let inside = if matches!(all[at].said, Said::Name) { "" } else { ".name" };
        wrong.renamed(format!("{list}[{at}]{inside}"))
    })
}

/// One service, as it was said.
pub(super) struct Spoken {
    pub name: ServiceName,
    pub version: Option<String>,
    pub url: Option<Address>,
    said: Said,
}

impl Spoken {
    fn is_healthy(&self) -> bool {
        match &self.said {
            Said::Name => true,
            Said::Details(details) => details.health.as_deref().is_none_or(is_healthy),
        }
    }

    pub fn port(&self) -> u16 {
        let named = match &self.said {
            Said::Name => None,
            Said::Details(details) => details.port,
        };
        named.or_else(|| usual_port(self.name.as_str())).unwrap_or(80)
    }
}

fn service(value: Value) -> Result<Spoken, Wrong> {
    match &value {
        Value::String(name) => {
            let name = ServiceName::parse_offered(name).map_err(|e| vec![e.renamed("")])?;
            Ok(Spoken { name, version: None, url: None, said: Said::Name })
        }
        Value::Object(_) => object(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(vec![Invalid::new("", "is no service", "a name, or an object with one")])
        }
    }
}

fn object(value: Value) -> Result<Spoken, Wrong> {
    inner(value, SERVICE_FIELDS, |fields| {
        let name =
            fields.required("name", "the service's name", text("a string", ServiceName::parse_offered));
        let version = fields.optional("version", text_or_number);
        let url = fields.optional("service_url", url).flatten();
        let details = Details {
            container: short(fields, "container", DETAIL_BYTES_MAX),
            port: fields.optional("port", port),
            health: short(fields, "health", HEALTH_BYTES_MAX),
            health_endpoint: short(fields, "health_endpoint", DETAIL_BYTES_MAX),
        };
        Some(Spoken { name: name?, version, url, said: Said::Details(details) })
    })
}

/// A text that, with the others, fits into one label as JSON.
fn short(fields: &mut Fields, name: &'static str, max: usize) -> Option<String> {
    fields.optional(name, |value| {
        let text = any_text(value)?;
        let is_plain = |c: char| !c.is_control() && c != '"' && c != '\\';
        if text.len() <= max && text.chars().all(is_plain) {
            return Ok(text);
        }
        let allowed = format!("at most {max} bytes of printable text without quotes and backslashes");
        Err(vec![Invalid::new("", "is too long or not printable", allowed)])
    })
}

fn port(value: Value) -> Result<u16, Wrong> {
    let said = text_or_number(value)?;
    match said.trim().parse() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => Err(vec![Invalid::new("", "is no port", "1 to 65535")]),
    }
}

/// Empty is as good as absent.
fn url(value: Value) -> Result<Option<Address>, Wrong> {
    text(URL, |text| if text.is_empty() { Ok(None) } else { Address::parse(text).map(Some) })(value)
}

/// Services and containers by name; what both say, the container says last.
fn joined(services: Vec<Spoken>, containers: Vec<Spoken>) -> Vec<Spoken> {
    let mut all: Vec<Spoken> = Vec::with_capacity(services.len() + containers.len());
    for one in services.into_iter().chain(containers) {
        let Some(known) = all.iter_mut().find(|known| known.name == one.name) else {
            all.push(one);
            continue;
        };
        known.version = one.version.or(known.version.take());
        known.url = one.url.or(known.url.take());
        known.said = match (std::mem::replace(&mut known.said, Said::Name), one.said) {
            (before, Said::Name) => before,
            (Said::Name, later) => later,
            (Said::Details(before), Said::Details(later)) => Said::Details(Details {
                container: later.container.or(before.container),
                port: later.port.or(before.port),
                health: later.health.or(before.health),
                health_endpoint: later.health_endpoint.or(before.health_endpoint),
            }),
        };
    }
    all
}

#[cfg(test)]
mod tests;
