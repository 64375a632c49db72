//! `/v1/presence`: who of the users of the WebSocket gateway is connected where.

use super::reads;
use crate::{
    answer::{Answer, Fault, decided},
    document::{ListParams, ObjectParams, PresenceParams, ReadRefusals},
    request,
    server::App,
};
use axum::extract::{Path, State, rejection::PathRejection};
use http::Uri;
use quorate_api::{
    Code, Param, Problem,
    answer::Page,
    presence::{PresenceBody, SessionBody},
};
use quorate_model::{Epoch, Kind, Session, UserId};
use std::sync::Arc;

type UserPath = Result<Path<String>, PathRejection>;

/// The end of a gateway is the end of all its sessions, and is told as its own.
const KINDS: [Kind; 2] = [Kind::Presence, Kind::Gateway];

/// List sessions
///
/// By user, and of one user the oldest first; of one `gateway` by epoch, so the oldest first. A session is there while
/// the node stands that it hangs on.
#[utoipa::path(
    get,
    operation_id = "list_presence",
    path = "/v1/presence",
    tag = "presence",
    params(PresenceParams, ListParams),
    responses((status = 200, description = "A page", body = Page<SessionBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::PRESENCE)?;
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let view = reads::list(&app, &query, &KINDS).await?;
    let sessions = view.sessions();
    let name = |session: &&Arc<Session>| format!("{}:{}", session.epoch, session.user);
    let show = |session: &Arc<Session>| SessionBody::from(&**session);
    let index = view.index();
    let page = match (&query.gateway, &after) {
        (Some(node), _) => {
            let lease = view.tunnels().gateway(node.as_str()).map(|gateway| gateway.epoch);
            let behind = after.as_ref().map_or(Epoch::default(), |(_, epoch)| *epoch);
            let held = lease.into_iter().flat_map(|lease| sessions.held_by(lease, behind));
            Page::cut(held, query.limit, index, name, show)
        }
        (None, None) => Page::cut(sessions.iter(), query.limit, index, name, show),
        (None, Some((user, epoch))) => {
            Page::cut(sessions.after(user.as_str(), *epoch), query.limit, index, name, show)
        }
    };
    Ok(decided(index, &page))
}

/// The session that a page ended with.
fn cursor(text: &str) -> Result<(UserId, Epoch), Fault> {
    let parsed = text.split_once(':').and_then(|(epoch, user)| {
        let epoch = Epoch(epoch.parse().ok()?);
        Some((UserId::parse(user).ok()?, epoch))
    });
    parsed.ok_or_else(|| Problem::of_field("query.cursor", "is no cursor", "next_cursor of a page").into())
}

/// Show where a user is connected
#[utoipa::path(
    get,
    operation_id = "show_presence",
    path = "/v1/presence/{user}",
    tag = "presence",
    params(
        ("user" = String, Path, description = "The user's id", min_length = 1, max_length = 256),
        ObjectParams,
    ),
    responses(
        (status = 200, description = "The user is connected", body = PresenceBody),
        (status = 404, description = "Nowhere", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: UserPath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let user = request::named("path.user", path, UserId::parse)?;
    let view = reads::view(&app, &query).await?;
    let sessions: Vec<_> =
        view.sessions().of(user.as_str()).map(|session| SessionBody::from(&**session)).collect();
    if sessions.is_empty() {
        return Err(Fault::new(Code::UserNotConnected, format!("{user} is not connected")));
    }
    Ok(decided(view.index(), &PresenceBody { user: user.to_string(), sessions }))
}
