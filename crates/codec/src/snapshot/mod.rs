//! The whole state as a file: a container of sections, each with its own checksum, holding JSON with named fields.
//!
//! Why JSON here and bincode in the log: a snapshot is read by nodes of other versions for as long as it lies on
//! a disk. Named fields let an old node leave out what it does not know and a new one fill in what was not there
//! yet. A fact that an old node must *not* leave out goes into a section of its own that is not optional: the old
//! node then refuses the snapshot instead of applying less than the others.

mod container;
mod json;
mod json_level;
mod json_reply;

use crate::{
    error::DecodeError,
    raft::{LogId, Membership},
};
use container::{Reader, Writer};
use json::{Keyspace, Meta, NodeRecord, State, Window, Worker};
use json_level::Level;
use quorate_model::FeatureLevel;
use quorate_state::Parts;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

const WHAT: &str = "a snapshot";

/// Workers in one section: a section stays below a few megabytes, whatever the state's size.
const WORKERS_PER_SECTION: usize = 4_096;

/// What a snapshot says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last log record that is in it.
    pub last_log_id: Option<LogId>,
    /// The members as of that record.
    pub membership: Membership,
    /// The record that made them so.
    pub membership_log_id: Option<LogId>,
}

/// A snapshot's bytes. Costs O(state): call it off the apply path.
pub fn encode(meta: &SnapshotMeta, parts: &Parts) -> Vec<u8> {
    let Parts { workers, keyspaces, nodes, windows, .. } = parts;
    let mut writer = Writer::new();
    writer.section("meta", &json(&Meta::from(meta)));
    writer.section("state", &json(&State::from(parts)));
    if parts.level > FeatureLevel::FIRST {
        writer.section("level", &json(&Level::from(parts.level)));
    }
    writer.section("keyspaces", &json(&keyspaces.iter().map(Keyspace::from).collect::<Vec<_>>()));
    writer.section("nodes", &json(&nodes.iter().map(|n| NodeRecord::from(&**n)).collect::<Vec<_>>()));
    for window in windows {
        writer.section("window", &json(&Window::from(window)));
    }
    for chunk in workers.chunks(WORKERS_PER_SECTION) {
        writer.section("workers", &json(&chunk.iter().map(|w| Worker::from(&**w)).collect::<Vec<_>>()));
    }
    writer.finish()
}

/// Reads a snapshot.
pub fn decode(bytes: &[u8]) -> Result<(SnapshotMeta, Parts), DecodeError> {
    let mut reader = Reader::new(bytes)?;
    let mut draft = Draft::default();
    while let Some(section) = reader.next()? {
        draft.take_in(&section)?;
    }
    draft.finish()
}

/// Checks every checksum and reads what the snapshot says about itself, without building the state.
pub fn verify(bytes: &[u8]) -> Result<SnapshotMeta, DecodeError> {
    let mut reader = Reader::new(bytes)?;
    let mut meta = None;
    while let Some(section) = reader.next()? {
        if section.name == "meta" {
            meta = Some(parse::<Meta>(section.payload)?);
        }
    }
    meta.map(SnapshotMeta::from).ok_or(DecodeError::MissingPart { what: WHAT, part: "meta" })
}

/// What was read so far.
#[derive(Default)]
struct Draft {
    meta: Option<Meta>,
    state: Option<State>,
    level: Option<Level>,
    keyspaces: Option<Vec<Keyspace>>,
    nodes: Option<Vec<NodeRecord>>,
    parts: Parts,
}

impl Draft {
    fn take_in(&mut self, section: &container::Section<'_>) -> Result<(), DecodeError> {
        match section.name {
            "meta" => once(&mut self.meta, section),
            "state" => once(&mut self.state, section),
            "level" => once(&mut self.level, section),
            "keyspaces" => once(&mut self.keyspaces, section),
            "nodes" => once(&mut self.nodes, section),
            "window" => {
                let window =
                    parse::<Window>(section.payload)?.try_into().map_err(DecodeError::invalid(WHAT))?;
                self.parts.windows.push(window);
                Ok(())
            }
            "workers" => {
                for worker in parse::<Vec<Worker>>(section.payload)? {
                    let worker = worker.try_into().map_err(DecodeError::invalid(WHAT))?;
                    self.parts.workers.push(Arc::new(worker));
                }
                Ok(())
            }
            _ if section.optional => Ok(()),
            other => Err(DecodeError::UnknownPart { what: WHAT, part: other.chars().take(64).collect() }),
        }
    }

    fn finish(self) -> Result<(SnapshotMeta, Parts), DecodeError> {
        let missing = |part| DecodeError::MissingPart { what: WHAT, part };
        let meta = self.meta.ok_or(missing("meta"))?;
        let state = self.state.ok_or(missing("state"))?;
        let mut parts = self.parts;
        if let Some(level) = self.level {
            parts.level = level.try_into().map_err(DecodeError::invalid(WHAT))?;
        }
        for keyspace in self.keyspaces.ok_or(missing("keyspaces"))? {
            parts.keyspaces.push(keyspace.try_into().map_err(DecodeError::invalid(WHAT))?);
        }
        for node in self.nodes.ok_or(missing("nodes"))? {
            parts.nodes.push(Arc::new(node.try_into().map_err(DecodeError::invalid(WHAT))?));
        }
        state.fill(&mut parts).map_err(DecodeError::invalid(WHAT))?;
        Ok((meta.into(), parts))
    }
}

fn once<T: DeserializeOwned>(
    slot: &mut Option<T>,
    section: &container::Section<'_>,
) -> Result<(), DecodeError> {
    if slot.is_some() {
        return Err(DecodeError::malformed(WHAT, format!("the section `{}` is there twice", section.name)));
    }
    *slot = Some(parse(section.payload)?);
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of numbers, strings and lists always serialise")
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(payload).map_err(|e| DecodeError::malformed(WHAT, e))
}
