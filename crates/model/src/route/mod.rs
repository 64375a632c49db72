//! Routes: which requests, and what becomes of them.
//!
//! A route is made by [`RouteParts::validate`] only. It lists every mistake with its place, so that a document with
//! three of them is mended once and not three times.

mod action;
mod declared;
mod level;
mod matching;
mod target;

pub use action::{
    Cors, Destination, HeaderEdits, Mirror, OriginMatch, PathRewrite, Redirect, Rewrite, Target, Timeouts,
};
pub(crate) use declared::Obstacle;
pub use matching::{HostMatch, PathMatch, Pattern, RouteMatch, ValueMatch};

use crate::{
    limit,
    name::{Invalid, RouteName},
    number::LogIndex,
    policy::{Balancing, KeySource, Retries},
    ramp::{Ramp, RampState, RampSubject, Ramping},
    weight,
};
use std::{ops::Deref, sync::Arc};

/// What a route says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteParts {
    /// Which requests it is for.
    pub matches: RouteMatch,
    /// What becomes of them.
    pub action: Action,
    /// Before more specific routes that have less of it.
    pub priority: i32,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is sent on.
    Forward(Arc<Forwarding>),
    /// The client is told to ask elsewhere.
    Redirect(Redirect),
}

impl Default for Action {
    fn default() -> Self {
        Self::Forward(Arc::default())
    }
}

impl From<Forwarding> for Action {
    fn from(forwarding: Forwarding) -> Self {
        Self::Forward(Arc::new(forwarding))
    }
}

/// How a request is sent on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Where to, at least one.
    pub destinations: Vec<Destination>,
    /// How their weights change by themselves.
    pub ramp: Option<Ramp>,
    /// What keeps requests at one of them.
    pub sticky: Option<KeySource>,
    /// Which of a destination's endpoints; `None`: as the service's policy says.
    pub balancing: Option<Balancing>,
    /// For [`Balancing::ConsistentHash`].
    pub hash_on: Option<KeySource>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// `None`: as the service's policy says.
    pub retries: Option<Retries>,
    /// Answers to browsers of other origins.
    pub cors: Option<Cors>,
    /// What the destination sees instead of the path and host that were asked for.
    pub rewrite: Rewrite,
    /// On the request's headers.
    pub request_headers: HeaderEdits,
    /// On the answer's headers.
    pub response_headers: HeaderEdits,
    /// Who else gets a copy.
    pub mirror: Option<Mirror>,
}

/// A valid route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    name: RouteName,
    parts: RouteParts,
}

impl Deref for Route {
    type Target = RouteParts;

    fn deref(&self) -> &RouteParts {
        &self.parts
    }
}

impl Route {
    /// What a sandbox's rule is forwarded by; the rule was checked.
    pub(crate) fn of_rule(name: RouteName, parts: RouteParts) -> Self {
        Self { name, parts }
    }

    /// What a node's default target is forwarded by.
    pub fn of_default_target(target: Target) -> Self {
        let destinations = vec![Destination { target, weight: Destination::WEIGHT_DEFAULT }];
        let forwarding = Forwarding { destinations, ..Forwarding::default() };
        let parts = RouteParts { action: forwarding.into(), ..RouteParts::default() };
        Self { name: RouteName::of_default_target(), parts }
    }

    /// How its requests are sent on; `None`: it redirects.
    pub fn forwarding(&self) -> Option<&Arc<Forwarding>> {
        match &self.parts.action {
            Action::Forward(forwarding) => Some(forwarding),
            Action::Redirect(_) => None,
        }
    }

    /// How the weights of its destinations change by themselves, if they do.
    pub fn ramp(&self) -> Option<&Ramp> {
        self.forwarding()?.ramp.as_ref()
    }

    /// Its name.
    pub fn name(&self) -> &RouteName {
        &self.name
    }

    /// How many regular expressions it has, for bounds.
    pub fn pattern_count(&self) -> usize {
        let values = self.matches.headers.iter().chain(&self.matches.query);
        values.filter(|(_, value)| matches!(value, ValueMatch::Regex(_))).count()
            + usize::from(matches!(self.matches.path, PathMatch::Regex(_)))
    }

    /// About how many bytes it keeps in memory, for bounds: more than the truth.
    pub fn weight(&self) -> usize {
        /// What a value of a match or an edit takes besides its text, and at most with it in most documents.
        const VALUE: usize = 128;
        let (matches, compiled) = (&self.matches, self.pattern_count());
        let values = matches.header_count() + matches.methods.len();
        let action = match &self.action {
            Action::Redirect(_) => VALUE,
            Action::Forward(forwarding) => forwarding.weight(),
        };
        compiled * limit::PATTERN_COMPILED_BYTES_MAX / 8 + values * VALUE + action
    }
}

/// A route as the cluster holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoute {
    /// What it says.
    pub route: Route,
    /// The log index at which it was made: of two that are alike specific, the older one is taken.
    pub created: LogIndex,
    /// The log index of its last change, for `If-Match`.
    pub changed: LogIndex,
    /// Where its ramp stands, if it has one.
    pub ramp: Option<Arc<Ramping>>,
}

impl StoredRoute {
    /// A route whose ramp, if it has one, stands there.
    pub fn new(
        route: Route,
        (created, changed): (LogIndex, LogIndex),
        state: Option<RampState>,
    ) -> Result<Self, Invalid> {
        let subject = || RampSubject::Route(route.name().clone());
        let ramp = match (route.forwarding().and_then(|forwarding| forwarding.ramped()), state) {
            (Some((ramp, own)), Some(state)) => {
                state.is_of(ramp)?;
                Some(Arc::new(Ramping::new(subject(), (ramp, own), state)))
            }
            (None, None) => None,
            (Some(_), None) => return Err(Invalid::new("ramp", "stands nowhere", "a state for each ramp")),
            (None, Some(_)) => return Err(Invalid::new("ramp", "is not there", "a ramp for each state")),
        };
        Ok(Self { route, created, changed, ramp })
    }

    /// Its destinations, with the weights that they have now; none: it redirects.
    pub fn destinations(&self) -> &[Destination] {
        match (&self.ramp, &self.route.action) {
            (Some(ramping), _) => &ramping.destinations,
            (None, Action::Forward(forwarding)) => &forwarding.destinations,
            (None, Action::Redirect(_)) => &[],
        }
    }

    /// Where its ramp stands, as the cluster holds it.
    pub fn ramp_state(&self) -> Option<RampState> {
        self.ramp.as_ref().map(|ramping| ramping.state)
    }
}

impl RouteParts {
    /// Checks it as a whole and lists each mistake by the place that it has in a document.
    pub fn validate(self, name: RouteName) -> Result<Route, Vec<Invalid>> {
        let mut wrong = self.matches.mistakes();
        match &self.action {
            Action::Forward(forwarding) => {
                wrong.extend(forwarding.mistakes());
                wrong.extend(self.unsafe_retries(forwarding));
                wrong.extend(
                    self.prefix_without_prefix("rewrite.path_prefix", forwarding.rewrite.path.as_ref()),
                );
            }
            Action::Redirect(redirect) => {
                wrong.extend(redirect.mistakes());
                wrong.extend(self.prefix_without_prefix("redirect.path_prefix", redirect.path.as_ref()));
            }
        }
        if wrong.is_empty() { Ok(Route { name, parts: self }) } else { Err(wrong) }
    }

    /// A route that names a method which may not be repeated, and wants it repeated, must say so twice.
    fn unsafe_retries(&self, forwarding: &Forwarding) -> Option<Invalid> {
        let retries =
            forwarding.retries.as_ref().filter(|retries| retries.max > 0 && !retries.non_idempotent)?;
        let method = self.matches.methods.iter().find(|method| !is_idempotent(method))?;
        Some(Invalid::new(
            "retries",
            format!("would repeat {method} requests, {} times at most", retries.max),
            "methods that may be repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE), or `retry_non_idempotent: true`",
        ))
    }

    fn prefix_without_prefix(&self, field: &str, rewrite: Option<&PathRewrite>) -> Option<Invalid> {
        let replaces = matches!(rewrite, Some(PathRewrite::Prefix(_)));
        (replaces && !matches!(self.matches.path, PathMatch::Prefix(_))).then(|| {
            Invalid::new(
                field,
                "replaces a prefix that the match does not name",
                "only with `match.path_prefix`",
            )
        })
    }
}

/// Whether a method promises that twice is as good as once (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &http::Method) -> bool {
    use http::Method;
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

impl Forwarding {
    /// Its ramp, with the destinations that it is of.
    pub fn ramped(&self) -> Option<(&Ramp, &[Destination])> {
        Some((self.ramp.as_ref()?, &self.destinations))
    }

    fn weight(&self) -> usize {
        const VALUE: usize = 128;
        let edits = [&self.request_headers, &self.response_headers].into_iter().flat_map(|edits| {
            let texts = edits.set.iter().chain(&edits.add).map(|(name, value)| name.len() + value.len());
            texts.chain(edits.remove.iter().map(|name| name.len()))
        });
        let origins =
            self.cors.as_ref().map_or(0, |cors| cors.allowed_origins.len() + cors.allowed_headers.len());
        ramp_weight(self.ramp.as_ref(), &self.destinations)
            + weight::FORWARDING
            + edits.map(|text| VALUE + text).sum::<usize>()
            + (self.destinations.len() + origins) * VALUE
            + self.destinations.iter().map(|one| one.target.version_len()).sum::<usize>()
    }

    fn mistakes(&self) -> Vec<Invalid> {
        let mut wrong = wrong_destinations("destinations", &self.destinations);
        if self.hash_on.is_some() && self.balancing != Some(Balancing::ConsistentHash) {
            wrong.push(Invalid::new("hash_on", "is there", "only with `balancing: consistent-hash`"));
        }
        if self.balancing == Some(Balancing::ConsistentHash) && self.hash_on.is_none() {
            wrong.push(Invalid::new("hash_on", "is not there", "a key, with `balancing: consistent-hash`"));
        }
        wrong.extend(self.ramp.iter().flat_map(|ramp| ramp.mistakes(self.destinations.len())));
        wrong.extend(self.timeouts.mistakes());
        if let Some(retries) = &self.retries {
            let mistakes = retries.clone().validate().err().unwrap_or_default();
            wrong.extend(mistakes.into_iter().map(|one| {
                let field = format!("retries.{}", one.field);
                one.renamed(field)
            }));
        }
        wrong.extend(self.cors.as_ref().and_then(Cors::mistake));
        wrong.extend(self.request_headers.mistakes("request_headers"));
        wrong.extend(self.response_headers.mistakes("response_headers"));
        wrong
    }
}

/// What a ramp and what is made of it keep in memory, about.
pub(crate) fn ramp_weight(ramp: Option<&Ramp>, destinations: &[Destination]) -> usize {
    const EACH: usize = 96;
    let Some(ramp) = ramp else { return 0 };
    let made = destinations.iter().map(|one| EACH + one.target.text_len()).sum::<usize>();
    weight::RAMPING + ramp.weight() + made
}

/// What is wrong with how many there are and what they weigh, alone and together.
pub(crate) fn wrong_destinations(field: &str, destinations: &[Destination]) -> Vec<Invalid> {
    let allowed = format!("1 to {} destinations", limit::DESTINATIONS_MAX);
    if destinations.is_empty() {
        return vec![Invalid::new(field, "is empty", allowed)];
    }
    if destinations.len() > limit::DESTINATIONS_MAX {
        return vec![Invalid::new(field, format!("has {}", destinations.len()), allowed)];
    }
    let heavy = destinations.iter().enumerate().filter(|(_, one)| one.weight > limit::WEIGHT_MAX);
    let mut wrong: Vec<_> = heavy
        .map(|(nth, destination)| {
            let field = format!("{field}[{nth}].weight");
            Invalid::new(field, format!("is {}", destination.weight), format!("0 to {}", limit::WEIGHT_MAX))
        })
        .collect();
    if destinations.iter().all(|destination| destination.weight == 0) {
        let allowed = format!("at least one weight of 1 to {}", limit::WEIGHT_MAX);
        wrong.push(Invalid::new(field, "all have weight 0", allowed));
    }
    wrong
}

#[cfg(test)]
mod tests;
