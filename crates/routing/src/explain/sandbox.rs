//! The rules of a request's sandbox, and what became of each.

use super::{Reason, Tried};
use crate::{
    decide::RequestHead,
    sandbox::{
        Sandboxed,
        condition::{Facts, conditions},
        key::Found,
    },
};
use quorate_state::View;

const KEY: &str = "1 to 256 bytes of printable ASCII without spaces";

/// The rules up to the one that the request meets; none where it carries no key.
pub(super) fn rules(
    view: &View,
    (head, found): (&RequestHead<'_>, &Found<'_>),
    (met, is_missing): (Option<&Sandboxed<'_, '_>>, bool),
) -> Vec<Tried> {
    let Some(key) = &found.key else { return no_key(found.invalid) };
    let Some(sandbox) = view.sandboxes().of_requests(&key.text) else {
        let reason = reason("key", "the key of a sandbox", format!("{}, which no sandbox has", key.text));
        return vec![tried(key.text.clone().into_owned(), vec![reason])];
    };
    let facts = Facts::of(view, head);
    let last = met.map_or(usize::MAX, |met| met.nth);
    let rules = sandbox.rules().enumerate().take_while(|(nth, _)| *nth <= last);
    rules
        .map(|(nth, one)| {
            let name = format!("{} rule {nth}", key.text);
            if nth == last && !is_missing {
                return Tried { decides: true, ..tried(name, Vec::new()) };
            }
            if nth == last {
                let found = "nobody: it goes where it would go without its key, as fallback.missing has it";
                return tried(name, vec![reason("target", "somebody who gets requests", found.into())]);
            }
            let missed = conditions(one).filter(|condition| !condition.holds(&facts));
            let reasons = missed.map(|one| reason(&one.field(), &one.to_string(), one.found(&facts)));
            tried(name, reasons.collect())
        })
        .collect()
}

fn no_key(invalid: u32) -> Vec<Tried> {
    if invalid == 0 {
        return Vec::new();
    }
    let found = format!("something else in {invalid} of the places that may have one");
    vec![Tried { name: None, ..tried(String::new(), vec![reason("key", KEY, found)]) }]
}

fn tried(name: String, reasons: Vec<Reason>) -> Tried {
    Tried { kind: "sandbox", name: Some(name), decides: false, reasons }
}

fn reason(field: &str, wanted: &str, found: String) -> Reason {
    Reason { field: field.into(), wanted: wanted.into(), found }
}
