//! What a node tells its consensus at start.

use crate::peer::address_book::{AddressBook, SelfId};
use quorate_model::{KeyspaceSource, NodeLevels, NodeRecord, PartitionCount};
use quorate_storage::log_store::READ_BYTES_MAX;
use std::time::Duration;

/// A client is never kept waiting longer than this for a write or a linearizable read.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(4_500);
/// One try of a forwarded call; then the leader may have changed.
pub const TRY_WITHIN: Duration = Duration::from_millis(1_000);
/// Between two tries.
pub const RETRY_AFTER: Duration = Duration::from_millis(50);
/// How often the lease keeper looks.
pub const TICK: Duration = Duration::from_millis(250);
/// A gateway that was not heard for so long has lost all that it holds.
pub const GATEWAY_TTL: Duration = Duration::from_secs(10);
/// Commands that may wait for a batch. When full: `Busy`, which clients see as 503 with `Retry-After`.
pub const QUEUE_MAX: usize = 4_000;
/// A batch ends here, in bytes as encoded; a single larger command goes alone. Most are below
/// 1.2 MB; a document of many objects may have [`quorate_codec::proposal::ENTRY_BYTES_MAX`].
pub const ENTRY_BYTES_MAX: usize = 512 << 10;
/// Most entries of one append message.
const APPEND_ENTRIES_MAX: u64 = 32;
/// Batches under way at once.
pub const BATCHES_MAX: usize = 1;
/// The log takes a snapshot once so many bytes were appended since the last one; also after
/// [`Options::snapshot_every`] entries, whichever comes first.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// Behind a snapshot so many bytes of log are kept, for followers that are a little late; or half of
/// [`Options::snapshot_every`] entries, whichever is less.
pub const LOG_BYTES_KEPT: u64 = LOG_BYTES_MAX / 2;
/// One step of a restore is tried for so long; an election is far shorter.
pub const RESTORE_STEP_WITHIN: Duration = Duration::from_secs(30);
/// Batches of other nodes that a leader has under way at once. When full: `Busy`.
pub const PEER_BATCHES_MAX: usize = 64;

// A window forgets nothing that may still be repeated.
const _: () = assert!(
    (QUEUE_MAX as u64) < quorate_model::limit::REPLY_WINDOW,
    "what one node may have in flight fits the reply window"
);
const _: () = assert!(
    READ_BYTES_MAX + quorate_codec::proposal::ENTRY_BYTES_MAX < crate::peer::MESSAGE_BYTES_MAX,
    "a follower can always read what it is sent"
);
const _: () = assert!(
    TRY_WITHIN.as_millis() * 3 < ANSWER_WITHIN.as_millis(),
    "a lost leader leaves time for the next one"
);

/// See the fields.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who we are.
    pub me: SelfId,
    /// Where the initial members are, ourselves included; empty: a node on its own.
    pub book: AddressBook,
    /// What the others shall know of us.
    pub record: NodeRecord,
    /// Raft's heartbeat interval.
    pub heartbeat: Duration,
    /// Raft's election timeout; drawn from [t, 2t).
    pub election: Duration,
    /// The default keyspace of a new cluster: its count, if known.
    pub partitions: Option<PartitionCount>,
    /// Who decides the count.
    pub source: KeyspaceSource,
    /// The highest feature level that this node can, and the cluster's as its data folder says.
    pub levels: NodeLevels,
    /// A snapshot after this many entries.
    pub snapshot_every: u64,
    /// How long a gateway's lease stands without its being heard. Longer than elections take.
    pub gateway_ttl: Duration,
}

impl Options {
    /// openraft's configuration.
    pub fn raft_config(&self) -> Result<openraft::Config, openraft::ConfigError> {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        openraft::Config {
            cluster_name: "quorate".into(),
            heartbeat_interval: ms(self.heartbeat),
            // openraft waits for its leader lease (the maximum) and then for a random time between both: with these
            // a follower stands after a silence of 4/3 t to 2 t, within the [t, 2t) that operators are told. The lower
            // one is also a vote's deadline: at 1/5 t, disks that take 100 ms never elected anybody (the simulator).
            election_timeout_min: ms(self.election) / 3 + 1,
            election_timeout_max: ms(self.election),
            install_snapshot_timeout: 30_000,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: self.snapshot_every / 2,
            purge_batch_size: 512,
            max_payload_entries: APPEND_ENTRIES_MAX,
            // A killed leader that came back as leader of its old term would have lost its unflushed commit
            // index, and a linearizable read would then miss an acknowledged write. The simulator finds it.
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            // A follower whose folder was put back from an older copy has lost what it acknowledged. Without this the
            // leader panics over it, and so does the next one: one bad disk would stop the whole cluster.
            allow_log_reversion: Some(true),
            ..Default::default()
        }
        .validate()
    }
}
