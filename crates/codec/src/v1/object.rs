//! What came with the objects of the sandbox API, at the sixth level. What an object says is a document: see
//! [`crate::document`].

use super::command::Command;
use crate::document::{self, ObjectId};
use quorate_model as model;
use quorate_model::{Epoch, Invalid, LogIndex, ObjectPrecondition, object::ObjectBound as ModelBound};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) enum ObjectCommand {
    Create { document: String },
    Replace { document: String, precondition: Precondition },
    ReplaceStatus { id: ObjectId, document: String, precondition: Precondition },
    Delete { id: ObjectId, precondition: Precondition },
    End(Vec<ObjectEnd>),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Precondition {
    changed: Option<u64>,
    uid: Option<u128>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ObjectEnd {
    id: ObjectId,
    epoch: u64,
}

/// Also in the windows of a snapshot, by these names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectRefusal {
    Unknown { id: ObjectId },
    Exists { id: ObjectId },
    Changed { id: ObjectId, current: u64 },
    Other { id: ObjectId },
    Full { what: ObjectBound, max: u64 },
    NotEmpty { objects: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectBound {
    Objects,
    Bytes,
    RuleBytes,
    RulesPerKey,
    KeysPerSandbox,
    LocalWorkloadsPerSandbox,
}

pub(super) fn command(command: &model::ObjectCommand) -> Command {
    use model::ObjectCommand as M;
    let text = |object: &model::Object| document::to_text(&document::Object::from(object));
    Command::Objects(match command {
        M::Create(object) => ObjectCommand::Create { document: text(object) },
        M::Replace { object, precondition } => {
            ObjectCommand::Replace { document: text(object), precondition: (*precondition).into() }
        }
        M::ReplaceStatus { id, status, precondition } => ObjectCommand::ReplaceStatus {
            id: id.into(),
            document: document::to_text(&document::ObjectStatus::from(status)),
            precondition: (*precondition).into(),
        },
        M::Delete { id, precondition } => {
            ObjectCommand::Delete { id: id.into(), precondition: (*precondition).into() }
        }
        M::End(ended) => ObjectCommand::End(ended.iter().map(ObjectEnd::from).collect()),
    })
}

impl TryFrom<ObjectCommand> for model::Command {
    type Error = Invalid;

    fn try_from(command: ObjectCommand) -> Result<Self, Invalid> {
        use model::ObjectCommand as M;
        let object = |text: &str| -> Result<Box<model::Object>, Invalid> {
            Ok(Box::new(document::from_text::<document::Object>("object", text)?.try_into()?))
        };
        Ok(Self::Object(match command {
            ObjectCommand::Create { document } => M::Create(object(&document)?),
            ObjectCommand::Replace { document, precondition } => {
                M::Replace { object: object(&document)?, precondition: precondition.into() }
            }
            ObjectCommand::ReplaceStatus { id, document, precondition } => M::ReplaceStatus {
                id: id.try_into()?,
                status: document::from_text::<document::ObjectStatus>("status", &document)?.try_into()?,
                precondition: precondition.into(),
            },
            ObjectCommand::Delete { id, precondition } => {
                M::Delete { id: id.try_into()?, precondition: precondition.into() }
            }
            ObjectCommand::End(ended) => M::End(super::all(ended)?),
        }))
    }
}

impl From<ObjectPrecondition> for Precondition {
    fn from(ObjectPrecondition { changed, uid }: ObjectPrecondition) -> Self {
        Self { changed: changed.map(|index| index.0), uid }
    }
}

impl From<Precondition> for ObjectPrecondition {
    fn from(Precondition { changed, uid }: Precondition) -> Self {
        Self { changed: changed.map(LogIndex), uid }
    }
}

impl From<&model::ObjectEnd> for ObjectEnd {
    fn from(model::ObjectEnd { id, epoch }: &model::ObjectEnd) -> Self {
        Self { id: id.into(), epoch: epoch.0 }
    }
}

impl TryFrom<ObjectEnd> for model::ObjectEnd {
    type Error = Invalid;

    fn try_from(end: ObjectEnd) -> Result<Self, Invalid> {
        Ok(Self { id: end.id.try_into()?, epoch: Epoch(end.epoch) })
    }
}

impl From<&model::ObjectRefusal> for ObjectRefusal {
    fn from(refusal: &model::ObjectRefusal) -> Self {
        use model::ObjectRefusal as M;
        match refusal {
            M::Unknown { id } => Self::Unknown { id: id.into() },
            M::Exists { id } => Self::Exists { id: id.into() },
            M::Changed { id, current } => Self::Changed { id: id.into(), current: current.0 },
            M::Other { id } => Self::Other { id: id.into() },
            M::Full { what, max } => Self::Full {
                what: match what {
                    ModelBound::Objects => ObjectBound::Objects,
                    ModelBound::Bytes => ObjectBound::Bytes,
                    ModelBound::RuleBytes => ObjectBound::RuleBytes,
                    ModelBound::RulesPerKey => ObjectBound::RulesPerKey,
                    ModelBound::KeysPerSandbox => ObjectBound::KeysPerSandbox,
                    ModelBound::LocalWorkloadsPerSandbox => ObjectBound::LocalWorkloadsPerSandbox,
                },
                max: *max,
            },
            M::NotEmpty { objects } => Self::NotEmpty { objects: *objects },
        }
    }
}

impl TryFrom<ObjectRefusal> for model::ObjectRefusal {
    type Error = Invalid;

    fn try_from(refusal: ObjectRefusal) -> Result<Self, Invalid> {
        Ok(match refusal {
            ObjectRefusal::Unknown { id } => Self::Unknown { id: id.try_into()? },
            ObjectRefusal::Exists { id } => Self::Exists { id: id.try_into()? },
            ObjectRefusal::Changed { id, current } => {
                Self::Changed { id: id.try_into()?, current: LogIndex(current) }
            }
            ObjectRefusal::Other { id } => Self::Other { id: id.try_into()? },
            ObjectRefusal::Full { what, max } => Self::Full {
                what: match what {
                    ObjectBound::Objects => ModelBound::Objects,
                    ObjectBound::Bytes => ModelBound::Bytes,
                    ObjectBound::RuleBytes => ModelBound::RuleBytes,
                    ObjectBound::RulesPerKey => ModelBound::RulesPerKey,
                    ObjectBound::KeysPerSandbox => ModelBound::KeysPerSandbox,
                    ObjectBound::LocalWorkloadsPerSandbox => ModelBound::LocalWorkloadsPerSandbox,
                },
                max,
            },
            ObjectRefusal::NotEmpty { objects } => Self::NotEmpty { objects },
        })
    }
}
