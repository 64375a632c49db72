//! What a destination may be written as.

use super::Target;
use crate::{
    address::Address,
    limit,
    name::{Invalid, ServiceName, excerpt},
};
use std::net::IpAddr;

impl Target {
    /// The version of a service, as workers register it; the error is about `field`.
    pub fn version(field: &str, text: &str) -> Result<Box<str>, Invalid> {
        if is_version(text) {
            return Ok(text.into());
        }
        let problem = if text.is_empty() { "is empty".to_owned() } else { format!("is {}", excerpt(text)) };
        let allowed = format!("1 to {} bytes of printable text", limit::LABEL_BYTES_MAX);
        Err(Invalid::new(field, problem, allowed))
    }

    /// With a scheme, an address; without one the name of a service, `host:port` over http, or `tunnel:NAME`. What
    /// looks like a port is one: a tunnel whose name is a number is `tunnel://3000`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let url = |text: &str| {
            let address = Address::parse(text).map_err(|wrong| wrong.renamed(field))?;
            Ok(Self::Url { address, protocol: None })
        };
        if text.contains("://") {
            return url(text);
        }
        match text.rsplit_once(':') {
            Some(("tunnel", name)) if name.parse::<u16>().is_err() => url(&format!("tunnel://{name}")),
            Some(_) => url(&format!("http://{text}")),
            None => ServiceName::parse_offered(text).map(Self::Service).map_err(|wrong| wrong.renamed(field)),
        }
    }

    /// The same, where `service@version` names one version of a service.
    pub fn parse_versioned(field: &str, text: &str) -> Result<Self, Invalid> {
        const ALLOWED: &str = "an http or https URL without user, query or fragment, host:port, the name of a service \
                               without slashes, service@version, or tunnel:NAME";
        // What a tunnel may be called, the address itself says.
        let is_tunnel = text.starts_with("tunnel:");
        let named = |wrong: Invalid| match is_tunnel {
            true => wrong.renamed(field),
            false => Invalid { allowed: ALLOWED.into(), ..wrong.renamed(field) },
        };
        let parts = text.rsplit_once('@').filter(|_| !text.contains("://"));
        let service = parts.map_or(text, |(service, _)| service);
        if let Ok(address) = service.trim_matches(['[', ']']).parse::<IpAddr>() {
            // It would pass for the name of a service, which nobody has meant.
            let shown = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            let problem = format!("is {}, an IP address without a port", excerpt(text));
            return Err(Invalid::new(field, problem, format!("{shown}:80, or a URL such as http://{shown}")));
        }
        let Some((service, version)) = parts else { return Self::parse(field, text).map_err(named) };
        if !is_version(version) || service.contains(':') {
            return Err(Invalid::new(field, format!("is {}", excerpt(text)), ALLOWED));
        }
        let service = ServiceName::parse_offered(service).map_err(named)?;
        Ok(Self::Version { service, version: version.into() })
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.len() <= limit::LABEL_BYTES_MAX && !text.chars().any(char::is_control)
}
