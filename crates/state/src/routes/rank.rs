//! Which route is asked before which.
//!
//! The contract's order is: the exact path, then the longest prefix, then the number of header matches, then age. Two
//! things that it is silent on are put where they change it least: a `priority` other than 0 goes before all of it,
//! and the host stands between the path and the headers. So:
//!
//! 1. the higher `priority`;
//! 2. an exact path (a gRPC service with its method is one) before all others;
//! 3. the longer prefix (a gRPC service without a method is one). An expression stands where a prefix as long as its
//!    literal beginning would, behind it: `/api/v[0-9]+` (`/api/v`) before `/api` and behind `/api/v1`;
//! 4. the exact host, then the longest `*.` host, then every host;
//! 5. the one that asks for more headers and query parameters; that gRPC asks for its content type counts as one;
//! 6. the older one; of the same age, by name.

use super::{literal, path};
use quorate_model::{
    RouteName, StoredRoute,
    route::{Action, HostMatch, PathMatch, RouteMatch},
};
use std::{cmp::Ordering, fmt, sync::Arc};

/// Where a route stands; the smaller one is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    standing: Standing,
    created: u64,
}

/// All of it that is not its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// The higher the priority the smaller.
    priority: u32,
    /// 0: exact; else the shorter the larger, an expression one behind.
    path: u32,
    /// 0: exact; else the shorter the larger.
    host: u16,
    /// The fewer the larger.
    asked: u16,
}

impl Rank {
    /// Of a route.
    pub fn of(stored: &StoredRoute) -> Self {
        Self { standing: Standing::of(stored), created: stored.created.0 }
    }
}

impl Standing {
    fn of(stored: &StoredRoute) -> Self {
        let matches = &stored.route.matches;
        let is_grpc = matches!(matches.path, PathMatch::Grpc { .. });
        let asked = matches.header_count() + usize::from(is_grpc);
        Self {
            priority: u32::MAX - stored.route.priority.cast_unsigned().wrapping_add(1 << 31),
            path: path_rank(&matches.path),
            host: host_rank(matches),
            asked: u16::MAX - u16::try_from(asked).unwrap_or(u16::MAX),
        }
    }
}

/// Longer than any prefix can be, in the form that is compared.
const LONGEST: u32 = 1 << 20;

fn path_rank(matches: &PathMatch) -> u32 {
    let prefix = |bytes: usize| 2 * (LONGEST - u32::try_from(bytes).unwrap_or(LONGEST).min(LONGEST - 1));
    match matches {
        PathMatch::Exact(_) | PathMatch::Grpc { method: Some(_), .. } => 0,
        PathMatch::Any => prefix(0),
        PathMatch::Prefix(text) => prefix(path::canonical(text).len()),
        PathMatch::Grpc { service, method: None } => prefix(1 + service.len()),
        PathMatch::Regex(pattern) => 1 + prefix(literal::beginning(pattern.as_str()).len()),
    }
}

fn host_rank(matches: &RouteMatch) -> u16 {
    match &matches.host {
        Some(HostMatch::Exact(_)) => 0,
        // At most 253 bytes.
        Some(HostMatch::Below(host)) => 1_000 - u16::try_from(host.len()).unwrap_or(999).min(999),
        None => u16::MAX,
    }
}

/// A route in the index. Small, for what a look-up among very many costs is the memory that it touches; so its age, which
/// is seldom asked for, is where the route has it.
#[derive(Clone)]
pub(super) struct Entry {
    standing: Standing,
    /// Whether it gets whatever comes to its place in the index: `Candidate::is_plain`.
    pub is_plain: bool,
    /// Whether it asks for one header or query parameter besides.
    asks_once: bool,
    pub route: Arc<StoredRoute>,
}

impl Entry {
    pub fn new(route: &Arc<StoredRoute>) -> Self {
        let matches = &route.route.matches;
        let is_placed = match matches.path {
            PathMatch::Any | PathMatch::Exact(_) | PathMatch::Prefix(_) => true,
            PathMatch::Regex(_) | PathMatch::Grpc { .. } => false,
        };
        let is_sent_on = matches!(route.route.action, Action::Forward(_));
        let is_placed = is_placed && is_sent_on && matches.methods.is_empty();
        let headers = matches.header_count();
        let standing = Standing::of(route);
        Self {
            standing,
            is_plain: is_placed && headers == 0,
            asks_once: is_placed && headers == 1,
            route: route.clone(),
        }
    }

    /// The same in a table by the value that it asks of a header: if that is all it asks for, it gets what comes there.
    pub fn by_value(self) -> Self {
        Self { is_plain: self.is_plain || self.asks_once, ..self }
    }

    pub fn name(&self) -> &RouteName {
        self.route.route.name()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.standing.cmp(&other.standing).then_with(|| {
            let (own, its) = (self.route.created, other.route.created);
            own.cmp(&its).then_with(|| self.name().cmp(other.name()))
        })
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}
