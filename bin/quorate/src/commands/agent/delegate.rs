//! Whether the agent would send the heartbeats of its group, and where the group reaches it.

use super::{
    config::{Config, flag},
    file::Reader,
    service::in_url,
};
use quorate_client::{DelegateOffer, Error, WhenSilent, local_address};
use quorate_model::Address;
use quorate_node::config::Wrong;
use std::net::SocketAddr;

/// What the file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    pub listen: SocketAddr,
    pub url: Option<String>,
    pub when_silent: WhenSilent,
}

/// `None`: the agent never is a delegate.
pub fn read(reader: &mut Reader) -> Option<Delegate> {
    let mut section = reader.section("delegate")?;
    let listen = reader.required(&mut section, "listen", "an address such as 0.0.0.0:7947", listen);
    let url = reader.inner(&mut section, "url", url);
    let report = reader.inner(&mut section, "report_down", flag).unwrap_or(true);
    reader.close(section);
    let when_silent = if report { WhenSilent::Report } else { WhenSilent::Wait };
    Some(Delegate { listen: listen?, url, when_silent })
}

/// The offer, where this machine is known as `host` to others.
pub async fn offer(config: &Config, host: Option<&str>) -> Result<Option<DelegateOffer>, Error> {
    let Some(Delegate { listen, url, when_silent }) = config.delegate.clone() else { return Ok(None) };
    let url = match (url, host) {
        (Some(url), _) => url,
        (None, Some(host)) => at(host, listen),
        (None, None) => at(&local_address::towards(&config.routers).await?.to_string(), listen),
    };
    Ok(Some(DelegateOffer { listen, url: Some(url), when_silent }))
}

fn at(host: &str, listen: SocketAddr) -> String {
    format!("http://{}:{}", in_url(host), listen.port())
}

fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let address: Option<SocketAddr> = text.parse().ok();
    let address = address.filter(|address| address.port() > 0);
    address.ok_or_else(|| Wrong::value(text, "an IP address and a port, such as 0.0.0.0:7947"))
}

fn url(text: &str) -> Result<String, Wrong> {
    let url = Address::parse(text).ok().map(|address| address.to_string());
    let url = url.filter(|url| url.starts_with("http://"));
    url.ok_or_else(|| Wrong::value(text, "an http URL such as http://10.0.0.7:7947"))
}
