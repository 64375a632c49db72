//! Health for orchestrators, metrics, and the document.

use crate::{
    answer::{json, text},
    cluster::{Readiness, Standing},
    server::App,
};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri, header};
use quorate_api::answer::{Check, Health};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(openapi_json))
}

/// The process works
///
/// Whatever the quorum: restarting a node cures no missing majority.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "probes",
    responses((status = 200, description = "It does", body = Health)),
)]
async fn livez() -> Response {
    json(StatusCode::OK, &Health { status: "ok".into(), reason: None, checks: Vec::new() })
}

/// The node can route
///
/// Stays 200 without a quorum, with status `degraded`: the data plane goes on while only changes are down.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "probes",
    params(("verbose" = Option<String>, Query, description = "List each check")),
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "Not yet, or no longer", body = Health),
    ),
)]
async fn readyz(State(app): State<App>, uri: Uri) -> Response {
    let standing = app.cluster.standing();
    let names =
        uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let checks = if names.into_iter().any(|name| name == "verbose") { checks(&standing) } else { Vec::new() };
    let readiness = &standing.readiness;
    let status = match readiness {
        Readiness::Ready | Readiness::Degraded { .. } => StatusCode::OK,
        Readiness::Starting { .. } | Readiness::Removed | Readiness::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let reason = readiness.reason().map(str::to_owned);
    json(status, &Health { status: readiness.word().into(), reason, checks })
}

fn checks(standing: &Standing) -> Vec<Check> {
    let check = |name: &str, ok, detail| Check { name: name.into(), ok, detail };
    let view = format!("applied up to index {}", standing.applied_index);
    let leader = match (&standing.leader, standing.stale) {
        (Some(leader), None) => (true, format!("{} leads", leader.name)),
        (_, Some(stale)) => (false, format!("no leader heard for {} s", stale.as_secs())),
        (None, None) => (false, "no leader is known".into()),
    };
    let accepting = match standing.readiness {
        Readiness::Removed => (false, "removed from the cluster"),
        Readiness::Draining => (false, "draining"),
        Readiness::Starting { .. } | Readiness::Ready | Readiness::Degraded { .. } => {
            (true, "taking requests")
        }
    };
    vec![
        check("view", !matches!(standing.readiness, Readiness::Starting { .. }), view),
        check("leader", leader.0, leader.1),
        check("accepting", accepting.0, accepting.1.into()),
    ]
}

/// Metrics
///
/// Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "probes",
    responses(
        (status = 200, description = "All metrics", body = String, content_type = "text/plain"),
    ),
)]
async fn metrics(State(app): State<App>) -> Response {
    let content_type = (header::CONTENT_TYPE, text(app.config.metrics_type));
    ([content_type], (app.config.metrics)()).into_response()
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "probes",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
async fn openapi_json(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, text("application/json"))], Body::from(app.document)).into_response()
}
