//! `/v1/routes`: which requests go where.

use super::{reads, writes};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{
        BodyRefusals, Conditions, DeclaredRefusals, LevelRefusals, ListParams, ObjectParams, ReadRefusals,
        RecordWriteParams, RemoveRefusals,
    },
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{
    Code, Param, Problem,
    answer::{Page, WriteAnswer},
    route::{self, RouteBody, RoutePut},
};
use quorate_model::{Command, Kind, RampSubject, RouteName, StoredRoute};
use std::sync::Arc;

type RoutePath = Result<Path<String>, PathRejection>;

/// List routes
///
/// By name.
#[utoipa::path(
    get,
    operation_id = "list_routes",
    path = "/v1/routes",
    tag = "routes",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<RouteBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let view = reads::list(&app, &query, &[Kind::Route]).await?;
    let name = |stored: &&Arc<StoredRoute>| stored.route.name().to_string();
    let show = |stored: &Arc<StoredRoute>| RouteBody::from(&**stored);
    let page = match &after {
        None => Page::cut(view.routes().iter(), query.limit, view.index(), name, show),
        Some(after) => Page::cut(view.routes().after(after.as_str()), query.limit, view.index(), name, show),
    };
    Ok(decided(view.index(), &page))
}

fn cursor(text: &str) -> Result<RouteName, Fault> {
    request::cursor(text, |text| RouteName::parse(text).ok())
}

/// Show a route
#[utoipa::path(
    get,
    operation_id = "show_route",
    path = "/v1/routes/{name}",
    tag = "routes",
    params(
        ("name" = String, Path, description = "The route's name", min_length = 1, max_length = 128),
        ObjectParams,
    ),
    responses(
        (
            status = 200,
            description = "It exists",
            body = RouteBody,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        (status = 404, description = "It does not", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: RoutePath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let name = request::named("path.name", path, RouteName::parse)?;
    let view = reads::view(&app, &query).await?;
    let unknown = || Fault::new(Code::RouteUnknown, format!("there is no route {name}"));
    let stored = view.routes().get(name.as_str()).ok_or_else(unknown)?;
    let mut body = RouteBody::from(&**stored);
    let seen = || app.cluster.ramp_seen(&RampSubject::Route(name.clone()));
    body.ramp_status = body.ramp_status.map(|status| status.seeing(seen()));
    Ok(with_etag(decided(view.index(), &body), stored.changed))
}

/// Set a route
///
/// As a whole: what is not said is not there. What it leads to need not be there yet.
#[utoipa::path(
    put,
    operation_id = "put_route",
    path = "/v1/routes/{name}",
    tag = "routes",
    params(
        ("name" = String, Path, description = "The route's name", min_length = 1, max_length = 128),
        RecordWriteParams,
        Conditions,
    ),
    request_body = RoutePut,
    responses(
        (status = 200, description = "It is set (with dry_run: it would be)", body = WriteAnswer),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn put(State(app): State<App>, path: RoutePath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let name = request::named("path.name", path, RouteName::parse)?;
    let route = Box::new(route::route(name, request::object(request).await?)?);
    let (outcome, visible) = writes::write_seen(&app, Command::PutRoute { route, if_index }, &query).await?;
    writes::set(outcome, visible)
}

/// Take a route away
#[utoipa::path(
    delete,
    operation_id = "remove_route",
    path = "/v1/routes/{name}",
    tag = "routes",
    params(
        ("name" = String, Path, description = "The route's name", min_length = 1, max_length = 128),
        RecordWriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is gone (with dry_run: it would be)", body = WriteAnswer),
        LevelRefusals,
        RemoveRefusals,
    ),
)]
pub(super) async fn remove(State(app): State<App>, path: RoutePath, uri: Uri, headers: HeaderMap) -> Answer {
    let query = request::query(&uri, Param::RECORD_WRITE)?;
    let if_index = request::condition(&headers)?;
    let name = request::named("path.name", path, RouteName::parse)?;
    let (outcome, visible) =
        writes::write_seen(&app, Command::DeleteRoute { name, if_index }, &query).await?;
    writes::gone(outcome, visible)
}
