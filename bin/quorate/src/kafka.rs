//! The partition count of a Kafka topic.
//!
//! Each read asks anew, over a connection of its own: the count is read once a minute by one node, so a connection
//! kept open would only be one more thing to be found broken at the worst moment. Brokers are asked one after the
//! other with a short stagger, without waiting for a silent one to time out, and the first answer wins: one broker
//! that is down, paused or behind a firewall that drops packets costs [`STAGGER`] at most.
//!
//! That a topic does not exist is an answer and an error of its own, never a count of 0: a router that took it for
//! a count would have to divide by it.

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use quorate_node::partition_source::{PartitionSource, PartitionSourceError, READ_LIMIT};
use rskafka::{BackoffConfig, client::ClientBuilder, topic::Topic};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// The next broker is asked when the ones before it have been silent for this long.
const STAGGER: Duration = Duration::from_millis(500);
/// Larger answers are refused: even 100,000 topics are smaller.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A topic on a cluster.
#[derive(Debug)]
pub struct KafkaTopic {
    brokers: Vec<String>,
    topic: String,
    /// The broker that answered last is asked first.
    answered: AtomicUsize,
}

impl KafkaTopic {
    /// `brokers` are `host:port` each, and not empty.
    pub fn new(brokers: Vec<String>, topic: String) -> Self {
        Self { brokers, topic, answered: AtomicUsize::new(0) }
    }

    async fn read(&self) -> Result<u32, PartitionSourceError> {
        let first = self.answered.load(Ordering::Relaxed);
        let mut order = (0..self.brokers.len()).map(|nth| (first + nth) % self.brokers.len());
        let mut asked = FuturesUnordered::new();
        let mut last = "none was asked".to_owned();
        loop {
            match order.next() {
                Some(at) => asked.push(async move { (at, topics(&self.brokers[at]).await) }),
                None if asked.is_empty() => {
                    return Err(PartitionSourceError::Unreachable { brokers: self.brokers.clone(), last });
                }
                None => {}
            }
            let patience = if order.len() == 0 { READ_LIMIT } else { STAGGER };
            match tokio::time::timeout(patience, asked.next()).await {
                Ok(Some((at, Ok(topics)))) => {
                    self.answered.store(at, Ordering::Relaxed);
                    return count(&self.topic, &topics);
                }
                Ok(Some((at, Err(why)))) => last = format!("{}: {why}", self.brokers[at]),
                // Silence so far, or none left: the next one.
                Ok(None) | Err(_) => {}
            }
        }
    }
}

impl PartitionSource for KafkaTopic {
    fn partitions(&self) -> BoxFuture<'_, Result<u32, PartitionSourceError>> {
        async {
            let read = tokio::time::timeout(READ_LIMIT, self.read()).await;
            read.unwrap_or(Err(PartitionSourceError::Timeout { limit: READ_LIMIT }))
        }
        .boxed()
    }
}

/// All topics, as one broker knows them.
async fn topics(broker: &str) -> Result<Vec<Topic>, rskafka::client::error::Error> {
    // No second attempt in here: the next broker is the second attempt.
    let once = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
    let builder = ClientBuilder::new(vec![broker.to_owned()])
        .client_id("quorate")
        .max_message_size(ANSWER_BYTES_MAX)
        .backoff_config(once);
    builder.build().await?.list_topics().await
}

/// Partitions are numbered from 0 without gaps; anything else is no count to hash into.
fn count(name: &str, topics: &[Topic]) -> Result<u32, PartitionSourceError> {
    let topic = topics.iter().find(|topic| topic.name == name);
    let topic = topic.ok_or_else(|| PartitionSourceError::UnknownTopic { topic: name.into() })?;
    let invalid = |problem: String| PartitionSourceError::Invalid { topic: name.into(), problem };
    let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(invalid("it has no partitions".into()));
    }
    match topic.partitions.last() {
        Some(last) if i64::from(*last) + 1 == i64::from(count) && topic.partitions.contains(&0) => Ok(count),
        _ => Err(invalid(format!("{count} partitions that are not numbered 0 to {}", count - 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(partitions: &[i32]) -> Result<u32, PartitionSourceError> {
        count("t", &[Topic { name: "t".into(), partitions: partitions.iter().copied().collect() }])
    }

    #[test]
    fn only_partitions_numbered_without_gaps_are_a_count() {
        assert_eq!(check(&[0]), Ok(1));
        assert_eq!(check(&[0, 1, 2, 3]), Ok(4));
        for bad in [&[][..], &[1], &[0, 2], &[-1, 0]] {
            assert!(matches!(check(bad), Err(PartitionSourceError::Invalid { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_topic_that_is_not_there_is_no_count_of_zero() {
        assert_eq!(count("x", &[]), Err(PartitionSourceError::UnknownTopic { topic: "x".into() }));
    }
}
