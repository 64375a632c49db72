//! The rules that were tried, and what they missed.

use super::{OTHERS_MAX, Reason, Tried, text};
use crate::{
    decide::{Decision, RequestHead},
    route::{
        condition::{Condition, Facts, conditions, is_host, is_path},
        host,
        path::{Readings, readings},
    },
};
use http::Method;
use quorate_model::{
    StoredRoute,
    route::{HostMatch, PathMatch},
};
use quorate_state::{View, routes::Rank};
use std::sync::Arc;

/// The routes, up to the one that decides.
pub(super) fn routes(
    view: &View,
    head: &RequestHead<'_>,
    decision: &Decision<'_, '_>,
) -> (Vec<Tried>, usize) {
    let bare = host::bare(head.host);
    let path = match readings(head.path) {
        Readings::One(path) => path.into_owned(),
        Readings::Several { kept, .. } => kept.into_iter().next().unwrap_or_default(),
    };
    let facts =
        Facts { method: head.method, path: &path, host: &bare, query: head.query, headers: head.headers };
    let winner = match decision {
        Decision::Route(routed) => Some(routed.route),
        _ => None,
    };
    let is_winner = |route: &Arc<StoredRoute>| winner.is_some_and(|winner| Arc::ptr_eq(winner, route));
    let rank = |route: &Arc<StoredRoute>| (Rank::of(route), route.route.name().clone());
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for route in view.routes().iter() {
        let is_near = is_path(&route.route.matches.path, &path) && is_host(&route.route, &bare);
        if is_near || is_winner(route) { near.push(route) } else { far.push(route) }
    }
    let all = far.len();
    if far.len() > OTHERS_MAX {
        far.select_nth_unstable_by_key(OTHERS_MAX - 1, |route| rank(route));
        far.truncate(OTHERS_MAX);
    }
    let left_out = all - far.len();
    near.extend(far);
    near.sort_by_key(|route| rank(route));
    let last = near.iter().position(|route| is_winner(route)).map_or(near.len(), |at| at + 1);
    let tried = near.into_iter().take(last).map(|route| Tried {
        kind: "route",
        name: Some(route.route.name().to_string()),
        decides: is_winner(route),
        reasons: if is_winner(route) { Vec::new() } else { reasons(route, &facts) },
    });
    (tried.collect(), left_out)
}

/// Everything of a route that a request has not.
fn reasons(stored: &StoredRoute, facts: &Facts<'_>) -> Vec<Reason> {
    let (route, matches) = (&stored.route, &stored.route.matches);
    let mut reasons = Vec::new();
    if !is_path(&matches.path, facts.path) {
        let (field, wanted) = path_asked(&matches.path);
        reasons.push(Reason { field: field.into(), wanted, found: facts.path.to_owned() });
    }
    if !is_host(route, facts.host) {
        let wanted = matches.host.as_ref().map(HostMatch::to_string).unwrap_or_default();
        let found = if facts.host.is_empty() { "nothing" } else { facts.host };
        reasons.push(Reason { field: "match.host".into(), wanted, found: found.to_owned() });
    }
    let failed = conditions(matches).filter(|condition| !condition.holds(facts));
    reasons.extend(failed.map(|condition: Condition<'_>| Reason {
        field: condition.field(),
        wanted: condition.to_string(),
        found: condition.found(facts),
    }));
    if reasons.is_empty() {
        // All of it holds, and yet another rule decided.
        let found = if *facts.method == Method::OPTIONS {
            "OPTIONS"
        } else {
            "a path that can be read in several ways"
        };
        reasons.push(Reason {
            field: "match".into(),
            wanted: "a request that routes may have".into(),
            found: found.into(),
        });
    }
    reasons
}

fn path_asked(path: &PathMatch) -> (&'static str, String) {
    match path {
        PathMatch::Any => ("match", "every path".into()),
        PathMatch::Exact(path) => ("match.path_exact", path.to_string()),
        PathMatch::Prefix(path) => ("match.path_prefix", format!("{path}/*")),
        PathMatch::Regex(pattern) => ("match.path_regex", format!("{pattern:?}")),
        PathMatch::Grpc { service, method: None } => ("match.grpc_service", format!("/{service}/*")),
        PathMatch::Grpc { service, method: Some(method) } => {
            ("match.grpc_method", format!("/{service}/{method}"))
        }
    }
}

/// The rules behind the routes.
pub(super) fn others(head: &RequestHead<'_>, decision: &Decision<'_, '_>) -> Vec<Tried> {
    let tried = |kind, name: Option<String>, decides, reasons| Tried { kind, name, decides, reasons };
    let no_service = || {
        let (wanted, found) = ("/api/service/{name}/...".into(), head.path.to_owned());
        tried("service", None, false, vec![Reason { field: "path".into(), wanted, found }])
    };
    match decision {
        Decision::Route(_) | Decision::AmbiguousPath(_) => Vec::new(),
        Decision::ServicePreflight | Decision::BadServicePath(_) => {
            vec![tried("service", None, true, Vec::new())]
        }
        Decision::NoService(path) | Decision::Service(path, _) => {
            vec![tried("service", Some(path.name.to_string()), true, Vec::new())]
        }
        Decision::NoWorkspace => {
            let wanted = "X-Workspace-ID, or /workspaces/{id} in the path".into();
            let reason = Reason { field: "workspace".into(), wanted, found: "nothing".into() };
            vec![no_service(), tried("workspace", None, false, vec![reason])]
        }
        Decision::Preflight | Decision::PartitionCountUnknown(_) => {
            vec![no_service(), tried("workspace", None, true, Vec::new())]
        }
        Decision::NoWorker { workspace, .. } => {
            vec![no_service(), tried("workspace", Some(text(workspace.id())), true, Vec::new())]
        }
        Decision::Forward(forward) => {
            vec![no_service(), tried("workspace", Some(text(forward.workspace.id())), true, Vec::new())]
        }
    }
}
