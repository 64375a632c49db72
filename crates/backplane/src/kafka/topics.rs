//! The brokers, the topics that there are, and which partition a key is in.

use quorate_rt::time::{self, Instant};
use rskafka::{
    BackoffConfig,
    client::{
        Client, ClientBuilder,
        partition::{PartitionClient, UnknownTopicHandling},
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Partitions of a topic that is made here, as the original makes them.
const PARTITIONS: i32 = 3;
/// Larger answers are refused.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A topic that was made is seen by then.
const MADE_WITHIN: Duration = Duration::from_secs(5);
/// A topic that is not there is not looked for again within this time.
const MISSED_FOR: Duration = Duration::from_secs(1);
/// As many copies as the brokers have as their default; those of old versions have to be told.
const COPIES: [i16; 2] = [-1, 1];

/// A topic's partitions, by their numbers from 0.
pub(super) type Partitions = Arc<Vec<Arc<PartitionClient>>>;

/// See the module.
pub(super) struct Brokers {
    addresses: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    client: Option<Arc<Client>>,
    topics: BTreeMap<String, Partitions>,
    /// Those that were not there, and when.
    missing: BTreeMap<String, Instant>,
}

impl Known {
    fn miss(&mut self, name: &str, now: Instant) {
        self.missing.retain(|_, missed| now.duration_since(*missed) < MISSED_FOR);
        self.missing.insert(name.to_owned(), now);
    }

    fn is_missing(&self, name: &str, now: Instant) -> bool {
        self.missing.get(name).is_some_and(|missed| now.duration_since(*missed) < MISSED_FOR)
    }

    fn keep(&mut self, name: &str, client: &Arc<Client>, partitions: &Partitions) {
        self.missing.remove(name);
        // What was forgotten meanwhile may be out of date here, too.
        if self.client.as_ref().is_some_and(|known| Arc::ptr_eq(known, client)) {
            self.topics.insert(name.to_owned(), partitions.clone());
        }
    }
}

impl Brokers {
    /// Not dialled yet.
    pub fn new(addresses: Vec<String>) -> Self {
        Self { addresses, known: Mutex::default() }
    }

    /// What errors call them.
    pub fn name(&self) -> Arc<str> {
        format!("Kafka at {}", self.addresses.join(", ")).into()
    }

    /// The partitions of a topic that is there.
    pub async fn topic(&self, name: &str) -> Result<Partitions, String> {
        let is_missing = || format!("there is no topic {name}");
        let client = {
            let mut known = self.known.lock().await;
            if let Some(partitions) = known.topics.get(name) {
                return Ok(partitions.clone());
            }
            if known.is_missing(name, Instant::now()) {
                return Err(is_missing());
            }
            self.client(&mut known).await?
        };
        // Other topics do not wait for this.
        let looked = self.look(&client, name).await;
        let mut known = self.known.lock().await;
        match looked {
            Ok(Some(partitions)) => {
                known.keep(name, &client, &partitions);
                Ok(partitions)
            }
            Ok(None) => {
                known.miss(name, Instant::now());
                Err(is_missing())
            }
            Err(why) => {
                // Somebody may have dialled anew meanwhile.
                known.client.take_if(|known| Arc::ptr_eq(known, &client));
                Err(why)
            }
        }
    }

    /// The same, and it is made if it is not there.
    pub async fn own_topic(&self, name: &str) -> Result<Partitions, String> {
        let client = self.client(&mut *self.known.lock().await).await?;
        let partitions = match self.look(&client, name).await? {
            Some(partitions) => partitions,
            None => self.make(&client, name).await?,
        };
        self.known.lock().await.keep(name, &client, &partitions);
        Ok(partitions)
    }

    async fn make(&self, client: &Client, name: &str) -> Result<Partitions, String> {
        let controller = client.controller_client().map_err(|error| error.to_string())?;
        let mut made = Err(String::new());
        for copies in COPIES {
            made = controller.create_topic(name, PARTITIONS, copies, 5_000).await.map_err(|e| e.to_string());
            if made.is_ok() {
                break;
            }
        }
        let start = Instant::now();
        loop {
            // Somebody else may have made it meanwhile.
            if let Some(partitions) = self.look(client, name).await? {
                return Ok(partitions);
            }
            if let Err(why) = &made {
                return Err(format!("there is no topic {name}, and it can't be made: {why}"));
            }
            if start.elapsed() > MADE_WITHIN {
                return Err(format!("the topic {name} was made and is not there"));
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is known of a topic may be out of date.
    pub async fn forget(&self, name: &str) {
        let mut known = self.known.lock().await;
        known.topics.remove(name);
        known.missing.remove(name);
        known.client = None;
    }

    async fn client(&self, known: &mut Known) -> Result<Arc<Client>, String> {
        if let Some(client) = &known.client {
            return Ok(client.clone());
        }
        // No second attempt in here: one that was written and not answered could be written twice.
        let once = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
        let builder = ClientBuilder::new(self.addresses.clone())
            .client_id("quorate")
            .max_message_size(ANSWER_BYTES_MAX)
            .backoff_config(once);
        let client = Arc::new(builder.build().await.map_err(|error| error.to_string())?);
        known.client = Some(client.clone());
        Ok(client)
    }

    async fn look(&self, client: &Client, name: &str) -> Result<Option<Partitions>, String> {
        let topics = client.list_topics().await.map_err(|error| error.to_string())?;
        let Some(topic) = topics.into_iter().find(|topic| topic.name == name) else { return Ok(None) };
        let mut partitions = Vec::new();
        for number in topic.partitions {
            let opened = client.partition_client(name, number, UnknownTopicHandling::Error).await;
            partitions.push(Arc::new(opened.map_err(|error| error.to_string())?));
        }
        Ok((!partitions.is_empty()).then(|| Arc::new(partitions)))
    }
}

/// Which of so many partitions a key is in: as the original's library has it, FNV-1a of 32 bits, taken as signed.
pub(super) fn partition(key: &[u8], count: usize) -> usize {
    let hash =
        key.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    (hash.cast_signed() % count).unsigned_abs() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each lot for a topic that is not there asked the brokers again.
    #[test]
    fn a_topic_that_is_not_there_is_looked_for_again_after_a_while_and_then_forgotten() {
        let (mut known, start) = (Known::default(), Instant::now());
        assert!(!known.is_missing("gateway-n9", start));
        known.miss("gateway-n9", start);
        assert!(known.is_missing("gateway-n9", start));
        assert!(!known.is_missing("gateway-n2", start));
        assert!(!known.is_missing("gateway-n9", start + MISSED_FOR));
        known.miss("gateway-n8", start + MISSED_FOR);
        assert_eq!(known.missing.len(), 1, "names that anybody may write are not kept for ever");
    }

    /// FNV's published test vectors: 0x811c9dc5 for nothing, 0xe40c292c for `a`, 0xbf9cf968 for `foobar`.
    #[test]
    fn keys_are_where_the_original_puts_them() {
        assert_eq!(partition(b"", 3), (0x811c_9dc5_u32.cast_signed() % 3).unsigned_abs() as usize);
        assert_eq!(partition(b"a", 1_000), (0xe40c_292c_u32.cast_signed() % 1_000).unsigned_abs() as usize);
        assert_eq!(partition(b"foobar", 7), (0xbf9c_f968_u32.cast_signed() % 7).unsigned_abs() as usize);
        let used: std::collections::BTreeSet<_> =
            (0..100).map(|n| partition(format!("user-{n}").as_bytes(), 3)).collect();
        assert_eq!(used, [0, 1, 2].into());
    }
}
