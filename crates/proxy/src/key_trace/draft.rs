//! What becomes of one request, from its beginning to the head of its answer.

use crate::{
    core::Core,
    decide::{By, Destination},
    pool::Endpoint,
    routes::{Finish, Plan},
};
use http::{Request, StatusCode, header};
use quorate_model::{LogTime, RoutingKey, key_trace::Hop, route::Target};
use quorate_routing::sandbox::hop;
use quorate_rt::time::{Instant, wall_ms};
use std::sync::Arc;

/// Who answered a request in the end, for those who note it: a part of the answer that is taken out again.
#[derive(Clone)]
pub(crate) struct AnsweredAt(pub Arc<Endpoint>);

/// A request that is noted once it is over.
pub(crate) struct Draft {
    pub(super) hop: Hop,
    pub(super) began: Instant,
    /// Each key that it has, and what says it.
    pub(super) keys: Vec<(Box<str>, Box<str>)>,
    /// Who decides it if its path does, and the service.
    pub(super) by_path: Decided,
    /// Who decided where it was sent first.
    pub(super) first: Option<Decided>,
    /// Who answered, where somebody did.
    pub(super) answered_at: Option<Box<str>>,
}

/// Who decided where a request went, and the service that it went to, if it was one.
pub(super) type Decided = (Box<str>, Option<Box<str>>);

impl Draft {
    pub fn of<B>(core: &Core, request: &Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let all = core.config.key_forms.all(headers, uri.query().unwrap_or_default());
        let keys = all.iter().map(|key| ((&*key.text).into(), key.form.word().into())).collect();
        let hop = hop::hop(request.method(), host, uri.path(), headers);
        let by_path = match quorate_routing::service::find(uri.path()) {
            Some(found) => ("service".into(), found.ok().map(|path| (&*path.name).into())),
            None => ("workspace".into(), None),
        };
        Self {
            hop: Hop { at: LogTime(wall_ms()), ..hop },
            began: Instant::now(),
            keys,
            by_path,
            first: None,
            answered_at: None,
        }
    }

    /// It is sent there.
    pub fn sent(&mut self, to: &Destination) {
        self.hop.address = Some(to.endpoint.authority.as_str().into());
        let decided = match &to.by {
            By::Workspace | By::Service { .. } => self.by_path.clone(),
            By::Route(plan) => by_plan(plan),
        };
        (self.hop.decided_by, self.hop.service) = decided.clone();
        self.first = Some(decided);
    }

    /// It was answered there.
    pub fn arrived(&mut self, at: &Endpoint) {
        self.answered_at = Some(at.authority.as_str().into());
    }

    /// How it ended. What has decided in the end may be another rule than in the beginning.
    pub fn answered(&mut self, status: StatusCode, finish: &Finish) {
        self.hop.status = Some(status.as_u16());
        match finish {
            Finish::ByRoute(plan) => (self.hop.decided_by, self.hop.service) = by_plan(plan),
            Finish::AsItIs => self.hop.decided_by = "route".into(),
            // It was sent by something else first, and goes where it would go without its key.
            Finish::ByPath if !self.hop.decided_by.is_empty() => {
                (self.hop.decided_by, self.hop.service) = self.by_path.clone();
            }
            Finish::ByPath => {}
        }
        if self.hop.decided_by.is_empty() {
            self.hop.decided_by = "this node".into();
        }
        self.ended_elsewhere();
    }

    /// Where it went in the end, and where it had been sent before if something else has decided that.
    fn ended_elsewhere(&mut self) {
        let answered_at = self.answered_at.take();
        let is_other = |first: &Decided| first.0 != self.hop.decided_by;
        match self.first.take().filter(is_other) {
            Some((by, service)) => {
                let first = self.hop.address.take();
                let target = match (service, first) {
                    (Some(service), Some(address)) => format!("{service} at {address}"),
                    (Some(one), None) | (None, Some(one)) => one.into(),
                    (None, None) => String::new(),
                };
                self.hop.failed_over = Some(format!("{target}, by {by}").into());
                // Nobody: whoever was asked then gave no answer, and is not the one that was asked first.
                self.hop.address = answered_at;
            }
            None => self.hop.address = answered_at.or_else(|| self.hop.address.take()),
        }
    }

    /// As it looks to those who follow `key`.
    pub(super) fn seen_by(&self, key: &RoutingKey, now: Instant) -> Hop {
        let is_it = |(said, _): &&(Box<str>, Box<str>)| **said == *key.as_str();
        let forms: Vec<Box<str>> = self.keys.iter().filter(is_it).map(|(_, form)| form.clone()).collect();
        let elapsed = now.saturating_duration_since(self.began);
        Hop {
            elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            has_other_key: forms.is_empty() && !self.keys.is_empty(),
            forms,
            ..self.hop.clone()
        }
    }
}

fn by_plan(plan: &Plan) -> Decided {
    let service = match plan.destination() {
        Some(Target::Service(name)) => Some(name.as_str().into()),
        Some(Target::Version { service, version }) => Some(format!("{service}@{version}").into()),
        Some(Target::Url { .. } | Target::Keyspace(_)) | None => None,
    };
    let (known, name) = (&plan.known, plan.known.route().name());
    let by = match known.is_sandbox() {
        // It is followed as a sandbox's rule is, and is none.
        _ if name.is_default_target() => "default target".into(),
        // The name of a sandbox's rule has the key in it.
        true => "sandbox".into(),
        false => format!("route {name}").into(),
    };
    (by, service)
}
