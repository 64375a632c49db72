//! The dialects of the workspace router that Quorate replaces, plain and under `/api`: exact bodies and codes.
//!
//! Where the original was wrong, this is right: a heartbeat keeps whoever is known, expired workers included
//! (its v1 worker never registers again), and a v2 heartbeat with another list or address counts ([`beat`]).

mod beat;
mod fault;

use crate::{
    answer::json,
    cluster::{Reason, Unavailable},
    heard::last_heard,
    own, request,
    server::App,
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use beat::Next;
use fault::{Failed, Fault};
use http::StatusCode;
use quorate_api::original::{
    self, ErrorBody, HEARD, HealthBody, Heartbeat as Said, HeartbeatBody, ListedWorker, REGISTERED,
    RegisterBody, StatusBody, UNREGISTERED, UnhealthyBody, WorkerBody, WorkersBody,
};
use quorate_model::{
    Command, Heartbeat, HeartbeatOutcome, PartitionRange, Refusal, Registration, Reply, WorkerId,
};
use quorate_rt::time;
use std::time::Duration;
use utoipa_axum::{router::OpenApiRouter, routes};

/// A v2 heartbeat is answered within this time: its clients give up after 5 s.
const HEARTBEAT_WITHIN: Duration = Duration::from_millis(4_500);
/// A v2 heartbeat decides anew this often when the worker's record changes under it.
const TRIES: usize = 3;

type Answer = Result<Response, Fault>;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(heartbeat))
        .routes(routes!(unregister))
        .routes(routes!(workers))
        .routes(routes!(healthz))
}

/// Register a worker
///
/// With its whole list; partitions that the keyspace does not have are kept, and route nothing until it grows.
#[utoipa::path(
    post,
    operation_id = "original_register",
    path = "/register",
    tag = "original",
    request_body = RegisterBody,
    responses(
        (status = 200, description = "It is registered", body = StatusBody),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body has more than 1 MiB", body = ErrorBody),
        (status = 500, description = "The cluster can't", body = ErrorBody),
    ),
)]
async fn register(State(app): State<App>, request: Request) -> Answer {
    let registration = original::register(&request::bytes(request).await?, app.config.default_ttl)?;
    own::refuse_router_in(&app, &registration, |_| "httpAddress").map_err(|wrong| vec![wrong])?;
    let command = Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None };
    match propose(&app, command, Failed::Register).await? {
        Reply::Refused(refusal) => Err(Fault::refused(Failed::Register, &refusal)),
        Reply::Done | Reply::Unchanged | Reply::Registered { .. } | Reply::Sessions(_) => {
            Ok(json(StatusCode::OK, &REGISTERED))
        }
    }
}

/// Keep a worker's lease
///
/// v1 sends `workerId` only; v2 the whole registration, which registers a worker that is not known.
#[utoipa::path(
    post,
    operation_id = "original_heartbeat",
    path = "/heartbeat",
    tag = "original",
    request_body = HeartbeatBody,
    responses(
        (status = 200, description = "The lease goes on", body = StatusBody),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "Register first", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body has more than 1 MiB", body = ErrorBody),
        (status = 500, description = "The cluster can't", body = ErrorBody),
    ),
)]
async fn heartbeat(State(app): State<App>, request: Request) -> Answer {
    let said = original::heartbeat(&request::bytes(request).await?, app.config.default_ttl)?;
    match said {
        Said::Plain(id) => match hear(&app, id).await? {
            HeartbeatOutcome::Unknown | HeartbeatOutcome::Displaced => {
                Err(Fault::NotFound(fault::REGISTER_FIRST))
            }
            HeartbeatOutcome::Ok { .. }
            | HeartbeatOutcome::Superseded { .. }
            | HeartbeatOutcome::Replayed { .. } => Ok(json(StatusCode::OK, &HEARD)),
        },
        Said::Full(registration) => {
            own::refuse_router_in(&app, &registration, |_| "httpAddress").map_err(|wrong| vec![wrong])?;
            // Up to five calls, each with a limit of its own: together they must not outlast the client.
            let answered = time::timeout(HEARTBEAT_WITHIN, full_heartbeat(&app, &registration)).await;
            answered.unwrap_or_else(|_| {
                let late =
                    Unavailable { reason: Reason::OutcomeUnknown, leader: app.cluster.standing().leader };
                Err(Fault::unavailable(Failed::Heartbeat, late))
            })
        }
    }
}

/// The leader is asked first: this node's View may lag behind what it knows.
async fn full_heartbeat(app: &App, said: &Registration) -> Answer {
    let outcome = hear(app, said.id.clone()).await?;
    if beat::lags(&app.cluster.view(), &said.id, outcome) && app.cluster.read_barrier().await.is_err() {
        // The heartbeat itself was heard; what it says is compared again with the next one.
        return Ok(json(StatusCode::OK, &HEARD));
    }
    for _ in 0..TRIES {
        let command = match beat::next(&app.cluster.view(), said, outcome) {
            Next::Nothing => break,
            Next::NotFound => return Err(Fault::NotFound(fault::REGISTER_FIRST)),
            Next::Propose(command) => command,
        };
        match propose(app, command, Failed::Heartbeat).await? {
            Reply::Done | Reply::Unchanged | Reply::Registered { .. } | Reply::Sessions(_) => break,
            // The record changed meanwhile, and this node has seen how: decide anew.
            Reply::Refused(Refusal::PreconditionFailed { .. }) => {}
            Reply::Refused(Refusal::UnknownWorker { .. }) => {
                return Err(Fault::NotFound(fault::REGISTER_FIRST));
            }
            Reply::Refused(refusal) => return Err(Fault::refused(Failed::Heartbeat, &refusal)),
        }
    }
    Ok(json(StatusCode::OK, &HEARD))
}

async fn hear(app: &App, id: WorkerId) -> Result<HeartbeatOutcome, Fault> {
    let beat = Heartbeat { id, incarnation: None, sequence: None };
    let outcomes = app.cluster.heartbeat(vec![beat]).await;
    let outcomes = outcomes.map_err(|e| Fault::unavailable(Failed::Heartbeat, e))?;
    outcomes.first().copied().ok_or(Fault::Failed(Failed::Heartbeat))
}

async fn propose(app: &App, command: Command, failed: Failed) -> Result<Reply, Fault> {
    let committed = app.cluster.propose(command).await;
    Ok(committed.map_err(|e| Fault::unavailable(failed, e))?.reply)
}

/// Remove a worker
#[utoipa::path(
    post,
    operation_id = "original_unregister",
    path = "/unregister",
    tag = "original",
    request_body = WorkerBody,
    responses(
        (status = 200, description = "It is removed", body = StatusBody),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 404, description = "It is not registered", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body has more than 1 MiB", body = ErrorBody),
        (status = 500, description = "The cluster can't", body = ErrorBody),
    ),
)]
async fn unregister(State(app): State<App>, request: Request) -> Answer {
    let id = original::unregister(&request::bytes(request).await?)?;
    let command = Command::UnregisterWorker { id, epoch: None, if_index: None };
    match propose(&app, command, Failed::Unregister).await? {
        Reply::Refused(Refusal::UnknownWorker { .. }) => Err(Fault::NotFound(fault::NOT_FOUND)),
        Reply::Refused(refusal) => Err(Fault::refused(Failed::Unregister, &refusal)),
        Reply::Done | Reply::Unchanged | Reply::Registered { .. } | Reply::Sessions(_) => {
            Ok(json(StatusCode::OK, &UNREGISTERED))
        }
    }
}

/// List healthy workers
#[utoipa::path(
    get,
    operation_id = "original_workers",
    path = "/workers",
    tag = "original",
    responses((status = 200, description = "All of them, by id", body = WorkersBody)),
)]
async fn workers(State(app): State<App>) -> Response {
    let heard = last_heard(&*app.cluster).await;
    let view = app.cluster.view();
    let healthy = view.workers().filter(|worker| worker.is_routable());
    let workers: Vec<_> =
        healthy.map(|worker| ListedWorker::new(worker, heard.get(worker.id()).copied())).collect();
    crate::answer::decided(view.index(), &WorkersBody { count: workers.len(), workers })
}

/// This node can route
#[utoipa::path(
    get,
    operation_id = "original_healthz",
    path = "/healthz",
    tag = "original",
    responses(
        (status = 200, description = "It can", body = HealthBody),
        (status = 500, description = "It does not know the partition count", body = UnhealthyBody),
    ),
)]
async fn healthz(State(app): State<App>) -> Response {
    let view = app.cluster.view();
    match view.default_keyspace().map(|keyspace| keyspace.count()) {
        Some(Some(count)) => json(StatusCode::OK, &HealthBody::new(view.worker_count(), count.get())),
        Some(None) => unhealthy("the partition count is not known yet"),
        None => unhealthy("the cluster is not formed yet"),
    }
}

fn unhealthy(why: &str) -> Response {
    json(StatusCode::INTERNAL_SERVER_ERROR, &UnhealthyBody::new(why))
}
