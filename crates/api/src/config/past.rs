//! What operators declared before, and the way back.

use super::ObjectKind;
use crate::{
    Wrong,
    fields::{Fields, number},
    timestamp,
};
use quorate_model::{Became, DeclaredChange, Former, LogIndex};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;

/// Most changes that are told of one entry.
const CHANGES_SHOWN_MAX: usize = 100;

/// `GET /v1/config/history`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigHistoryBody {
    /// The newest first.
    pub items: Vec<ConfigEntryBody>,
    /// For `cursor`, to get the next page; null: this is the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The log index of the View that this was read from.
    pub index: u64,
    /// The earliest index of which it is known what was declared; null: of none, because some node runs an older
    /// version.
    #[schema(required)]
    pub known_from: Option<u64>,
}

/// One log entry that changed what is declared.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigEntryBody {
    /// Its log index.
    pub index: u64,
    /// When, by the leader's clock.
    pub time: String,
    /// How many objects it changed.
    pub change_count: usize,
    /// The first hundred of them.
    pub changes: Vec<PastChangeBody>,
}

/// An object that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PastChangeBody {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: PastChange,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PastChange {
    /// It was not there before.
    Created,
    /// It said something else before.
    Changed,
    /// Somebody took it away.
    Removed,
    /// Its time was over.
    Ended,
}

impl ConfigEntryBody {
    /// Of the changes of one entry; `None` where there are none.
    pub fn of(changes: &[&Arc<DeclaredChange>]) -> Option<Self> {
        let first = changes.first()?;
        Some(Self {
            index: first.index.0,
            time: timestamp::millis(first.at),
            change_count: changes.len(),
            changes: changes.iter().take(CHANGES_SHOWN_MAX).map(|change| (&***change).into()).collect(),
        })
    }
}

impl From<&DeclaredChange> for PastChangeBody {
    fn from(change: &DeclaredChange) -> Self {
        let kind = match &change.former {
            Former::Route { .. } => ObjectKind::Route,
            Former::Sandbox { .. } => ObjectKind::Sandbox,
            Former::Service { .. } => ObjectKind::Service,
            Former::Keyspace { .. } => ObjectKind::Keyspace,
        };
        let became = match (change.became, change.former.stood()) {
            (Became::Set, false) => PastChange::Created,
            (Became::Set, true) => PastChange::Changed,
            (Became::Removed, _) => PastChange::Removed,
            (Became::Ended, _) => PastChange::Ended,
        };
        Self { kind, name: change.former.name().into(), change: became }
    }
}

/// `POST /v1/config/rollback`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// The log index after which it stood.
    pub to: u64,
}

/// Reads the body of a rollback.
pub fn rollback(body: Map<String, Value>) -> Result<LogIndex, Wrong> {
    let mut fields = Fields::of_body(body);
    let to = fields.required("to", "a log index such as 57", number(u64::MAX));
    let wrong = fields.finish();
    match to {
        Some(to) if wrong.is_empty() => Ok(LogIndex(to)),
        Some(_) | None => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_way_back_names_one_index() {
        let read = |body: Value| rollback(body.as_object().expect("an object").clone());
        assert_eq!(read(json!({"to": 57})), Ok(LogIndex(57)));
        let wrong =
            |body: Value| read(body).expect_err("wrong").iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(wrong(json!({})), ["to: is missing; allowed: a log index such as 57"]);
        assert_eq!(
            wrong(json!({"to": "57", "too": 1})),
            [
                "to: is a string; allowed: a number, 0 to 18446744073709551615",
                "too: is no known field; did you mean to?; allowed: to"
            ]
        );
    }
}
