//! Where a partition count is read from, if not from an operator.
//!
//! The node defines what it needs, the program brings the client: a Kafka client opens sockets of its own, which
//! no simulated node could do. The leader asks; what it hears goes through the log, so that all nodes change the
//! count at one index. A failed read changes nothing: the last known count stays.

use futures_util::future::BoxFuture;
use std::time::Duration;

/// A read that took longer is given up.
pub const READ_LIMIT: Duration = Duration::from_secs(5);

/// Tells how many partitions there are now.
pub trait PartitionSource: Send + Sync {
    /// Asks once, within [`READ_LIMIT`]. Never 0, which would be [`PartitionSourceError::Invalid`].
    fn partitions(&self) -> BoxFuture<'_, Result<u32, PartitionSourceError>>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionSourceError {
    /// Kafka answered, and has no such topic. Not the same as no partitions.
    #[error("Kafka has no topic {topic}")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// No broker could be asked.
    #[error("none of the brokers {} answers: {last}", brokers.join(", "))]
    Unreachable {
        /// All that were tried.
        brokers: Vec<String>,
        /// What the last one's trouble was.
        last: String,
    },
    /// No answer within the limit.
    #[error("no answer within {limit:?}")]
    Timeout {
        /// [`READ_LIMIT`].
        limit: Duration,
    },
    /// An answer that can't be true.
    #[error("Kafka's answer about topic {topic} makes no sense: {problem}")]
    Invalid {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        problem: String,
    },
}
