//! Which route a request is for, and what becomes of it.
//!
//! The candidates come from the View's index in the order in which they are asked
//! ([`quorate_state::routes::rank`] says which); the first of which all conditions hold decides.
//!
//! | module | what |
//! |---|---|
//! | [`path`] | paths that two servers could read differently |
//! | [`host`] | the host that is asked for |
//! | [`condition`] | what else a route asks for |
//! | [`choose`] | which destination it is; [`key`]: what keeps requests at one |
//! | [`rewrite`] | another path or host; redirects |
//! | [`cors`] | what browsers are told |
//! | [`edit`](mod@edit) | changes of headers |

pub mod choose;
pub mod condition;
pub mod cors;
pub mod edit;
pub mod host;
pub mod key;
pub mod path;
pub mod rewrite;

use crate::{
    decide::{Forward, Homeless, RequestHead, owner_in},
    pick::next_random,
};
use condition::{Facts, conditions};
use http::{HeaderMap, Method};
use path::{Readings, readings};
use quorate_model::{
    Address, KeyspaceName, Ramping, ServiceName, StoredRoute,
    policy::Protocol,
    route::{Action, Destination, Forwarding, Target},
};
use quorate_state::{RouteTable, ServiceView, View};
use rewrite::Redirection;
use std::sync::Arc;

/// A request that a route is for.
#[derive(Debug)]
pub struct Routed<'v, 'h> {
    /// The route.
    pub route: &'v Arc<StoredRoute>,
    /// What becomes of the request.
    pub outcome: Outcome<'v, 'h>,
}

/// What becomes of it.
#[derive(Debug)]
pub enum Outcome<'v, 'h> {
    /// The client is told to ask elsewhere.
    Redirect(Redirection),
    /// A browser's question is answered here, with these headers.
    Preflight(HeaderMap),
    /// It is sent on.
    Forward(Sent<'v, 'h>),
}

/// A request that is sent on.
#[derive(Debug)]
pub struct Sent<'v, 'h> {
    /// How.
    pub forwarding: &'v Forwarding,
    /// The destinations, with the weights that they have now.
    pub destinations: &'v [Destination],
    /// The ramp that says so, if one does.
    pub ramp: Option<&'v Ramping>,
    /// To which of the destinations.
    pub nth: usize,
    /// Who that is now.
    pub aim: Aim<'v, 'h>,
    /// Who gets a copy of this one.
    pub mirror: Option<&'v Target>,
}

/// Who a destination is.
#[derive(Debug)]
pub enum Aim<'v, 'h> {
    /// One of the workers of a service; `None`: nobody offers it.
    Service(&'v ServiceName, Option<&'v Arc<ServiceView>>),
    /// The same, of those that offer this version of it.
    Version(&'v ServiceName, &'v str, Option<&'v Arc<ServiceView>>),
    /// Who answers there.
    Url(&'v Address, Option<Protocol>),
    /// A route has destinations; this is one that has none.
    Nobody,
    /// The owner of a partition of a keyspace.
    Owner(&'v KeyspaceName, Result<Forward<'v, 'h>, Homeless<'v, 'h>>),
}

/// Which route a request is for.
#[derive(Clone, Copy, Debug)]
pub enum Found<'v> {
    /// None of them.
    None,
    /// This one.
    Route(&'v Arc<StoredRoute>),
    /// This one's answer to a preflight.
    Preflight(&'v Arc<StoredRoute>),
    /// Its path could be read as that of one route or of another one, or leads out of where it is.
    Ambiguous,
}

/// Decides for a request, if routes have a say in it. `Err`: its path is ambiguous.
pub fn decide<'v, 'h>(
    view: &'v View,
    head: &RequestHead<'h>,
) -> Option<Result<Routed<'v, 'h>, AmbiguousPath>> {
    match find(view.routes(), head) {
        Found::None => None,
        Found::Ambiguous => Some(Err(AmbiguousPath)),
        Found::Route(route) => Some(Ok(Routed { route, outcome: outcome(view, route, head) })),
        Found::Preflight(route) => Some(Ok(Routed { route, outcome: preflight(route, head) })),
    }
}

/// Two servers could read the path differently, and the routes would decide differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path can be read in more than one way: it must not have `.` or `..` as a segment, empty segments, parameters \
     (`;`), encoded slashes or control characters where routes would treat the readings differently"
)]
pub struct AmbiguousPath;

/// Finds the route.
pub fn find<'v>(routes: &'v RouteTable, head: &RequestHead<'_>) -> Found<'v> {
    if routes.is_empty() || !head.path.starts_with('/') {
        return Found::None;
    }
    let host = host::bare(head.host);
    let asked = if head.method == Method::OPTIONS { cors::asked_method(head.headers) } else { None };
    let look = |path: &str| {
        let (method, query, headers) = (head.method, head.query, head.headers);
        of_path(routes, &Facts { method, path, host: &host, query, headers }, (head, asked.as_ref()))
    };
    match readings(head.path) {
        Readings::One(path) => look(&path),
        Readings::Several { kept, stripped, is_refused } => {
            let of_each = |paths: &[String], first: &Found<'_>| paths.iter().all(|path| look(path).is(first));
            let Some((path, others)) = kept.split_first() else { return Found::Ambiguous };
            let found = look(path);
            let names = |route: &StoredRoute| path::names_parameters(&route.route.matches.path, path);
            let is_same =
                of_each(others, &found) && (found.route().is_some_and(names) || of_each(&stripped, &found));
            match found {
                Found::None if is_same => Found::None,
                found if is_same && !is_refused => found,
                _ => Found::Ambiguous,
            }
        }
    }
}

impl Found<'_> {
    fn route(&self) -> Option<&StoredRoute> {
        match self {
            Self::Route(route) | Self::Preflight(route) => Some(route),
            Self::None | Self::Ambiguous => None,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Ambiguous, Self::Ambiguous) => true,
            (Self::Route(one), Self::Route(other)) | (Self::Preflight(one), Self::Preflight(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Self::None | Self::Ambiguous | Self::Route(_) | Self::Preflight(_), _) => false,
        }
    }
}

fn of_path<'v>(
    routes: &'v RouteTable,
    facts: &Facts<'_>,
    (head, asked): (&RequestHead<'_>, Option<&Method>),
) -> Found<'v> {
    if *facts.method == Method::OPTIONS {
        return options(routes, facts, (head, asked));
    }
    let is_for = |candidate: &quorate_state::routes::Candidate<'_>| {
        candidate.is_plain
            || (conditions(&candidate.route.route.matches).all(|one| one.holds(facts))
                && !leads_back(candidate.route, head))
    };
    let values = |name: &str, each: &mut dyn FnMut(&str)| {
        let values = facts.headers.get_all(name).iter();
        values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()).for_each(each);
    };
    let mut candidates = routes.find_for(facts.path, facts.host, &values);
    candidates.find(is_for).map_or(Found::None, |candidate| Found::Route(candidate.route))
}

/// A preflight asks on behalf of a request whose headers it does not have. The first route that may be for that one and
/// has an answer gives it; none does that is behind one which certainly is for it. An `OPTIONS` that is none, or finds
/// no answer, goes to a route only if that names the method: others are answered as everywhere else.
///
/// A preflight for a method that no route is for, where one with an answer to others is, is that one's: it says nothing,
/// while the answer of everywhere else would allow everybody everything.
fn options<'v>(
    routes: &'v RouteTable,
    facts: &Facts<'_>,
    (head, asked): (&RequestHead<'_>, Option<&Method>),
) -> Found<'v> {
    let mut silent = None;
    if let Some(method) = asked {
        let facts = Facts { method, ..*facts };
        for candidate in routes.find(facts.path, facts.host) {
            let matches = &candidate.route.route.matches;
            let mut missed = conditions(matches).filter(|one| !one.is_of_header() && !one.holds(&facts));
            if let Some(first) = missed.next() {
                let is_of_method =
                    matches!(first, condition::Condition::Methods(_)) && missed.next().is_none();
                if is_of_method && silent.is_none() && cors_of(candidate.route).is_some() {
                    silent = Some(candidate.route);
                }
                continue;
            }
            if leads_back(candidate.route, head) {
                continue;
            }
            if cors_of(candidate.route).is_some() {
                return Found::Preflight(candidate.route);
            }
            if !conditions(matches).any(condition::Condition::is_of_header) {
                silent = None;
                break;
            }
        }
    }
    let is_for = |route: &StoredRoute| {
        let matches = &route.route.matches;
        matches.methods.contains(&Method::OPTIONS)
            && conditions(matches).all(|one| one.holds(facts))
            && !leads_back(route, head)
    };
    let mut candidates = routes.find(facts.path, facts.host);
    match (candidates.find(|candidate| is_for(candidate.route)), silent) {
        (Some(candidate), _) => Found::Route(candidate.route),
        (None, Some(silent)) => Found::Preflight(silent),
        (None, None) => Found::None,
    }
}

/// A redirect to where the request came from is passed over: the client would only come back.
pub(crate) fn leads_back(route: &StoredRoute, head: &RequestHead<'_>) -> bool {
    match &route.route.action {
        Action::Redirect(redirect) => rewrite::leads_back(&route.route, redirect, head),
        Action::Forward(_) => false,
    }
}

/// Where a route answers preflights.
pub(crate) fn cors_of(route: &StoredRoute) -> Option<&quorate_model::route::Cors> {
    match &route.route.action {
        Action::Forward(forwarding) => forwarding.cors.as_ref(),
        Action::Redirect(_) => None,
    }
}

fn preflight<'v, 'h>(route: &StoredRoute, head: &RequestHead<'h>) -> Outcome<'v, 'h> {
    let headers = cors_of(route).map(|cors| cors::preflight(&route.route.matches, cors, head.headers));
    Outcome::Preflight(headers.unwrap_or_default())
}

fn outcome<'v, 'h>(view: &'v View, route: &'v StoredRoute, head: &RequestHead<'h>) -> Outcome<'v, 'h> {
    let forwarding = match &route.route.action {
        Action::Redirect(redirect) => {
            return Outcome::Redirect(rewrite::redirection(&route.route, redirect, head));
        }
        Action::Forward(forwarding) => forwarding,
    };
    Outcome::Forward(sent(view, (route, forwarding), head))
}

/// How a request is sent on.
pub(crate) fn sent<'v, 'h>(
    view: &'v View,
    (route, forwarding): (&'v StoredRoute, &'v Forwarding),
    head: &RequestHead<'h>,
) -> Sent<'v, 'h> {
    let destinations = route.destinations();
    let nth = chosen((forwarding, destinations), head);
    let target = destinations.get(nth).map(|one| &one.target);
    let aim = target.map_or(Aim::Nobody, |target| aim(view, target, head));
    Sent {
        forwarding,
        destinations,
        ramp: route.ramp.as_deref(),
        nth,
        aim,
        mirror: mirrored(forwarding, head.entropy),
    }
}

/// Which destination a request goes to.
fn chosen((forwarding, destinations): (&Forwarding, &[Destination]), head: &RequestHead<'_>) -> usize {
    if destinations.len() < 2 {
        return 0;
    }
    let key = forwarding.sticky.as_ref().and_then(|sticky| key::of(sticky, head));
    choose::choose(destinations, key.as_deref(), head.entropy)
}

/// Who a destination is now.
pub fn aim<'v, 'h>(view: &'v View, target: &'v Target, head: &RequestHead<'h>) -> Aim<'v, 'h> {
    match target {
        Target::Service(name) => Aim::Service(name, view.service(name.as_str())),
        Target::Version { service, version } => {
            Aim::Version(service, version, view.service(service.as_str()))
        }
        Target::Url { address, protocol } => Aim::Url(address, *protocol),
        Target::Keyspace(name) => {
            let keyspace = view.keyspace(name.as_str());
            Aim::Owner(name, owner_in(keyspace, head))
        }
    }
}

/// Who gets a copy of a request that has drawn this number.
fn mirrored(forwarding: &Forwarding, entropy: u64) -> Option<&Target> {
    const SALT: u64 = 0x6d69_7272_6f72_6564;
    let mirror = forwarding.mirror.as_ref()?;
    let draw = ((next_random(&mut (entropy ^ SALT)) >> 32) * 1_000_000) >> 32;
    (draw < u64::from(mirror.per_million)).then_some(&mirror.target)
}
