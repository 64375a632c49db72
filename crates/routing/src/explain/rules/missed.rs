//! Why a route is not the one for a request.
//!
//! Two kinds of requests are compared otherwise than they read. A preflight stands for another request: its method is
//! the one that it asks about, and conditions on headers are passed over, since it has none of that request's. And a path
//! that can be read in several ways is compared in each of them.

use super::{Reason, place_missed};
use crate::{
    decide::RequestHead,
    route::{
        condition::{Condition, Facts, conditions},
        cors_of, leads_back, rewrite,
    },
};
use http::Method;
use quorate_model::{StoredRoute, route::Action};

/// A request, in the form that is compared.
pub(super) struct Asked<'a> {
    /// With the path as it stands.
    pub facts: Facts<'a>,
    /// As it came.
    pub head: &'a RequestHead<'a>,
    /// In which ways the path can be read; the first one is as it stands.
    pub paths: &'a [String],
    /// The method that a preflight asks about.
    pub preflight: Option<Method>,
}

/// Everything of a route that a request has not. `readings`: those of the path that led to it.
pub(super) fn missed(stored: &StoredRoute, readings: &[usize], asked: &Asked<'_>) -> Vec<Reason> {
    let mut first = None;
    for nth in readings {
        let Some(path) = asked.paths.get(*nth) else { continue };
        let reasons = of_reading(stored, &Facts { path, ..asked.facts }, asked.preflight.as_ref());
        if reasons.is_empty() {
            return vec![of_redirect(stored, asked.head).unwrap_or_else(|| unlike(path, asked))];
        }
        first.get_or_insert((path, reasons));
    }
    match first {
        Some((path, mut reasons)) => {
            if path != asked.facts.path {
                reasons.iter_mut().for_each(|one| one.found += &format!(" (the path read as {path})"));
            }
            reasons
        }
        // Nothing led to it.
        None => match of_reading(stored, &asked.facts, asked.preflight.as_ref()) {
            reasons if reasons.is_empty() => vec![unlike(asked.facts.path, asked)],
            reasons => reasons,
        },
    }
}

/// All of it holds, but the client would only come back.
fn of_redirect(stored: &StoredRoute, head: &RequestHead<'_>) -> Option<Reason> {
    let redirect = match &stored.route.action {
        Action::Redirect(redirect) if leads_back(stored, head) => redirect,
        Action::Redirect(_) | Action::Forward(_) => return None,
    };
    let location = rewrite::redirection(&stored.route, redirect, head).location;
    Some(Reason {
        field: "redirect".into(),
        wanted: "to lead elsewhere than the request came from".into(),
        found: format!("{location}, where it came from: the redirect is passed over"),
    })
}

/// All of it holds, and yet the request is not the route's.
fn unlike(path: &str, asked: &Asked<'_>) -> Reason {
    let reason = |field: &str, wanted: &str, found: String| Reason {
        field: field.into(),
        wanted: wanted.into(),
        found,
    };
    if asked.paths.len() > 1 {
        let found = format!("{}, of which one reading is {path}", asked.facts.path);
        return reason("path", "a path that everybody reads as one for the same route", found);
    }
    if asked.preflight.is_some() {
        let found = "another route that is for it goes before, without cors".into();
        return reason("cors", "to be the first route that is for the request", found);
    }
    // Control characters, or no slash at the beginning.
    reason("path", "a path that a route may have", asked.facts.path.to_owned())
}

fn of_reading(stored: &StoredRoute, facts: &Facts<'_>, preflight: Option<&Method>) -> Vec<Reason> {
    let place = place_missed(stored, facts);
    if *facts.method != Method::OPTIONS {
        let all = conditions(&stored.route.matches);
        return place.into_iter().chain(failed(all, facts)).collect();
    }
    let mut reasons = place;
    match preflight {
        Some(method) => {
            reasons.extend(of_preflight(stored, &Facts { method, ..*facts }));
        }
        None => {
            let matches = &stored.route.matches;
            let others = conditions(matches).filter(|one| !matches!(one, Condition::Methods(_)));
            reasons.extend(failed(others, facts));
            if !matches.methods.contains(&Method::OPTIONS) {
                let found = "OPTIONS, which is no preflight".into();
                let wanted = match matches.methods.as_slice() {
                    [] => "every method but OPTIONS, which it does not name".into(),
                    some => some.iter().map(Method::as_str).collect::<Vec<_>>().join(" or "),
                };
                reasons.push(Reason { field: "match.methods".into(), wanted, found });
            }
        }
    }
    reasons
}

/// `facts` with the method that is asked about.
fn of_preflight(stored: &StoredRoute, facts: &Facts<'_>) -> Vec<Reason> {
    let matches = &stored.route.matches;
    let mut reasons: Vec<_> = failed(conditions(matches).filter(|one| !one.is_of_header()), facts).collect();
    for one in reasons.iter_mut().filter(|one| one.field == "match.methods") {
        one.found += ", which the preflight asks about";
    }
    if cors_of(stored).is_none() {
        let wanted = "cors, or it answers no preflight".into();
        reasons.push(Reason { field: "cors".into(), wanted, found: "nothing".into() });
    }
    if !reasons.is_empty() {
        let of_headers = || conditions(matches).filter(|one| one.is_of_header());
        if matches.methods.contains(&Method::OPTIONS) {
            // It may also have those that find no answer, and then all of it counts.
            reasons.extend(failed(of_headers(), facts));
        } else {
            reasons.extend(of_headers().map(|one| Reason {
                field: one.field(),
                wanted: one.to_string(),
                found: "a preflight, which has no headers of the request: not looked at".into(),
            }));
        }
    }
    reasons
}

fn failed<'a>(
    conditions: impl Iterator<Item = Condition<'a>>,
    facts: &Facts<'_>,
) -> impl Iterator<Item = Reason> {
    conditions.filter(|one| !one.holds(facts)).map(|one| Reason {
        field: one.field(),
        wanted: one.to_string(),
        found: one.found(facts),
    })
}
