//! `/v1/leases`: who is alive, as the leader sees it.

use super::reads;
use crate::{
    answer::{Answer, decided},
    document::{ListParams, ReadRefusals},
    request,
    server::App,
};
use axum::extract::State;
use http::Uri;
use quorate_api::{Param, answer::Page, lease::LeaseBody};
use quorate_model::{Kind, LeaseInfo};

/// List leases
///
/// By holder. Always asks the leader: no other node knows what is left of a lease.
#[utoipa::path(
    get,
    operation_id = "list_leases",
    path = "/v1/leases",
    tag = "leases",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<LeaseBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let index = reads::list(&app, &query, &[Kind::Worker]).await?.index();
    let mut leases = app.cluster.leases().await?;
    leases.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let after = |lease: &LeaseInfo| query.cursor.as_deref().is_none_or(|cursor| lease.id.as_str() > cursor);
    let holder = |lease: &LeaseInfo| lease.id.to_string();
    let page = Page::cut(leases.into_iter().filter(after), query.limit, index, holder, |lease| {
        LeaseBody::from(&lease)
    });
    Ok(decided(index, &page))
}
