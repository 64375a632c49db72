//! `/v1/sandboxes`: where the requests that carry a routing key go instead.

use super::{
    reads,
    writes::{self, Outcome},
};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{
        BodyRefusals, Conditions, DeclaredRefusals, LevelRefusals, ListParams, ObjectParams, ReadRefusals,
        RecordWriteParams, RemoveRefusals, SandboxListParams,
    },
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{HeaderMap, Uri};
use quorate_api::{
    Code, Param, Problem, Query,
    answer::{Page, VisibleBody, WriteAnswer},
    config::both,
    sandbox::{self, ExtendBody, OverlapBody, SandboxAnswer, SandboxBody, SandboxPut},
};
use quorate_model::{Command, Kind, LogTime, RampSubject, RoutingKey, StoredSandbox};
use quorate_rt::time;
use quorate_state::View;
use std::{sync::Arc, time::Duration};

pub(super) type KeyPath = Result<Path<String>, PathRejection>;

/// List sandboxes
///
/// By key; with `ends_within` those that end so soon, the first to end first.
#[utoipa::path(
    get,
    operation_id = "list_sandboxes",
    path = "/v1/sandboxes",
    tag = "sandboxes",
    params(SandboxListParams, ListParams),
    responses((status = 200, description = "A page", body = Page<SandboxBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::SANDBOXES)?;
    let part = Part::of(&query)?;
    let view = reads::list(&app, &query, &[Kind::Sandbox]).await?;
    // Each rule is held against all before it: other requests shall not wait for that.
    Ok(quorate_rt::blocking(move || decided(view.index(), &part.page(&view, query.limit))).await)
}

/// Which sandboxes a list is about, behind the page before.
enum Part {
    ByKey(Option<RoutingKey>),
    ByEnd { within: Duration, after: Option<(LogTime, RoutingKey)> },
}

impl Part {
    fn of(query: &Query) -> Result<Self, Fault> {
        let cursor = query.cursor.as_deref();
        Ok(match query.ends_within {
            None => {
                let key = |text| request::cursor(text, |text| RoutingKey::parse(text).ok());
                Self::ByKey(cursor.map(key).transpose()?)
            }
            Some(within) => Self::ByEnd { within, after: cursor.map(end_cursor).transpose()? },
        })
    }

    fn page(self, view: &View, limit: usize) -> Page<SandboxBody> {
        let (sandboxes, index) = (view.sandboxes(), view.index());
        let key = |stored: &&Arc<StoredSandbox>| stored.key.to_string();
        match self {
            Self::ByKey(None) => Page::cut(sandboxes.iter(), limit, index, key, show_one),
            Self::ByKey(Some(after)) => {
                Page::cut(sandboxes.after(after.as_str()), limit, index, key, show_one)
            }
            Self::ByEnd { within, after } => {
                let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                let by = LogTime(time_of(view).0.saturating_add(within));
                let cursor = |stored: &&Arc<StoredSandbox>| {
                    let ends = stored.ends.unwrap_or_default();
                    format!("{ends}:{}", stored.key)
                };
                Page::cut(sandboxes.ending_after(after, by), limit, index, cursor, show_one)
            }
        }
    }
}

/// The clock that ends are on: that of the log, or this node's where the log has rested.
fn time_of(view: &View) -> LogTime {
    view.now().max(LogTime(time::wall_ms()))
}

fn show_one(stored: &Arc<StoredSandbox>) -> SandboxBody {
    (&**stored).into()
}

fn end_cursor(text: &str) -> Result<(LogTime, RoutingKey), Fault> {
    request::cursor(text, |text| {
        let (ends, key) = text.split_once(':')?;
        Some((LogTime(ends.parse().ok()?), RoutingKey::parse(key).ok()?))
    })
}

/// Show a sandbox
#[utoipa::path(
    get,
    operation_id = "show_sandbox",
    path = "/v1/sandboxes/{key}",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        ObjectParams,
    ),
    responses(
        (
            status = 200,
            description = "It stands",
            body = SandboxBody,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        (status = 404, description = "It does not", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, path: KeyPath, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let key = request::named("path.key", path, RoutingKey::parse)?;
    let view = reads::view(&app, &query).await?;
    let unknown = || Fault::new(Code::SandboxUnknown, format!("there is no sandbox {key}"));
    let stored = view.sandboxes().get(key.as_str()).ok_or_else(unknown)?.stored();
    let mut body = show_one(stored);
    for status in &mut body.ramps {
        let Some(rule) = status.rule else { continue };
        let seen = app.cluster.ramp_seen(&RampSubject::Rule { key: key.clone(), rule });
        *status = status.clone().seeing(seen);
    }
    Ok(with_etag(decided(view.index(), &body), stored.changed))
}

/// Set a sandbox
///
/// As a whole: what is not said is not there. Its time begins anew. What it leads to need not be there yet.
#[utoipa::path(
    put,
    operation_id = "put_sandbox",
    path = "/v1/sandboxes/{key}",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        RecordWriteParams,
        Conditions,
    ),
    request_body = SandboxPut,
    responses(
        (status = 200, description = "It is set (with dry_run: it would be)", body = SandboxAnswer),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn put(State(app): State<App>, path: KeyPath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let key = request::name("path.key", path, RoutingKey::parse_declared);
    let (key, sandbox) = both(key, sandbox::sandbox(request::object(request).await?))?;
    let sandbox = Box::new(sandbox);
    let overlaps = OverlapBody::all(&sandbox);
    let command = Command::PutSandbox { key: key.clone(), sandbox, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    answer(&app, &key, (outcome, visible), overlaps)
}

/// Give a sandbox more time
///
/// It then stands for `ttl` from now on, whatever was left.
#[utoipa::path(
    post,
    operation_id = "extend_sandbox",
    path = "/v1/sandboxes/{key}/extend",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        RecordWriteParams,
        Conditions,
    ),
    request_body = ExtendBody,
    responses(
        (status = 200, description = "It ends later (with dry_run: it would)", body = SandboxAnswer),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn extend(State(app): State<App>, path: KeyPath, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let key = request::name("path.key", path, RoutingKey::parse);
    let (key, ttl) = both(key, sandbox::extend(request::object(request).await?))?;
    let command = Command::ExtendSandbox { key: key.clone(), ttl, if_index };
    let (outcome, visible) = writes::write_seen(&app, command, &query).await?;
    answer(&app, &key, (outcome, visible), Vec::new())
}

/// Take a sandbox away
#[utoipa::path(
    delete,
    operation_id = "remove_sandbox",
    path = "/v1/sandboxes/{key}",
    tag = "sandboxes",
    params(
        ("key" = String, Path, description = "What requests carry", min_length = 1, max_length = 256),
        RecordWriteParams,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is gone (with dry_run: it would be)", body = WriteAnswer),
        LevelRefusals,
        RemoveRefusals,
    ),
)]
pub(super) async fn remove(State(app): State<App>, path: KeyPath, uri: Uri, headers: HeaderMap) -> Answer {
    let query = request::query(&uri, Param::RECORD_WRITE)?;
    let if_index = request::condition(&headers)?;
    let key = request::named("path.key", path, RoutingKey::parse)?;
    let (outcome, visible) =
        writes::write_seen(&app, Command::DeleteSandbox { key, if_index }, &query).await?;
    writes::gone(outcome, visible)
}

/// Of what set a sandbox, or gave it more time.
fn answer(
    app: &App,
    key: &RoutingKey,
    (outcome, visible): (Outcome, Option<VisibleBody>),
    overlaps: Vec<OverlapBody>,
) -> Answer {
    let of = |index, dry_run, visible| SandboxAnswer { dry_run, index, visible, ends_at: None, overlaps };
    match outcome {
        Outcome::Valid(index) => Ok(decided(index, &of(index.0, Some(true), None))),
        Outcome::Committed(committed) => {
            let view = app.cluster.view();
            // Somebody may have changed it since: then this is not the end that the write has set.
            let standing = view.sandboxes().get(key.as_str()).map(|compiled| compiled.stored());
            let ends = standing.filter(|it| it.changed <= committed.index).and_then(|it| it.ends);
            let body = of(committed.index.0, None, visible).ending(ends);
            Ok(writes::tagged(decided(committed.index, &body), &committed))
        }
    }
}
