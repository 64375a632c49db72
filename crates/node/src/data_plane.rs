//! The data plane, as a node starts it and puts it in front of its APIs.

use crate::{
    config::{Config, Https},
    node::StartError,
    tunnels::Roads,
};
use futures_util::FutureExt as _;
use quorate_consensus::Consensus;
use quorate_management::{Cluster, Front};
use quorate_proxy::{Breakers, Feeds, Freshness, Inlet, Proxy};
use quorate_routing::local::Local;
use quorate_rt::{net::SharedPort, published::Published};
use quorate_telemetry::Metrics;
use std::{io, sync::Arc};
use tokio::sync::mpsc;

/// Most breakers of this node that opened and that consensus has not taken up.
const OPENED_MAX: usize = 1_024;

/// Starts it on what consensus publishes.
pub(crate) async fn start(
    config: &Config,
    consensus: &Consensus,
    (local, roads): (&Arc<Published<Local>>, &Roads),
    (freshness, metrics): (&Arc<Freshness>, &Arc<Metrics>),
) -> Result<Proxy, StartError> {
    let feeds = Feeds {
        view: consensus.view().clone(),
        loads: consensus.published_loads().clone(),
        breakers: breakers(consensus),
        local: local.clone(),
        tunnels: Arc::new(roads.clone()),
        freshness: freshness.clone(),
        metrics: metrics.clone(),
    };
    Proxy::start(proxy_config(config), feeds).await.map_err(|e| match e {
        quorate_proxy::StartError::Listen { addr, source } => {
            let https = config.https.as_ref().map(|https| https.listen);
            let others = [("--https", https), ("--grpc", config.grpc)];
            let is_it = |(_, other): &(_, Option<_>)| addr != config.routing && *other == Some(addr);
            match others.into_iter().find(is_it) {
                Some((listener, _)) => StartError::Listen { listener, address: addr, source },
                None => routing_failed(config, source),
            }
        }
        other => StartError::Proxy(other),
    })
}

/// Cores tell which of their breakers opened, consensus the other nodes; until the last core is gone.
fn breakers(consensus: &Consensus) -> Breakers {
    let (opened, mut opening) = mpsc::channel(OPENED_MAX);
    let listener = consensus.clone();
    quorate_rt::spawn(async move {
        while let Some(opening) = opening.recv().await {
            listener.hear_opening(&opening);
        }
    });
    Breakers { told: Some(consensus.published_openings().clone()), opened: Some(opened) }
}

/// Who asks consensus what this node has under way at workers, and what it makes of them, is told by the cores.
pub(crate) fn tell(proxy: &Proxy, consensus: &Consensus) {
    let in_flight = proxy.in_flight().clone();
    consensus.count_in_flight_by(Arc::new(move |worker| in_flight.of(worker)));
    let ramps = proxy.ramps().clone();
    consensus.count_ramps_by(Arc::new(move || ramps.counted()));
    let observations = proxy.observations().clone();
    consensus.observe_by(Arc::new(move |service, workers| {
        let observations = observations.clone();
        async move { observations.of(service, workers).await }.boxed()
    }));
    let key_traces = proxy.key_traces().clone();
    consensus.trace_by(Arc::new(move |asked| {
        let key_traces = key_traces.clone();
        async move { key_traces.ask(asked).await }.boxed()
    }));
}

/// Clients of the coordinator know the management port only: requests for services that come in there go to the data
/// plane.
pub(crate) fn in_front(inlet: Inlet, cluster: Arc<dyn Cluster>) -> Front {
    Front::new(Inlet::takes, cluster, move |caller, request| {
        let inlet = inlet.clone();
        async move { inlet.answer(caller.remote, caller.cut, request).await }
    })
}

/// Looks whether its addresses can be had.
pub(crate) fn claim(config: &Config) -> Result<(), StartError> {
    SharedPort::claim(config.routing).map_err(|source| routing_failed(config, source))?;
    if let Some(address) = config.grpc {
        let failed = |source| StartError::Listen { listener: "--grpc", address, source };
        SharedPort::claim(address).map_err(failed)?;
    }
    Ok(())
}

/// The routing listener's address can't be had.
fn routing_failed(config: &Config, source: io::Error) -> StartError {
    StartError::Listen { listener: "--routing", address: config.routing, source }
}

fn proxy_config(config: &Config) -> quorate_proxy::Config {
    let https = config.https.as_ref().map(|Https { listen, certificate, key }| quorate_proxy::Https {
        listen: *listen,
        certificate: certificate.clone(),
        key: key.clone(),
    });
    quorate_proxy::Config {
        grpc: config.grpc,
        https,
        threads: config.threads,
        zone: config.zone.clone(),
        key_forms: config.key_forms.clone(),
        request_timeout: config.request_timeout,
        drain: config.drain_limit,
        ..quorate_proxy::Config::new(config.routing, config.node_name.clone())
    }
}
