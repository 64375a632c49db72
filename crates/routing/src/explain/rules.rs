//! The rules that were tried, and what they missed.

use super::{NEAR_MAX, OTHERS_LOOKED_AT, OTHERS_MAX, Reason, Tried, text};
use crate::{
    decide::{Decision, RequestHead},
    local::Sight,
    route::{
        condition::{Facts, is_host, is_path},
        cors, host,
        path::{Readings, readings},
    },
};
use http::Method;
use missed::{Asked, missed};
use quorate_model::{
    RouteName, StoredRoute,
    route::{HostMatch, PathMatch},
};
use quorate_state::{View, routes::Rank};
use std::{collections::BTreeMap, sync::Arc};

mod missed;

/// A route that path and host lead to, and the readings of the path that do.
struct Near<'v> {
    route: &'v Arc<StoredRoute>,
    readings: Vec<usize>,
}

/// In the order in which they are asked.
type Ranked<'v> = BTreeMap<(Rank, RouteName), Near<'v>>;

fn place(route: &StoredRoute) -> (Rank, RouteName) {
    (Rank::of(route), route.route.name().clone())
}

/// The routes, up to the one that decides, and how many are not told of.
pub(super) fn routes(
    sight: Sight<'_>,
    head: &RequestHead<'_>,
    decision: &Decision<'_, '_>,
) -> (Vec<Tried>, usize) {
    let view = sight.view;
    if sight.is_sidecar() || matches!(decision, Decision::Sandbox(_)) {
        // They were not tried.
        return (Vec::new(), view.routes().len());
    }
    let bare = host::bare(head.host);
    let paths = match readings(head.path) {
        Readings::One(path) => vec![path.into_owned()],
        Readings::Several { kept, stripped, .. } => kept.into_iter().chain(stripped).collect(),
    };
    let winner = match decision {
        Decision::Route(routed) => Some(routed.route),
        _ => None,
    };
    let last = winner.map(|winner| place(winner));
    let near = near(view, (&paths, &bare), winner.zip(last.as_ref()));
    let mut ranked = others(view, &near);
    ranked.extend(near);
    let asked = Asked {
        facts: Facts {
            method: head.method,
            path: paths.first().map_or("", String::as_str),
            host: &bare,
            query: head.query,
            headers: head.headers,
        },
        paths: &paths,
        head,
        preflight: if head.method == Method::OPTIONS { cors::asked_method(head.headers) } else { None },
    };
    let tried = ranked.iter().take_while(|(place, _)| last.as_ref().is_none_or(|last| *place <= last));
    let tried: Vec<_> = tried
        .map(|(_, near)| {
            let decides = winner.is_some_and(|winner| Arc::ptr_eq(winner, near.route));
            let reasons = if decides { Vec::new() } else { missed(near.route, &near.readings, &asked) };
            Tried { kind: "route", name: Some(near.route.route.name().to_string()), decides, reasons }
        })
        .collect();
    let left_out = view.routes().len().saturating_sub(tried.len());
    (tried, left_out)
}

/// The routes that path and host lead to, in whichever way the path is read, up to the one that decides.
fn near<'v>(
    view: &'v View,
    (paths, host): (&[String], &str),
    winner: Option<(&'v Arc<StoredRoute>, &(Rank, RouteName))>,
) -> Ranked<'v> {
    let mut near = Ranked::new();
    for (nth, path) in paths.iter().enumerate() {
        for candidate in view.routes().find(path, host).take(NEAR_MAX) {
            let place = place(candidate.route);
            if winner.is_some_and(|(_, last)| place > *last) {
                break;
            }
            let known = near.entry(place);
            known.or_insert_with(|| Near { route: candidate.route, readings: Vec::new() }).readings.push(nth);
        }
    }
    while near.len() > NEAR_MAX {
        near.pop_last();
    }
    if let Some((route, last)) = winner {
        near.entry(last.clone()).or_insert(Near { route, readings: Vec::new() });
    }
    near
}

/// The first of the routes that are for other paths or hosts, where there are so few that looking at all is cheap.
fn others<'v>(view: &'v View, near: &Ranked<'_>) -> Ranked<'v> {
    if view.routes().len() > OTHERS_LOOKED_AT {
        return Ranked::new();
    }
    let all = view.routes().iter().map(|route| (place(route), Near { route, readings: Vec::new() }));
    let mut others: Ranked<'v> = all.filter(|(place, _)| !near.contains_key(place)).collect();
    while others.len() > OTHERS_MAX {
        others.pop_last();
    }
    others
}

/// The rules behind the routes.
pub(super) fn behind(sight: Sight<'_>, head: &RequestHead<'_>, decision: &Decision<'_, '_>) -> Vec<Tried> {
    let tried = |kind, name: Option<String>, decides, reasons| Tried { kind, name, decides, reasons };
    let no_service = || {
        let (wanted, found) = ("/api/service/{name}/...".into(), head.path.to_owned());
        tried("service", None, false, vec![Reason { field: "path".into(), wanted, found }])
    };
    let no_workspace = || {
        let wanted = "X-Workspace-ID, or /workspaces/{id} in the path".into();
        let reason = Reason { field: "workspace".into(), wanted, found: "nothing".into() };
        tried("workspace", None, false, vec![reason])
    };
    match decision {
        Decision::Default(_) if sight.is_sidecar() => vec![tried("default", None, true, Vec::new())],
        Decision::Default(_) => {
            vec![no_service(), no_workspace(), tried("default", None, true, Vec::new())]
        }
        Decision::Sandbox(_) | Decision::Route(_) | Decision::AmbiguousPath(_) => Vec::new(),
        Decision::ServicePreflight | Decision::BadServicePath(_) => {
            vec![tried("service", None, true, Vec::new())]
        }
        Decision::NoService(path) | Decision::Service(path, _) => {
            vec![tried("service", Some(path.name.to_string()), true, Vec::new())]
        }
        Decision::NoWorkspace => vec![no_service(), no_workspace()],
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

/// What of its place in the index a route asks for and a request has not.
fn place_missed(stored: &StoredRoute, facts: &Facts<'_>) -> Vec<Reason> {
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
