//! What came with ramps, at the sixth level. What a ramp says is a part of its route's or sandbox's document: see
//! [`crate::document`].

use super::command::Command;
use crate::document;
use quorate_model as model;
use quorate_model::{Invalid, LogIndex, RouteName, RoutingKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(crate) enum RampCommand {
    Advance(Vec<Advance>),
    Errors { subject: Subject, epoch: u64, entered: u16, seen: Seen },
    Order { subject: Subject, order: Order, if_index: Option<u64> },
}

/// Whose ramp. In snapshots by name, in entries by number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Route(String),
    Rule { key: String, rule: u16 },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Advance {
    subject: Subject,
    epoch: u64,
    entered: u16,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Seen {
    destination: u16,
    failures: u64,
    requests: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    Pause,
    Resume,
    Abort,
}

/// What a node has counted of one step of a ramp.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted {
    subject: Subject,
    epoch: u64,
    entered: u16,
    seen: Vec<Seen>,
}

pub(super) fn command(command: &model::RampCommand) -> Command {
    Command::Ramp(match command {
        model::RampCommand::Advance(advances) => {
            RampCommand::Advance(advances.iter().map(Advance::from).collect())
        }
        model::RampCommand::Errors(model::RampErrors { subject, epoch, entered, seen }) => {
            RampCommand::Errors {
                subject: subject.into(),
                epoch: epoch.0,
                entered: *entered,
                seen: (*seen).into(),
            }
        }
        model::RampCommand::Order { subject, order, if_index } => RampCommand::Order {
            subject: subject.into(),
            order: match order {
                model::RampOrder::Pause => Order::Pause,
                model::RampOrder::Resume => Order::Resume,
                model::RampOrder::Abort => Order::Abort,
            },
            if_index: if_index.map(|index| index.0),
        },
    })
}

impl TryFrom<RampCommand> for model::Command {
    type Error = Invalid;

    fn try_from(command: RampCommand) -> Result<Self, Invalid> {
        Ok(Self::Ramp(match command {
            RampCommand::Advance(advances) => model::RampCommand::Advance(super::all(advances)?),
            RampCommand::Errors { subject, epoch, entered, seen } => {
                model::RampCommand::Errors(model::RampErrors {
                    subject: subject.try_into()?,
                    epoch: LogIndex(epoch),
                    entered,
                    seen: seen.into(),
                })
            }
            RampCommand::Order { subject, order, if_index } => model::RampCommand::Order {
                subject: subject.try_into()?,
                order: match order {
                    Order::Pause => model::RampOrder::Pause,
                    Order::Resume => model::RampOrder::Resume,
                    Order::Abort => model::RampOrder::Abort,
                },
                if_index: if_index.map(LogIndex),
            },
        }))
    }
}

impl From<&model::RampSubject> for Subject {
    fn from(subject: &model::RampSubject) -> Self {
        match subject {
            model::RampSubject::Route(name) => Self::Route(name.to_string()),
            model::RampSubject::Rule { key, rule } => Self::Rule { key: key.to_string(), rule: *rule },
        }
    }
}

impl TryFrom<Subject> for model::RampSubject {
    type Error = Invalid;

    fn try_from(subject: Subject) -> Result<Self, Invalid> {
        Ok(match subject {
            Subject::Route(name) => Self::Route(RouteName::parse(&name)?),
            Subject::Rule { key, rule } => Self::Rule { key: RoutingKey::parse(&key)?, rule },
        })
    }
}

impl From<&model::RampAdvance> for Advance {
    fn from(model::RampAdvance { subject, epoch, entered }: &model::RampAdvance) -> Self {
        Self { subject: subject.into(), epoch: epoch.0, entered: *entered }
    }
}

impl TryFrom<Advance> for model::RampAdvance {
    type Error = Invalid;

    fn try_from(Advance { subject, epoch, entered }: Advance) -> Result<Self, Invalid> {
        Ok(Self { subject: subject.try_into()?, epoch: LogIndex(epoch), entered })
    }
}

impl From<model::ErrorsSeen> for Seen {
    fn from(model::ErrorsSeen { destination, failures, requests }: model::ErrorsSeen) -> Self {
        Self { destination, failures, requests }
    }
}

impl From<Seen> for model::ErrorsSeen {
    fn from(Seen { destination, failures, requests }: Seen) -> Self {
        Self { destination, failures, requests }
    }
}

impl From<&model::RampCounted> for Counted {
    fn from(model::RampCounted { subject, epoch, entered, seen }: &model::RampCounted) -> Self {
        let seen = seen.iter().map(|one| (*one).into()).collect();
        Self { subject: subject.into(), epoch: epoch.0, entered: *entered, seen }
    }
}

impl TryFrom<Counted> for model::RampCounted {
    type Error = Invalid;

    fn try_from(Counted { subject, epoch, entered, seen }: Counted) -> Result<Self, Invalid> {
        let seen = seen.into_iter().map(Into::into).collect();
        Ok(Self { subject: subject.try_into()?, epoch: LogIndex(epoch), entered, seen })
    }
}

/// Routes of a backup with what stands beside their documents, each as in a snapshot.
pub(super) fn routes(routes: &[model::StoredRoute]) -> Vec<String> {
    routes.iter().map(|stored| document::to_text(&document::StoredRoute::from(stored))).collect()
}

/// See [`routes`].
pub(super) fn read_routes(texts: &[String]) -> Result<Vec<model::StoredRoute>, Invalid> {
    let read = |text: &String| document::from_text::<document::StoredRoute>("route", text)?.try_into();
    texts.iter().map(read).collect()
}

/// The same of sandboxes.
pub(super) fn sandboxes(sandboxes: &[Arc<model::StoredSandbox>]) -> Vec<String> {
    sandboxes.iter().map(|stored| document::to_text(&document::StoredSandbox::from(&**stored))).collect()
}

/// See [`sandboxes`].
pub(super) fn read_sandboxes(texts: &[String]) -> Result<Vec<Arc<model::StoredSandbox>>, Invalid> {
    let read = |text: &String| {
        let stored = document::from_text::<document::StoredSandbox>("sandbox", text)?;
        stored.try_into().map(Arc::new)
    };
    texts.iter().map(read).collect()
}
