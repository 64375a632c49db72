//! `/v1/config`: all that operators declare, as one document. It is carried out in one log entry, as a whole or not at
//! all.

mod changes;
mod past;

pub(super) use past::{__path_history, __path_roll_back, history, roll_back};

use super::{
    reads,
    writes::{self, Outcome},
};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{
        BodyRefusals, Conditions, ConfigParams, ConfigWriteParams, DeclaredRefusals, ObjectParams,
        ReadRefusals,
    },
    request,
    server::App,
};
use axum::extract::{Request, State};
use changes::{Changes, Documents};
use http::Uri;
use quorate_api::{
    Code, Param, Problem, Query,
    config::{self, ConfigAnswer, ConfigBody, ConfigChange},
};
use quorate_model::{Command, ConfigMode, LogIndex, limit};
use quorate_state::{KeyspaceView, View};

/// Show everything that is declared
///
/// As a document that can be put again; with `at`, as it stood after that entry.
#[utoipa::path(
    get,
    operation_id = "show_config",
    path = "/v1/config",
    tag = "config",
    params(ConfigParams, ObjectParams),
    responses(
        (
            status = 200,
            description = "All of it",
            body = ConfigBody,
            headers(("ETag" = String, description = "For If-Match; not with `at`")),
        ),
        (
            status = 404,
            description = "What was declared at that index is not known",
            body = Problem,
            content_type = "application/problem+json",
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::CONFIG)?;
    let view = reads::view(&app, &query).await?;
    // It may be long: other requests shall not wait for it.
    quorate_rt::blocking(move || match query.at {
        None => Ok(with_etag(decided(view.index(), &standing(&view)), view.config_changed())),
        Some(at) => past::shown(&view, at),
    })
    .await
}

fn standing(view: &View) -> ConfigBody {
    let policies = view.services().filter_map(|service| service.stored_policy());
    ConfigBody {
        routes: view.routes().iter().map(|s| (s.route.name().to_string(), (&s.route).into())).collect(),
        sandboxes: view.sandboxes().iter().map(|s| (s.key.to_string(), (&*s.sandbox).into())).collect(),
        services: policies.map(|stored| (stored.service.to_string(), (&stored.policy).into())).collect(),
        keyspaces: view
            .keyspaces()
            .map(KeyspaceView::keyspace)
            .map(|keyspace| (keyspace.name.to_string(), keyspace.into()))
            .collect(),
    }
}

/// Replace everything that is declared
///
/// Routes, sandboxes and policies that the document does not name go; keyspaces stay. At most 20,000 objects and 4 MiB at once.
#[utoipa::path(
    put,
    operation_id = "put_config",
    path = "/v1/config",
    tag = "config",
    params(ConfigWriteParams, Conditions),
    request_body = ConfigBody,
    responses(
        (status = 200, description = "It holds (with dry_run: it would)", body = ConfigAnswer),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn put(State(app): State<App>, request: Request) -> Answer {
    declare(&app, request, ConfigMode::Replace).await
}

/// Change some of what is declared
///
/// Each object that the document names is set as a whole; with null it goes. The others stay.
#[utoipa::path(
    patch,
    operation_id = "patch_config",
    path = "/v1/config",
    tag = "config",
    params(ConfigWriteParams, Conditions),
    request_body = ConfigBody,
    responses(
        (status = 200, description = "It holds (with dry_run: it would)", body = ConfigAnswer),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(super) async fn patch(State(app): State<App>, request: Request) -> Answer {
    declare(&app, request, ConfigMode::Merge).await
}

async fn declare(app: &App, request: Request, mode: ConfigMode) -> Answer {
    let query = request::query(request.uri(), Param::CONFIG_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let config = config::config(request::large_object(request).await?, mode)?;
    let view = app.cluster.view();
    if mode == ConfigMode::Replace {
        require_nameable(&view)?;
    }
    let (base, documents) = (view.config_changed(), Documents::wanted(&query));
    // Up to 20,000 objects: other requests shall not wait for it.
    let compared = move || {
        let changes = Changes::of_document(&view, (&config, mode), documents);
        (config, changes)
    };
    let (config, changes) = quorate_rt::blocking(compared).await;
    let command = Command::Configure { config: Box::new(config), mode, if_index };
    carried_out(app, command, &query, (base, changes)).await
}

/// Carries out `command`, and answers with what it changes against what had changed at `base` last.
async fn carried_out(
    app: &App,
    command: Command,
    query: &Query,
    (base, changes): (LogIndex, Vec<ConfigChange>),
) -> Answer {
    let (outcome, visible) = writes::write_seen(app, command, query).await?;
    let answer = |index: LogIndex, dry_run| ConfigAnswer {
        dry_run,
        index: index.0,
        visible,
        base_index: base.0,
        changes,
    };
    match outcome {
        Outcome::Valid(index) => Ok(decided(index, &answer(index, Some(true)))),
        Outcome::Committed(committed) => {
            Ok(writes::tagged(decided(committed.index, &answer(committed.index, None)), &committed))
        }
    }
}

/// Where more stands than a document can name, each that replaces it would take something away that it could not have
/// named.
fn require_nameable(view: &View) -> Result<(), Fault> {
    const MAX: usize = limit::CONFIG_OBJECTS_MAX;
    let (routes, sandboxes, policies) = (view.routes().len(), view.sandboxes().len(), view.policy_count());
    if routes + sandboxes + policies <= MAX {
        return Ok(());
    }
    let detail = format!(
        "there are {routes} routes, {sandboxes} sandboxes and {policies} policies of services, and a document names at \
         most {MAX} objects: \
         it can't replace them all; change them with PATCH, where null takes one away"
    );
    Err(Fault::new(Code::LimitReached, detail))
}
