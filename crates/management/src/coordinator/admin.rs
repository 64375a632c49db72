//! `/api/admin/*`: what the original's pages show.

use crate::{
    answer::{decided, json},
    heard::last_heard,
    server::App,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use quorate_api::coordinator::{
    AdminHealthBody,
    lists::{Seen, ServiceCount, ServicesBody, StatsBody, WorkerBody},
};
use quorate_model::{LogTime, Status, Worker, WorkerId};
use quorate_rt::time;
use quorate_state::{Loads, View};
use std::{collections::BTreeMap, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(workers))
        .routes(routes!(services))
        .routes(routes!(stats))
}

/// The process works, and what time it is
#[utoipa::path(
    get,
    operation_id = "coordinator_admin_health",
    path = "/api/admin/health",
    tag = "coordinator",
    responses((status = 200, description = "It does", body = AdminHealthBody)),
)]
async fn health() -> Response {
    json(StatusCode::OK, &AdminHealthBody::new(LogTime(time::wall_ms())))
}

/// List workers
///
/// A bare array, by id; those whose lease ran out are shown as offline while they can come back.
#[utoipa::path(
    get,
    operation_id = "coordinator_workers",
    path = "/api/admin/workers",
    tag = "coordinator",
    responses((status = 200, description = "All of them", body = Vec<WorkerBody>)),
)]
async fn workers(State(app): State<App>) -> Response {
    let (view, heard, loads) = looked(&app).await;
    let all: Vec<_> =
        known(&view).map(|worker| WorkerBody::new(worker, seen(worker, (&view, &heard, &loads)))).collect();
    decided(view.index(), &all)
}

/// List services
#[utoipa::path(
    get,
    operation_id = "coordinator_services",
    path = "/api/admin/services",
    tag = "coordinator",
    responses((status = 200, description = "All of them, by name", body = ServicesBody)),
)]
async fn services(State(app): State<App>) -> Response {
    let (view, loads) = (app.cluster.view(), app.cluster.loads());
    let services = view.services().map(|service| {
        let serving =
            service.endpoints().map(|endpoint| endpoint.serves_now(load(&loads, endpoint.worker())));
        (service.name().to_string(), ServiceCount::new(serving))
    });
    decided(view.index(), &ServicesBody::new(services.collect()))
}

/// Count workers
#[utoipa::path(
    get,
    operation_id = "coordinator_stats",
    path = "/api/admin/stats",
    tag = "coordinator",
    responses((status = 200, description = "All of them, by status and tier", body = StatsBody)),
)]
async fn stats(State(app): State<App>) -> Response {
    let (view, heard, loads) = looked(&app).await;
    let workers = known(&view).map(|worker| (&**worker, seen(worker, (&view, &heard, &loads))));
    decided(view.index(), &StatsBody::new(workers))
}

/// When the leader heard whom, and when it said so.
type Heard = (BTreeMap<WorkerId, LogTime>, LogTime);

/// What there is to see of all workers. The View is taken last: whom the leader has heard is in it by then, as a rule.
async fn looked(app: &App) -> (Arc<View>, Heard, Loads) {
    let heard = last_heard(&*app.cluster).await;
    (app.cluster.view(), (heard, LogTime(time::wall_ms())), app.cluster.loads())
}

/// What else is known of a worker.
fn seen<'a>(worker: &Worker, (view, (heard, now), loads): (&View, &Heard, &'a Loads)) -> Seen<'a> {
    Seen {
        load: load(loads, worker),
        heard: heard.get(worker.id()).map(|heard| (*heard, *now)),
        leads: view.delegate(worker.group()).is_some_and(|delegate| delegate.worker == *worker.id()),
    }
}

/// Who said goodbye is not shown.
fn known(view: &View) -> impl Iterator<Item = &Arc<Worker>> {
    view.workers().filter(|worker| worker.status() != Status::Departed)
}

fn load<'a>(loads: &'a Loads, worker: &Worker) -> Option<&'a quorate_model::Load> {
    loads.of(worker.id().as_str()).map(|load| &**load)
}
