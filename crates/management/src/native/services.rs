//! `/v1/services`: who offers what, and how requests for it are treated.

use super::{reads, writes};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{
        BodyRefusals, Conditions, LevelRefusals, ListParams, PolicyRefusals, ReadRefusals, RecordWriteParams,
        RemoveRefusals,
    },
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{
    Code, Param, Problem,
    answer::{Page, WriteAnswer},
    service::{self, ENDPOINTS_LISTED_MAX, EndpointBody, EndpointStatus, ServicePut, ServiceShown},
};
use quorate_model::{Command, Kind, LogIndex, ServiceName, Verdict, WorkerId};
use quorate_state::{Endpoint, Loads, ServiceView};
use std::sync::Arc;

pub(super) type ServicePath = Result<Path<String>, PathRejection>;

/// List services
///
/// By name, each with the first 100 of its endpoints.
#[utoipa::path(
    get,
    operation_id = "list_services",
    path = "/v1/services",
    tag = "services",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<ServiceShown>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let after = query
        .cursor
        .as_deref()
        .map(|text| request::cursor(text, |text| ServiceName::parse(text).ok()))
        .transpose()?;
    let view = reads::list(&app, &query, &[Kind::Worker, Kind::Service]).await?;
    let name = |service: &&Arc<ServiceView>| service.name().to_string();
    let loads = app.cluster.loads();
    let show =
        |service: &Arc<ServiceView>| shown((service, &loads), service.endpoints(), ENDPOINTS_LISTED_MAX);
    let page = match &after {
        None => Page::cut(view.services(), query.limit, view.index(), name, show),
        Some(after) => Page::cut(view.services_after(after.as_str()), query.limit, view.index(), name, show),
    };
    Ok(decided(view.index(), &page))
}

fn shown<'a>(
    (service, loads): (&ServiceView, &Loads),
    endpoints: impl Iterator<Item = &'a Endpoint>,
    limit: usize,
) -> ServiceShown {
    let counts = (service.endpoint_count(), serving_count(service, loads));
    let show = |endpoint: &Endpoint| {
        let load = loads.of(endpoint.worker().id().as_str()).map(|load| &**load);
        EndpointBody::new(endpoint.worker(), endpoint.offer(), load, found(endpoint))
    };
    ServiceShown::new(service.name(), service.stored_policy(), counts)
        .with_endpoints(endpoints.map(show), limit)
}

/// What the cluster has decided about an endpoint.
pub(super) fn status(endpoint: &Endpoint, loads: &Loads) -> EndpointStatus {
    let load = loads.of(endpoint.worker().id().as_str()).map(|load| &**load);
    EndpointStatus::of(endpoint.worker(), endpoint.offer(), load, found(endpoint))
}

fn found(endpoint: &Endpoint) -> Verdict {
    if endpoint.is_ailing() { Verdict::Unhealthy } else { Verdict::Healthy }
}

/// As requests that name no version see it: also who says in its heartbeats that it is not well gets none.
fn serving_count(service: &ServiceView, loads: &Loads) -> usize {
    if loads.is_empty() {
        return service.serving_count();
    }
    let load = |endpoint: &Endpoint| loads.of(endpoint.worker().id().as_str()).map(|load| &**load);
    let asked = service.endpoints().filter(|endpoint| service.is_asked_by_default(endpoint));
    asked.filter(|endpoint| endpoint.serves_now(load(endpoint))).count()
}

/// Show a service
///
/// With a page of its endpoints, by worker.
#[utoipa::path(
    get,
    operation_id = "show_service",
    path = "/v1/services/{name}",
    tag = "services",
    params(
        ("name" = String, Path, description = "The service's name", min_length = 1, max_length = 128),
        ListParams,
    ),
    responses(
        (
            status = 200,
            description = "A worker offers it, or it has a policy",
            body = ServiceShown,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        (status = 404, description = "Neither", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: ServicePath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let name = request::named("path.name", path, ServiceName::parse)?;
    let after = query
        .cursor
        .as_deref()
        .map(|text| request::cursor(text, |text| WorkerId::parse(text).ok()))
        .transpose()?;
    let view = reads::list(&app, &query, &[Kind::Worker, Kind::Service]).await?;
    let service = view.service(name.as_str()).ok_or_else(|| {
        Fault::new(Code::ServiceUnknown, format!("no worker offers {name}, and it has no policy"))
    })?;
    let loads = app.cluster.loads();
    let body = match &after {
        None => shown((service, &loads), service.endpoints(), query.limit),
        Some(after) => shown((service, &loads), service.endpoints_after(after.as_str()), query.limit),
    };
    Ok(with_etag(decided(view.index(), &body), LogIndex(body.changed_index)))
}

/// Set a service's policy
///
/// As a whole: what is not said is off. The service need not be offered yet.
#[utoipa::path(
    put,
    operation_id = "put_service",
    path = "/v1/services/{name}",
    tag = "services",
    params(
        ("name" = String, Path, description = "The service's name", min_length = 1, max_length = 128),
        RecordWriteParams,
        Conditions,
    ),
    request_body = ServicePut,
    responses(
        (status = 200, description = "It is set (with dry_run: it would be)", body = WriteAnswer),
        PolicyRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn put(State(app): State<App>, path: ServicePath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let name = request::named("path.name", path, ServiceName::parse_offered)?;
    let policy = service::policy(request::object(request).await?)?;
    let command = Command::PutService { name, policy, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    writes::set(outcome, visible)
}

/// Take a service's policy away
///
/// Its endpoints are the workers' own, and stay.
#[utoipa::path(
    delete,
    operation_id = "remove_service",
    path = "/v1/services/{name}",
    tag = "services",
    params(
        ("name" = String, Path, description = "The service's name", min_length = 1, max_length = 128),
        RecordWriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It has no policy (with dry_run: it would have none)", body = WriteAnswer),
        LevelRefusals,
        RemoveRefusals,
    ),
)]
pub(super) async fn remove(
    State(app): State<App>,
    path: ServicePath,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let query = request::query(&uri, Param::RECORD_WRITE)?;
    let if_index = request::condition(&headers)?;
    let name = request::named("path.name", path, ServiceName::parse)?;
    let (outcome, visible) =
        writes::write_seen(&app, Command::DeleteService { name, if_index }, &query).await?;
    writes::gone(outcome, visible)
}
