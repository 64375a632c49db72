//! What is otherwise, object by object and field by field.

use crate::output::printable;
use quorate_client::operator::DeclaredChange;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// The lists of a document, and what one of their objects is called.
const KINDS: [(&str, &str); 4] =
    [("routes", "route"), ("sandboxes", "sandbox"), ("services", "service"), ("keyspaces", "keyspace")];

/// What makes the document `after` of the document `before`.
pub fn between(before: &Value, after: &Value) -> Vec<DeclaredChange> {
    let none = Map::new();
    let mut changes = Vec::new();
    for (list, kind) in KINDS {
        let [old, new] = [before, after].map(|all| all.get(list).and_then(Value::as_object).unwrap_or(&none));
        let mut names: Vec<_> =
            old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
        names.sort_unstable();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            let change = match (before, after) {
                (Some(before), Some(after)) if before == after => continue,
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "removed",
                (None, _) => "created",
            };
            let (before, after) = (before.cloned(), after.cloned());
            let (kind, name, change) = (kind.to_owned(), name.clone(), change.to_owned());
            changes.push(DeclaredChange { kind, name, change, before, after });
        }
    }
    changes
}

/// For people: `+` what comes, `-` what goes, `~` what is otherwise.
pub fn text(changes: &[DeclaredChange]) -> String {
    let mut text = String::new();
    for change in changes {
        let mark = match change.change.as_str() {
            "created" => '+',
            "removed" => '-',
            _ => '~',
        };
        line(&mut text, format_args!("{mark} {} {}", change.kind, change.name));
        // What goes as a whole needs no list of what it said.
        if mark != '-' {
            fields(&mut text, change.before.as_ref(), change.after.as_ref());
        }
    }
    text
}

/// For programs.
pub fn json(change: &DeclaredChange) -> Value {
    let DeclaredChange { kind, name, change, before, after } = change;
    let mut told = json!({"kind": kind, "name": name, "change": change});
    for (field, document) in [("before", before), ("after", after)] {
        if let Some(document) = document {
            told[field] = document.clone();
        }
    }
    told
}

fn fields(text: &mut String, before: Option<&Value>, after: Option<&Value>) {
    let [mut old, mut new] = [BTreeMap::new(), BTreeMap::new()];
    let mut order = Vec::new();
    before.inspect(|before| leaves("", before, &mut old, &mut order));
    after.inspect(|after| leaves("", after, &mut new, &mut order));
    let mut told = std::collections::BTreeSet::new();
    for place in order.into_iter().filter(|place| told.insert(place.clone())) {
        match (old.get(&place), new.get(&place)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => line(text, format_args!("    ~ {place}: {old} -> {new}")),
            (Some(old), None) => line(text, format_args!("    - {place}: {old}")),
            (None, Some(new)) => line(text, format_args!("    + {place}: {new}")),
            (None, None) => {}
        }
    }
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "{}", printable(&what.to_string()));
}

/// Each value that has none inside, by its place, such as `destinations[1].weight`.
fn leaves(place: &str, value: &Value, found: &mut BTreeMap<String, String>, order: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                leaves(&format!("{place}{dot}{name}"), value, found, order);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (nth, value) in items.iter().enumerate() {
                leaves(&format!("{place}[{nth}]"), value, found, order);
            }
        }
        leaf => {
            let shown = match leaf {
                Value::String(text) if !text.is_empty() => text.clone(),
                other => other.to_string(),
            };
            order.push(place.to_owned());
            found.insert(place.to_owned(), shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_otherwise_is_told_field_by_field() {
        let before = json!({
            "routes": {
                "same": {"match": {}},
                "web": {"match": {"host": "a"}, "destinations": [{"service": "a", "weight": 80}], "timeout": "3s"},
                "old": {"match": {}},
            },
            "services": {"upload": {"hold": "5s"}},
        });
        let after = json!({
            "routes": {
                "same": {"match": {}},
                "web": {"match": {}, "destinations": [{"service": "a", "weight": 20}, {"service": ""}]},
            },
            "services": {"upload": {"hold": "5s"}},
            "sandboxes": {"k\n1": {"rules": [{"target": "x@2"}]}},
        });
        let changes = between(&before, &after);
        assert_eq!(
            text(&changes),
            "- route old\n\
             ~ route web\n    \
                 ~ destinations[0].weight: 80 -> 20\n    \
                 - match.host: a\n    \
                 - timeout: 3s\n    \
                 + destinations[1].service: \"\"\n    \
                 + match: {}\n\
             + sandbox k\u{fffd}1\n    \
                 + rules[0].target: x@2\n"
        );
        assert_eq!(
            json(&changes[0]),
            json!({"kind": "route", "name": "old", "change": "removed", "before": {"match": {}}})
        );
        assert_eq!(between(&after, &after), []);
    }
}
