//! The native API, `/v1`.
//!
//! Reads come from this node's View, as new as the caller asked for ([`reads`]). Writes are one command each,
//! answered after it is applied on this node, or only checked ([`writes`]).

mod cluster;
mod config;
mod delegates;
mod explain;
mod hanging;
mod heartbeats;
mod intents;
mod keyspaces;
mod leases;
mod nodes;
mod observations;
mod presence;
mod ramps;
mod reads;
mod routes;
mod sandbox_trace;
mod sandboxes;
mod services;
mod snapshot;
mod tunnels;
mod watch;
mod workers;
mod writes;

use crate::server::App;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(cluster::show))
        .routes(routes!(cluster::transfer_leader))
        .routes(routes!(nodes::join, nodes::leave))
        .routes(routes!(workers::list))
        .routes(routes!(workers::show, workers::register, workers::remove))
        .routes(routes!(heartbeats::one))
        .routes(routes!(heartbeats::many))
        .routes(routes!(keyspaces::list))
        .routes(routes!(keyspaces::show, keyspaces::put))
        .routes(routes!(keyspaces::partitions))
        .routes(routes!(leases::list))
        .routes(routes!(watch::watch))
        .routes(routes!(intents::drain))
        .routes(routes!(intents::resume))
        .routes(routes!(intents::offline))
        .routes(routes!(intents::weigh))
        .routes(routes!(intents::in_flight))
        .routes(routes!(services::list))
        .routes(routes!(services::show, services::put, services::remove))
        .routes(routes!(observations::show))
        .routes(routes!(self::routes::list))
        .routes(routes!(self::routes::show, self::routes::put, self::routes::remove))
        .routes(routes!(sandboxes::list))
        .routes(routes!(sandboxes::show, sandboxes::put, sandboxes::remove))
        .routes(routes!(sandboxes::extend))
        .routes(routes!(sandbox_trace::show, sandbox_trace::follow))
        .routes(routes!(tunnels::list))
        .routes(routes!(tunnels::show))
        .routes(routes!(presence::list))
        .routes(routes!(presence::show))
        .routes(routes!(ramps::of_route))
        .routes(routes!(ramps::of_rule))
        .routes(routes!(explain::post))
        .routes(routes!(config::show, config::put, config::patch))
        .routes(routes!(config::history))
        .routes(routes!(config::roll_back))
        .routes(routes!(delegates::list))
        .routes(routes!(delegates::report_down))
        .routes(routes!(snapshot::export, snapshot::restore))
        .routes(routes!(hanging::open))
}
