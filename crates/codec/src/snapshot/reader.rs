//! Reading a snapshot section by section.

use super::{
    SnapshotMeta, WHAT, container,
    json::{Keyspace, Meta, NodeRecord, Restoring, State, Window},
    json_level::Level,
    json_past::History,
    json_presence::{Gateway, Tunnel},
    json_services::{Delegate, StoredPolicy},
    json_session::Session,
    json_traffic::{Ailment, Declared},
    json_worker::Worker,
    known::Known,
    section,
};
use crate::{
    document::{DeclaredChange, StoredObject, StoredRoute, StoredSandbox},
    error::DecodeError,
};
use quorate_model as model;
use quorate_model::{Invalid, LogIndex};
use quorate_state::{HistoryParts, Parts, PresenceParts};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    io::{self, Read},
    sync::Arc,
};

/// Why a snapshot was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What it is read from failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are no snapshot.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(e) => e,
            ReadError::Decode(e) => Self::new(io::ErrorKind::InvalidData, e),
        }
    }
}

/// Where workers belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the state.
    Standing,
    /// In a restore that is under way.
    Restoring,
}

/// The workers of one section.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Where they belong.
    pub place: Place,
    /// By id.
    pub workers: Vec<Arc<model::Worker>>,
}

/// A section behind the head that was read and not looked at. Filled again and again.
#[derive(Default)]
pub struct Sealed(container::Sealed);

/// Opens sections; remembers what their workers have in common.
#[derive(Default)]
pub struct Opener(Known);

impl Opener {
    /// Verifies a section and makes its workers; `None`: it holds none, and may be left out.
    pub fn open(&mut self, sealed: &Sealed) -> Result<Option<Batch>, DecodeError> {
        let section = sealed.0.open()?;
        match place(section.name) {
            Some(place) => {
                let read = parse_borrowed::<Vec<Worker<'_>>>(section.payload)?;
                let workers = read.into_iter().map(|w| w.into_model(&mut self.0).map(Arc::new));
                Ok(Some(Batch { place, workers: workers.collect::<Result<_, _>>()? }))
            }
            None if section.optional => Ok(None),
            None => {
                let problem = format!("the section `{}` comes behind the workers", shown(section.name));
                Err(DecodeError::malformed(WHAT, problem))
            }
        }
    }
}

/// A snapshot whose head was read.
pub struct Reader<R> {
    sections: container::Reader<R>,
    meta: SnapshotMeta,
    head: Parts,
    /// The first section behind the head was read to find its end.
    first: Option<Sealed>,
    ended: bool,
    /// For [`Reader::next_batch`].
    sealed: Sealed,
    opener: Opener,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    pub fn begin(input: R) -> Result<Self, ReadError> {
        let mut sections = container::Reader::begin(input)?;
        let (mut draft, mut sealed) = (Draft::default(), Sealed::default());
        let mut ended = true;
        while sections.next(&mut sealed.0)? {
            let section = sealed.0.open()?;
            if place(section.name).is_some() {
                ended = false;
                break;
            }
            draft.take_in(&section)?;
        }
        let (meta, head) = draft.finish()?;
        let first = (!ended).then_some(sealed);
        Ok(Self { sections, meta, head, ended, first, sealed: Sealed::default(), opener: Opener::default() })
    }

    /// What it says about itself.
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Everything but the workers.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// Reads the next section behind the head, for an [`Opener`]; `false` once the end was read and found right.
    /// Nothing may be relied on before that, and before each section was opened.
    pub fn next_sealed(&mut self, into: &mut Sealed) -> Result<bool, ReadError> {
        if let Some(first) = self.first.take() {
            *into = first;
            return Ok(true);
        }
        self.ended = self.ended || !self.sections.next(&mut into.0)?;
        Ok(!self.ended)
    }

    /// The next workers; `None` once the end was read and found right. Nothing may be relied on before that.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        let mut sealed = std::mem::take(&mut self.sealed);
        let mut next = None;
        while next.is_none() && self.next_sealed(&mut sealed)? {
            next = self.opener.open(&sealed)?;
        }
        self.sealed = sealed;
        Ok(next)
    }
}

/// Reads a snapshot that is in memory, as parts.
pub fn decode(bytes: &[u8]) -> Result<(SnapshotMeta, Parts), DecodeError> {
    let from_memory = |error| match error {
        ReadError::Decode(e) => e,
        ReadError::Io(e) => DecodeError::malformed(WHAT, e),
    };
    let mut reader = Reader::begin(bytes).map_err(from_memory)?;
    let mut parts = reader.head.clone();
    while let Some(batch) = reader.next_batch().map_err(from_memory)? {
        match (batch.place, &mut parts.restoring) {
            (Place::Standing, _) => parts.workers.extend(batch.workers),
            (Place::Restoring, Some(restoring)) => restoring.workers.extend(batch.workers),
            (Place::Restoring, None) => {
                return Err(DecodeError::MissingPart { what: WHAT, part: section::RESTORING });
            }
        }
    }
    Ok((reader.meta, parts))
}

/// Checks every checksum and reads what the snapshot says about itself, without building anything.
pub fn verify<R: Read>(input: R) -> Result<SnapshotMeta, ReadError> {
    let (mut sections, mut sealed) = (container::Reader::begin(input)?, container::Sealed::default());
    let mut meta = None;
    while sections.next(&mut sealed)? {
        let section = sealed.open()?;
        if section.name == section::META {
            meta = Some(parse::<Meta>(section.payload)?);
        }
    }
    let missing = DecodeError::MissingPart { what: WHAT, part: section::META };
    meta.map(SnapshotMeta::from).ok_or_else(|| missing.into())
}

/// What was read of the head so far.
#[derive(Default)]
struct Draft {
    meta: Option<Meta>,
    state: Option<State>,
    keyspaces: Option<Vec<Keyspace>>,
    nodes: Option<Vec<NodeRecord>>,
    level: Option<Level>,
    policies: Option<Vec<StoredPolicy>>,
    delegates: Option<Vec<Delegate>>,
    declared: Option<Declared>,
    history: Option<History>,
    changes: Vec<Arc<model::DeclaredChange>>,
    restoring: Option<Restoring>,
    restoring_routes: Vec<Arc<model::StoredRoute>>,
    restoring_sandboxes: Vec<Arc<model::StoredSandbox>>,
    restoring_objects: Vec<Arc<model::StoredObject>>,
    parts: Parts,
}

impl Draft {
    fn take_in(&mut self, section: &container::Section<'_>) -> Result<(), DecodeError> {
        match section.name {
            section::META => once(&mut self.meta, section),
            section::STATE => once(&mut self.state, section),
            section::LEVEL => once(&mut self.level, section),
            section::KEYSPACES => once(&mut self.keyspaces, section),
            section::NODES => once(&mut self.nodes, section),
            section::SERVICES => once(&mut self.policies, section),
            section::DELEGATES => once(&mut self.delegates, section),
            section::CONFIG => once(&mut self.declared, section),
            section::CONFIG_HISTORY => once(&mut self.history, section),
            section::CONFIG_CHANGES => {
                append::<DeclaredChange, model::DeclaredChange, _>(&mut self.changes, section, Arc::new)
            }
            section::RESTORING => once(&mut self.restoring, section),
            section::ROUTES => {
                append::<StoredRoute, model::StoredRoute, _>(&mut self.parts.routes, section, Arc::new)
            }
            section::RESTORING_ROUTES => {
                append::<StoredRoute, model::StoredRoute, _>(&mut self.restoring_routes, section, Arc::new)
            }
            section::SANDBOXES => {
                append::<StoredSandbox, model::StoredSandbox, _>(&mut self.parts.sandboxes, section, Arc::new)
            }
            section::RESTORING_SANDBOXES => {
                let list = &mut self.restoring_sandboxes;
                append::<StoredSandbox, model::StoredSandbox, _>(list, section, Arc::new)
            }
            section::GATEWAYS => {
                append::<Gateway, _, _>(&mut self.parts.presence.gateways, section, Arc::new)
            }
            section::TUNNELS => {
                append::<Tunnel, _, _>(&mut self.parts.presence.tunnels, section, |tunnel| tunnel)
            }
            section::SESSIONS => {
                let read = parse_borrowed::<Vec<Session<'_>>>(section.payload)?;
                let PresenceParts { gateways, sessions, .. } = &mut self.parts.presence;
                for session in read {
                    let session = session.into_model(gateways).map_err(DecodeError::invalid(WHAT))?;
                    sessions.push(Arc::new(session));
                }
                Ok(())
            }
            section::OBJECTS => {
                append::<StoredObject, model::StoredObject, _>(&mut self.parts.objects, section, Arc::new)
            }
            section::RESTORING_OBJECTS => {
                let list = &mut self.restoring_objects;
                append::<StoredObject, model::StoredObject, _>(list, section, Arc::new)
            }
            section::HEALTH => append::<Ailment, _, _>(&mut self.parts.ailments, section, |ailment| ailment),
            section::WINDOW => {
                let window =
                    parse::<Window>(section.payload)?.try_into().map_err(DecodeError::invalid(WHAT))?;
                self.parts.windows.push(window);
                Ok(())
            }
            _ if section.optional => Ok(()),
            other => Err(DecodeError::UnknownPart { what: WHAT, part: shown(other) }),
        }
    }

    fn finish(self) -> Result<(SnapshotMeta, Parts), DecodeError> {
        let missing = |part| DecodeError::MissingPart { what: WHAT, part };
        let meta = self.meta.ok_or(missing(section::META))?;
        let state = self.state.ok_or(missing(section::STATE))?;
        let mut parts = self.parts;
        if let Some(level) = self.level {
            parts.level = level.try_into().map_err(DecodeError::invalid(WHAT))?;
        }
        for keyspace in self.keyspaces.ok_or(missing(section::KEYSPACES))? {
            parts.keyspaces.push(keyspace.try_into().map_err(DecodeError::invalid(WHAT))?);
        }
        for node in self.nodes.ok_or(missing(section::NODES))? {
            parts.nodes.push(Arc::new(node.try_into().map_err(DecodeError::invalid(WHAT))?));
        }
        for policy in self.policies.into_iter().flatten() {
            parts.policies.push(policy.try_into().map_err(DecodeError::invalid(WHAT))?);
        }
        for delegate in self.delegates.into_iter().flatten() {
            parts.delegates.push(Arc::new(delegate.try_into().map_err(DecodeError::invalid(WHAT))?));
        }
        parts.restoring =
            self.restoring.map(|r| r.try_into().map_err(DecodeError::invalid(WHAT))).transpose()?;
        let is_bare = self.restoring_routes.is_empty()
            && self.restoring_sandboxes.is_empty()
            && self.restoring_objects.is_empty();
        match &mut parts.restoring {
            Some(restoring) => {
                restoring.routes = self.restoring_routes;
                restoring.sandboxes = self.restoring_sandboxes;
                restoring.objects = self.restoring_objects;
            }
            None if is_bare => {}
            None => return Err(missing(section::RESTORING)),
        }
        parts.history = self.history.map(HistoryParts::from);
        match &mut parts.history {
            Some(history) => history.changes = self.changes,
            None if self.changes.is_empty() => {}
            None => return Err(missing(section::CONFIG_HISTORY)),
        }
        parts.config_changed = self.declared.map(LogIndex::from).unwrap_or_default();
        state.fill(&mut parts).map_err(DecodeError::invalid(WHAT))?;
        Ok((meta.into(), parts))
    }
}

/// Whose workers a section of this name holds; `None`: nobody's.
fn place(name: &str) -> Option<Place> {
    match name {
        section::WORKERS => Some(Place::Standing),
        section::RESTORING_WORKERS => Some(Place::Restoring),
        _ => None,
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

/// Takes in one section of several that make one list.
fn append<W: DeserializeOwned, M: TryFrom<W, Error = Invalid>, T>(
    list: &mut Vec<T>,
    section: &container::Section<'_>,
    make: impl Fn(M) -> T,
) -> Result<(), DecodeError> {
    for item in parse::<Vec<W>>(section.payload)? {
        list.push(make(M::try_from(item).map_err(DecodeError::invalid(WHAT))?));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, DecodeError> {
    parse_borrowed(payload)
}

fn parse_borrowed<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(payload).map_err(|e| DecodeError::malformed(WHAT, e))
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
