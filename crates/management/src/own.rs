//! Where the cluster itself answers: nobody may register a worker there. A request for it would come back to a
//! router, which would send it there again, until something breaks.
//!
//! Refused is what this node can know to be a router: its own listeners, under each name that leads to them, and the
//! peer and management addresses of every node. What gets past this is cut by the data plane, which knows its own
//! requests when they come back.

use crate::server::App;
use quorate_model::{Address, Invalid, Registration, points_at_self};

/// The first address of an offer that is a router's, as what is wrong with it. Fields are those of the native API.
pub(crate) fn refuse_router(app: &App, offer: &Registration) -> Result<(), Invalid> {
    router_in(app, offer).map_or(Ok(()), |(field, address)| Err(wrong(field, address)))
}

/// The same for a dialect that has its own words for where a worker is.
pub(crate) fn refuse_router_in(
    app: &App,
    offer: &Registration,
    field_of: impl FnOnce(&Address) -> &'static str,
) -> Result<(), Invalid> {
    router_in(app, offer).map_or(Ok(()), |(_, address)| Err(wrong(field_of(address).into(), address)))
}

fn wrong(field: String, address: &Address) -> Invalid {
    Invalid::new(field, format!("{address} is an address of the router itself"), "where the worker answers")
}

fn router_in<'a>(app: &App, offer: &'a Registration) -> Option<(String, &'a Address)> {
    let view = app.cluster.view();
    let listed: Vec<&str> = view.nodes().flat_map(|node| [&*node.peer, &*node.management]).collect();
    let is_router = |address: &Address| {
        points_at_self(address, &app.config.own) || listed.iter().any(|listed| is_at(address, listed))
    };
    let services = offer.services.iter().enumerate();
    let urls =
        services.filter_map(|(i, service)| Some((format!("services[{i}].url"), service.url.as_ref()?)));
    let tunnel = offer.extras().tunnel.as_ref().map(|tunnel| ("tunnel_url".to_owned(), tunnel));
    let mut all = tunnel.into_iter().chain([("address".to_owned(), &offer.address)]).chain(urls);
    all.find(|(_, address)| is_router(address))
}

/// Whether an address is that of a listener, as it is advertised: `host:port`.
fn is_at(address: &Address, advertised: &str) -> bool {
    let Some((host, port)) = advertised.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    address.tunnel().is_none()
        && port.parse() == Ok(address.port())
        && host.eq_ignore_ascii_case(address.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_host_and_port() {
        let is = |url: &str, listed| is_at(&Address::parse(url).expect("valid"), listed);
        assert!(is("http://n1:9090/x", "n1:9090") && is("http://[::1]:9090", "[::1]:9090"));
        assert!(is("http://N1.example", "n1.example:80"));
        assert!(!is("http://n1:9091", "n1:9090") && !is("http://n2:9090", "n1:9090") && !is("http://n1", ""));
    }
}
