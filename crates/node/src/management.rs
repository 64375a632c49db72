//! The management listener of a node.

use crate::{cluster::NodeCluster, config::Config, data_plane, own_addresses::own_addresses};
use quorate_management::serve_behind;
use quorate_proxy::Inlet;
use quorate_routing::local::Local;
use quorate_rt::{JoinHandle, http::ServeLimits, net::TcpListener, published::Published, shutdown};
use quorate_telemetry::Metrics;
use std::{net::SocketAddr, sync::Arc};

/// What it serves, and how.
pub(crate) fn config(
    config: &Config,
    (metrics, local): (&Arc<Metrics>, &Arc<Published<Local>>),
    (peer, management, gateway): (SocketAddr, SocketAddr, Option<SocketAddr>),
    ending: &shutdown::Shutdown,
) -> quorate_management::Config {
    let metrics = metrics.clone();
    quorate_management::Config {
        default_ttl: config.worker_ttl,
        coordinator_ttl: config.coordinator_ttl,
        own: own_addresses(config, (management, peer)),
        gateway: gateway.map(|gateway| config.advertised_gateway(gateway)),
        key_forms: config.key_forms.clone(),
        local: local.clone(),
        metrics: Arc::new(move || metrics.render()),
        metrics_type: Metrics::CONTENT_TYPE,
        ending: ending.clone(),
        keep_alive: quorate_management::KEEP_ALIVE,
    }
}

/// Serves it until its shutdown, with requests to services in front.
pub(crate) fn serve(
    cluster: Arc<NodeCluster>,
    config: quorate_management::Config,
    inlet: &Inlet,
    (listener, limits, stopped): (TcpListener, ServeLimits, shutdown::Shutdown),
) -> JoinHandle<()> {
    let router = quorate_management::router(cluster.clone(), config);
    quorate_rt::spawn(serve_behind(
        data_plane::in_front(inlet.clone(), cluster),
        router,
        listener,
        limits,
        stopped,
    ))
}
