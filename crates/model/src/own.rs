//! Addresses of workers that are the router's own.
//!
//! A worker or service whose address is the router's makes each request for it two, and so on until something is full.
//! Where that can be seen at the registration it is refused there. It can't always be: another name for the same
//! machine, or a load balancer in front of the cluster, looks like any other address. What slips through is cut by
//! counting hops in a header.

use crate::address::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    if address.tunnel().is_some() {
        return false;
    }
    let (host, port) = (address.host(), address.port());
    // `host.` is the same name as `host`, written out.
    let host = host.strip_suffix('.').unwrap_or(host);
    let ips = if host.eq_ignore_ascii_case("localhost") {
        // Which of them it is, the machine's own files say.
        vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
    } else {
        host.parse().ok().map(|ip: IpAddr| ip.to_canonical()).into_iter().collect()
    };
    let is_listener = |listener: &SocketAddr| {
        listener.port() == port && ips.iter().any(|ip| reaches(*ip, listener.ip().to_canonical()))
    };
    let is_advertised =
        |(name, at): &(Box<str>, u16)| *at == port && name.trim_end_matches('.').eq_ignore_ascii_case(host);
    own.listeners.iter().any(is_listener) || own.advertised.iter().any(is_advertised)
}

/// Whether dialling `ip` from this machine surely reaches what is bound to `bound`.
fn reaches(ip: IpAddr, bound: IpAddr) -> bool {
    // Dialling 0.0.0.0 is dialling this machine at 127.0.0.1, and `::` at `::1`.
    let dialled = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    match bound {
        IpAddr::V4(bound) if bound.is_unspecified() => dialled.is_loopback() && dialled.is_ipv4(),
        // As the system has it unless it is told otherwise, `::` takes IPv4 as well.
        IpAddr::V6(bound) if bound.is_unspecified() => dialled.is_loopback(),
        // Of the many loopback addresses each is a place of its own: a worker may listen at the next one.
        bound => dialled == bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnAddresses {
        OwnAddresses {
            listeners: ["0.0.0.0:8080", "127.0.0.1:9090", "10.0.0.5:7070", "[::1]:6060", "[::]:5050"]
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
            "https://127.0.0.7:8080",
            "http://[::ffff:127.0.0.1]:9090",
            "http://0.0.0.0:9090",
            "http://localhost:9090",
            "http://localhost:6060",
            "http://[::]:6060",
            "http://[::1]:5050",
            "http://127.0.0.1:5050",
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
            "http://[::1]:8080",
            "http://127.0.0.2:9090",
            "http://[::1]:9090",
            "http://127.0.0.1:6060",
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
