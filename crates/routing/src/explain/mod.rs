//! Why a request goes where it goes: every rule that was tried, in order, and what became of it.
//!
//! What decides is [`crate::decide()`], here as on the data plane; what is told about it is read off the same
//! conditions. Those routes are told of that path and host lead to; where there are few, also the first others, since
//! who has mistyped a path wants to see the route that he meant.

mod chosen;
mod endpoints;
mod rules;
mod sandbox;
mod workspace;

pub use chosen::Chosen;
pub use endpoints::EndpointFacts;
use endpoints::Offering;

use crate::{
    decide::{Decision, Homeless, RequestHead},
    local::Sight,
    malformed,
    route::{Aim, Outcome, Routed, Sent, key},
    sandbox::{Sandboxed, is_there, key::KeyForms},
};
use quorate_model::{LogIndex, policy::KeySource, route::Target};
use quorate_state::{Loads, ServiceView, View};
use rules::{behind, routes};
use workspace::{count_unknown, owned, unserved};

/// Most routes that are told of, besides the one that decides, of those that path and host lead to.
pub const NEAR_MAX: usize = 1_000;
/// Most routes that are told of besides those.
pub const OTHERS_MAX: usize = 100;
/// Where there are more routes, only those are told of that path and host lead to.
pub const OTHERS_LOOKED_AT: usize = 1_000;

/// The status where no connection can be made to an address, as all contracts have it.
const UNREACHED: u16 = 502;

/// What was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The log index of the View that decided.
    pub index: LogIndex,
    /// The routing key that the request carries, and where it says so.
    pub key: Option<(String, String)>,
    /// The rules, in the order in which they were tried; those behind the one that decided were not.
    pub tried: Vec<Tried>,
    /// Routes that are not told of: they are for another path or host, or stand behind the one that decides.
    pub left_out: usize,
    /// What becomes of the request.
    pub result: Result,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `sandbox`, `route`, `service`, `workspace` or `default`.
    pub kind: &'static str,
    /// Of a route: its name. Of a rule of a sandbox: the key and its place. Of a service or workspace: which one, if the
    /// request names one.
    pub name: Option<String>,
    /// Whether it decides.
    pub decides: bool,
    /// Why it does not.
    pub reasons: Vec<Reason>,
}

/// What a rule asks for and does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which field of the rule's document.
    pub field: String,
    /// What it asks for.
    pub wanted: String,
    /// What the request has. Values of headers are not told: they may be secrets.
    pub found: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Result {
    /// `forward`, `redirect` or `answer`: it is answered here.
    pub action: &'static str,
    /// In a sentence.
    pub why: String,
    /// The key of the sandbox that decides.
    pub sandbox: Option<String>,
    /// Why it goes, or when it would go, where it would go without its key.
    pub fallback: Option<String>,
    /// The route that decides.
    pub route: Option<String>,
    /// The service that it goes to.
    pub service: Option<String>,
    /// The keyspace that its workspace is in.
    pub keyspace: Option<String>,
    /// The workspace that it is about.
    pub workspace: Option<String>,
    /// Where that is.
    pub partition: Option<u32>,
    /// Which of a route's destinations, and why.
    pub destination: Option<Chosen>,
    /// Who may get it, the first in rank first.
    pub endpoints: Vec<EndpointFacts>,
    /// How many more there are.
    pub endpoints_left_out: usize,
    /// The status of an answer that is made here.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Who may get a copy, and of how many requests of a million.
    pub mirror: Option<(String, u32)>,
}

/// Tells why. What chance decides is drawn from the head's entropy, so it is one possible answer.
/// The routing key is looked for as the data plane does, in `forms`.
pub fn explain(view: &View, head: &RequestHead<'_>, known: (&Loads, &KeyForms)) -> Explanation {
    explain_in(Sight::of(view), head, known)
}

/// The same by all that a node knows, also what it alone was told.
pub fn explain_in(
    sight: Sight<'_>,
    head: &RequestHead<'_>,
    (loads, forms): (&Loads, &KeyForms),
) -> Explanation {
    let view = sight.view;
    if let Err(malformed) = malformed::check(head) {
        let (status, why) = (Some(malformed.status()), format!("nothing is decided on it: {malformed}"));
        let result = Result { action: "answer", status, why, ..Result::default() };
        return Explanation {
            index: view.index(),
            key: None,
            tried: Vec::new(),
            left_out: view.routes().len(),
            result,
        };
    }
    let found = forms.find(head.headers, head.query);
    let head = &RequestHead { key: found.key.as_ref().map(|key| &*key.text), ..*head };
    let mut decision = sight.decide(head);
    let missing = match decision {
        Decision::Sandbox(met) if sandbox::falls_back(&met, (view, loads)) => {
            decision = sight.base(head);
            Some(met)
        }
        other => {
            decision = other;
            None
        }
    };
    let met = match &decision {
        Decision::Sandbox(met) => Some(met),
        _ => missing.as_ref(),
    };
    let mut tried = sandbox::rules(sight, (head, &found), (met, missing.is_some()));
    let (routes, left_out) = routes(sight, head, &decision);
    tried.extend(routes);
    tried.extend(behind(sight, head, &decision));
    let fallback = met.and_then(|met| sandbox::fallback(met, missing.is_some()));
    let result = Result { fallback, ..result(head, (&decision, (view, loads))) };
    let key = found.key.map(|key| (key.text.into_owned(), key.form.to_string()));
    Explanation { index: view.index(), key, tried, left_out, result }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is known: the View, and how busy workers are.
type Known<'k> = (&'k View, &'k Loads);

fn result(head: &RequestHead<'_>, (decision, known): (&Decision<'_, '_>, Known<'_>)) -> Result {
    let answer = |status: u16, why: String| Result {
        action: "answer",
        status: Some(status),
        why,
        ..Result::default()
    };
    match decision {
        Decision::Sandbox(met) => of_sandbox(head, (met, known)),
        Decision::Route(routed) => of_route(head, (routed, known)),
        Decision::Default(met) => of_default(head, (met, known)),
        Decision::AmbiguousPath(bad) => answer(400, bad.to_string()),
        Decision::Preflight => answer(204, "OPTIONS is answered here".into()),
        Decision::ServicePreflight => answer(200, "OPTIONS is answered here".into()),
        Decision::BadServicePath(bad) => answer(400, bad.to_string()),
        Decision::NoService(path) => Result {
            service: Some(path.name.to_string()),
            ..answer(503, format!("no worker offers the service {}", path.name))
        },
        Decision::Service(path, service) => {
            by_default((Result::default(), path.name.to_string()), (service, known.1))
        }
        Decision::NoWorkspace => answer(400, "the request names no workspace".into()),
        Decision::PartitionCountUnknown(why) => answer(503, count_unknown(*why).into()),
        Decision::NoWorker { workspace, partition, why, .. } => Result {
            workspace: Some(text(workspace.id())),
            partition: Some(*partition),
            ..answer(503, unserved(why, *partition))
        },
        Decision::Forward(forward) => owned(Result::default(), forward),
    }
}

/// To those workers of a service that requests without a version may go to.
fn by_default((result, name): (Result, String), (service, loads): (&ServiceView, &Loads)) -> Result {
    let result = to_service(result, name.clone(), endpoints::of_service(service, None, loads));
    let among = match service.default_version() {
        None => return result,
        Some("") => "those without a version".to_owned(),
        Some(version) => format!("those of version {version}"),
    };
    Result {
        why: format!("{}; its policy gives requests that name no version to {among}", result.why),
        ..result
    }
}

fn to_service(result: Result, name: String, offering: Offering) -> Result {
    let Offering { told, left_out, serving, ejected, is_panic } = offering;
    let why = match (serving, ejected) {
        (0, 0) => format!("no worker takes requests for the service {name}"),
        (0, _) => {
            format!(
                "health checks find no worker of the service {name} well, and nothing says to ask them nevertheless"
            )
        }
        _ if is_panic => format!(
            "it goes to one of the workers of the service {name}, also of those that health checks have ejected: too \
             many are for that to be believed"
        ),
        _ => format!("it goes to one of the workers of the service {name}"),
    };
    let (action, status) = if serving > 0 { ("forward", None) } else { ("answer", Some(503)) };
    Result {
        action,
        status,
        why,
        service: Some(name),
        endpoints: told,
        endpoints_left_out: left_out,
        ..result
    }
}

fn of_route(head: &RequestHead<'_>, (routed, known): (&Routed<'_, '_>, Known<'_>)) -> Result {
    let name = routed.route.route.name().to_string();
    let base = Result { route: Some(name.clone()), ..Result::default() };
    let sent = match &routed.outcome {
        Outcome::Redirect(redirection) => {
            return Result {
                action: "redirect",
                why: format!("the route {name} redirects"),
                status: Some(redirection.status),
                location: Some(redirection.location.clone()),
                ..base
            };
        }
        Outcome::Preflight(_) => {
            let why = format!(
                "the route {name} answers what browsers ask before a request; its conditions on headers are not looked at"
            );
            return Result { action: "answer", why, status: Some(204), ..base };
        }
        Outcome::Forward(sent) => sent,
    };
    of_sent((base, 503), (&format!("the route {name}"), sent), (head, known))
}

fn of_sandbox(head: &RequestHead<'_>, (met, known): (&Sandboxed<'_, '_>, Known<'_>)) -> Result {
    let key = head.key.unwrap_or_default().to_owned();
    let here = if met.is_local() { " in this node's file" } else { "" };
    let rule = format!("rule {} of the sandbox {key}{here}", met.nth);
    // As the contract of sandboxes has it.
    of_sent((Result { sandbox: Some(key), ..Result::default() }, 502), (&rule, &met.sent), (head, known))
}

fn of_default(head: &RequestHead<'_>, (met, known): (&Sandboxed<'_, '_>, Known<'_>)) -> Result {
    let by = "nothing else is for it: the default target of this node";
    // As the contract of the sandbox proxy has it.
    of_sent((Result::default(), 502), (by, &met.sent), (head, known))
}

/// `nobody`: the status where nobody gets requests.
fn of_sent(
    (base, nobody): (Result, u16),
    (by, sent): (&str, &Sent<'_, '_>),
    (head, (view, loads)): (&RequestHead<'_>, Known<'_>),
) -> Result {
    let destinations = sent.destinations;
    let base = Result {
        destination: destinations.get(sent.nth).map(|one| Chosen {
            nth: sent.nth,
            target: target(&one.target),
            weight: one.weight,
            ramp: sent.ramp.map(chosen::ramp),
            total: destinations.iter().map(|one| u64::from(one.weight)).sum(),
            by: sent
                .forwarding
                .sticky
                .as_ref()
                .filter(|source| key::of(source, head).is_some())
                .map(key_source),
        }),
        mirror: sent.forwarding.mirror.as_ref().map(|mirror| (target(&mirror.target), mirror.per_million)),
        ..base
    };
    let answer =
        |status: u16, why: String| Result { action: "answer", status: Some(status), why, ..base.clone() };
    match &sent.aim {
        Aim::Service(name, None) => Result {
            service: Some(name.to_string()),
            ..answer(nobody, format!("no worker offers the service {name}"))
        },
        Aim::Service(name, Some(service)) => {
            let result = by_default((base, name.to_string()), (service, loads));
            Result { status: result.status.map(|_| nobody), ..result }
        }
        Aim::Version(name, version, service) => {
            let offering = service.map(|service| endpoints::of_service(service, Some(version), loads));
            let result = to_service(base, format!("{name}@{version}"), offering.unwrap_or_default());
            Result { service: Some(name.to_string()), status: result.status.map(|_| nobody), ..result }
        }
        Aim::Url(address, _) if !is_there(view, address) => Result {
            endpoints: vec![endpoints::of_url_that_is_not_there(address)],
            ..answer(
                UNREACHED,
                format!(
                    "{by} names the address {address}, a tunnel that nobody holds: no connection to it can be made"
                ),
            )
        },
        Aim::Url(address, _) => Result {
            action: "forward",
            why: format!("{by} names the address"),
            endpoints: vec![endpoints::of_url(address)],
            ..base
        },
        Aim::Nobody => answer(nobody, format!("{by} has no destination")),
        Aim::Owner(_, Ok(forward)) => owned(base, forward),
        Aim::Owner(keyspace, Err(homeless)) => {
            let keyspace = Some(keyspace.to_string());
            Result { keyspace, ..homeless_told(base, homeless) }
        }
    }
}

fn homeless_told(base: Result, homeless: &Homeless<'_, '_>) -> Result {
    let (status, why) = match homeless {
        Homeless::NoWorkspace => (400, "the request names no workspace".into()),
        Homeless::CountUnknown(why) => (503, count_unknown(*why).into()),
        Homeless::NoWorker { partition, why, .. } => (503, unserved(why, *partition)),
    };
    let (workspace, partition) = match homeless {
        Homeless::NoWorker { workspace, partition, .. } => (Some(text(workspace.id())), Some(*partition)),
        Homeless::NoWorkspace | Homeless::CountUnknown(_) => (None, None),
    };
    Result { action: "answer", status: Some(status), why, workspace, partition, ..base }
}

fn target(target: &Target) -> String {
    match target {
        Target::Service(name) => format!("service {name}"),
        Target::Version { service, version } => format!("service {service}@{version}"),
        Target::Url { address, .. } => format!("url {address}"),
        Target::Keyspace(name) => format!("keyspace {name}"),
    }
}

fn key_source(source: &KeySource) -> String {
    match source {
        KeySource::Header(name) => format!("header {name}"),
        KeySource::Cookie(name) => format!("cookie {name}"),
        KeySource::Query(name) => format!("query parameter {name}"),
        KeySource::PathSegment(nth) => format!("path segment {nth}"),
        KeySource::Trace => "trace".into(),
        KeySource::SourceIp => "source address".into(),
    }
}
