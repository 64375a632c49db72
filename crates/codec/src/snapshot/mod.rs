//! The whole state as a file: a container of sections, each with its own checksum, holding JSON with named fields.
//!
//! Why JSON here and bincode in the log: a snapshot is read by nodes of other versions for as long as it lies on
//! a disk. Named fields let an old node leave out what it does not know and a new one fill in what was not there
//! yet. A fact that an old node must *not* leave out goes into a section of its own that is not optional: the old
//! node then refuses the snapshot instead of applying less than the others.
//!
//! A state may hold a million workers, so nothing here holds them all: [`Writer`] takes one after the other and
//! writes a section whenever enough has gathered, [`Reader`] gives them back section by section. What comes before
//! the workers (the head) is small beside them, and always whole. To read and to understand a section are two steps, so that
//! several can be understood at once: [`Reader::next_sealed`], [`Opener::open`].

mod container;
mod json;
mod json_level;
mod json_past;
mod json_presence;
mod json_reply;
mod json_services;
mod json_session;
mod json_traffic;
mod json_worker;
mod known;
mod reader;

pub use reader::{Batch, Opener, Place, ReadError, Reader, Sealed, decode, verify};

use crate::{
    document::{DeclaredChange, StoredObject, StoredRoute, StoredSandbox},
    raft::{LogId, Membership},
};
use json::{Keyspace, Meta, NodeRecord, Restoring, State, Window};
use json_level::Level;
use json_past::History;
use json_presence::{Gateway, Tunnel};
use json_services::{Delegate, StoredPolicy};
use json_session::Session;
use json_traffic::{Ailment, Declared};
use json_worker::Worker;
use quorate_model::{self as model, FeatureLevel, LogIndex};
use quorate_state::Parts;
use serde::Serialize;
use std::io::{self, Write};

const WHAT: &str = "a snapshot";

/// A section of workers, routes, sandboxes or ailments ends once it has so many bytes: what writer and reader hold at once.
const LIST_BYTES: usize = 256 << 10;

/// The names of the sections.
mod section {
    pub const META: &str = "meta";
    pub const STATE: &str = "state";
    /// Only there where the cluster has left the first level.
    pub const LEVEL: &str = "level";
    pub const KEYSPACES: &str = "keyspaces";
    pub const NODES: &str = "nodes";
    pub const WINDOW: &str = "window";
    /// What operators decided about services: only there where they did.
    pub const SERVICES: &str = "services";
    /// Only there where somebody is one.
    pub const DELEGATES: &str = "delegates";
    /// Only there where there are some; as many as it takes.
    pub const ROUTES: &str = "routes";
    /// Only there where there are some; as many as it takes.
    pub const SANDBOXES: &str = "sandboxes";
    /// Only there where there are some; as many as it takes.
    pub const OBJECTS: &str = "objects";
    /// Endpoints that are not well: only there where there are some; as many as it takes.
    pub const HEALTH: &str = "health";
    /// Only there where operators have declared something since the fourth level.
    pub const CONFIG: &str = "config";
    /// What they declared before: only there since the sixth level.
    pub const CONFIG_HISTORY: &str = "config_history";
    /// Only there where something has changed; as many as it takes.
    pub const CONFIG_CHANGES: &str = "config_changes";
    /// Who holds connections: only there where somebody does.
    pub const GATEWAYS: &str = "gateways";
    /// Only there where there are some; as many as it takes.
    pub const TUNNELS: &str = "tunnels";
    /// Only there where there are some; as many as it takes.
    pub const SESSIONS: &str = "sessions";
    pub const WORKERS: &str = "workers";
    /// A restore that is under way: only there while one is.
    pub const RESTORING: &str = "restoring";
    /// Only there where it has some; as many as it takes.
    pub const RESTORING_ROUTES: &str = "restoring_routes";
    /// Only there where it has some; as many as it takes.
    pub const RESTORING_SANDBOXES: &str = "restoring_sandboxes";
    /// Only there where it has some; as many as it takes.
    pub const RESTORING_OBJECTS: &str = "restoring_objects";
    pub const RESTORING_WORKERS: &str = "restoring_workers";
}

/// What a snapshot says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last log record that is in it; `None` in a backup, which belongs to no log.
    pub last_log_id: Option<LogId>,
    /// The members as of that record.
    pub membership: Membership,
    /// The record that made them so.
    pub membership_log_id: Option<LogId>,
}

/// How large a snapshot has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// In bytes.
    pub bytes: u64,
    /// The most that was held in memory at once of what goes into the file, in bytes.
    pub held_bytes_max: usize,
}

/// Writes a snapshot: the head, then the workers by id, one after the other, then those of a restore.
pub struct Writer<W> {
    sections: container::Writer<W>,
    place: Place,
    /// The workers that are not written yet.
    gathered: List,
}

impl<W: Write> Writer<W> {
    /// Writes the head: everything in `parts` but the workers.
    pub fn begin(meta: &SnapshotMeta, parts: &Parts, out: W) -> io::Result<Self> {
        let (mut sections, mut gathered) = (container::Writer::begin(out)?, List::default());
        sections.section(section::META, &json(&Meta::from(meta)))?;
        sections.section(section::STATE, &json(&State::from(parts)))?;
        if parts.level > FeatureLevel::FIRST {
            sections.section(section::LEVEL, &json(&Level::from(parts.level)))?;
        }
        let keyspaces = json(&parts.keyspaces.iter().map(Keyspace::from).collect::<Vec<_>>());
        sections.section(section::KEYSPACES, &keyspaces)?;
        let nodes = json(&parts.nodes.iter().map(|n| NodeRecord::from(&**n)).collect::<Vec<_>>());
        sections.section(section::NODES, &nodes)?;
        for window in &parts.windows {
            sections.section(section::WINDOW, &json(&Window::from(window)))?;
        }
        if !parts.policies.is_empty() {
            let policies = parts.policies.iter().map(StoredPolicy::from).collect::<Vec<_>>();
            sections.section(section::SERVICES, &json(&policies))?;
        }
        if !parts.delegates.is_empty() {
            let delegates = parts.delegates.iter().map(|d| Delegate::from(&**d)).collect::<Vec<_>>();
            sections.section(section::DELEGATES, &json(&delegates))?;
        }
        gathered.put_all(
            &mut sections,
            section::ROUTES,
            parts.routes.iter().map(|r| StoredRoute::from(&**r)),
        )?;
        let sandboxes = parts.sandboxes.iter().map(|s| StoredSandbox::from(&**s));
        gathered.put_all(&mut sections, section::SANDBOXES, sandboxes)?;
        let objects = parts.objects.iter().map(|o| StoredObject::from(&**o));
        gathered.put_all(&mut sections, section::OBJECTS, objects)?;
        gathered.put_all(&mut sections, section::HEALTH, parts.ailments.iter().map(Ailment::from))?;
        if parts.config_changed > LogIndex(0) {
            sections.section(section::CONFIG, &json(&Declared::from(parts.config_changed)))?;
        }
        if let Some(history) = &parts.history {
            sections.section(section::CONFIG_HISTORY, &json(&History::from(history)))?;
            let changes = history.changes.iter().map(|c| DeclaredChange::from(&**c));
            gathered.put_all(&mut sections, section::CONFIG_CHANGES, changes)?;
        }
        gathered.put_all(
            &mut sections,
            section::GATEWAYS,
            parts.presence.gateways.iter().map(|g| Gateway::from(&**g)),
        )?;
        gathered.put_all(&mut sections, section::TUNNELS, parts.presence.tunnels.iter().map(Tunnel::from))?;
        let sessions = parts.presence.sessions.iter().map(|s| Session::from(&**s));
        gathered.put_all(&mut sections, section::SESSIONS, sessions)?;
        if let Some(restoring) = &parts.restoring {
            sections.section(section::RESTORING, &json(&Restoring::from(restoring)))?;
            let routes = restoring.routes.iter().map(|r| StoredRoute::from(&**r));
            gathered.put_all(&mut sections, section::RESTORING_ROUTES, routes)?;
            let sandboxes = restoring.sandboxes.iter().map(|s| StoredSandbox::from(&**s));
            gathered.put_all(&mut sections, section::RESTORING_SANDBOXES, sandboxes)?;
            let objects = restoring.objects.iter().map(|o| StoredObject::from(&**o));
            gathered.put_all(&mut sections, section::RESTORING_OBJECTS, objects)?;
        }
        gathered.longest = gathered.longest.max(keyspaces.len());
        Ok(Self { sections, place: Place::Standing, gathered })
    }

    /// One worker more. All that stand come first, then all of a restore.
    pub fn worker(&mut self, place: Place, worker: &model::Worker) -> io::Result<()> {
        if self.place != place {
            self.flush()?;
            self.place = place;
        }
        self.gathered.put(&mut self.sections, self.place.section(), &Worker::from(worker))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gathered.flush(&mut self.sections, self.place.section())
    }

    /// Where it is written to.
    pub fn out(&mut self) -> &mut W {
        self.sections.out()
    }

    /// Writes the end, without which nobody takes it for a whole one.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        self.flush()?;
        let (out, bytes) = self.sections.finish()?;
        Ok((out, Written { bytes, held_bytes_max: self.gathered.longest }))
    }
}

impl Place {
    fn section(self) -> &'static str {
        match self {
            Self::Standing => section::WORKERS,
            Self::Restoring => section::RESTORING_WORKERS,
        }
    }
}

/// What is written one after the other, as sections that are JSON lists.
#[derive(Default)]
struct List {
    /// JSON of what is not written yet.
    gathered: Vec<u8>,
    /// The longest section so far, in bytes.
    longest: usize,
}

impl List {
    fn put<T: Serialize, W: Write>(
        &mut self,
        sections: &mut container::Writer<W>,
        name: &str,
        item: &T,
    ) -> io::Result<()> {
        self.gathered.push(if self.gathered.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.gathered, item)?;
        if self.gathered.len() >= LIST_BYTES { self.flush(sections, name) } else { Ok(()) }
    }

    fn put_all<T: Serialize, W: Write>(
        &mut self,
        sections: &mut container::Writer<W>,
        name: &str,
        mut items: impl Iterator<Item = T>,
    ) -> io::Result<()> {
        items.try_for_each(|item| self.put(sections, name, &item))?;
        self.flush(sections, name)
    }

    fn flush<W: Write>(&mut self, sections: &mut container::Writer<W>, name: &str) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.gathered.push(b']');
        self.longest = self.longest.max(self.gathered.len());
        sections.section(name, &self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

/// Writes a whole state. Costs O(state): call it on a clone, off the apply path.
pub fn write<W: Write>(
    meta: &SnapshotMeta,
    state: &quorate_state::State,
    out: W,
) -> io::Result<(W, Written)> {
    let mut writer = Writer::begin(meta, &state.head(), out)?;
    for worker in state.workers() {
        writer.worker(Place::Standing, worker)?;
    }
    for worker in state.restoring_workers() {
        writer.worker(Place::Restoring, worker)?;
    }
    writer.finish()
}

/// A snapshot of parts, in memory: for what is small.
pub fn encode(meta: &SnapshotMeta, parts: &Parts) -> Vec<u8> {
    let written = || {
        let mut writer = Writer::begin(meta, parts, Vec::new())?;
        for worker in &parts.workers {
            writer.worker(Place::Standing, worker)?;
        }
        for worker in parts.restoring.iter().flat_map(|r| &r.workers) {
            writer.worker(Place::Restoring, worker)?;
        }
        writer.finish()
    };
    written().map(|(bytes, _): (Vec<u8>, _)| bytes).expect("memory takes everything")
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of numbers, strings and lists always serialise")
}
