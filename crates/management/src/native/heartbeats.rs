//! Signs of life, one or many. They go to the leader and are never logged.

use super::delegates;
use crate::{
    answer::{Answer, Fault, json},
    document::BodyRefusals,
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use futures_util::future::try_join_all;
use http::StatusCode;
use quorate_api::{
    Code, Problem,
    heartbeat::{self, Beats, Heard, HeardAll, HeartbeatBody, HeartbeatsBody},
};
use quorate_model::{Heartbeat, HeartbeatOutcome, WorkerId};

/// Most heartbeats handed over at once; more go side by side.
const CHUNK: usize = 1_000;

/// Keep a worker's lease
///
/// The body may be left out. An expired worker is revived, with a new fencing token.
#[utoipa::path(
    post,
    operation_id = "heartbeat_worker",
    path = "/v1/workers/{id}/heartbeat",
    tag = "workers",
    params(("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253)),
    request_body = Option<HeartbeatBody>,
    responses(
        (status = 200, description = "The lease goes on", body = Heard),
        (
            status = 404,
            description = "Register first, or displaced",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 409,
            description = "Another lease stands, or the heartbeat was heard before",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn one(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    request::query(request.uri(), &[])?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let beat = heartbeat::heartbeat(id.clone(), request::object_or_nothing(request).await?)?;
    match app.cluster.heartbeat(vec![beat]).await?.first() {
        Some(outcome) => told(&app, &id, *outcome),
        None => Err(Fault::new(Code::Internal, "the leader answered another heartbeat")),
    }
}

fn told(app: &App, id: &WorkerId, outcome: HeartbeatOutcome) -> Answer {
    match outcome {
        HeartbeatOutcome::Ok { epoch } => {
            let delegate = delegates::told(&app.cluster.view(), id);
            Ok(json(StatusCode::OK, &Heard::new(epoch, delegate)))
        }
        HeartbeatOutcome::Unknown => {
            Err(Fault::new(Code::WorkerUnknown, format!("worker {id} is not registered: register it first")))
        }
        HeartbeatOutcome::Displaced => Err(Fault::new(
            Code::WorkerDisplaced,
            format!("newer registrations took all partitions of worker {id}"),
        )),
        HeartbeatOutcome::Superseded { current } => {
            Err(Fault::new(Code::LeaseStale, format!("the lease of worker {id} is {current}")))
        }
        HeartbeatOutcome::Replayed { last } => Err(Fault::new(
            Code::HeartbeatReplayed,
            format!("worker {id} was heard with sequence {last} already"),
        )),
    }
}

/// Keep many leases
///
/// For agents that speak for many workers. With `on_behalf` the delegate of a group speaks for its members: it names
/// itself and the epoch of its role, and whoever is not of its group is `refused`.
#[utoipa::path(
    post,
    operation_id = "heartbeat_workers",
    path = "/v1/heartbeats",
    tag = "workers",
    request_body = HeartbeatsBody,
    responses(
        (status = 200, description = "Who was heard", body = HeardAll),
        (
            status = 409,
            description = "With on_behalf: another delegate stands, or none",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn many(State(app): State<App>, request: Request) -> Answer {
    request::query(request.uri(), &[])?;
    let Beats { mut beats, on_behalf } = heartbeat::heartbeats(request::object(request).await?)?;
    let mut heard = HeardAll::default();
    if let Some(spokesman) = on_behalf {
        let group = delegates::fence(&app, &spokesman).await?;
        let others = beats.extract_if(.., |beat| !group.may_include(&beat.id));
        heard.refused = Some(others.map(|beat| beat.id.to_string()).collect());
    }
    let chunks = beats.chunks(CHUNK).map(|chunk| app.cluster.heartbeat(chunk.to_vec()));
    let outcomes = try_join_all(chunks).await?.concat();
    for (Heartbeat { id, .. }, outcome) in beats.into_iter().zip(outcomes) {
        match outcome {
            // Only what names a lease or a sequence can be superseded or replayed: these are alive.
            HeartbeatOutcome::Ok { .. }
            | HeartbeatOutcome::Superseded { .. }
            | HeartbeatOutcome::Replayed { .. } => heard.ok.push(id.to_string()),
            HeartbeatOutcome::Unknown => heard.unknown.push(id.to_string()),
            HeartbeatOutcome::Displaced => {
                heard.unknown.push(id.to_string());
                heard.displaced.push(id.to_string());
            }
        }
    }
    Ok(json(StatusCode::OK, &heard))
}
