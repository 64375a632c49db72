//! What a sandbox's rule asks for, one condition at a time: matching goes on while they hold, and `explain` tells of each
//! that does not.
//!
//! Paths are compared decoded, as the original compares them, and letter by letter: `/api` is also the beginning of
//! `/apis`. That two servers may read one path differently is no matter here: a key leads to a sandbox because whoever
//! sends it wants to go there, and guards nothing. Only a path that could lead out of where it is put is refused.

use crate::{
    decide::{Decision, RequestHead},
    local::Sight,
    route::{Aim, Outcome, Sent},
    workspace::decoded,
};
use http::HeaderMap;
use quorate_state::CompiledRule;
use std::{borrow::Cow, cell::OnceCell, fmt};

/// What of a request is compared.
pub struct Facts<'v, 'h> {
    sight: Sight<'v>,
    head: RequestHead<'h>,
    path: Cow<'h, [u8]>,
    /// What would become of it without its key, once a rule wants to know.
    base: OnceCell<Decision<'v, 'h>>,
}

/// One thing that a rule asks for.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'r> {
    /// One of its paths.
    Path(CompiledRule<'r>),
    /// A header.
    Header(&'r str, &'r str),
    /// To be for a service, without the key.
    Service(&'r str),
}

/// Everything that a rule asks for, the cheap first.
pub fn conditions(rule: CompiledRule<'_>) -> impl Iterator<Item = Condition<'_>> {
    let has_paths = rule.path_prefixes().len() + rule.paths_exact().len() > 0;
    let path = has_paths.then_some(Condition::Path(rule));
    let headers = rule.headers().map(|(name, value)| Condition::Header(name, value));
    path.into_iter().chain(headers).chain(rule.service().map(Condition::Service))
}

impl<'v, 'h> Facts<'v, 'h> {
    /// Of a request.
    pub fn of(sight: Sight<'v>, head: &RequestHead<'h>) -> Self {
        Self { sight, head: *head, path: decoded(head.path), base: OnceCell::new() }
    }

    /// What becomes of it without its key.
    pub fn into_base(self) -> Decision<'v, 'h> {
        let Self { sight, head, base: known, .. } = self;
        known.into_inner().unwrap_or_else(|| sight.base(&head))
    }

    /// The service that it would be for without its key.
    fn service(&self) -> Option<&str> {
        service_of(self.base.get_or_init(|| self.sight.base(&self.head)))
    }

    fn headers(&self) -> &HeaderMap {
        self.head.headers
    }
}

/// The service that a decision is for.
fn service_of<'d>(decision: &'d Decision<'_, '_>) -> Option<&'d str> {
    match decision {
        Decision::Service(path, _) | Decision::NoService(path) => Some(&path.name),
        Decision::Route(routed) => match &routed.outcome {
            Outcome::Forward(Sent { aim: Aim::Service(name, _) | Aim::Version(name, ..), .. }) => {
                Some(name.as_str())
            }
            Outcome::Forward(_) | Outcome::Redirect(_) | Outcome::Preflight(_) => None,
        },
        Decision::Default(met) => match &met.sent.aim {
            Aim::Service(name, _) | Aim::Version(name, ..) => Some(name.as_str()),
            Aim::Url(..) | Aim::Owner(..) | Aim::Nobody => None,
        },
        Decision::Sandbox(_)
        | Decision::AmbiguousPath(_)
        | Decision::Preflight
        | Decision::ServicePreflight
        | Decision::BadServicePath(_)
        | Decision::NoWorkspace
        | Decision::PartitionCountUnknown(_)
        | Decision::NoWorker { .. }
        | Decision::Forward(_) => None,
    }
}

impl Condition<'_> {
    /// Whether it holds.
    pub fn holds(self, facts: &Facts<'_, '_>) -> bool {
        match self {
            Self::Path(rule) => {
                rule.path_prefixes().any(|prefix| facts.path.starts_with(&decoded(prefix)))
                    || rule.paths_exact().any(|path| facts.path == decoded(path))
            }
            Self::Header(name, wanted) => {
                facts.headers().get_all(name).iter().any(|value| value.as_bytes() == wanted.as_bytes())
            }
            Self::Service(wanted) => facts.service() == Some(wanted),
        }
    }

    /// Which field of the rule says it.
    pub fn field(self) -> String {
        match self {
            Self::Path(rule) if rule.paths_exact().len() == 0 => "path_prefixes".into(),
            Self::Path(rule) if rule.path_prefixes().len() == 0 => "paths_exact".into(),
            Self::Path(_) => "path_prefixes, paths_exact".into(),
            Self::Header(name, _) => format!("headers.{name}"),
            Self::Service(_) => "service".into(),
        }
    }

    /// What the request has there.
    pub fn found(self, facts: &Facts<'_, '_>) -> String {
        match self {
            Self::Path(_) => String::from_utf8_lossy(&facts.path).into_owned(),
            Self::Header(name, _) if !facts.headers().contains_key(name) => "nothing".into(),
            // It may be a secret.
            Self::Header(..) => "another value".into(),
            Self::Service(_) => match facts.service() {
                Some(name) => format!("a request that would go to the service {name} without its key"),
                None => "a request that would go to no service without its key".into(),
            },
        }
    }
}

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(rule) => {
                let prefixes = rule.path_prefixes().map(|prefix| format!("{prefix}*"));
                let all: Vec<_> = prefixes.chain(rule.paths_exact().map(str::to_owned)).collect();
                f.write_str(&all.join(" or "))
            }
            Self::Header(_, wanted) => f.write_str(wanted),
            Self::Service(name) => f.write_str(name),
        }
    }
}
