//! The objects of the sandbox API: `/api/v1alpha1/namespaces/{namespace}/{resource}[/{name}[/status]]`, in the manner
//! of Kubernetes.
//!
//! A read is answered from what is at least as new as any write that was acknowledged before, wherever that was, as
//! clients of Kubernetes expect it; who wants what this node has at once says `resourceVersion=0`. Whether a routing key
//! leads somewhere never depends on that: requests are decided by this node's View.

mod facts;
mod fault;

use crate::{answer::json, request, server::App};
use axum::{
    extract::{Path, Query as Pairs, Request, State, rejection::PathRejection},
    response::Response,
};
use facts::shown;
use fault::Fault;
use http::{StatusCode, Uri};
use quorate_api::sandbox_api::{
    self, ListBody, ObjectBody, Params, StatusBody, Why,
    params::{Asked, Freshness},
    put,
};
use quorate_model::{
    BootId, Command, DnsLabel, Entry, LogIndex, ObjectCommand, ObjectId, Origin, Proposal, Refusal, Reply,
    Resource,
};
use quorate_state::View;
use std::{sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use fault::unserved;

/// How long a read waits for the version that it names.
const VERSION_WITHIN: Duration = Duration::from_secs(5);

/// A page ends once it has so many bytes, about: objects may be large, and an answer is made in memory.
const PAGE_BYTES_MAX: usize = 8 << 20;

type Answer = Result<Response, Fault>;
type ListPath = Result<Path<(String, String)>, PathRejection>;
type ObjectPath = Result<Path<(String, String, String)>, PathRejection>;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, remove))
        .routes(routes!(show_status, replace_status))
}

/// Whether a path is one of these.
pub(crate) fn is_here(path: &str) -> bool {
    path.strip_prefix("/api/v1alpha1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// List sandboxes, route groups or local workloads
///
/// Of one namespace, by name, at most 1,000 at once.
#[utoipa::path(
    get,
    operation_id = "list_sandbox_api_objects",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label; namespaces need not be made"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("labelSelector" = Option<String>, Query, description = "Such as `app=web,tier!=db`"),
        ("limit" = Option<u32>, Query, description = "Items of the page"),
        ("continue" = Option<String>, Query, description = "`metadata.continue` of the page before"),
        ("resourceVersion" = Option<String>, Query, description = "At least as new as this; 0: whatever this node has"),
    ),
    responses(
        (status = 200, description = "A page", body = ListBody),
        (status = 400, description = "A parameter or a name is wrong", body = StatusBody),
        (status = 404, description = "There is no such resource", body = StatusBody),
        (status = 503, description = "The cluster has no quorum", body = StatusBody),
        (status = 504, description = "This node is not that far", body = StatusBody),
    ),
)]
async fn list(State(app): State<App>, path: ListPath, uri: Uri) -> Answer {
    let (resource, namespace) = place(path)?;
    let params = params(&uri, Asked::List)?;
    let view = view(&app, params.freshness).await?;
    // Each label of each object is looked at: other requests shall not wait for that.
    Ok(quorate_rt::blocking(move || {
        let page = page(&app, &view, (resource, namespace), &params);
        crate::answer::decided(view.index(), &page)
    })
    .await)
}

/// Make a sandbox, a route group or a local workload
#[utoipa::path(
    post,
    operation_id = "create_sandbox_api_object",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label; namespaces need not be made"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("dryRun" = Option<String>, Query, description = "`All`: check only, change nothing"),
    ),
    request_body = ObjectBody,
    responses(
        (status = 201, description = "It is made", body = ObjectBody),
        (status = 400, description = "The body is malformed, or for another path", body = StatusBody),
        (status = 403, description = "There are too many", body = StatusBody),
        (status = 404, description = "There is no such resource", body = StatusBody),
        (status = 409, description = "There is one already", body = StatusBody),
        (status = 415, description = "The body is no JSON", body = StatusBody),
        (status = 422, description = "Fields are wrong; each is listed", body = StatusBody),
        (status = 500, description = "It may have been done, or not", body = StatusBody),
        (status = 503, description = "The cluster can't be changed now", body = StatusBody),
    ),
)]
async fn create(State(app): State<App>, path: ListPath, request: Request) -> Answer {
    let (resource, namespace) = place(path)?;
    let params = params(request.uri(), Asked::Write)?;
    let body = fault::json_body(request).await?;
    let put = put::create(resource, &namespace, &body).map_err(|e| Fault::unread(resource, e))?;
    let id = put.object.id().clone();
    write(&app, &params, &id, ObjectCommand::Create(put.object), StatusCode::CREATED).await
}

/// Show a sandbox, a route group or a local workload
#[utoipa::path(
    get,
    operation_id = "show_sandbox_api_object",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}/{name}",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("name" = String, Path, description = "A DNS label"),
        ("resourceVersion" = Option<String>, Query, description = "At least as new as this; 0: whatever this node has"),
    ),
    responses(
        (status = 200, description = "As it was put, with its status", body = ObjectBody),
        (status = 400, description = "A parameter or a name is wrong", body = StatusBody),
        (status = 404, description = "It is not there", body = StatusBody),
        (status = 503, description = "The cluster has no quorum", body = StatusBody),
        (status = 504, description = "This node is not that far", body = StatusBody),
    ),
)]
async fn show(State(app): State<App>, path: ObjectPath, uri: Uri) -> Answer {
    let id = object(path)?;
    let params = params(&uri, Asked::Object)?;
    let view = view(&app, params.freshness).await?;
    let stored = view.objects().get(&id).ok_or_else(|| Fault::unknown(&id))?;
    Ok(crate::answer::decided(view.index(), &shown(&app, &view, stored)))
}

/// Change a sandbox, a route group or a local workload
///
/// It says from then on what the body says, and nothing else. Its status stays.
#[utoipa::path(
    put,
    operation_id = "replace_sandbox_api_object",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}/{name}",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("name" = String, Path, description = "A DNS label"),
        ("dryRun" = Option<String>, Query, description = "`All`: check only, change nothing"),
    ),
    request_body = ObjectBody,
    responses(
        (status = 200, description = "It is changed", body = ObjectBody),
        (status = 400, description = "The body is malformed, or for another path", body = StatusBody),
        (status = 403, description = "It would be too much", body = StatusBody),
        (status = 404, description = "It is not there", body = StatusBody),
        (status = 409, description = "It has changed since its resourceVersion, or is another one", body = StatusBody),
        (status = 415, description = "The body is no JSON", body = StatusBody),
        (status = 422, description = "Fields are wrong; each is listed", body = StatusBody),
        (status = 500, description = "It may have been done, or not", body = StatusBody),
        (status = 503, description = "The cluster can't be changed now", body = StatusBody),
    ),
)]
async fn replace(State(app): State<App>, path: ObjectPath, request: Request) -> Answer {
    let id = object(path)?;
    let params = params(request.uri(), Asked::Write)?;
    let body = fault::json_body(request).await?;
    let put = put::replace(&id, &body).map_err(|e| Fault::unread(id.resource, e))?;
    let command = ObjectCommand::Replace { object: put.object, precondition: put.precondition };
    write(&app, &params, &id, command, StatusCode::OK).await
}

/// Take a sandbox, a route group or a local workload away
///
/// A body may name the version that is meant (`preconditions`).
#[utoipa::path(
    delete,
    operation_id = "remove_sandbox_api_object",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}/{name}",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("name" = String, Path, description = "A DNS label"),
        ("dryRun" = Option<String>, Query, description = "`All`: check only, change nothing"),
    ),
    responses(
        (status = 200, description = "It is gone", body = StatusBody),
        (status = 400, description = "A parameter, a name or the body is wrong", body = StatusBody),
        (status = 404, description = "It is not there", body = StatusBody),
        (status = 409, description = "It has changed, or is another one", body = StatusBody),
        (status = 500, description = "It may have been done, or not", body = StatusBody),
        (status = 503, description = "The cluster can't be changed now", body = StatusBody),
    ),
)]
async fn remove(State(app): State<App>, path: ObjectPath, request: Request) -> Answer {
    let id = object(path)?;
    let params = params(request.uri(), Asked::Write)?;
    let body = request::bytes(request).await?;
    let deletion = put::delete(&body).map_err(|e| Fault::unread(id.resource, e))?;
    let uid = deletion.precondition.uid;
    let command = ObjectCommand::Delete { id: id.clone(), precondition: deletion.precondition };
    let (index, _) = change(&app, &params, command).await?;
    Ok(crate::answer::decided(index, &StatusBody::deleted(&id, uid)))
}

/// Show how a sandbox, a route group or a local workload is
#[utoipa::path(
    get,
    operation_id = "show_sandbox_api_status",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}/{name}/status",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("name" = String, Path, description = "A DNS label"),
        ("resourceVersion" = Option<String>, Query, description = "At least as new as this; 0: whatever this node has"),
    ),
    responses(
        (status = 200, description = "All of the object", body = ObjectBody),
        (status = 400, description = "A parameter or a name is wrong", body = StatusBody),
        (status = 404, description = "It is not there", body = StatusBody),
        (status = 503, description = "The cluster has no quorum", body = StatusBody),
        (status = 504, description = "This node is not that far", body = StatusBody),
    ),
)]
async fn show_status(app: State<App>, path: ObjectPath, uri: Uri) -> Answer {
    show(app, path, uri).await
}

/// Say how a sandbox, a route group or a local workload is
///
/// Of the body only `status` counts, and the version that it is meant for.
#[utoipa::path(
    put,
    operation_id = "replace_sandbox_api_status",
    path = "/api/v1alpha1/namespaces/{namespace}/{resource}/{name}/status",
    tag = "sandbox api",
    params(
        ("namespace" = String, Path, description = "A DNS label"),
        ("resource" = String, Path, description = "sandboxes, routegroups or localworkloads"),
        ("name" = String, Path, description = "A DNS label"),
        ("dryRun" = Option<String>, Query, description = "`All`: check only, change nothing"),
    ),
    request_body = ObjectBody,
    responses(
        (status = 200, description = "It is said", body = ObjectBody),
        (status = 400, description = "The body is malformed, or for another path", body = StatusBody),
        (status = 403, description = "It would be too much", body = StatusBody),
        (status = 404, description = "It is not there", body = StatusBody),
        (status = 409, description = "It has changed since its resourceVersion, or is another one", body = StatusBody),
        (status = 415, description = "The body is no JSON", body = StatusBody),
        (status = 422, description = "Fields are wrong; each is listed", body = StatusBody),
        (status = 500, description = "It may have been done, or not", body = StatusBody),
        (status = 503, description = "The cluster can't be changed now", body = StatusBody),
    ),
)]
async fn replace_status(State(app): State<App>, path: ObjectPath, request: Request) -> Answer {
    let id = object(path)?;
    let params = params(request.uri(), Asked::Write)?;
    let body = fault::json_body(request).await?;
    let put = put::status(&id, &body).map_err(|e| Fault::unread(id.resource, e))?;
    let (status, precondition) = (put.status, put.precondition);
    let command = ObjectCommand::ReplaceStatus { id: id.clone(), status, precondition };
    write(&app, &params, &id, command, StatusCode::OK).await
}

fn place(path: ListPath) -> Result<(Resource, DnsLabel), Fault> {
    let Path((namespace, resource)) = path.map_err(|e| Fault::bad(e.body_text()))?;
    let known = sandbox_api::resource(&resource).ok_or_else(Fault::no_resource)?;
    let label = |text| DnsLabel::parse(text).map_err(|e| Fault::bad(e.renamed("namespace").to_string()));
    Ok((known, label(&namespace)?))
}

fn object(path: ObjectPath) -> Result<ObjectId, Fault> {
    let Path((namespace, resource, name)) = path.map_err(|e| Fault::bad(e.body_text()))?;
    let (resource, namespace) = place(Ok(Path((namespace, resource))))?;
    let name = DnsLabel::parse(&name).map_err(|e| Fault::bad(e.renamed("name").to_string()))?;
    Ok(ObjectId { resource, namespace, name })
}

fn params(uri: &Uri, asked: Asked) -> Result<Params, Fault> {
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri).map_err(|e| Fault::bad(e.body_text()))?;
    Params::read(&pairs, asked).map_err(|wrong| Fault::bad(quorate_api::fields::in_one_line(&wrong)))
}

/// Waits for what was asked for, then takes the View once.
async fn view(app: &App, freshness: Freshness) -> Result<Arc<View>, Fault> {
    match freshness {
        Freshness::Any => {}
        Freshness::Newest => drop(app.cluster.read_barrier().await?),
        Freshness::AtLeast(index) if app.cluster.view().index() >= index => {}
        Freshness::AtLeast(index) => {
            let _place = app.places.waiting().map_err(|_| Fault::busy())?;
            if app.places.unless_ending(app.cluster.wait_for(index, VERSION_WITHIN)).await != Some(true) {
                let at = app.cluster.view().index();
                let why = format!("Too large resource version: {index}, current: {at}");
                return Err(StatusBody::failure(Why::Timeout, why).into());
            }
        }
    }
    Ok(app.cluster.view())
}

fn page(app: &App, view: &View, (resource, namespace): (Resource, DnsLabel), params: &Params) -> ListBody {
    let all = view.objects().in_namespace(resource, namespace, params.after.clone());
    let mut chosen = all.filter(|stored| params.selector.is_met(&stored.object.labels)).peekable();
    let (mut items, mut bytes) = (Vec::new(), 0);
    while items.len() < params.page() && bytes < PAGE_BYTES_MAX {
        let Some(stored) = chosen.next() else { break };
        bytes += stored.weight();
        items.push(stored);
    }
    let next = chosen.peek().and(items.last()).map(|last| last.id().name.to_string());
    let items = items.into_iter().map(|stored| shown(app, view, stored)).collect();
    ListBody::new(resource, view.index(), items, next)
}

/// Carries a change out, or only checks it; answers with the object as it then is.
async fn write(
    app: &App,
    params: &Params,
    id: &ObjectId,
    command: ObjectCommand,
    done: StatusCode,
) -> Answer {
    let (index, view) = change(app, params, command).await?;
    // Somebody may have taken it away since: it was there, and whoever asks is told what became of it.
    let stored = view.objects().get(id).ok_or_else(|| Fault::unknown(id))?;
    let mut answer = json(done, &shown(app, &view, stored));
    answer.extensions_mut().insert(crate::answer::Decided(index));
    Ok(answer)
}

/// With the View that shows what was changed, or, of one that is only checked, would.
async fn change(app: &App, params: &Params, command: ObjectCommand) -> Result<(LogIndex, Arc<View>), Fault> {
    let command = Command::Object(command);
    if params.dry_run {
        return checked(app, command);
    }
    let committed = app.cluster.propose(command).await?;
    match committed.reply {
        Reply::Refused(refusal) => Err(Fault::refused(&refusal)),
        Reply::Done | Reply::Unchanged | Reply::Registered { .. } | Reply::Sessions(_) => {
            Ok((committed.index, app.cluster.view()))
        }
    }
}

/// Applies `command` to a clone of the View.
fn checked(app: &App, command: Command) -> Result<(LogIndex, Arc<View>), Fault> {
    let view = app.cluster.view();
    let mut state = (*view).clone();
    // No process has this boot id (they are random), so no earlier reply can be met.
    let origin = Origin { boot: BootId(0), sequence: 1 };
    let entry = Entry { at: view.now(), proposals: vec![Proposal { origin, command }] };
    let applied = state.apply(LogIndex(view.index().0 + 1), &entry);
    match applied.replies.into_iter().next() {
        Some(Reply::Refused(refusal)) => Err(Fault::refused(&refusal)),
        Some(_) | None => Ok((view.index(), Arc::new(state))),
    }
}

/// Only what the handlers above propose comes here.
fn told(refusal: &Refusal) -> StatusBody {
    match refusal {
        Refusal::Object(refusal) => StatusBody::refused(refusal),
        Refusal::Forgotten => StatusBody::failure(Why::InternalError, refusal.to_string()),
        other => StatusBody::failure(Why::Forbidden, other.to_string()),
    }
}
