//! openraft's types, spelled for our configuration.

pub use quorate_storage::TypeConfig as Config;

use openraft::alias;
use quorate_storage::Machine;

/// The running Raft.
pub type Raft = openraft::Raft<Config, Machine>;
/// Its metrics.
pub type Metrics = openraft::RaftMetrics<Config>;
/// A vote.
pub type Vote = alias::VoteOf<Config>;
/// A log id.
pub type LogId = alias::LogIdOf<Config>;
/// A snapshot.
pub type Snapshot = alias::SnapshotOf<Config, quorate_storage::SnapshotData>;
/// Entries for a follower.
pub type AppendRequest = openraft::raft::AppendEntriesRequest<Config>;
/// What became of them.
pub type StreamResult = openraft::raft::StreamAppendResult<Config>;
