//! Addresses of workers that are the router's own.
//!
//! A worker or service whose address is the router's makes each request for it two, and so on until something is full.
//! Where that can be seen at the registration it is refused there. It can't always be: another name for the same
//! machine, or a load balancer in front of the cluster, looks like any other address. What slips through is cut by
//! counting hops in a header.

use crate::address::Address;
use std::net::{IpAddr, SocketAddr};

/// Where a node itself is reached.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses {
    /// Its listeners, as bound.
    pub listeners: Vec<SocketAddr>,
    /// Other names for them, `(host, port)`, such as what it advertises.
    pub advertised: Vec<(Box<str>, u16)>,
}

/// Whether an address surely is one of the node's own. Pure: no name is looked up but `localhost`.
pub fn points_at_self(address: &Address, own: &OwnAddresses) -> bool {
    let (host, port) = (address.host(), address.port());
    // `host.` is the same name as `host`, written out.
    let host = host.strip_suffix('.').unwrap_or(host);
    let ip = if host.eq_ignore_ascii_case("localhost") {
        Some(IpAddr::from([127, 0, 0, 1]))
    } else {
        host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    };
    let is_listener = |listener: &SocketAddr| {
        listener.port() == port && ip.is_some_and(|ip| reaches(ip, listener.ip().to_canonical()))
    };
    let is_advertised =
        |(name, at): &(Box<str>, u16)| *at == port && name.trim_end_matches('.').eq_ignore_ascii_case(host);
    own.listeners.iter().any(is_listener) || own.advertised.iter().any(is_advertised)
}

/// Whether dialling `ip` from this machine surely reaches what is bound to `bound`.
fn reaches(ip: IpAddr, bound: IpAddr) -> bool {
    // Dialling 0.0.0.0 is dialling this machine.
    let is_here = ip.is_loopback() || ip.is_unspecified();
    ip == bound || (is_here && (bound.is_unspecified() || bound.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnAddresses {
        OwnAddresses {
            listeners: ["0.0.0.0:8080", "127.0.0.1:9090", "10.0.0.5:7070"]
                .map(|a| a.parse().expect("valid"))
                .into(),
            advertised: vec![("router-1.example".into(), 9090)],
        }
    }

    fn check(url: &str, expected: bool) {
        let address = Address::parse(url).expect("valid");
        assert_eq!(points_at_self(&address, &own()), expected, "{url}");
    }

    #[test]
    fn an_own_listener_is_self() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost:8080/api/service/x",
            "http://LOCALHOST.:8080",
            "http://0.0.0.0:8080",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]:9090",
            "https://127.0.0.7:9090",
            "http://10.0.0.5:7070",
            "http://Router-1.example:9090/x",
        ] {
            check(url, true);
        }
    }

    #[test]
    fn another_port_or_machine_is_not() {
        for url in [
            "http://127.0.0.1:8081",
            "http://10.0.0.6:8080",
            "http://10.0.0.6:7070",
            "http://127.0.0.1:7070",
            "http://router-1.example:8081",
            "http://router-2.example:9090",
        ] {
            check(url, false);
        }
        let nothing = OwnAddresses::default();
        assert!(!points_at_self(&Address::parse("http://localhost:8080").expect("valid"), &nothing));
    }
}
