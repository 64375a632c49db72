//! What operators declared before, and the way back.

use super::{
    carried_out,
    changes::{Changes, Documents},
    standing,
};
use crate::{
    answer::{Answer, Fault, decided},
    document::{BodyRefusals, Conditions, ConfigWriteParams, DeclaredRefusals, HistoryParams, ReadRefusals},
    native::reads,
    request,
    server::App,
};
use axum::extract::{Request, State};
use http::Uri;
use quorate_api::{
    Param, Problem,
    config::{self, ConfigAnswer, ConfigEntryBody, ConfigHistoryBody, RollbackBody},
};
use quorate_model::{Command, LogIndex, Refusal};
use quorate_state::{ConfigHistory, View};
use std::collections::BTreeMap;

/// List what changed what is declared
///
/// The newest entry first, with the objects that it changed. The history is bounded: the oldest entries are forgotten.
#[utoipa::path(
    get,
    operation_id = "list_config_history",
    path = "/v1/config/history",
    tag = "config",
    params(HistoryParams),
    responses((status = 200, description = "A page", body = ConfigHistoryBody), ReadRefusals),
)]
pub(in crate::native) async fn history(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::HISTORY)?;
    let before = query.cursor.as_deref().map(cursor).transpose()?.unwrap_or(LogIndex(u64::MAX));
    let view = reads::view(&app, &query).await?;
    let known = view.config_history();
    let mut entries = known.into_iter().flat_map(|history| history.entries_before(before)).peekable();
    let items: Vec<_> =
        entries.by_ref().take(query.limit).filter_map(|entry| ConfigEntryBody::of(&entry)).collect();
    let more = entries.peek().is_some();
    let body = ConfigHistoryBody {
        next_cursor: items.last().filter(|_| more).map(|last| last.index.to_string()),
        items,
        index: view.index().0,
        known_from: known.map(|history: &ConfigHistory| history.begins().0),
    };
    Ok(decided(view.index(), &body))
}

fn cursor(text: &str) -> Result<LogIndex, Fault> {
    let index = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let wrong = || Problem::of_field("query.cursor", "is no cursor", "next_cursor of a page");
    index.map(LogIndex).ok_or_else(|| wrong().into())
}

/// Bring back what was declared
///
/// All of it, as it stood after an earlier log entry, in one entry, or nothing. Keyspaces that came later stay, and so
/// does a count that Kafka says. A sandbox whose time was over comes back with all its time.
#[utoipa::path(
    post,
    operation_id = "roll_back_config",
    path = "/v1/config/rollback",
    tag = "config",
    params(ConfigWriteParams, Conditions),
    request_body = RollbackBody,
    responses(
        (status = 200, description = "It holds (with dry_run: it would)", body = ConfigAnswer),
        (
            status = 404,
            description = "What was declared at that index is not known",
            body = Problem,
            content_type = "application/problem+json",
        ),
        DeclaredRefusals,
        BodyRefusals,
    ),
)]
pub(in crate::native) async fn roll_back(State(app): State<App>, request: Request) -> Answer {
    let query = request::query(request.uri(), Param::CONFIG_WRITE)?;
    let if_index = request::condition(request.headers())?;
    let to = config::rollback(request::object(request).await?)?;
    let view = app.cluster.view();
    let (base, documents) = (view.config_changed(), Documents::wanted(&query));
    // As many objects as the history has: other requests shall not wait for it.
    let compared = move || {
        let earlier = view.earlier(to)?;
        Ok(Changes::of_way_back(&view, &earlier, documents))
    };
    let changes = quorate_rt::blocking(compared).await;
    let changes = changes.map_err(|refusal: Refusal| Fault::from(Problem::from(&refusal)))?;
    carried_out(&app, Command::RollBack { to, if_index }, &query, (base, changes)).await
}

/// All that was declared, as it stood after the entry at `at`.
pub(super) fn shown(view: &View, at: LogIndex) -> Answer {
    let earlier = view.earlier(at).map_err(|refusal| Fault::from(Problem::from(&refusal)))?;
    let mut body = standing(view);
    for (name, was) in &earlier.routes {
        over(&mut body.routes, name, was.map(|stored| (&stored.route).into()));
    }
    for (key, was) in &earlier.sandboxes {
        over(&mut body.sandboxes, key, was.map(|former| (&*former.sandbox).into()));
    }
    for (name, was) in &earlier.services {
        over(&mut body.services, name, was.map(|policy| (&**policy).into()));
    }
    for (name, was) in &earlier.keyspaces {
        over(&mut body.keyspaces, name, was.as_ref().map(Into::into));
    }
    Ok(decided(view.index(), &body))
}

fn over<T>(objects: &mut BTreeMap<String, T>, name: &impl ToString, was: Option<T>) {
    match was {
        Some(was) => drop(objects.insert(name.to_string(), was)),
        None => drop(objects.remove(&name.to_string())),
    }
}
