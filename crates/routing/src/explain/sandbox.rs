//! The rules of a request's sandbox, and what became of each.

use super::{Reason, Tried, endpoints, target};
use crate::{
    decide::RequestHead,
    local::Sight,
    route::Aim,
    sandbox::{
        Sandboxed,
        condition::{Facts, conditions},
        is_there,
        key::Found,
    },
};
use quorate_state::{Loads, View};

const SAFE_PATH: &str = "a path without `.` or `..` as a segment and without an encoded control character";
const KEY: &str = "1 to 256 bytes of printable ASCII without spaces";

/// The rules up to the one that the request meets; none where it carries no key.
pub(super) fn rules(
    sight: Sight<'_>,
    (head, found): (&RequestHead<'_>, &Found<'_>),
    (met, is_missing): (Option<&Sandboxed<'_, '_>>, bool),
) -> Vec<Tried> {
    let Some(key) = &found.key else { return no_key(found.invalid) };
    let Some(sandbox) = sight.sandbox(&key.text) else {
        let reason = reason("key", "the key of a sandbox", format!("{}, which no sandbox has", key.text));
        return vec![tried(key.text.clone().into_owned(), vec![reason])];
    };
    let facts = Facts::of(sight, head);
    let last = met.map_or(usize::MAX, |met| met.nth);
    let rules = sandbox.rules().enumerate().take_while(|(nth, _)| *nth <= last);
    let mut is_refused = false;
    rules
        .map_while(|(nth, one)| {
            // Those behind it were not tried.
            if is_refused {
                return None;
            }
            let name = format!("{} rule {nth}", key.text);
            if nth == last && !is_missing {
                return Some(Tried { decides: true, ..tried(name, Vec::new()) });
            }
            if nth == last {
                let by = if met.is_some_and(|met| met.fallback.missing) { "missing" } else { "on_5xx" };
                let found =
                    format!("nobody: it goes where it would go without its key, as fallback.{by} has it");
                return Some(tried(name, vec![reason("target", "somebody who gets requests", found)]));
            }
            let missed = conditions(one).filter(|condition| !condition.holds(&facts));
            let reasons = missed.map(|one| reason(&one.field(), &one.to_string(), one.found(&facts)));
            let mut reasons: Vec<_> = reasons.collect();
            if reasons.is_empty() {
                // All of it holds, and yet nothing is sent there: what goes before the path could be left by it.
                is_refused = true;
                reasons.push(reason("path", SAFE_PATH, head.path.to_owned()));
            }
            Some(tried(name, reasons))
        })
        .collect()
}

/// Whether a request goes where it would go without its key. To a tunnel that nobody holds no connection is made, which
/// is a failure like an answer with 500 or above.
pub(super) fn falls_back(met: &Sandboxed<'_, '_>, known: (&View, &Loads)) -> bool {
    let serving = serving(&met.sent.aim, known);
    let is_unreached = serving == 0 && matches!(met.sent.aim, Aim::Url(..));
    met.falls_back(serving) || (is_unreached && met.fallback.on_5xx)
}

/// How many endpoints of a rule's target get requests.
fn serving(aim: &Aim<'_, '_>, (view, loads): (&View, &Loads)) -> usize {
    match aim {
        Aim::Service(_, Some(service)) => endpoints::of_service(service, None, loads).serving,
        Aim::Version(_, version, Some(service)) => {
            endpoints::of_service(service, Some(version), loads).serving
        }
        Aim::Service(_, None) | Aim::Version(_, _, None) | Aim::Nobody | Aim::Owner(_, Err(_)) => 0,
        Aim::Url(address, _) => usize::from(is_there(view, address)),
        Aim::Owner(_, Ok(_)) => 1,
    }
}

pub(super) fn fallback(met: &Sandboxed<'_, '_>, is_missing: bool) -> Option<String> {
    if is_missing {
        let target = met.sent.destinations.get(met.sent.nth).map(|one| target(&one.target));
        let target = target.unwrap_or_default();
        return Some(format!("nobody gets requests for {target}: it goes where it would go without its key"));
    }
    let on_5xx = "should it answer with 500 or above, the request goes where it would go without its key, if it may be \
                  repeated";
    met.fallback.on_5xx.then(|| on_5xx.into())
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
