//! Delegates: who they are, and what only they may say.
//!
//! Each call names the delegate and the epoch of its role, and is held against a linearizable View: a delegate that
//! was succeeded is told so by any node, however far that node lags.

use super::reads;
use crate::{
    answer::{Answer, Fault, decided, json},
    cluster::{Look, Verdict},
    document::{BodyRefusals, ListParams, ReadRefusals},
    request,
    server::App,
};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{StatusCode, Uri};
use quorate_api::{
    Code, Param, Problem,
    answer::Page,
    delegate::{
        self, DelegateBody, HeartbeatDelegate, ProbeBody, ReportAnswer, ReportDownBody, Spokesman,
        VerdictBody,
    },
};
use quorate_model::{Delegate, Kind, Status, WorkerId};
use quorate_state::View;
use std::sync::Arc;

/// List delegates
///
/// By group: the worker that may send heartbeats for all of it.
#[utoipa::path(
    get,
    operation_id = "list_delegates",
    path = "/v1/delegates",
    tag = "workers",
    params(ListParams),
    responses((status = 200, description = "A page", body = Page<DelegateBody>), ReadRefusals),
)]
pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = request::query(&uri, Param::LIST)?;
    // A delegate is shown with its address, which is its worker's.
    let view = reads::list(&app, &query, &[Kind::Delegate, Kind::Worker]).await?;
    let after =
        |delegate: &&Arc<Delegate>| query.cursor.as_deref().is_none_or(|cursor| *delegate.group > *cursor);
    let shown = view.delegates().filter(after).filter_map(|delegate| {
        let worker = view.worker(delegate.worker.as_str())?;
        Some(DelegateBody::new(delegate, worker))
    });
    let page =
        Page::cut(shown, query.limit, view.index(), |body: &DelegateBody| body.group.clone(), |body| body);
    Ok(decided(view.index(), &page))
}

/// What a worker that registers is told about its group's delegate; `None`: it asked for nothing.
pub(super) fn told(view: &View, id: &WorkerId) -> Option<Option<HeartbeatDelegate>> {
    let worker = view.worker(id.as_str())?;
    let asked =
        worker.registration.extras().wants_delegate || worker.registration.labels.contains_key("group");
    asked.then(|| current(view, worker.group()))
}

/// Where the delegate of a worker's group is, if there is one.
pub(super) fn url(view: &View, id: &WorkerId) -> Option<String> {
    current(view, view.worker(id.as_str())?.group()).map(|delegate| delegate.url)
}

fn current(view: &View, group: &str) -> Option<HeartbeatDelegate> {
    let delegate = view.delegate(group)?;
    Some(HeartbeatDelegate::new(delegate, view.worker(delegate.worker.as_str())?))
}

/// The group that a delegate speaks for.
pub(super) struct Group {
    view: Arc<View>,
    name: Box<str>,
}

impl Group {
    /// Whether a worker is of this group, or unknown: then it is told so.
    pub fn may_include(&self, id: &WorkerId) -> bool {
        self.view.worker(id.as_str()).is_none_or(|worker| worker.group() == &*self.name)
    }
}

/// Whether `spokesman` is the delegate of its group, by everything that was acknowledged before.
pub(super) async fn fence(app: &App, spokesman: &Spokesman) -> Result<Group, Fault> {
    app.cluster.read_barrier().await?;
    let view = app.cluster.view();
    let Spokesman { worker: id, epoch } = spokesman;
    let Some(worker) = view.worker(id.as_str()) else {
        let detail = format!("worker {id} is not registered, so it is nobody's delegate");
        return Err(Fault::new(Code::DelegateStale, detail).with_delegate(None));
    };
    let group = worker.group();
    match view.delegate(group) {
        Some(stands) if stands.worker == *id && stands.epoch == *epoch => {
            Ok(Group { name: group.into(), view: view.clone() })
        }
        Some(stands) => {
            let (who, at) = (&stands.worker, stands.epoch);
            let detail =
                format!("the delegate of group {group} is {who} at epoch {at}, not {id} at epoch {epoch}");
            Err(Fault::new(Code::DelegateStale, detail).with_delegate(current(&view, group)))
        }
        None => {
            let detail = format!("group {group} has no delegate");
            Err(Fault::new(Code::DelegateStale, detail).with_delegate(None))
        }
    }
}

/// Report a worker down
///
/// For delegates. The report is not believed: this node and a second one look whether the worker takes connections.
/// Only if it takes none, its lease ends now instead of when its TTL is over. A heartbeat brings it back.
#[utoipa::path(
    post,
    operation_id = "report_worker_down",
    path = "/v1/workers/{id}/report-down",
    tag = "workers",
    params(("id" = String, Path, description = "The worker's id", min_length = 1, max_length = 253)),
    request_body = ReportDownBody,
    responses(
        (status = 200, description = "What was found", body = ReportAnswer),
        (
            status = 404,
            description = "The worker is not registered",
            body = Problem,
            content_type = "application/problem+json",
        ),
        (
            status = 409,
            description = "Another delegate stands, or the worker is not of its group",
            body = Problem,
            content_type = "application/problem+json",
        ),
        BodyRefusals,
    ),
)]
pub(super) async fn report_down(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    request::query(request.uri(), &[])?;
    let id = request::named("path.id", path, WorkerId::parse)?;
    let (by, reason) = delegate::report_down(request::object(request).await?)?;
    let group = fence(&app, &by).await?;
    let known = group.view.worker(id.as_str()).filter(|worker| worker.status() != Status::Departed);
    let Some(worker) = known else {
        return Err(Fault::new(Code::WorkerUnknown, format!("worker {id} is not registered")));
    };
    if !group.may_include(&id) {
        let (theirs, ours) = (worker.group(), &group.name);
        let detail = format!("worker {id} is of group {theirs}; {} speaks for group {ours}", by.worker);
        return Err(Fault::new(Code::NotInGroup, detail).with_delegate(current(&group.view, theirs)));
    }
    let epoch = worker.epoch;
    let look = if worker.is_routable() {
        app.cluster.look_at(id.clone(), epoch).await?
    } else {
        Look { verdict: Verdict::Expired, probes: Vec::new() }
    };
    let verdict = look.verdict;
    tracing::info!(worker = %id, by = %by.worker, reason, ?verdict, "a worker was reported down");
    Ok(json(StatusCode::OK, &shown(look)))
}

fn shown(Look { verdict, probes }: Look) -> ReportAnswer {
    let verdict = match verdict {
        Verdict::Down => VerdictBody::Down,
        Verdict::Up => VerdictBody::Up,
        Verdict::Unconfirmed => VerdictBody::Unconfirmed,
        Verdict::Heard => VerdictBody::Heard,
        Verdict::Expired => VerdictBody::Expired,
    };
    let probes = probes.into_iter().map(|probe| ProbeBody {
        node: probe.node.to_string(),
        connected: probe.connected,
        detail: probe.detail,
    });
    ReportAnswer { verdict, probes: probes.collect() }
}
