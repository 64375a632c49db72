//! One look at all services of this machine, and what follows from it for the registration.

use super::{
    config::Config,
    presence::{Change, Presence},
    service::{Place, Service, in_url, is_own_only},
    tunnels::{Way, way},
};
use crate::failure::Failure;
use futures_util::future::join_all;
use quorate_client::{
    Error, ServiceOffer, Url,
    detect::{Absent, Check, Detector},
    local_address,
};
use quorate_model::WorkerId;
use quorate_node::config::quoted;
use std::collections::BTreeMap;

/// What is to be registered of this machine's services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The worker's own address.
    pub address: String,
    /// The host that it was made from.
    pub host: Option<String>,
    pub services: Vec<ServiceOffer>,
    /// The tunnels that lead to it, by name, each with what is at its end.
    pub tunnels: BTreeMap<String, String>,
}

/// The services, and what was seen of them.
pub struct Survey<'a> {
    config: &'a Config,
    /// Whose tunnels are to be named, where there are any.
    id: WorkerId,
    detector: Detector,
    checks: Vec<Check>,
    presence: Presence,
}

/// One service, as it was seen.
pub struct Seen<'a> {
    pub service: &'a Service,
    pub check: &'a Check,
    pub found: Result<(), Absent>,
    pub change: Change,
}

impl<'a> Survey<'a> {
    pub fn of(config: &'a Config, id: &WorkerId) -> Result<Self, Failure> {
        let check = |service: &Service| {
            let wrong = |why: String| Failure::Usage(format!("service {}: {why}", quoted(&service.name)));
            service.check(&config.detect_host).map_err(wrong)
        };
        let checks = config.services.iter().map(check).collect::<Result<Vec<_>, _>>()?;
        let detector = Detector::new(&checks, config.detect_timeout)?;
        Ok(Self { config, id: id.clone(), detector, presence: Presence::of(checks.len()), checks })
    }

    /// Looks at all of them at once.
    pub async fn look(&mut self) -> Vec<Seen<'_>> {
        let found = join_all(self.checks.iter().map(|check| self.detector.look(check))).await;
        let seen = self.config.services.iter().zip(&self.checks).zip(found).enumerate();
        seen.map(|(place, ((service, check), found))| {
            let change = self.presence.observe(place, found.is_ok());
            Seen { service, check, found, change }
        })
        .collect()
    }

    /// What is there now.
    pub async fn offer(&self) -> Result<Offer, Error> {
        if self.config.tunnel {
            return Ok(self.offer_by_tunnels());
        }
        let host = self.host().await?;
        let here = host.as_deref().unwrap_or_default();
        let services = self.config.services.iter().enumerate();
        let offered = services.filter(|(place, _)| self.presence.is_offered(*place));
        Ok(Offer {
            address: match &self.config.address {
                Some(address) => address.clone(),
                None => format!("http://{}", in_url(here)),
            },
            services: offered.map(|(_, service)| service.offer(here)).collect(),
            host,
            tunnels: BTreeMap::new(),
        })
    }

    /// The same, where the nodes can dial nothing of this machine. What has a URL of its own is dialled there.
    fn offer_by_tunnels(&self) -> Offer {
        let mut tunnels = BTreeMap::new();
        let mut url = |place: &Place| {
            let Way { name, to } = way(&self.id, &self.config.detect_host, place)?;
            let url = format!("tunnel://{name}");
            tunnels.insert(name, to);
            Some(url)
        };
        let services = self.config.services.iter().enumerate();
        let offered = services.filter(|(place, _)| self.presence.is_offered(*place));
        let services = offered.map(|(_, service)| {
            let plain = service.offer("");
            ServiceOffer { url: url(&service.place).or(plain.url), ..plain }
        });
        let services = services.collect();
        // As it would be without tunnels: what is at the usual port of this machine.
        let address = url(&Place::Here { port: 80 }).unwrap_or_default();
        Offer { address, host: self.config.advertise_host.clone(), services, tunnels }
    }

    /// Under which name the nodes reach this machine; `None` where nothing depends on it.
    async fn host(&self) -> Result<Option<String>, Error> {
        let Config { address, advertise_host, detect_host, services, routers, .. } = self.config;
        let is_here = |service: &Service| matches!(service.place, Place::Here { .. });
        if let Some(host) = advertise_host {
            return Ok(Some(host.clone()));
        }
        if address.is_some() && !services.iter().any(is_here) {
            return Ok(None);
        }
        if !is_own_only(detect_host) {
            return Ok(Some(detect_host.clone()));
        }
        // Asked each time: an address may change while the agent lives.
        Ok(Some(local_address::towards(routers).await?.to_string()))
    }
}

/// The routers' addresses, for the log.
pub fn told(routers: &[Url]) -> String {
    routers.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
}
