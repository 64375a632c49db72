//! One rule of a sandbox.

use crate::{
    limit,
    name::{Invalid, RouteName, RoutingKey, ServiceName, excerpt},
    number::LogIndex,
    policy::{KeySource, header_name, target_path},
    ramp::{Ramp, RampState, RampSubject, Ramping},
    route::{Action, Destination, Forwarding, HeaderEdits, Route, RouteParts, StoredRoute},
    weight,
};
use http::HeaderValue;
use std::sync::Arc;

/// Which requests, and where to. A request meets it when its path is one of those named (or none is), all headers are
/// what they must be, and it would have gone to the service, if one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxRule {
    /// What a path may begin with, letter by letter: `/api` is for `/api/x` and for `/apis`, as in the original.
    pub path_prefixes: Vec<Box<str>>,
    /// What a path may be as a whole.
    pub paths_exact: Vec<Box<str>>,
    /// What headers must be, exactly, by name in lower case and in order of the names.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Only for requests that would go to this service without the key: so one key can stand for many services.
    pub service: Option<ServiceName>,
    /// Where to, at least one.
    pub destinations: Vec<Destination>,
    /// How their weights change by themselves.
    pub ramp: Option<Ramp>,
    /// What keeps requests at one of them.
    pub sticky: Option<KeySource>,
    /// Set on the request in the place of those of the same name, by name in lower case.
    pub add_headers: Vec<(Box<str>, HeaderValue)>,
    /// When the request goes where it would go without the key.
    pub fallback: Fallback,
}

/// When a request of a sandbox goes where it would go without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fallback {
    /// When there is nobody at the rule's target: no such service, or none of its endpoints gets requests.
    pub missing: bool,
    /// When the target answers with a status of 500 or above.
    pub on_5xx: bool,
}

impl Fallback {
    /// Never.
    pub const NEVER: Self = Self { missing: false, on_5xx: false };
}

impl Default for Fallback {
    fn default() -> Self {
        Self { missing: true, on_5xx: false }
    }
}

/// A rule that no request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The place of it, from 0.
    pub rule: usize,
    /// The place of the first earlier one that every request meets which meets it.
    pub by: usize,
}

impl SandboxRule {
    /// A path to compare with; the error is about `field`.
    pub fn path(field: &str, path: &str) -> Result<Box<str>, Invalid> {
        target_path(field, path)
    }

    /// A header to compare with: its name, and what it must be. What is wrong with one hides nothing of the other.
    pub fn header(field: &str, name: &str, value: &str) -> Result<(Box<str>, Box<str>), Vec<Invalid>> {
        let text = HeaderEdits::value(field, value).and_then(|value| {
            let allowed = "visible ASCII and spaces: headers are compared byte by byte";
            let shown = || format!("is {}", excerpt(&String::from_utf8_lossy(value.as_bytes())));
            value.to_str().map(Into::into).map_err(|_| Invalid::new(field, shown(), allowed))
        });
        both(header_name(field, name), text)
    }

    /// A header to set.
    pub fn added_header(
        field: &str,
        name: &str,
        value: &str,
    ) -> Result<(Box<str>, HeaderValue), Vec<Invalid>> {
        both(HeaderEdits::name(field, name), HeaderEdits::value(field, value))
    }

    /// The route that it is forwarded by: number `nth` of the rules of the sandbox of `key` that was made at `created`.
    /// Its ramp, if it has one, stands where `state` says.
    pub fn route(
        &self,
        (key, nth): (&RoutingKey, usize),
        created: LogIndex,
        state: Option<RampState>,
    ) -> StoredRoute {
        let ramp = self.ramp.as_ref().zip(state).map(|(ramp, state)| {
            // There are fewer rules than that.
            let rule = u16::try_from(nth).unwrap_or(u16::MAX);
            let subject = RampSubject::Rule { key: key.clone(), rule };
            Arc::new(Ramping::new(subject, (ramp, &self.destinations), state))
        });
        let forwarding = Forwarding {
            destinations: self.destinations.clone(),
            ramp: self.ramp.clone(),
            sticky: self.sticky.clone(),
            request_headers: HeaderEdits { set: self.add_headers.clone(), ..HeaderEdits::default() },
            ..Forwarding::default()
        };
        let parts = RouteParts { action: Action::from(forwarding), ..RouteParts::default() };
        let route = Route::of_rule(RouteName::of_rule(key, nth), parts);
        // Not when the sandbox changed: it may have been given more time only.
        StoredRoute { route, created, changed: created, ramp }
    }

    /// Whether every request that meets `other` meets this one.
    pub fn covers(&self, other: &Self) -> bool {
        let is_any = |rule: &Self| rule.path_prefixes.is_empty() && rule.paths_exact.is_empty();
        // Paths are compared decoded. Half an escape at the end of a prefix is read otherwise than the whole of it.
        let is_whole = |prefix: &str| !prefix.bytes().rev().take(2).any(|byte| byte == b'%');
        let begins = |path: &str| {
            let prefixes = &self.path_prefixes;
            prefixes.iter().any(|one| path == &**one || is_whole(one) && path.starts_with(&**one))
        };
        let paths = is_any(self)
            || !is_any(other)
                && other.path_prefixes.iter().all(|prefix| begins(prefix))
                && other.paths_exact.iter().all(|path| begins(path) || self.paths_exact.contains(path));
        let headers = self.headers.iter().all(|header| other.headers.contains(header));
        let service = self.service.is_none() || self.service == other.service;
        paths && headers && service
    }

    pub(super) fn weight(&self) -> usize {
        /// What a text takes besides its letters.
        const TEXT: usize = 32;
        /// What a text takes besides where requests find it.
        const FOUND: usize = 4;
        /// What a destination takes besides its text, once here and once in the route.
        const DESTINATION: usize = 2 * 96;
        // What is compared is there twice: as it was set, and as requests find it.
        let paths =
            self.path_prefixes.iter().chain(&self.paths_exact).map(|path| TEXT + FOUND + 2 * path.len());
        let headers = self.headers.iter().map(|(name, value)| 2 * (TEXT + FOUND + name.len() + value.len()));
        let added = self.add_headers.iter().map(|(name, value)| 4 * TEXT + 2 * name.len() + value.len());
        let destinations = self.destinations.iter().map(|one| DESTINATION + 2 * one.target.text_len());
        let compiled = weight::STORED_ROUTE + weight::FORWARDING + TEXT + limit::ROUTING_KEY_BYTES_MAX;
        let ramp = 2 * crate::route::ramp_weight(self.ramp.as_ref(), &self.destinations);
        weight::SANDBOX_RULE
            + compiled
            + ramp
            + paths.chain(headers).chain(added).chain(destinations).sum::<usize>()
    }

    /// What is wrong with it, each by the place that it has in a document of a rule.
    pub fn mistakes(&self) -> Vec<Invalid> {
        let counts = [
            ("path_prefixes", self.path_prefixes.len()),
            ("paths_exact", self.paths_exact.len()),
            ("headers", self.headers.len()),
            ("add_headers", self.add_headers.len()),
        ];
        let max = limit::MATCH_VALUES_MAX;
        let many = counts.into_iter().filter(|(_, count)| *count > max);
        let mut wrong: Vec<_> = many
            .map(|(field, count)| Invalid::new(field, format!("has {count}"), format!("at most {max}")))
            .collect();
        wrong.extend(crate::route::wrong_destinations("targets", &self.destinations));
        wrong.extend(self.ramp.iter().flat_map(|ramp| ramp.mistakes(self.destinations.len())));
        wrong.extend(twice("headers", self.headers.iter().map(|(name, _)| &**name)));
        wrong.extend(twice("add_headers", self.add_headers.iter().map(|(name, _)| &**name)));
        wrong
    }
}

/// Both of them, or what is wrong with each.
pub(super) fn both<A, B>(a: Result<A, Invalid>, b: Result<B, Invalid>) -> Result<(A, B), Vec<Invalid>> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (a, b) => Err(a.err().into_iter().chain(b.err()).collect()),
    }
}

/// A header that is named twice, in other letters: only one of them could hold.
fn twice<'a>(field: &str, names: impl Iterator<Item = &'a str>) -> Option<Invalid> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let [name, _] = names.array_windows().find(|[a, b]| a == b)?;
    Some(Invalid::new(format!("{field}.{name}"), "is there twice", "each header once, whatever its case"))
}
