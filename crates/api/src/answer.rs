//! Bodies that several resources share.

use quorate_model::LogIndex;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list. Lists are always objects.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// For `cursor`, to get the next page; null: this is the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The log index of the View that this was read from.
    pub index: u64,
}

impl<T> Page<T> {
    /// A page of the first `limit` items; `cursor` names an item, `show` makes a body of it.
    pub fn cut<I>(
        items: impl Iterator<Item = I>,
        limit: usize,
        index: LogIndex,
        cursor: impl Fn(&I) -> String,
        show: impl FnMut(I) -> T,
    ) -> Self {
        let mut items: Vec<I> = items.take(limit.saturating_add(1)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(cursor);
        Self { items: items.into_iter().map(show).collect(), next_cursor, index: index.0 }
    }
}

/// A write that was carried out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Written {
    /// The log index at which it was applied.
    pub index: u64,
    /// True: all was so before, and nothing was changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub unchanged: bool,
    /// With `visible`: which nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<VisibleBody>,
}

/// Which members of the cluster have applied a write, and can be asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct VisibleBody {
    /// Whether all have.
    pub all: bool,
    /// Those that have, by name.
    pub applied: Vec<String>,
    /// Those that have not, or of which it is not known.
    pub missing: Vec<MissingBody>,
}

/// A member that has not applied a write within the wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MissingBody {
    /// Its name.
    pub node: String,
    /// As far as it is known.
    pub why: String,
}

impl VisibleBody {
    /// Of each member: its name, and why it has not applied the write, if it has not.
    pub fn new(seen: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let (mut applied, mut missing) = (Vec::new(), Vec::new());
        for (node, why) in seen {
            match why {
                None => applied.push(node),
                Some(why) => missing.push(MissingBody { node, why }),
            }
        }
        Self { all: missing.is_empty(), applied, missing }
    }
}

/// A write that would be carried out. Nothing was changed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Validated {
    /// Always true.
    pub dry_run: bool,
    /// The log index of the View that it was checked against.
    pub index: u64,
}

/// A snapshot that was restored.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Restored {
    /// The log index at which it took the place of the empty state.
    pub index: u64,
    /// Worker records that it brought, expired ones included.
    pub workers: u64,
    /// Keyspaces that it brought.
    pub keyspaces: u64,
}

/// What a write answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum WriteAnswer {
    /// It was carried out.
    Written(Written),
    /// With `dry_run`.
    Validated(Validated),
}

/// Health, as probes read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `ready`, `degraded`, `starting`, `removed`, `draining`.
    pub status: String,
    /// Why it is not simply ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `?verbose`: each check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// One check of readiness.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// What is checked.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// In words.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_there_only_if_more_follows() {
        let page = |limit| Page::cut(1..=5u32, limit, LogIndex(9), ToString::to_string, |i| i);
        assert_eq!((page(2).items, page(2).next_cursor), (vec![1, 2], Some("2".into())));
        assert_eq!((page(5).items, page(5).next_cursor), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(page(9).next_cursor, None);
    }
}
