//! `/v1/snapshot`: the state as a file, out of a cluster and into an empty one.

use super::reads;
use crate::{
    answer::{Answer, Decided, Fault, decided, text},
    cluster::RestoreError,
    document::{ReadRefusals, RestoreRefusals},
    request,
    server::App,
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, Uri, header};
use quorate_api::{Code, Param, Problem, answer::Restored, query::Consistency};
use std::io;

const OCTETS: &str = "application/octet-stream";

/// Export a snapshot
///
/// The whole applied state as one file, for `POST /v1/snapshot` of an empty cluster. Streamed: a file without its end,
/// which `quorate snapshot inspect` looks for, is not a whole one.
#[utoipa::path(
    get,
    operation_id = "export_snapshot",
    path = "/v1/snapshot",
    tag = "cluster",
    params(
        (
            "consistent" = Option<bool>,
            Query,
            description = "Linearizable, unless false: then this node's own state, also without a quorum",
        ),
        (
            "min_index" = Option<u64>,
            Query,
            description = "Wait until this node has reached the index; 504 if it has not in time",
        ),
        ("wait" = Option<String>, Query, description = "How long to wait, at most 60s; 5s if not said", example = "5s"),
    ),
    responses(
        (
            status = 200,
            description = "The file",
            body = Vec<u8>,
            content_type = "application/octet-stream",
            headers(("Content-Disposition" = String, description = "A name for it")),
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn export(State(app): State<App>, uri: Uri) -> Answer {
    let mut query = request::query(&uri, Param::OBJECT)?;
    let said = uri.query().is_some_and(|pairs| pairs.split('&').any(|pair| pair.starts_with("consistent")));
    if !said {
        // A backup is what one goes back to: not what a node that lags happens to know.
        query.consistency = Consistency::Linearizable;
    }
    let view = reads::view(&app, &query).await?;
    let index = view.index();
    let cluster = view.cluster().map_or_else(String::new, |cluster| format!("{cluster}-"));
    let name = format!("attachment; filename=\"quorate-{cluster}{index}.snapshot\"");
    let mut response = Response::new(Body::from_stream(app.cluster.export(view)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, text(&name));
    response.extensions_mut().insert(Decided(index));
    Ok(response)
}

/// Restore a snapshot
///
/// Into a cluster without workers and without keyspaces besides `default`. The file is verified wholly before anything
/// changes; then all nodes get it at one log index. Leases start anew with their whole TTL. Answers once this node has
/// applied it, which takes its time for a large file.
#[utoipa::path(
    post,
    operation_id = "restore_snapshot",
    path = "/v1/snapshot",
    tag = "cluster",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    responses(
        (status = 200, description = "It is restored", body = Restored),
        RestoreRefusals,
    ),
)]
pub(super) async fn restore(State(app): State<App>, request: Request) -> Answer {
    request::query(request.uri(), &[])?;
    require_octets(request.headers())?;
    let file = request.into_body().into_data_stream().map_err(io::Error::other).boxed();
    let restored = app.cluster.restore(file).await?;
    let index = restored.index;
    let body = Restored { index: index.0, workers: restored.workers, keyspaces: restored.keyspaces };
    Ok(decided(index, &body))
}

/// Also what keeps a web page of somebody else's from posting here: a browser asks before it sends this type.
fn require_octets(headers: &HeaderMap) -> Result<(), Fault> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if named.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(OCTETS) {
        return Ok(());
    }
    Err(Fault::new(Code::ContentTypeUnsupported, format!("a snapshot is sent as {OCTETS}")))
}

impl From<RestoreError> for Fault {
    fn from(error: RestoreError) -> Self {
        let detail = error.to_string();
        match error {
            RestoreError::Unsound { .. } => Self::new(Code::SnapshotUnsound, detail),
            RestoreError::Refused(refusal) => Problem::from(&refusal).into(),
            RestoreError::Unavailable(unavailable) => unavailable.into(),
            RestoreError::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut => Self::new(Code::BodyTimeout, detail),
                io::ErrorKind::FileTooLarge => Self::new(Code::BodyTooLarge, detail),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::new(Code::NoRoom, detail),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    Self::new(Code::SnapshotUnsound, detail)
                }
                _ => Self::new(Code::SnapshotUnsound, format!("the file broke off: {detail}")),
            },
        }
    }
}
