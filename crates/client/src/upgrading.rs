//! What dials connections that leave HTTP: tunnels and WebSockets.

use crate::{
    Error,
    nodes::causes,
    tls::{self, Roots},
};
use reqwest::{Client, Url, redirect};
use std::time::Duration;

/// Whoever does not even accept a connection is passed over quickly.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);

/// A client for these addresses: each request has a connection of its own, and goes nowhere else.
pub(crate) fn client(addresses: &[Url]) -> Result<Client, Error> {
    let has_tls = addresses.iter().any(|url| url.scheme() == "https");
    let roots = if has_tls { Roots::System } else { Roots::None };
    Client::builder()
        .tls_backend_preconfigured(tls::config(roots)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        // What is asked for is an upgrade, which HTTP/2 has not.
        .http1_only()
        .pool_max_idle_per_host(0)
        .tcp_nodelay(true)
        .connect_timeout(CONNECTED_WITHIN)
        .user_agent(concat!("quorate-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| Error::Setup(causes(&e)))
}
