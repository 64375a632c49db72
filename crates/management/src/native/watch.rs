//! `/v1/watch`: each change of the replicated state, as it happens.

use crate::{
    answer::{Answer, Decided, Fault, text},
    cluster::{Reason, Unavailable},
    document::{WatchParams, WatchRefusals},
    request,
    server::App,
    watching::{About, Served, Watch},
};
use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use quorate_api::{Code, Param, query::MIN_INDEX_WAIT, watch::ChangeBody};
use quorate_model::Position;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks proxies of the nginx family to pass events on as they come.
const X_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Watch the cluster
///
/// Server-Sent Events: one for each change, named by its kind (`worker`, `keyspace`, `service`, `route`,
/// `delegate`, `node`, `level`), in the order of the log. `id` is the position of the change, the same on every node; a watch with `Last-Event-ID`, or with
/// `from`, goes on right behind it, at any node. Without one, or where what followed is not known any more, it begins
/// with `reset` and everything that stands. `synced` follows once everything is told. A watcher that is too slow gets
/// a last `reset` and has to begin anew.
#[utoipa::path(
    get,
    operation_id = "watch",
    path = "/v1/watch",
    tag = "cluster",
    params(
        WatchParams,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received; goes before `from`"),
    ),
    responses(
        (
            status = 200,
            description = "The changes; this is the data of one",
            body = ChangeBody,
            content_type = "text/event-stream",
        ),
        WatchRefusals,
    ),
)]
pub(super) async fn watch(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Answer {
    let query = request::query(&uri, Param::WATCH)?;
    let from = last_event_id(&headers)?.or(query.from);
    let place = app.places.watcher()?;
    if let Some(from) = from {
        reach(&app, from).await?;
    }
    let about = About { kinds: query.kinds, prefix: query.prefix.unwrap_or_default() };
    let index = app.cluster.view().index();
    let served = Served { place, ending: app.places.ending(), keep_alive: app.config.keep_alive };
    let events = Watch::start(app.cluster.clone(), about, from, served);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_BUFFERING, text("no"));
    response.extensions_mut().insert(Decided(index));
    Ok(response)
}

/// Sent by a browser by itself when it comes back.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Fault> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let position = value.to_str().unwrap_or("?").parse::<Position>();
    position.map(Some).map_err(|wrong| vec![wrong.renamed("Last-Event-ID")].into())
}

/// A node that lags must not tell again what its watcher has heard elsewhere, and not something older either.
async fn reach(app: &App, from: Position) -> Result<(), Fault> {
    let reached = app.places.unless_ending(app.cluster.wait_for(from.index, MIN_INDEX_WAIT)).await;
    match reached {
        Some(true) => Ok(()),
        Some(false) => {
            let at = app.cluster.view().index();
            let detail = format!(
                "this node is at index {at}; it did not reach {} within {MIN_INDEX_WAIT:?}",
                from.index
            );
            Err(Fault::new(Code::IndexNotReached, detail))
        }
        None => Err(Unavailable { reason: Reason::ShuttingDown, leader: None }.into()),
    }
}
