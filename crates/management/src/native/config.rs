//! `/v1/config`: all that operators declare, as one document. It is carried out in one log entry, as a whole or not at
//! all.

use super::{
    reads,
    writes::{self, Outcome},
};
use crate::{
    answer::{Answer, Fault, decided, with_etag},
    document::{BodyRefusals, Conditions, DeclaredRefusals, ObjectParams, ReadRefusals, RecordWriteParams},
    request,
    server::App,
};
use axum::{
    extract::{Request, State},
    response::Response,
};
use http::Uri;
use quorate_api::{
    Code, Param,
    config::{self, ConfigAnswer, ConfigBody, ConfigChange, ObjectChange, ObjectKind},
};
use quorate_model::{Command, Config, ConfigMode, KeyspaceConfig, StoredPolicy, limit};
use quorate_state::{KeyspaceView, View};

/// Show everything that is declared
///
/// As a document that can be put again.
#[utoipa::path(
    get,
    operation_id = "show_config",
    path = "/v1/config",
    tag = "config",
    params(ObjectParams),
    responses(
        (
            status = 200,
            description = "All of it",
            body = ConfigBody,
            headers(("ETag" = String, description = "For If-Match")),
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::OBJECT)?;
    let view = reads::view(&app, &query).await?;
    // It may be long: other requests shall not wait for it.
    Ok(quorate_rt::blocking(move || shown(&view)).await)
}

fn shown(view: &View) -> Response {
    let policies = view.services().filter_map(|service| service.stored_policy());
    let body = ConfigBody {
        routes: view.routes().iter().map(|s| (s.route.name().to_string(), (&s.route).into())).collect(),
        sandboxes: view.sandboxes().iter().map(|s| (s.key.to_string(), (&*s.sandbox).into())).collect(),
        services: policies.map(|stored| (stored.service.to_string(), (&stored.policy).into())).collect(),
        keyspaces: view
            .keyspaces()
            .map(KeyspaceView::keyspace)
            .map(|keyspace| (keyspace.name.to_string(), keyspace.into()))
            .collect(),
    };
    with_etag(decided(view.index(), &body), view.config_changed())
}

/// Replace everything that is declared
///
/// Routes, sandboxes and policies that the document does not name go; keyspaces stay. At most 20,000 objects and 4 MiB at once.
#[utoipa::path(
    put,
    operation_id = "put_config",
    path = "/v1/config",
    tag = "config",
    params(RecordWriteParams, Conditions),
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
    params(RecordWriteParams, Conditions),
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
    let query = request::query(request.uri(), Param::RECORD_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let config = config::config(request::large_object(request).await?, mode)?;
    let view = app.cluster.view();
    if mode == ConfigMode::Replace {
        require_nameable(&view)?;
    }
    let changes = changes(&view, &config, mode);
    let command = Command::Configure { config: Box::new(config), mode, if_index };
    let (outcome, visible) = writes::write_seen(app, command, &query).await?;
    match outcome {
        Outcome::Valid(index) => {
            let answer = ConfigAnswer { dry_run: Some(true), index: index.0, visible, changes };
            Ok(decided(index, &answer))
        }
        Outcome::Committed(committed) => {
            let answer = ConfigAnswer { dry_run: None, index: committed.index.0, visible, changes };
            Ok(writes::tagged(decided(committed.index, &answer), &committed))
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

/// What a document makes another one of what stands in `view`.
fn changes(view: &View, config: &Config, mode: ConfigMode) -> Vec<ConfigChange> {
    let mut changes = Vec::new();
    let mut note = |kind, name: &str, change: Option<ObjectChange>| {
        changes.extend(change.map(|change| ConfigChange { kind, name: name.into(), change }));
    };
    for (name, route) in &config.routes {
        let stands = view.routes().get(name.as_str()).map(|stored| &stored.route);
        note(ObjectKind::Route, name.as_str(), change(stands, route.as_ref()));
    }
    for (key, sandbox) in &config.sandboxes {
        let stands = view.sandboxes().get(key.as_str()).map(|compiled| &*compiled.stored().sandbox);
        note(ObjectKind::Sandbox, key.as_str(), change(stands, sandbox.as_ref()));
    }
    for (name, policy) in &config.services {
        let stands = view.service(name.as_str()).and_then(|service| service.stored_policy());
        note(ObjectKind::Service, name.as_str(), change(stands.map(policy_of), policy.as_ref()));
    }
    for (name, keyspace) in &config.keyspaces {
        let stands = view.keyspace(name.as_str()).map(|stands| {
            let stands = stands.keyspace();
            // A count that is not named stays.
            let partitions = keyspace.partitions.and(stands.partitions);
            KeyspaceConfig { partitions, source: stands.source, hold: stands.hold }
        });
        note(ObjectKind::Keyspace, name.as_str(), change(stands.as_ref(), Some(keyspace)));
    }
    if mode == ConfigMode::Replace {
        let routes = view.routes().iter().map(|stored| stored.route.name());
        for name in routes.filter(|name| !config.routes.contains_key(*name)) {
            note(ObjectKind::Route, name.as_str(), Some(ObjectChange::Removed));
        }
        let keys = view.sandboxes().iter().map(|stored| &stored.key);
        for key in keys.filter(|key| !config.sandboxes.contains_key(*key)) {
            note(ObjectKind::Sandbox, key.as_str(), Some(ObjectChange::Removed));
        }
        let policies = view.services().filter_map(|service| service.stored_policy());
        for stored in policies.filter(|stored| !config.services.contains_key(&stored.service)) {
            note(ObjectKind::Service, stored.service.as_str(), Some(ObjectChange::Removed));
        }
    }
    changes
}

fn policy_of(stored: &StoredPolicy) -> &quorate_model::ServicePolicy {
    &stored.policy
}

fn change<T: PartialEq>(stands: Option<&T>, wanted: Option<&T>) -> Option<ObjectChange> {
    match (stands, wanted) {
        (None, None) => None,
        (None, Some(_)) => Some(ObjectChange::Created),
        (Some(_), None) => Some(ObjectChange::Removed),
        (Some(stands), Some(wanted)) => (stands != wanted).then_some(ObjectChange::Changed),
    }
}
