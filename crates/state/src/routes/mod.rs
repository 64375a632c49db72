//! Routes by name, and what is derived from them so that a request finds its own without looking at all.
//!
//! | module | what |
//! |---|---|
//! | `tree` | the index: by path segment, then by host |
//! | [`rank`] | which route is asked before which |
//! | [`path`] | the form in which paths are compared |
//! | `list`, `many` | what the index is made of |
//! | `literal` | where in the index an expression is |

mod list;
mod literal;
mod many;
pub mod path;
pub mod rank;
mod tree;

pub use many::HeaderValues;
pub use rank::Rank;
pub use tree::{Candidate, Candidates};

use crate::ramps::RampIndex;
use imbl::{OrdMap, OrdSet};
use quorate_model::{LogIndex, Route, RouteName, StoredRoute, limit};
use std::{ops::Bound, sync::Arc};

/// All routes. Cloning costs O(1), a change about as much as the route is long.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    by_name: OrdMap<RouteName, Arc<StoredRoute>>,
    /// When they were made. Derived.
    ages: OrdSet<(LogIndex, RouteName)>,
    /// How many regular expressions they have. Derived.
    patterns: usize,
    /// What they keep in memory, about. Derived.
    weight: usize,
    /// Whose ramp goes on when. Derived.
    ramps: RampIndex,
    /// Where each is found by a request. Derived.
    index: tree::Index,
}

impl RouteTable {
    /// A route.
    pub fn get(&self, name: &str) -> Option<&Arc<StoredRoute>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredRoute>> {
        self.by_name.values()
    }

    /// Those with names after `cursor`, in order.
    pub fn after(&self, cursor: &str) -> impl Iterator<Item = &Arc<StoredRoute>> {
        self.by_name.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded)).map(|(_, route)| route)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Their ramps.
    pub fn ramps(&self) -> &RampIndex {
        &self.ramps
    }

    /// How many regular expressions they have, all together.
    pub fn pattern_count(&self) -> usize {
        self.patterns
    }

    /// What they keep in memory, about, in bytes: the sum of `Route::weight`.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether `route`, in the place of the one of its name, takes more memory than there is for routes. One that
    /// needs no more than before always has its place.
    pub(crate) fn is_too_heavy(&self, route: &Route) -> bool {
        let (before, after) =
            (self.get(route.name().as_str()).map_or(0, |s| s.route.weight()), route.weight());
        after > before && self.weight - before + after > limit::ROUTES_BYTES_MAX
    }

    /// The routes that a request with this path and host may be for, in the order in which they are asked: [`Rank`].
    /// The path in the form of [`path::canonical`]; the host in lower case, without a port.
    pub fn find(&self, path: &str, host: &str) -> Candidates<'_> {
        self.index.find((path, host), None)
    }

    /// The same without some that ask for other headers than these.
    pub fn find_for(&self, path: &str, host: &str, values: &HeaderValues<'_>) -> Candidates<'_> {
        self.index.find((path, host), Some(values))
    }

    /// The age of a route that is made at `index`: later than that of every route that there is, also of those that a
    /// restore brought from a log with larger indexes.
    pub(crate) fn next_created(&self, index: LogIndex) -> LogIndex {
        let youngest = self.ages.get_max().map_or(0, |(created, _)| created.0);
        LogIndex(index.0.max(youngest + 1))
    }

    /// What is derived otherwise than in `other`, which has the same routes; `None`: nothing.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.by_name.len() != other.by_name.len() || self.ages != other.ages {
            return Some(format!("ages: {:?}, wanted {:?}", self.ages, other.ages));
        }
        if self.patterns != other.patterns {
            return Some(format!("{} expressions, wanted {}", self.patterns, other.patterns));
        }
        if self.ramps != other.ramps {
            return Some(format!("ramps: {:?}, wanted {:?}", self.ramps, other.ramps));
        }
        if self.weight != other.weight {
            return Some(format!("{} bytes, wanted {}", self.weight, other.weight));
        }
        let (lists, wanted) = (self.index.lists(), other.index.lists());
        (lists != wanted).then(|| format!("index: {lists:?}, wanted {wanted:?}"))
    }

    /// Puts a route in the place of the one of its name, which it returns.
    pub fn insert(&mut self, stored: Arc<StoredRoute>) -> Option<Arc<StoredRoute>> {
        let name = stored.route.name().clone();
        let old = self.remove(&name);
        self.ages.insert((stored.created, name.clone()));
        self.patterns += stored.route.pattern_count();
        self.weight += stored.route.weight();
        stored.ramp.iter().for_each(|ramping| self.ramps.add(ramping));
        self.index.insert(&stored);
        self.by_name.insert(name, stored);
        old
    }

    /// Takes a route out.
    pub fn remove(&mut self, name: &RouteName) -> Option<Arc<StoredRoute>> {
        let old = self.by_name.remove(name)?;
        self.ages.remove(&(old.created, name.clone()));
        self.patterns -= old.route.pattern_count();
        self.weight -= old.route.weight();
        old.ramp.iter().for_each(|ramping| self.ramps.forget(ramping));
        self.index.remove(&old);
        Some(old)
    }
}

#[cfg(test)]
impl RouteTable {
    /// A step of nobody.
    pub(crate) fn ramp_raw(&mut self) {
        self.ramps.due_raw();
    }
}
