//! Where a node listens, and what it stands in front of: rules about more than one of these.

use super::{Config, gateway::GatewayListener, parse, reader::Reader};
use quorate_model::route::Target;
use quorate_routing::local::Mode;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Config {
    /// Each has a port of its own.
    pub(super) fn check_listeners(&self, r: &mut Reader<'_>) {
        let https = self.https.as_ref().map(|https| ("https", https.listen));
        let grpc = self.grpc.map(|grpc| ("grpc", grpc));
        // One that was not asked for is given up where it is in the way.
        let gateway = match self.gateway.listen {
            GatewayListener::At(address) => Some(("gateway", address)),
            GatewayListener::Off | GatewayListener::IfFree(_) => None,
        };
        let mut taken = vec![("routing", self.routing)];
        let others = [("management", self.management), ("peer", self.peer)];
        for (name, address) in grpc.into_iter().chain(https).chain(others).chain(gateway) {
            let by = taken.iter().find(|(_, other)| address.port() != 0 && clash(address, *other));
            if let Some((other, _)) = by {
                r.refuse(name, format!("{address} is taken by --{other}"), "a port of its own");
            }
            taken.push((name, address));
        }
    }

    /// Without a secret anybody who reaches the peer listener is a member of the cluster.
    pub(super) fn check_loopback(&self, r: &mut Reader<'_>) {
        let remedy = "loopback addresses only, or --cluster-secret-file FILE with one secret on all nodes";
        if let Some((name, address)) =
            self.peers.iter().find(|(_, address)| !parse::is_loopback(parse::host_of(address)))
        {
            let problem = format!("{name}={address} is not on loopback, and there is no cluster secret");
            r.refuse("peers", problem, remedy);
        }
        if !self.peer.ip().is_loopback() {
            let problem = format!("{} is not on loopback, and there is no cluster secret", self.peer);
            r.refuse("peer", problem, remedy);
        }
    }

    /// A sidecar has somewhere to send requests, and nobody sends them to himself.
    pub(super) fn check_target(&self, r: &mut Reader<'_>) {
        if self.mode == Mode::Sidecar
            && self.default_target.is_none()
            && !r.has_errors_about("default-target")
        {
            let problem = "a sidecar has no application to stand in front of".to_owned();
            r.refuse("default-target", problem, "where the application listens, such as localhost:3000");
        }
        let Some(Target::Url { address, .. }) = &self.default_target else { return };
        let host = address.host();
        let here = if host.eq_ignore_ascii_case("localhost") {
            Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            host.parse::<IpAddr>().ok()
        };
        let Some(here) = here else { return };
        let https = self.https.as_ref().map(|https| ("https", https.listen));
        let listeners = [Some(("routing", self.routing)), self.grpc.map(|grpc| ("grpc", grpc)), https];
        let own = listeners.into_iter().flatten().find(|(_, listener)| {
            let is_bound = listener.ip() == here || (listener.ip().is_unspecified() && here.is_loopback());
            is_bound && listener.port() == address.port()
        });
        if let Some((name, listener)) = own {
            let problem = format!("{} is this node's own --{name} {listener}", address.as_str());
            r.refuse("default-target", problem, "where somebody else listens");
        }
    }
}

/// Whether two listeners can't both be bound.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
