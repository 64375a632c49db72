//! A cluster of one, made of the folder of a node whose cluster has lost its majority for good.
//!
//! Raft has no such step, since nothing in it is safe: the lost nodes may have acknowledged what this one never
//! heard, and if they are not lost after all there would be two clusters that both go on. So it is an operator's
//! decision, and what is made is another cluster: a new cluster id, a new node id, a term above all that this node
//! has seen. Nodes of the old one that come back are refused by their cluster id, here and there, and nothing that
//! the old node promised binds the new one. Everything in the log is kept, also what this node never knew to be
//! committed: it may have been acknowledged. Fencing tokens take a leap, so that none that the lost nodes may have
//! granted is granted again.
//!
//! What was kept becomes one snapshot, with an empty log behind it. It is written beside the old data, in
//! `recovered.tmp`; once whole and durable that is renamed to `recovered`, which is the decision. [`settle`] then
//! puts its parts in their places one by one, the old ones into `before-recovery`, and goes on where a crash
//! stopped it, at the next start of anything.

use super::{
    FolderDisk, IDENTITY, JOURNAL, RealFiles, RealMark,
    files::{replace, sync_folder},
};
use crate::{
    disk::Disk,
    error::OpenError,
    journaled::JournaledEngine,
    log_store::offline::{self, Offline},
    sled_engine::{Fsync, SledEngine},
    snapshots::Snapshots,
    types::{LeaderId, LogEntry, LogId, Member, RaftMembership, SnapshotMeta, StoredMembership, Vote},
};
use openraft::{EntryPayload, vote::RaftLeaderId as _};
use quorate_codec::{Identity, identity};
use quorate_model::{ClusterId, Epoch, LogIndex, NodeId, NodeName};
use quorate_rt::rng;
use quorate_state::State;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::Arc,
};

const PREPARED: &str = "recovered.tmp";
const DECIDED: &str = "recovered";
const BEFORE: &str = "before-recovery";
/// In the order in which they change places: the identity last, since it says whose the rest is.
const PARTS: [&str; 5] = ["log", JOURNAL, "snapshots", "watermark", IDENTITY];

/// Far more grants than any nodes could have made while this one did not hear of them, and small enough for two
/// million recoveries in numbers that JavaScript can count.
const EPOCH_LEAP: u64 = 1 << 32;

/// Why nothing was recovered. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The folder can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no data folder.
    #[error("{0} is no data folder: name the one of the node that is left")]
    Missing(String),
    /// The node was never a member of a formed cluster.
    #[error("the data folder {0} holds no cluster: the node was started, but never got so far")]
    NoCluster(String),
    /// The disk failed.
    #[error("the new cluster can't be written: {0}")]
    Write(#[from] io::Error),
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The last log record.
    pub last: LogIndex,
    /// Its term. Of two folders the one with the later term has more, whatever the indexes are (Raft, section 5.4.1).
    pub last_term: u64,
    /// The largest term that the node knows of.
    pub term: u64,
    /// Names of the members, voters and learners.
    pub members: BTreeSet<String>,
    /// Worker records.
    pub workers: usize,
    /// Keyspaces.
    pub keyspaces: usize,
}

/// All that is kept.
struct Kept {
    state: State,
    last: LogId,
    term: u64,
    membership: RaftMembership,
    identity: Identity,
}

impl Kept {
    fn holdings(&self, folder: &Path) -> Result<Holdings, RecoverError> {
        let unformed = || RecoverError::NoCluster(folder.display().to_string());
        Ok(Holdings {
            cluster: self.state.cluster().ok_or_else(unformed)?,
            node: self.identity.id,
            last: LogIndex(self.last.index),
            last_term: self.last.leader_id.term,
            term: self.term,
            members: self.membership.nodes().map(|(_, member)| member.name.clone()).collect(),
            workers: self.state.workers().count(),
            keyspaces: self.state.keyspaces().count(),
        })
    }
}

/// Looks what would be kept of the folder of the node called `name`. The node must not run. Blocks.
pub fn look(folder: &Path, name: &NodeName) -> Result<Holdings, RecoverError> {
    read(&open(folder, name)?, folder)?.holdings(folder)
}

/// Makes a cluster of its own of the folder of the node called `name`, which must not run. Others will dial it at
/// `peer`; where that is `None`, as before. Gives what is kept, under its new ids.
pub async fn recover(folder: &Path, name: &NodeName, peer: Option<&str>) -> Result<Holdings, RecoverError> {
    {
        // Locked until the decision has fallen.
        let disk = open(folder, name)?;
        let kept = read(&disk, folder)?;
        kept.holdings(folder)?;
        prepare(folder, &kept, peer).await?;
        fs::rename(folder.join(PREPARED), folder.join(DECIDED))?;
        sync_folder(folder)?;
    }
    // Settles it.
    look(folder, name)
}

fn open(folder: &Path, name: &NodeName) -> Result<FolderDisk, RecoverError> {
    match FolderDisk::peek(folder, name)? {
        Some(_) => Ok(FolderDisk::open(folder, name)?),
        None => Err(RecoverError::Missing(folder.display().to_string())),
    }
}

/// The newest snapshot, and the whole log applied to it.
fn read(disk: &FolderDisk, folder: &Path) -> Result<Kept, RecoverError> {
    let log = Offline::open(disk.engine(), disk.mark())?;
    let loaded = Snapshots::new(disk.snapshots()).open(log.purged())?;
    let (meta, mut state) = loaded.map_or_else(Default::default, |l| (l.meta, l.state));
    let (mut last, mut membership) = (meta.last_log_id, meta.last_membership.membership().clone());
    loop {
        let next = last.map_or(0, |id| id.index + 1);
        let entries = log.read(next).map_err(OpenError::io("the log"))?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let index = LogIndex(entry.log_id.index);
            match entry.payload {
                EntryPayload::Normal(LogEntry(entry)) => drop(state.apply(index, &entry)),
                EntryPayload::Membership(newer) => {
                    membership = newer;
                    state.skip(index);
                }
                EntryPayload::Blank => state.skip(index),
            }
            last = Some(entry.log_id);
        }
    }
    let last = last.ok_or_else(|| RecoverError::NoCluster(folder.display().to_string()))?;
    let voted = log.vote().map_or(0, |vote| vote.leader_id.term);
    let term = voted.max(last.leader_id.term);
    Ok(Kept { state, last, term, membership, identity: disk.identity() })
}

async fn prepare(folder: &Path, kept: &Kept, peer: Option<&str>) -> Result<(), RecoverError> {
    let prepared = folder.join(PREPARED);
    match fs::remove_dir_all(&prepared) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
        Ok(()) | Err(_) => {}
    }
    set_aside(folder)?;
    fs::create_dir_all(&prepared)?;
    // 0 is nobody's id.
    let id = NodeId(rng::random_u64().max(1));
    let cluster = ClusterId(u128::from(rng::random_u64()) << 64 | u128::from(rng::random_u64()));
    save_snapshot(&prepared, kept, (cluster, id), peer)?;
    let sled = SledEngine::open(&prepared.join("log"), Arc::new(Fsync))?;
    let engine = JournaledEngine::open(sled, &prepared.join(JOURNAL), Arc::new(Fsync))?;
    let mark = RealMark::open(&prepared.join("watermark"))?;
    let leader = LeaderId::new(kept.term + 1, id.0);
    offline::begin(&engine, &mark, kept.last, Vote { leader_id: leader, committed: false }).await?;
    drop((engine, mark));
    sync_folder(&prepared.join("log"))?;
    let identity = Identity { id, cluster: Some(cluster), ..kept.identity.clone() };
    replace(&prepared, IDENTITY, &identity::encode(&identity))?;
    sync_folder(&prepared)?;
    Ok(sync_folder(folder)?)
}

/// What an earlier recovery replaced may be all that is left of a cluster: it gets another name, and stays.
fn set_aside(folder: &Path) -> io::Result<()> {
    let before = folder.join(BEFORE);
    if !before.exists() {
        return Ok(());
    }
    let mut number = 1u32;
    while folder.join(format!("{BEFORE}-{number}")).exists() {
        number += 1;
    }
    fs::rename(before, folder.join(format!("{BEFORE}-{number}")))?;
    sync_folder(folder)
}

/// The state under its new cluster id, with this node as the only member.
fn save_snapshot(
    prepared: &Path,
    kept: &Kept,
    (cluster, id): (ClusterId, NodeId),
    peer: Option<&str>,
) -> Result<(), RecoverError> {
    let name = kept.identity.name.as_str();
    let old = kept.membership.get_node(&kept.identity.id.0).map(|member| member.peer.clone());
    let peer = peer.map(str::to_owned).or(old).unwrap_or_default();
    let member = Member { name: name.into(), peer };
    let membership = RaftMembership::new(vec![BTreeSet::from([id.0])], BTreeMap::from([(id.0, member)]))
        .map_err(io::Error::other)?;
    let meta = SnapshotMeta {
        last_log_id: Some(kept.last),
        last_membership: StoredMembership::new(Some(kept.last), membership),
    };
    let mut parts = kept.state.parts();
    parts.cluster = Some(cluster);
    parts.last_epoch = Epoch(parts.last_epoch.0.saturating_add(EPOCH_LEAP));
    // Each node describes itself when it starts; those of the old cluster never will.
    parts.nodes.clear();
    let state = State::from_parts(parts).map_err(io::Error::other)?;
    let files = RealFiles::open(&prepared.join("snapshots"))?;
    Snapshots::new(Arc::new(files)).build(&meta, &state)?;
    Ok(())
}

/// Where the identity of the folder is to be read: of a recovery that was decided and not settled yet, the new one.
pub(super) fn identity_of(folder: &Path) -> std::path::PathBuf {
    let decided = folder.join(DECIDED).join(IDENTITY);
    if decided.exists() { decided } else { folder.join(IDENTITY) }
}

/// Puts what was recovered in its place. Does nothing where nothing was decided. Call with the folder locked.
pub(super) fn settle(folder: &Path) -> io::Result<()> {
    let (decided, before) = (folder.join(DECIDED), folder.join(BEFORE));
    if !decided.exists() {
        return Ok(());
    }
    fs::create_dir_all(&before)?;
    for part in PARTS {
        let (new, place) = (decided.join(part), folder.join(part));
        if !new.exists() {
            continue;
        }
        if place.exists() {
            fs::rename(&place, before.join(part))?;
            sync_folder(&before)?;
        }
        fs::rename(&new, &place)?;
        sync_folder(folder)?;
    }
    fs::remove_dir_all(&decided)?;
    sync_folder(folder)
}
