//! What came with sandboxes, at the fifth level. What a sandbox says is a document: see [`crate::document`].

use super::command::Command;
use crate::document;
use quorate_model as model;
use quorate_model::{Invalid, LogIndex, LogTime, RoutingKey, SandboxTtl};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Serialize, Deserialize)]
pub(crate) enum SandboxCommand {
    Put { key: String, document: String, if_index: Option<u64> },
    Delete { key: String, if_index: Option<u64> },
    Extend { key: String, ttl_ms: u64, if_index: Option<u64> },
    End(Vec<SandboxEnd>),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SandboxEnd {
    key: String,
    created: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SandboxDocument {
    key: String,
    document: String,
    created: u64,
    changed: u64,
    ends_ms: Option<u64>,
}

pub(super) fn put(key: &RoutingKey, sandbox: &model::Sandbox, if_index: Option<LogIndex>) -> Command {
    Command::Sandboxes(SandboxCommand::Put {
        key: key.to_string(),
        document: text_of(sandbox),
        if_index: if_index.map(|i| i.0),
    })
}

pub(super) fn delete(key: &RoutingKey, if_index: Option<LogIndex>) -> Command {
    Command::Sandboxes(SandboxCommand::Delete { key: key.to_string(), if_index: if_index.map(|i| i.0) })
}

pub(super) fn extend(key: &RoutingKey, ttl: SandboxTtl, if_index: Option<LogIndex>) -> Command {
    let (key, if_index) = (key.to_string(), if_index.map(|i| i.0));
    Command::Sandboxes(SandboxCommand::Extend { key, ttl_ms: ttl.as_ms(), if_index })
}

pub(super) fn end(ended: &[model::SandboxEnd]) -> Command {
    Command::Sandboxes(SandboxCommand::End(ended.iter().map(SandboxEnd::from).collect()))
}

fn text_of(sandbox: &model::Sandbox) -> String {
    document::to_text(&document::Sandbox::from(sandbox))
}

fn sandbox_of(text: &str) -> Result<model::Sandbox, Invalid> {
    document::from_text::<document::Sandbox>("sandbox", text)?.try_into()
}

impl TryFrom<SandboxCommand> for model::Command {
    type Error = Invalid;

    fn try_from(command: SandboxCommand) -> Result<Self, Invalid> {
        Ok(match command {
            SandboxCommand::Put { key, document, if_index } => Self::PutSandbox {
                key: RoutingKey::parse(&key)?,
                sandbox: Box::new(sandbox_of(&document)?),
                if_index: if_index.map(LogIndex),
            },
            SandboxCommand::Delete { key, if_index } => {
                Self::DeleteSandbox { key: RoutingKey::parse(&key)?, if_index: if_index.map(LogIndex) }
            }
            SandboxCommand::Extend { key, ttl_ms, if_index } => Self::ExtendSandbox {
                key: RoutingKey::parse(&key)?,
                ttl: document::sandbox_ttl(ttl_ms)?,
                if_index: if_index.map(LogIndex),
            },
            SandboxCommand::End(ended) => Self::EndSandboxes(super::all(ended)?),
        })
    }
}

impl From<&model::SandboxEnd> for SandboxEnd {
    fn from(end: &model::SandboxEnd) -> Self {
        let model::SandboxEnd { key, created } = end;
        Self { key: key.to_string(), created: created.0 }
    }
}

impl TryFrom<SandboxEnd> for model::SandboxEnd {
    type Error = Invalid;

    fn try_from(end: SandboxEnd) -> Result<Self, Invalid> {
        Ok(Self { key: RoutingKey::parse(&end.key)?, created: LogIndex(end.created) })
    }
}

impl From<&model::StoredSandbox> for SandboxDocument {
    fn from(stored: &model::StoredSandbox) -> Self {
        // Where ramps stand has no place here: `super::ramp` holds those that have some.
        let model::StoredSandbox { key, sandbox, created, changed, ends, ramps: _ } = stored;
        Self {
            key: key.to_string(),
            document: text_of(sandbox),
            created: created.0,
            changed: changed.0,
            ends_ms: ends.map(|ends| ends.0),
        }
    }
}

impl TryFrom<SandboxDocument> for model::StoredSandbox {
    type Error = Invalid;

    fn try_from(stored: SandboxDocument) -> Result<Self, Invalid> {
        let sandbox = Self {
            key: RoutingKey::parse(&stored.key)?,
            sandbox: Arc::new(sandbox_of(&stored.document)?),
            created: LogIndex(stored.created),
            changed: LogIndex(stored.changed),
            ends: stored.ends_ms.map(LogTime),
            ramps: BTreeMap::new(),
        };
        sandbox.sandbox.check_ramps(&sandbox.ramps)?;
        Ok(sandbox)
    }
}
