//! Where a service is reached, the first that was given: its own `service_url`; the worker's `tunnel_url`; its
//! `ip_address` as it is, if that is a URL or names a port; `http://{ip_address}:{port}`. A service without a port
//! has the one that the original's agent probes for its name ([`usual_port`]), else 80.

use super::register::Spoken;
use quorate_model::{Address, Invalid, ServiceOffer};

/// Where a worker without services, that says nowhere where it is, is reached: nowhere (RFC 2606).
pub(super) const NOWHERE: &str = "http://address-unknown.invalid";

/// Where a worker is, in its own words.
pub(super) struct Place {
    pub ip: Option<String>,
    pub tunnel: Option<Address>,
}

impl Place {
    /// The worker's address, and its services with theirs.
    pub fn offers(&self, services: &[Spoken]) -> Result<(Address, Vec<ServiceOffer>), Invalid> {
        let urls: Vec<Address> = services.iter().map(|one| self.url_of(one)).collect::<Result<_, _>>()?;
        let address = match (&self.tunnel, urls.first()) {
            (Some(tunnel), _) => tunnel.clone(),
            (None, Some(first)) => first.clone(),
            (None, None) => self.without_services()?,
        };
        let offers = services.iter().zip(urls).map(|(one, url)| ServiceOffer {
            name: one.name.clone(),
            version: one.version.clone().unwrap_or_default().into(),
            url: Some(url).filter(|url| *url != address),
        });
        let offers = offers.collect();
        Ok((address, offers))
    }

    fn url_of(&self, service: &Spoken) -> Result<Address, Invalid> {
        if let Some(url) = service.url.as_ref().or(self.tunnel.as_ref()) {
            return Ok(url.clone());
        }
        let missing = || {
            let problem = format!("is missing: nothing says where service {} is reached", service.name);
            Invalid::new(
                "ip_address",
                problem,
                "a URL or an IP; or a tunnel_url, or each service's service_url",
            )
        };
        at(self.ip.as_deref().ok_or_else(missing)?, service.port())
    }

    fn without_services(&self) -> Result<Address, Invalid> {
        self.ip.as_deref().map_or_else(|| Address::parse(NOWHERE), |ip| at(ip, 80))
    }
}

/// `ip` as it is, if it is a URL with a port or a path, or names a port; else at `port`.
fn at(ip: &str, port: u16) -> Result<Address, Invalid> {
    let renamed = |e: Invalid| e.renamed("ip_address");
    let bare_v6 = ip.parse::<std::net::Ipv6Addr>().is_ok();
    let url = match (ip.contains("://"), bare_v6) {
        (true, _) => ip.to_owned(),
        (false, true) => format!("http://[{ip}]"),
        (false, false) => format!("http://{ip}"),
    };
    let address = Address::parse(&url).map_err(renamed)?;
    let authority = url.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let names_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    // A URL over TLS is that of something in front of the worker, which has a port of its own.
    let is_whole = names_port || !address.path_prefix().is_empty() || url.starts_with("https:") || port == 80;
    if is_whole {
        Ok(address)
    } else {
        Address::parse(&format!("http://{authority}:{port}")).map_err(renamed)
    }
}

/// The port at which the original's agent looks for a service.
pub fn usual_port(service: &str) -> Option<u16> {
    match service {
        "notes" => Some(8_100),
        "client-rag" => Some(8_101),
        "rag" => Some(8_102),
        "upload" => Some(8_103),
        "doc-processor" => Some(8_104),
        "ocr" => Some(8_105),
        "ner" => Some(8_108),
        "vllm" => Some(8_000),
        _ => None,
    }
}
