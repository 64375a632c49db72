//! The dialect of the service coordinator that Quorate replaces: exact bodies and codes.
//!
//! | where | what |
//! |---|---|
//! | here | the calls of workers: register, heartbeat, unregister |
//! | [`identity`] | which worker somebody without an id is |
//! | [`admin`] | what its pages show |
//! | [`fault`] | errors as its clients know them |
//!
//! Where the original was wrong, this is right. A heartbeat is heard by the leader and never written, so a healthy
//! worker is never shown as offline for want of a write. Who offers what is derived from the workers' records, so no
//! index can lose an update or forget a worker that comes back. A worker that registers again is the worker that it
//! was.

mod admin;
mod fault;
mod identity;

use crate::{
    answer::json,
    cluster::{Committed, Unavailable},
    own, request,
    server::App,
};
use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use fault::{Fault, RegisterFault};
use http::StatusCode;
use quorate_api::{
    coordinator::{
        ErrorBody, HEALTH, HEARD, HealthBody, NOT_YET_UNREGISTERED, StatusBody, UNREGISTERED, WAS_NOT_THERE,
        heartbeat::{self, HeartbeatBody},
        register::{self, RegisterBody, RegisteredBody, Registering},
    },
    fields,
};
use quorate_model::{
    Command, Epoch, Extras, FeatureLevel, Heartbeat, HeartbeatOutcome, Invalid, Load, LogIndex,
    PartitionRange, Refusal, Registration, RegistrationParts, Reply, WorkerId,
};
use quorate_state::View;
use std::collections::BTreeSet;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(register))
        .routes(routes!(heartbeat))
        .routes(routes!(unregister))
        .merge(admin::routes())
}

/// The process works
#[utoipa::path(
    get,
    operation_id = "coordinator_health",
    path = "/health",
    tag = "coordinator",
    responses((status = 200, description = "It does", body = HealthBody)),
)]
async fn health() -> Response {
    json(StatusCode::OK, &HEALTH)
}

/// Register a worker and its services
///
/// Without an id it is given one: the one it had, if its addresses and services are those of a worker that was given
/// one before.
#[utoipa::path(
    post,
    operation_id = "coordinator_register",
    path = "/api/worker/register",
    tag = "coordinator",
    request_body = RegisterBody,
    responses(
        (status = 200, description = "It is registered", body = RegisteredBody),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 413, description = "The body has more than 1 MiB", body = ErrorBody),
        (status = 500, description = "The cluster can't", body = ErrorBody),
    ),
)]
async fn register(State(app): State<App>, request: Request) -> Result<Response, RegisterFault> {
    let said =
        register::read(&request::bytes(request).await.map_err(Fault::from)?, app.config.coordinator_ttl)
            .map_err(Fault::from)?;
    own::refuse_router_in(&app, said.offer(), |at| said.field_of(at)).map_err(Fault::from)?;
    let registration = carry_out(&app, &said).await?;
    if app.cluster.loads().of(registration.id.as_str()).is_some() {
        // Whatever it said in an earlier life is over.
        app.cluster.hear_load(&registration.id, Load::default());
    }
    Ok(json(StatusCode::OK, &welcome(&app.cluster.view(), &registration)))
}

/// Registers it under the id that is its own.
async fn carry_out(app: &App, said: &Registering) -> Result<Registration, Fault> {
    if said.id.is_none() && said.is_nowhere() {
        let registration = said.named(identity::assigned_by_chance());
        propose_registration(app, &registration).await?;
        return Ok(registration);
    }
    let known = || identity::known(&app.cluster.view(), said.offer(), None);
    if let Some(id) = said.id.clone().or_else(known) {
        let registration = said.named(id);
        propose_registration(app, &registration).await?;
        return Ok(registration);
    }
    for id in [identity::assigned(said.offer()), identity::assigned_by_chance()] {
        let registration = said.named(id);
        if let Some(granted) = propose_new(app, &registration).await? {
            return elder_of(app, said, registration, granted).await;
        }
        // Taken: by itself, if it asked twice, or by a worker that was here once and is elsewhere now.
        if let Some(id) = known() {
            let registration = said.named(id);
            propose_registration(app, &registration).await?;
            return Ok(registration);
        }
    }
    Err(Fault::Failed("no id was free"))
}

/// The one of its records that stays, now that it has a new one.
async fn elder_of(
    app: &App,
    said: &Registering,
    registration: Registration,
    granted: Epoch,
) -> Result<Registration, Fault> {
    // This node has everything now that came before. If the worker asked twice, and not within one hour, it is two
    // workers by now; the elder stays.
    let Some(elder) = identity::known(&app.cluster.view(), said.offer(), Some(granted)) else {
        return Ok(registration);
    };
    let elder = said.named(elder);
    propose_registration(app, &elder).await?;
    let younger =
        Command::UnregisterWorker { id: registration.id.clone(), epoch: Some(granted), if_index: None };
    // Its lease ends by itself otherwise.
    let _ = app.cluster.propose(younger).await;
    Ok(elder)
}

async fn propose_registration(app: &App, registration: &Registration) -> Result<Epoch, Fault> {
    register_if(app, registration, None).await?.map_err(Fault::Refused)
}

/// `None`: somebody has the id.
async fn propose_new(app: &App, registration: &Registration) -> Result<Option<Epoch>, Fault> {
    match register_if(app, registration, Some(LogIndex(0))).await? {
        Ok(epoch) => Ok(Some(epoch)),
        Err(Refusal::PreconditionFailed { .. }) => Ok(None),
        Err(refusal) => Err(Fault::Refused(refusal)),
    }
}

async fn register_if(
    app: &App,
    registration: &Registration,
    if_index: Option<LogIndex>,
) -> Result<Result<Epoch, Refusal>, Fault> {
    let registration = readable(app, registration.clone());
    let command = Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index };
    match app.cluster.propose(command).await? {
        Committed { reply: Reply::Registered { epoch }, .. } => Ok(Ok(epoch)),
        Committed { reply: Reply::Refused(refusal), .. } => Ok(Err(refusal)),
        Committed { reply, index } => {
            tracing::error!(%index, ?reply, "a registration was answered by something else");
            Err(Fault::Failed("the registration was answered by something else"))
        }
    }
}

/// In the middle of an upgrade some node can't read all that a worker may say. It is registered without that.
fn readable(app: &App, registration: Registration) -> Registration {
    if app.cluster.view().feature_level() >= FeatureLevel::THIRD {
        return registration;
    }
    let parts = RegistrationParts { extras: None, ..registration.clone().into_parts() };
    parts.validate().unwrap_or(registration)
}

fn welcome(view: &View, registration: &Registration) -> RegisteredBody {
    let delegate = view.worker(registration.id.as_str()).and_then(|worker| view.delegate(worker.group()));
    let leads = delegate.is_some_and(|delegate| delegate.worker == registration.id);
    let other = delegate.filter(|_| !leads).and_then(|delegate| view.worker(delegate.worker.as_str()));
    let at = other.map(|worker| {
        let offer = &worker.registration;
        offer.extras().tunnel.as_ref().unwrap_or(&offer.address)
    });
    let epoch = delegate.filter(|_| leads).map(|delegate| delegate.epoch);
    RegisteredBody::new(registration, epoch, at)
}

/// Keep a worker's lease, and say how busy it is
///
/// A worker that was away for longer than its lease is back with its next heartbeat.
#[utoipa::path(
    post,
    operation_id = "coordinator_heartbeat",
    path = "/api/worker/heartbeat",
    tag = "coordinator",
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
async fn heartbeat(State(app): State<App>, request: Request) -> Result<Response, Fault> {
    let said = heartbeat::read(&request::bytes(request).await?)?;
    let beat = Heartbeat { id: said.id.clone(), incarnation: None, sequence: None };
    match app.cluster.heartbeat(vec![beat]).await?.first() {
        Some(HeartbeatOutcome::Unknown | HeartbeatOutcome::Displaced) => Err(Fault::UnknownWorker),
        Some(
            HeartbeatOutcome::Ok { .. }
            | HeartbeatOutcome::Superseded { .. }
            | HeartbeatOutcome::Replayed { .. },
        ) => {
            let known = app.cluster.loads();
            let load = said.load(known.of(said.id.as_str()).map(|load| &**load))?;
            app.cluster.hear_load(&said.id, load);
            recover(&app, &said).await;
            Ok(json(StatusCode::OK, &HEARD))
        }
        None => Err(Fault::Failed("the leader answered another heartbeat")),
    }
}

/// A service that was not well when its worker registered, and is by now, is registered as such. That is a change of
/// the record, so it happens once and not with each heartbeat.
async fn recover(app: &App, said: &heartbeat::Heartbeat) {
    let view = app.cluster.view();
    let Some(worker) = view.worker(said.id.as_str()).filter(|worker| worker.is_routable()) else { return };
    let extras = worker.registration.extras();
    let (well, ill): (BTreeSet<_>, BTreeSet<_>) =
        extras.unhealthy.iter().cloned().partition(|service| said.calls_healthy(service));
    if well.is_empty() {
        return;
    }
    let extras = Extras { unhealthy: ill, ..extras.clone() }.boxed();
    let parts = RegistrationParts { extras, ..(*worker.registration).clone().into_parts() };
    let Ok(registration) = parts.validate() else { return };
    // Void if it registered, or said goodbye, meanwhile.
    let if_index = Some(worker.changed);
    let command = Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index };
    // Not done: the next heartbeat says so again.
    let _ = app.cluster.propose(command).await;
}

/// Remove a worker
///
/// One that is not there is as good as removed.
#[utoipa::path(
    delete,
    operation_id = "coordinator_unregister",
    path = "/api/worker/unregister/{id}",
    tag = "coordinator",
    params(("id" = String, Path, description = "The worker's id")),
    responses((status = 200, description = "It is not there any more, or will not be soon", body = StatusBody)),
)]
async fn unregister(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Fault> {
    let id = path.ok().and_then(|Path(id)| WorkerId::parse(&id).ok());
    // What can't be an id was never registered.
    let Some(id) = id else { return Ok(json(StatusCode::OK, &WAS_NOT_THERE)) };
    let command = Command::UnregisterWorker { id, epoch: None, if_index: None };
    let said = match app.cluster.propose(command).await.map(|committed| committed.reply) {
        Ok(Reply::Refused(Refusal::UnknownWorker { .. })) => WAS_NOT_THERE,
        Ok(Reply::Done | Reply::Unchanged | Reply::Registered { .. } | Reply::Sessions(_)) => UNREGISTERED,
        Ok(Reply::Refused(_)) | Err(_) => NOT_YET_UNREGISTERED,
    };
    Ok(json(StatusCode::OK, &said))
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        // The worker's own address is made of what it says about its IP or its first service.
        let field = if invalid.field == "address" { "ip_address".into() } else { invalid.field.clone() };
        Self::Invalid(invalid.renamed(field).to_string())
    }
}

impl From<quorate_api::Wrong> for Fault {
    fn from(wrong: quorate_api::Wrong) -> Self {
        Self::Invalid(fields::in_one_line(&wrong))
    }
}
