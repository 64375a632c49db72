//! Keyspaces: how many partitions workspace ids are hashed into, and who says so.

use crate::{
    limit,
    name::{Invalid, KeyspaceName},
    number::LogIndex,
    service::Hold,
};

/// A partition count: 1 to [`limit::PARTITION_COUNT_MAX`]. Never 0, so that nothing is divided by it in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionCount(u32);

impl PartitionCount {
    /// Checks the bounds; the error is about the field `partitions`.
    pub fn new(count: u32) -> Result<Self, Invalid> {
        if (1..=limit::PARTITION_COUNT_MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(Invalid::new(
                "partitions",
                format!("is {count}"),
                format!("1 to {}", limit::PARTITION_COUNT_MAX),
            ))
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Who decides the partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyspaceSource {
    /// An operator.
    Static,
    /// The metadata of a Kafka topic, read by the leader.
    Kafka,
}

impl KeyspaceSource {
    /// Lower case, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Kafka => "kafka",
        }
    }
}

/// A keyspace, as the cluster holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name.
    pub name: KeyspaceName,
    /// How many partitions; `None` until Kafka has answered for the first time.
    pub partitions: Option<PartitionCount>,
    /// Who decides.
    pub source: KeyspaceSource,
    /// How long requests wait for the next owner of a partition; `None`: not at all.
    pub hold: Option<Hold>,
    /// The log index of the last change of the above.
    pub changed: LogIndex,
}
