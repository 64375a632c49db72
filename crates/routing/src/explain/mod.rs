//! Why a request goes where it goes: every rule that was tried, in order, and what became of it.
//!
//! What decides is [`crate::decide()`], here as on the data plane; what is told about it is read off the same
//! conditions. A node with a hundred thousand routes tells of those that path and host lead to, and of the first
//! [`OTHERS_MAX`] others.

mod endpoints;

pub use endpoints::EndpointFacts;

use crate::{
    decide::{CountUnknown, Decision, Homeless, RequestHead, Unserved, decide},
    route::{
        Aim, Outcome, Routed,
        condition::{Condition, Facts, conditions, is_host, is_path},
        host, key,
        path::{Readings, readings},
    },
};
use http::Method;
use quorate_model::{
    LogIndex, StoredRoute,
    policy::KeySource,
    route::{HostMatch, PathMatch, Target},
};
use quorate_state::{Loads, View, routes::Rank};
use std::sync::Arc;

/// Most routes that are told of besides those that path and host lead to.
pub const OTHERS_MAX: usize = 100;

/// What was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The log index of the View that decided.
    pub index: LogIndex,
    /// The rules, in the order in which they were tried; those behind the one that decided were not.
    pub tried: Vec<Tried>,
    /// Routes that are not told of: another path or host is asked for.
    pub left_out: usize,
    /// What becomes of the request.
    pub result: Result,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `route`, `service` or `workspace`.
    pub kind: &'static str,
    /// Of a route: its name. Of a service or workspace: which one, if the request names one.
    pub name: Option<String>,
    /// Whether it decides.
    pub decides: bool,
    /// Why it does not.
    pub reasons: Vec<Reason>,
}

/// What a rule asks for and does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which field of the rule's document.
    pub field: String,
    /// What it asks for.
    pub wanted: String,
    /// What the request has. Values of headers are not told: they may be secrets.
    pub found: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Result {
    /// `forward`, `redirect` or `answer`: it is answered here.
    pub action: &'static str,
    /// In a sentence.
    pub why: String,
    /// The route that decides.
    pub route: Option<String>,
    /// The service that it goes to.
    pub service: Option<String>,
    /// The keyspace that its workspace is in.
    pub keyspace: Option<String>,
    /// The workspace that it is about.
    pub workspace: Option<String>,
    /// Where that is.
    pub partition: Option<u32>,
    /// Which of a route's destinations, and why.
    pub destination: Option<Chosen>,
    /// Who may get it, the first in rank first.
    pub endpoints: Vec<EndpointFacts>,
    /// How many more there are.
    pub endpoints_left_out: usize,
    /// The status of an answer that is made here.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Who may get a copy, and of how many requests of a million.
    pub mirror: Option<(String, u32)>,
}

/// Which of a route's destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its place in the list, from 0.
    pub nth: usize,
    /// `service x`, `url http://...` or `keyspace x`.
    pub target: String,
    /// Its weight.
    pub weight: u32,
    /// All weights together.
    pub total: u64,
    /// What keeps the request there, such as `header x-user`; `None`: chance. Where a route says it and the request
    /// does not have it, chance decides.
    pub by: Option<String>,
}

/// Tells why. What chance decides is drawn from the head's entropy, so it is one possible answer.
pub fn explain(view: &View, head: &RequestHead<'_>, loads: &Loads) -> Explanation {
    let decision = decide(view, head);
    let (mut tried, left_out) = routes(view, head, &decision);
    tried.extend(others(head, &decision));
    Explanation { index: view.index(), tried, left_out, result: result(view, head, (&decision, loads)) }
}

/// The routes, up to the one that decides.
fn routes(view: &View, head: &RequestHead<'_>, decision: &Decision<'_, '_>) -> (Vec<Tried>, usize) {
    let bare = host::bare(head.host);
    let path = match readings(head.path) {
        Readings::One(path) => path.into_owned(),
        Readings::Several { paths, .. } => paths.into_iter().next().unwrap_or_default(),
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
fn others(head: &RequestHead<'_>, decision: &Decision<'_, '_>) -> Vec<Tried> {
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn result(view: &View, head: &RequestHead<'_>, (decision, loads): (&Decision<'_, '_>, &Loads)) -> Result {
    let answer = |status: u16, why: String| Result {
        action: "answer",
        status: Some(status),
        why,
        ..Result::default()
    };
    match decision {
        Decision::Route(routed) => of_route(view, head, (routed, loads)),
        Decision::AmbiguousPath(bad) => answer(400, bad.to_string()),
        Decision::Preflight => answer(204, "OPTIONS is answered here".into()),
        Decision::ServicePreflight => answer(200, "OPTIONS is answered here".into()),
        Decision::BadServicePath(bad) => answer(400, bad.to_string()),
        Decision::NoService(path) => Result {
            service: Some(path.name.to_string()),
            ..answer(503, format!("no worker offers the service {}", path.name))
        },
        Decision::Service(path, service) => {
            to_service(Result::default(), path.name.to_string(), endpoints::of_service(service, loads))
        }
        Decision::NoWorkspace => answer(400, "the request names no workspace".into()),
        Decision::PartitionCountUnknown(why) => answer(503, count_unknown(*why).into()),
        Decision::NoWorker { workspace, partition, why, .. } => Result {
            workspace: Some(text(workspace.id())),
            partition: Some(*partition),
            ..answer(503, unserved(why, *partition))
        },
        Decision::Forward(forward) => owned(Result::default(), forward),
    }
}

fn to_service(result: Result, name: String, (endpoints, left_out): (Vec<EndpointFacts>, usize)) -> Result {
    let (action, status, why) = if endpoints.iter().any(|one| one.rank.is_some()) {
        ("forward", None, format!("it goes to one of the workers of the service {name}"))
    } else {
        ("answer", Some(503), format!("no worker takes requests for the service {name}"))
    };
    Result { action, status, why, service: Some(name), endpoints, endpoints_left_out: left_out, ..result }
}

fn owned(result: Result, forward: &crate::decide::Forward<'_, '_>) -> Result {
    let why =
        format!("partition {} of the keyspace {} is its worker's", forward.partition, forward.keyspace.name);
    Result {
        action: "forward",
        why,
        keyspace: Some(forward.keyspace.name.to_string()),
        workspace: Some(text(forward.workspace.id())),
        partition: Some(forward.partition),
        endpoints: vec![endpoints::of_owner(forward.worker)],
        ..result
    }
}

fn unserved(why: &Unserved<'_>, partition: u32) -> String {
    match why {
        Unserved::Unowned => format!("no worker owns partition {partition}"),
        Unserved::OwnerGone(worker) => {
            format!("the owner of partition {partition}, {}, is gone", worker.id())
        }
        Unserved::OwnerOut(worker) => {
            format!("the owner of partition {partition}, {}, was taken out of service", worker.id())
        }
    }
}

fn count_unknown(why: CountUnknown) -> &'static str {
    match why {
        CountUnknown::NoCluster => "there is no such keyspace, or no cluster yet",
        CountUnknown::NotObserved => "the partition count is not known yet",
    }
}

fn of_route(view: &View, head: &RequestHead<'_>, (routed, loads): (&Routed<'_, '_>, &Loads)) -> Result {
    let name = routed.route.route.name().to_string();
    let base = Result { route: Some(name.clone()), ..Result::default() };
    let sent = match &routed.outcome {
        Outcome::Redirect(redirection) => {
            return Result {
                action: "redirect",
                why: format!("the route {name} redirects"),
                status: Some(redirection.status),
                location: Some(redirection.location.clone()),
                ..base
            };
        }
        Outcome::Preflight(_) => {
            let why = format!("the route {name} answers what browsers ask before a request");
            return Result { action: "answer", why, status: Some(204), ..base };
        }
        Outcome::Forward(sent) => sent,
    };
    let destinations = &sent.forwarding.destinations;
    let base = Result {
        destination: destinations.get(sent.nth).map(|one| Chosen {
            nth: sent.nth,
            target: target(&one.target),
            weight: one.weight,
            total: destinations.iter().map(|one| u64::from(one.weight)).sum(),
            by: sent
                .forwarding
                .sticky
                .as_ref()
                .filter(|source| key::of(source, head).is_some())
                .map(key_source),
        }),
        mirror: sent.forwarding.mirror.as_ref().map(|mirror| (target(&mirror.target), mirror.per_million)),
        ..base
    };
    let answer =
        |status: u16, why: String| Result { action: "answer", status: Some(status), why, ..base.clone() };
    match &sent.aim {
        Aim::Service(name, None) => Result {
            service: Some(name.to_string()),
            ..answer(503, format!("no worker offers the service {name}"))
        },
        Aim::Service(name, Some(service)) => {
            to_service(base, name.to_string(), endpoints::of_service(service, loads))
        }
        Aim::Url(address, _) => Result {
            action: "forward",
            why: format!("the route {name} names the address"),
            endpoints: vec![endpoints::of_url(address)],
            ..base
        },
        Aim::Nobody => answer(503, "the route has no destination".into()),
        Aim::Owner(_, Ok(forward)) => owned(base, forward),
        Aim::Owner(keyspace, Err(homeless)) => {
            let keyspace = Some(keyspace.to_string());
            let found = match homeless {
                Homeless::NoWorkspace => answer(400, "the request names no workspace".into()),
                Homeless::CountUnknown(why) => answer(503, count_unknown(*why).into()),
                Homeless::NoWorker { workspace, partition, why, .. } => Result {
                    workspace: Some(text(workspace.id())),
                    partition: Some(*partition),
                    ..answer(503, unserved(why, *partition))
                },
            };
            debug_assert!(view.index() >= routed.route.changed, "a route of this View");
            Result { keyspace, ..found }
        }
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Service(name) => format!("service {name}"),
        Target::Url { address, .. } => format!("url {address}"),
        Target::Keyspace(name) => format!("keyspace {name}"),
    }
}

fn key_source(source: &KeySource) -> String {
    match source {
        KeySource::Header(name) => format!("header {name}"),
        KeySource::Cookie(name) => format!("cookie {name}"),
        KeySource::Query(name) => format!("query parameter {name}"),
        KeySource::PathSegment(nth) => format!("path segment {nth}"),
        KeySource::Trace => "trace".into(),
        KeySource::SourceIp => "source address".into(),
    }
}
