//! `/v1/keyspaces`: partition counts, and who owns the partitions.

use super::{reads, writes};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{BodyRefusals, Conditions, ListParams, ObjectParams, ReadRefusals, RecordWriteParams},
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::Uri;
use quorate_api::{
    Code, Param, Problem,
    answer::{Page, WriteAnswer},
    keyspace::{self, KeyspaceBody, KeyspacePut, PartitionBody, Settings},
};
use quorate_model::{Command, KeyspaceName, Kind, PartitionCount};
use quorate_state::{KeyspaceView, View};

type KeyspacePath = Result<Path<String>, PathRejection>;

/// List keyspaces
#[utoipa::path(
    get,
    operation_id = "list_keyspaces",
    path = "/v1/keyspaces",
    tag = "keyspaces",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<KeyspaceBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let view = reads::list(&app, &query, &[Kind::Keyspace]).await?;
    // At most a thousand: skipping is cheap.
    let after = |keyspace: &&KeyspaceView| match &query.cursor {
        None => true,
        Some(cursor) => keyspace.keyspace().name.as_str() > cursor.as_str(),
    };
    let name = |keyspace: &&KeyspaceView| keyspace.keyspace().name.to_string();
    let show = |keyspace: &KeyspaceView| KeyspaceBody::from(keyspace.keyspace());
    let page = Page::cut(view.keyspaces().filter(after), query.limit, view.index(), name, show);
    Ok(decided(view.index(), &page))
}

/// Show a keyspace
#[utoipa::path(
    get,
    operation_id = "show_keyspace",
    path = "/v1/keyspaces/{name}",
    tag = "keyspaces",
    params(
        ("name" = String, Path, description = "The keyspace's name", min_length = 1, max_length = 128),
        ObjectParams,
    ),
    responses(
        (
            status = 200,
            description = "It exists",
            body = KeyspaceBody,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        (status = 404, description = "It does not", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: KeyspacePath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let name = request::named("path.name", path, KeyspaceName::parse)?;
    let view = reads::view(&app, &query).await?;
    let keyspace = found(&view, &name)?.keyspace();
    Ok(with_etag(decided(view.index(), &KeyspaceBody::from(keyspace)), keyspace.changed))
}

fn found<'a>(view: &'a View, name: &KeyspaceName) -> Result<&'a KeyspaceView, Fault> {
    let unknown = || Fault::new(Code::KeyspaceUnknown, format!("there is no keyspace {name}"));
    view.keyspace(name.as_str()).ok_or_else(unknown)
}

/// Set a keyspace
///
/// All nodes change the count at one log index. Partitions beyond it route nothing, and come back if it grows.
#[utoipa::path(
    put,
    operation_id = "put_keyspace",
    path = "/v1/keyspaces/{name}",
    tag = "keyspaces",
    params(
        ("name" = String, Path, description = "The keyspace's name", min_length = 1, max_length = 128),
        RecordWriteParams,
        Conditions,
    ),
    request_body = KeyspacePut,
    responses(
        (status = 200, description = "It is set (with dry_run: it would be)", body = WriteAnswer),
        (
            status = 412,
            description = "It has changed",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 422,
            description = "There are too many",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn put(State(app): State<App>, path: KeyspacePath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let name = request::named("path.name", path, KeyspaceName::parse)?;
    let Settings { partitions, source, hold } = keyspace::keyspace(request::object(request).await?)?;
    let command = Command::PutKeyspace { name, partitions, source, hold, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    writes::set(outcome, visible)
}

/// List a keyspace's partitions
///
/// Each with its owner. Empty while the count is not known.
#[utoipa::path(
    get,
    operation_id = "list_partitions",
    path = "/v1/keyspaces/{name}/partitions",
    tag = "keyspaces",
    params(
        ("name" = String, Path, description = "The keyspace's name", min_length = 1, max_length = 128),
        ListParams,
    ),
    responses(
        (status = 200, description = "A page", body = Page<PartitionBody>),
        (
            status = 404,
            description = "There is no such keyspace",
            body = Problem,
            content_type = "application/problem+json",
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn partitions(State(app): State<App>, path: KeyspacePath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    let name = request::named("path.name", path, KeyspaceName::parse)?;
    let first = match &query.cursor {
        None => 0,
        Some(cursor) => parse_cursor(cursor)?.saturating_add(1),
    };
    let view = reads::list(&app, &query, &[Kind::Worker, Kind::Keyspace]).await?;
    let keyspace = found(&view, &name)?;
    let count = keyspace.count().map_or(0, PartitionCount::get);
    let show =
        |partition| PartitionBody::new(partition, keyspace.claimant(partition).map(|worker| &**worker));
    let page = Page::cut(first..count, query.limit, view.index(), ToString::to_string, show);
    Ok(decided(view.index(), &page))
}

fn parse_cursor(text: &str) -> Result<u32, Fault> {
    request::cursor(text, |text| text.parse().ok())
}
