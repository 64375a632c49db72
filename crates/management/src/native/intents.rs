//! What operators decide about workers: `drain`, `resume`, `offline`, `weight`; and what is still under way at one.

use super::writes::{self, Outcome};
use crate::{
    answer::{Answer, Fault, decided},
    document::{BodyRefusals, Conditions, DecisionRefusals, ReadRefusals, RecordWriteParams},
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::Uri;
use quorate_api::{
    Code, Param, Problem, Query,
    answer::Validated,
    fields::Fields,
    intent::{self, Decided, InFlightBody, NodeInFlight, WeightBody},
    query::Await,
};
use quorate_model::{Command, Duty, LogIndex, WorkerId};
use serde::Serialize;
use utoipa::ToSchema;

type WorkerPath = Result<Path<String>, PathRejection>;

/// What a decision answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described here; each half is answered by itself")]
pub(crate) enum DecisionAnswer {
    /// It was carried out.
    Decided(Decided),
    /// With `dry_run`.
    Validated(Validated),
}

macro_rules! duty {
    ($(#[$doc:meta])* $name:ident, $id:literal, $path:literal, $duty:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post,
            operation_id = $id,
            path = $path,
            tag = "workers",
            params(
                ("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253),
                RecordWriteParams,
                Conditions,
            ),
            responses(
                (status = 200, description = "It is decided (with dry_run: it would be)", body = DecisionAnswer),
                DecisionRefusals,
                BodyRefusals,
            ),
        )]
        pub(super) async fn $name(State(app): State<App>, path: WorkerPath, request: Request) -> Answer {
            set_duty(&app, path, request, $duty).await
        }
    };
}

duty! {
    /// Drain a worker
    ///
    /// It gets no new requests and finishes those that it has, whatever it registers, until it is resumed. The answer's
    /// `index` is what `in-flight` asks for.
    drain, "drain_worker", "/v1/workers/{id}/drain", Duty::Draining
}

duty! {
    /// Put a worker into service again
    resume, "resume_worker", "/v1/workers/{id}/resume", Duty::InService
}

duty! {
    /// Take a worker out of service
    ///
    /// Like a drain, and no request waits for its return.
    offline, "take_worker_offline", "/v1/workers/{id}/offline", Duty::Offline
}

async fn set_duty(app: &App, path: WorkerPath, request: Request, duty: Duty) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let wrong = Fields::of_body(request::object_or_nothing(request).await?).finish();
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    decide(app, Command::SetDuty { id: id.clone(), duty, if_index }, &id, &query).await
}

/// Set a worker's share of the traffic
///
/// Whatever it registers, until it is taken back by `null`.
#[utoipa::path(
    put,
    operation_id = "weigh_worker",
    path = "/v1/workers/{id}/weight",
    tag = "workers",
    params(
        ("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253),
        RecordWriteParams,
        Conditions,
    ),
    request_body = WeightBody,
    responses(
        (status = 200, description = "It is decided (with dry_run: it would be)", body = DecisionAnswer),
        DecisionRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn weigh(State(app): State<App>, path: WorkerPath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let weight = intent::weight(request::object(request).await?)?;
    decide(&app, Command::SetWeight { id: id.clone(), weight, if_index }, &id, &query).await
}

async fn decide(app: &App, command: Command, id: &WorkerId, query: &Query) -> Answer {
    let (outcome, visible) = writes::write_seen(app, command, query).await?;
    let committed = match outcome {
        Outcome::Valid(index) => return writes::validated(index),
        Outcome::Committed(committed) => committed,
    };
    // Applied here, so the record is as old as the decision at least.
    let view = app.cluster.view();
    let worker = view
        .worker(id.as_str())
        .ok_or_else(|| Fault::new(Code::WorkerUnknown, format!("worker {id} was forgotten meanwhile")))?;
    let index = committed.index.0;
    let body = Decided { duty: worker.intent.duty.into(), weight: worker.weight(), index, visible };
    let answer = decided(committed.index, &body);
    Ok(writes::tagged(answer, &committed))
}

/// Count what is under way at a worker
///
/// Each node is asked how many requests and tunnels it has at the worker that are not done, once it has applied
/// `index`: the one that a drain answered. When `in_flight` is 0, nothing of what came before the drain is left, on any
/// node. A node that can't be asked is listed with the reason, and `in_flight` is null.
#[utoipa::path(
    get,
    operation_id = "count_in_flight",
    path = "/v1/workers/{id}/in-flight",
    tag = "workers",
    params(
        ("id" = String, Path, description = "The worker's id; it need not be registered any more", min_length = 1, max_length = 253),
        ("index" = Option<u64>, Query, description = "What each node must have applied before it counts; what this node has applied if not said"),
    ),
    responses(
        (status = 200, description = "What each node tells", body = InFlightBody),
        (
            status = 404,
            description = "It has no record, and no node has requests at it",
            body = Problem,
            content_type = "application/problem+json",
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn in_flight(State(app): State<App>, path: WorkerPath, uri: Uri) -> Answer {
    let query = request::query(&uri, &[Param::Index])?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let here = app.cluster.view().index();
    let index = wanted(&query).unwrap_or(here);
    if index.0.saturating_sub(here.0) > AHEAD_MAX {
        let problem = format!("is far beyond what this node has applied, which is {here}");
        return Err(Problem::of_field("query.index", &problem, "the index that a drain answered").into());
    }
    // Each node takes its time to get there.
    let _place = app.places.waiting()?;
    let nodes = app.cluster.in_flight(id.clone(), index).await;
    // A drain goes on after a goodbye, and even after the record's end, while anybody has, or may have, requests there.
    let may_be_busy = nodes.is_empty() || nodes.iter().any(|node| node.in_flight != Ok(0));
    if !may_be_busy && app.cluster.view().worker(id.as_str()).is_none() {
        let detail = format!("worker {id} is not registered, and no node has requests at it");
        return Err(Fault::new(Code::WorkerUnknown, detail));
    }
    let nodes = nodes.into_iter().map(|node| NodeInFlight {
        node: node.node.to_string(),
        applied_index: node.applied.map(|index| index.0),
        in_flight: node.in_flight.as_ref().ok().copied(),
        why: node.in_flight.err(),
    });
    Ok(decided(app.cluster.view().index(), &InFlightBody::new(nodes.collect())))
}

/// A node lags by less while it can be asked. Nobody waits for what no drain can have answered.
const AHEAD_MAX: u64 = 1_000_000;

fn wanted(query: &Query) -> Option<LogIndex> {
    match query.wait_for {
        Await::Passed(index, _) | Await::Reached(index, _) => Some(index),
        Await::Nothing => None,
    }
}
