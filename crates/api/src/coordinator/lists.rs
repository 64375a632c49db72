//! What operators' pages of the original show.

use super::{
    HEALTHY, capabilities,
    details::{self, Said},
};
use crate::timestamp;
use quorate_model::{Duty, Load, LogTime, ServiceOffer, Status, Tier, Worker};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;

const OFFLINE: &str = "offline";

/// A worker, as one of the bare array that `GET /api/admin/workers` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorWorker)]
pub struct WorkerBody {
    /// Who.
    pub worker_id: String,
    /// 1: GPU, 2: CPU, 3: storage.
    #[schema(minimum = 1, maximum = 3)]
    pub tier: u8,
    /// `healthy`; `offline` once its lease ran out, which is 90 seconds without a heartbeat unless said otherwise;
    /// `draining`; or what it calls itself.
    pub status: String,
    /// When it registered.
    #[schema(format = "date-time")]
    pub registered_at: String,
    /// When it was heard last.
    #[schema(format = "date-time")]
    pub last_heartbeat: String,
    /// As it registered them.
    #[schema(value_type = Object)]
    pub capabilities: Map<String, Value>,
    /// What it offers; names, where it registered names.
    pub services: Vec<ListedService>,
    /// As it registered it.
    #[schema(required)]
    pub ip_address: Option<String>,
    /// As it registered it.
    #[schema(required)]
    pub tunnel_url: Option<String>,
    /// Whether it sends heartbeats for others of its group.
    pub is_heartbeat_leader: bool,
    /// How busy it said that it is, 0 to 1.
    pub current_load: f64,
    /// Free memory in its own words.
    #[schema(required)]
    pub available_memory: Option<String>,
}

/// A service in a list of workers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CoordinatorListedService)]
pub enum ListedService {
    /// Only its name.
    Name(String),
    /// As it was registered.
    Full {
        /// Its name.
        name: String,
        /// Its container.
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// Its port.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// `healthy`, or what was said instead.
        health: String,
        /// Its version.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// The path of its health check.
        #[serde(skip_serializing_if = "Option::is_none")]
        health_endpoint: Option<String>,
        /// Where it is reached.
        service_url: String,
    },
}

/// What else is known of a worker while it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its last word about itself.
    pub load: Option<&'a Load>,
    /// When the leader heard it last, if it could be asked, and how late it is now.
    pub heard: Option<(LogTime, LogTime)>,
    /// Whether it is the delegate of its group.
    pub leads: bool,
}

impl WorkerBody {
    /// A worker of the View with what else is known.
    pub fn new(worker: &Worker, seen: Seen<'_>) -> Self {
        let offer = &worker.registration;
        let ip = offer.labels.get(details::IP_ADDRESS).map(ToString::to_string);
        let tunnel = offer.extras().tunnel.as_ref().map(ToString::to_string);
        // Registered in another dialect: its address is as near as there is.
        let ip = ip.or_else(|| tunnel.is_none().then(|| offer.address.to_string()));
        Self {
            worker_id: worker.id().to_string(),
            tier: Tier::of(&offer.capabilities).number(),
            status: status(worker, seen).into(),
            registered_at: timestamp::millis(worker.registered_at),
            last_heartbeat: timestamp::millis(last_heartbeat(worker, seen.heard.map(|(heard, _)| heard))),
            capabilities: capabilities::shown(&offer.capabilities),
            services: offer.services.iter().map(|service| listed(worker, service, seen.load)).collect(),
            ip_address: ip.filter(|ip| !ip.ends_with(".invalid")),
            tunnel_url: tunnel,
            is_heartbeat_leader: seen.leads,
            current_load: seen.load.map_or(0.0, |load| load.load.share()),
            available_memory: seen.load.and_then(|load| load.memory.as_deref()).map(Into::into),
        }
    }
}

/// The contract calls a worker offline when it was not heard for so long.
const STALE: Duration = Duration::from_secs(90);

/// The word for a worker. Its lease decides whether it is offline, for this dialect and any other: at once when it is
/// over, however long its end may take to be agreed upon. A lease that may last longer than the contract knows counts as
/// a whole, or a worker that keeps to its interval would look dead between two heartbeats.
fn status<'a>(worker: &Worker, seen: Seen<'a>) -> &'a str {
    let is_stale = seen.heard.is_some_and(|(heard, now)| {
        let silent = Duration::from_millis(now.0.saturating_sub(heard.0));
        silent >= STALE.max(worker.registration.ttl.as_duration())
    });
    match (worker.status(), worker.intent.duty) {
        (Status::Expired | Status::Departed, _) | (_, Duty::Offline) => OFFLINE,
        _ if is_stale => OFFLINE,
        (Status::Live | Status::Suspect, Duty::Draining) => "draining",
        (Status::Live | Status::Suspect, Duty::InService) => {
            seen.load.and_then(|load| load.unwell.as_deref()).unwrap_or(HEALTHY)
        }
    }
}

/// Whoever expired was heard one lease before.
fn last_heartbeat(worker: &Worker, heard: Option<LogTime>) -> LogTime {
    let ttl = worker.registration.ttl.as_ms();
    let before = match worker.lifecycle {
        quorate_model::Lifecycle::Live => LogTime::default(),
        quorate_model::Lifecycle::Suspect { since } => LogTime(since.0.saturating_sub(ttl / 3 * 2)),
        quorate_model::Lifecycle::Expired { at }
        | quorate_model::Lifecycle::Displaced { at }
        | quorate_model::Lifecycle::Unregistered { at } => LogTime(at.0.saturating_sub(ttl)),
    };
    // Whose clock runs behind must not show a worker that was heard before it came.
    heard.unwrap_or(before).max(worker.registered_at)
}

fn listed(worker: &Worker, service: &ServiceOffer, load: Option<&Load>) -> ListedService {
    let offer = &worker.registration;
    let name = service.name.to_string();
    match details::of(offer, &name) {
        Said::Name => ListedService::Name(name),
        Said::Details(details) => {
            let said = load.is_some_and(|load| load.unhealthy.binary_search(&service.name).is_ok());
            let ill = said || offer.extras().unhealthy.contains(&service.name);
            let unhealthy = details.health.filter(|word| !super::heartbeat::is_healthy(word));
            let health = if ill { unhealthy.unwrap_or_else(|| "unhealthy".into()) } else { HEALTHY.into() };
            ListedService::Full {
                name,
                container: details.container,
                port: details.port,
                health,
                version: Some(service.version.to_string()).filter(|version| !version.is_empty()),
                health_endpoint: details.health_endpoint,
                service_url: service.url.as_ref().unwrap_or(&offer.address).to_string(),
            }
        }
    }
}

/// `GET /api/admin/services`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorServices)]
pub struct ServicesBody {
    /// By name.
    pub services: BTreeMap<String, ServiceCount>,
    /// How many there are.
    pub total_services: usize,
}

/// A service by numbers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorServiceCount)]
pub struct ServiceCount {
    /// Workers that offer it, those that are away included while they can come back.
    pub total_workers: usize,
    /// Those that requests go to.
    pub healthy_workers: usize,
    /// `available` or `unavailable`.
    #[schema(value_type = String)]
    pub status: &'static str,
}

impl ServiceCount {
    /// Of workers, by whether requests go to them.
    pub fn new(serving: impl Iterator<Item = bool>) -> Self {
        let (total, healthy) =
            serving.fold((0, 0), |(total, healthy), serves| (total + 1, healthy + usize::from(serves)));
        let status = if healthy > 0 { "available" } else { "unavailable" };
        Self { total_workers: total, healthy_workers: healthy, status }
    }
}

impl ServicesBody {
    /// Of all services.
    pub fn new(services: BTreeMap<String, ServiceCount>) -> Self {
        Self { total_services: services.len(), services }
    }
}

/// `GET /api/admin/stats`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorStats)]
pub struct StatsBody {
    /// Those that are away included while they can come back.
    pub total_workers: usize,
    /// Those that take requests.
    pub healthy_workers: usize,
    /// Those that are offline.
    pub offline_workers: usize,
    /// All of them, by tier.
    pub by_tier: BTreeMap<String, usize>,
}

impl StatsBody {
    /// Of workers, each with what else is known of it.
    pub fn new<'a>(workers: impl Iterator<Item = (&'a Worker, Seen<'a>)>) -> Self {
        let by_tier = ["1", "2", "3"].map(|tier| (tier.into(), 0)).into();
        let mut stats = Self { total_workers: 0, healthy_workers: 0, offline_workers: 0, by_tier };
        for (worker, seen) in workers {
            let status = status(worker, seen);
            stats.total_workers += 1;
            stats.healthy_workers += usize::from(status == HEALTHY);
            stats.offline_workers += usize::from(status == OFFLINE);
            let tier = Tier::of(&worker.registration.capabilities).number().to_string();
            *stats.by_tier.entry(tier).or_default() += 1;
        }
        stats
    }
}
