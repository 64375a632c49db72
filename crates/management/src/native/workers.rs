//! `/v1/workers`: who serves what.

use super::{
    delegates, reads,
    writes::{self, Outcome},
};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    cluster::Committed,
    document::{
        BodyRefusals, Conditions, LifeRefusals, ListParams, ObjectParams, ReadRefusals, RecordWriteParams,
        RemoveRefusals,
    },
    own, request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{
    Code, Param, Problem,
    answer::{Page, WriteAnswer},
    worker::{self, LeaseGrant, RegisterAnswer, RegisterBody, Registered, WorkerBody},
};
use quorate_model::{Command, Kind, PartitionRange, Reply, Status, Worker, WorkerId};
use quorate_state::View;
use std::sync::Arc;

type WorkerPath = Result<Path<String>, PathRejection>;

/// List workers
///
/// By id; expired ones are shown while they can be revived.
#[utoipa::path(
    get,
    operation_id = "list_workers",
    path = "/v1/workers",
    tag = "workers",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<WorkerBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let cursor = query.cursor.as_deref().map(parse_cursor).transpose()?;
    let view = reads::list(&app, &query, &[Kind::Worker, Kind::Keyspace]).await?;
    let known = |worker: &&Arc<Worker>| worker.status() != Status::Departed;
    let id = |worker: &&Arc<Worker>| worker.id().to_string();
    let show = |worker: &Arc<Worker>| shown(&view, worker);
    let page = match &cursor {
        None => Page::cut(view.workers().filter(known), query.limit, view.index(), id, show),
        Some(after) => {
            let workers = view.workers_after(after.as_str()).filter(known);
            Page::cut(workers, query.limit, view.index(), id, show)
        }
    };
    Ok(decided(view.index(), &page))
}

fn parse_cursor(text: &str) -> Result<WorkerId, Fault> {
    request::cursor(text, |text| WorkerId::parse(text).ok())
}

/// Show a worker
#[utoipa::path(
    get,
    operation_id = "show_worker",
    path = "/v1/workers/{id}",
    tag = "workers",
    params(
        ("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253),
        ObjectParams,
    ),
    responses(
        (
            status = 200,
            description = "It is registered",
            body = WorkerBody,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        (status = 404, description = "It is not", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: WorkerPath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let view = reads::view(&app, &query).await?;
    let worker = view.worker(id.as_str()).filter(|worker| worker.status() != Status::Departed);
    let worker =
        worker.ok_or_else(|| Fault::new(Code::WorkerUnknown, format!("worker {id} is not registered")))?;
    Ok(with_etag(decided(view.index(), &shown(&view, worker)), worker.changed))
}

fn shown(view: &View, worker: &Worker) -> WorkerBody {
    let keyspace = view.keyspace(worker.registration.keyspace.as_str());
    let keyspace = keyspace.filter(|keyspace| keyspace.count().is_some());
    WorkerBody::new(worker, |partition| keyspace.map(|keyspace| keyspace.contains(partition)))
}

/// Register a worker
///
/// Or register it anew with its whole list. The newest registration wins a contested partition. Safe to repeat.
#[utoipa::path(
    put,
    operation_id = "register_worker",
    path = "/v1/workers/{id}",
    tag = "workers",
    params(
        ("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253),
        RecordWriteParams,
        Conditions,
    ),
    request_body = RegisterBody,
    responses(
        (status = 200, description = "It holds a new lease (with dry_run: it would)", body = RegisterAnswer),
        (
            status = 412,
            description = "Its record has changed",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 422,
            description = "A partition is out of range, or the keyspace does not exist",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn register(State(app): State<App>, path: WorkerPath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let body = request::object(request).await?;
    let registration = worker::registration(id, body, app.config.default_ttl)?;
    own::refuse_router(&app, &registration).map_err(|wrong| vec![wrong])?;
    let (id, ttl) = (registration.id.clone(), registration.ttl);
    let command = Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    match outcome {
        Outcome::Valid(index) => writes::validated(index),
        Outcome::Committed(Committed { index, reply: Reply::Registered { epoch } }) => {
            let view = app.cluster.view();
            let body = Registered {
                lease: LeaseGrant::new(&id, epoch, ttl),
                index: index.0,
                visible,
                heartbeat_delegate: delegates::told(&view, &id),
                heartbeat_delegate_url: delegates::url(&view, &id),
            };
            Ok(with_etag(decided(index, &body), index))
        }
        Outcome::Committed(Committed { index, reply }) => {
            tracing::error!(%index, ?reply, "a registration was answered by something else");
            Err(Fault::new(Code::Internal, "the registration was answered by something else"))
        }
    }
}

/// Remove a worker
///
/// With `lease`: only if that is its lease.
#[utoipa::path(
    delete,
    operation_id = "remove_worker",
    path = "/v1/workers/{id}",
    tag = "workers",
    params(
        ("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253),
        RecordWriteParams,
        ("lease" = Option<u64>, Query, description = "The id of the lease that is given back"),
        Conditions,
    ),
    responses(
        (status = 200, description = "It is removed (with dry_run: it would be)", body = WriteAnswer),
        LifeRefusals,
        RemoveRefusals,
    ),
)]
pub(super) async fn remove(State(app): State<App>, path: WorkerPath, uri: Uri, headers: HeaderMap) -> Answer {
    let query = request::query(&uri, &[Param::DryRun, Param::Lease, Param::Visible, Param::Wait])?;
    let if_index = request::condition(&headers)?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let command = Command::UnregisterWorker { id, epoch: query.lease, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    writes::gone(outcome, visible)
}
