//! What came with routes and policies of more than waiting, at the fourth level. What such an object says is a
//! document: see [`crate::document`].

use super::command::Command;
use crate::document;
use quorate_model as model;
use quorate_model::{Epoch, Invalid, LogIndex, RouteName, ServiceName, WorkerId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) enum TrafficCommand {
    PutRoute { name: String, document: String, if_index: Option<u64> },
    DeleteRoute { name: String, if_index: Option<u64> },
    PutPolicy { name: String, document: String, if_index: Option<u64> },
    Configure { document: String, mode: ConfigMode, if_index: Option<u64> },
    ChangeHealth(Vec<HealthChange>),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum ConfigMode {
    Merge,
    Replace,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct HealthChange {
    service: String,
    worker: String,
    incarnation: u64,
    verdict: Verdict,
}

#[derive(Serialize, Deserialize)]
enum Verdict {
    Healthy,
    Unhealthy,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RouteDocument {
    name: String,
    document: String,
    created: u64,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PolicyDocument {
    service: String,
    document: String,
    changed: u64,
}

fn command(command: TrafficCommand) -> Command {
    Command::Traffic(command)
}

pub(super) fn put_route(route: &model::Route, if_index: Option<LogIndex>) -> Command {
    command(TrafficCommand::PutRoute {
        name: route.name().to_string(),
        document: route_text(route),
        if_index: if_index.map(|i| i.0),
    })
}

pub(super) fn delete_route(name: &RouteName, if_index: Option<LogIndex>) -> Command {
    command(TrafficCommand::DeleteRoute { name: name.to_string(), if_index: if_index.map(|i| i.0) })
}

pub(super) fn put_policy(
    name: &ServiceName,
    policy: &model::ServicePolicy,
    if_index: Option<LogIndex>,
) -> Command {
    let (name, if_index) = (name.to_string(), if_index.map(|i| i.0));
    command(TrafficCommand::PutPolicy { name, document: policy_text(policy), if_index })
}

pub(super) fn configure(
    config: &model::Config,
    mode: model::ConfigMode,
    if_index: Option<LogIndex>,
) -> Command {
    let mode = match mode {
        model::ConfigMode::Merge => ConfigMode::Merge,
        model::ConfigMode::Replace => ConfigMode::Replace,
    };
    let document = document::to_text(&document::Config::from(config));
    command(TrafficCommand::Configure { document, mode, if_index: if_index.map(|i| i.0) })
}

pub(super) fn change_health(changes: &[model::HealthChange]) -> Command {
    command(TrafficCommand::ChangeHealth(changes.iter().map(HealthChange::from).collect()))
}

fn route_text(route: &model::Route) -> String {
    document::to_text(&document::Route::from(route))
}

fn route_of(name: &str, text: &str) -> Result<model::Route, Invalid> {
    document::from_text::<document::Route>("route", text)?.named(name)
}

fn policy_text(policy: &model::ServicePolicy) -> String {
    document::to_text(&document::Policy::from(policy))
}

fn policy_of(text: &str) -> Result<model::ServicePolicy, Invalid> {
    document::from_text::<document::Policy>("policy", text)?.try_into()
}

impl TryFrom<TrafficCommand> for model::Command {
    type Error = Invalid;

    fn try_from(command: TrafficCommand) -> Result<Self, Invalid> {
        Ok(match command {
            TrafficCommand::PutRoute { name, document, if_index } => Self::PutRoute {
                route: Box::new(route_of(&name, &document)?),
                if_index: if_index.map(LogIndex),
            },
            TrafficCommand::DeleteRoute { name, if_index } => {
                Self::DeleteRoute { name: RouteName::parse(&name)?, if_index: if_index.map(LogIndex) }
            }
            TrafficCommand::PutPolicy { name, document, if_index } => Self::PutService {
                name: ServiceName::parse(&name)?,
                policy: policy_of(&document)?,
                if_index: if_index.map(LogIndex),
            },
            TrafficCommand::Configure { document, mode, if_index } => Self::Configure {
                config: Box::new(document::from_text::<document::Config>("config", &document)?.try_into()?),
                mode: match mode {
                    ConfigMode::Merge => model::ConfigMode::Merge,
                    ConfigMode::Replace => model::ConfigMode::Replace,
                },
                if_index: if_index.map(LogIndex),
            },
            TrafficCommand::ChangeHealth(changes) => Self::ChangeHealth(super::all(changes)?),
        })
    }
}

impl From<&model::HealthChange> for HealthChange {
    fn from(change: &model::HealthChange) -> Self {
        let model::HealthChange { service, worker, incarnation, verdict } = change;
        Self {
            service: service.to_string(),
            worker: worker.to_string(),
            incarnation: incarnation.0,
            verdict: match verdict {
                model::Verdict::Healthy => Verdict::Healthy,
                model::Verdict::Unhealthy => Verdict::Unhealthy,
            },
        }
    }
}

impl TryFrom<HealthChange> for model::HealthChange {
    type Error = Invalid;

    fn try_from(change: HealthChange) -> Result<Self, Invalid> {
        Ok(Self {
            service: ServiceName::parse(&change.service)?,
            worker: WorkerId::parse(&change.worker)?,
            incarnation: Epoch(change.incarnation),
            verdict: match change.verdict {
                Verdict::Healthy => model::Verdict::Healthy,
                Verdict::Unhealthy => model::Verdict::Unhealthy,
            },
        })
    }
}

impl From<&model::StoredRoute> for RouteDocument {
    fn from(stored: &model::StoredRoute) -> Self {
        // Where its ramp stands has no place here: `super::ramp` holds those that have one.
        let model::StoredRoute { route, created, changed, ramp: _ } = stored;
        Self {
            name: route.name().to_string(),
            document: route_text(route),
            created: created.0,
            changed: changed.0,
        }
    }
}

impl TryFrom<RouteDocument> for model::StoredRoute {
    type Error = Invalid;

    fn try_from(stored: RouteDocument) -> Result<Self, Invalid> {
        let route = route_of(&stored.name, &stored.document)?;
        Self::new(route, (LogIndex(stored.created), LogIndex(stored.changed)), None)
    }
}

impl From<&model::StoredPolicy> for PolicyDocument {
    fn from(stored: &model::StoredPolicy) -> Self {
        let model::StoredPolicy { service, policy, changed } = stored;
        Self { service: service.to_string(), document: policy_text(policy), changed: changed.0 }
    }
}

impl TryFrom<PolicyDocument> for model::StoredPolicy {
    type Error = Invalid;

    fn try_from(stored: PolicyDocument) -> Result<Self, Invalid> {
        let service = ServiceName::parse(&stored.service)?;
        Ok(Self { service, policy: policy_of(&stored.document)?, changed: LogIndex(stored.changed) })
    }
}
