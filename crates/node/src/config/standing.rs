//! What a node stands in front of, checked against where it listens.

use super::{Config, reader::Reader};
use quorate_model::route::Target;
use quorate_routing::local::Mode;
use std::net::{IpAddr, Ipv4Addr};

impl Config {
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
