//! `/v1/tunnels`: which node holds which tunnel.

use super::reads;
use crate::{
    answer::{Answer, Fault, decided},
    document::{ListParams, ObjectParams, ReadRefusals},
    request,
    server::App,
};
use axum::extract::{Path, State, rejection::PathRejection};
use http::Uri;
use quorate_api::{Code, Param, Problem, answer::Page, presence::TunnelBody};
use quorate_model::{Kind, TunnelHolder, TunnelName};

type TunnelPath = Result<Path<String>, PathRejection>;

/// List tunnels
///
/// By name. A tunnel is there while the node stands that it hangs on.
#[utoipa::path(
    get,
    operation_id = "list_tunnels",
    path = "/v1/tunnels",
    tag = "tunnels",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<TunnelBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    // The end of a gateway is the end of all that hang on it, and is told as its own.
    let view = reads::list(&app, &query, &[Kind::Tunnel, Kind::Gateway]).await?;
    let name = |(name, _): &(&TunnelName, &TunnelHolder)| name.to_string();
    let show = |(name, holder): (&TunnelName, &TunnelHolder)| TunnelBody::new(name, holder);
    let page = match &after {
        None => Page::cut(view.tunnels().iter(), query.limit, view.index(), name, show),
        Some(after) => Page::cut(view.tunnels().after(after.as_str()), query.limit, view.index(), name, show),
    };
    Ok(decided(view.index(), &page))
}

fn cursor(text: &str) -> Result<TunnelName, Fault> {
    let wrong = |_| Problem::of_field("query.cursor", "is no cursor", "next_cursor of a page");
    TunnelName::parse(text).map_err(|error| wrong(error).into())
}

/// Show a tunnel
#[utoipa::path(
    get,
    operation_id = "show_tunnel",
    path = "/v1/tunnels/{name}",
    tag = "tunnels",
    params(
        ("name" = String, Path, description = "The tunnel's name", min_length = 1, max_length = 128),
        ObjectParams,
    ),
    responses(
        (status = 200, description = "A node holds it", body = TunnelBody),
        (status = 404, description = "None does", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: TunnelPath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let name = request::named("path.name", path, TunnelName::parse)?;
    let view = reads::view(&app, &query).await?;
    let unknown = || Fault::new(Code::TunnelUnknown, format!("there is no tunnel {name}"));
    let holder = view.tunnels().get(name.as_str()).ok_or_else(unknown)?;
    Ok(decided(view.index(), &TunnelBody::new(&name, holder)))
}
