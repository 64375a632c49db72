//! Keyspaces and who owns their partitions.

use crate::{
    Wrong,
    fields::{Fields, text},
    service,
};
use quorate_model::{
    Duty, Hold, Invalid, Keyspace, KeyspaceConfig, KeyspaceSource, PartitionCount, Status, Worker, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Who decides a partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceBody {
    /// An operator.
    Static,
    /// The metadata of a Kafka topic.
    Kafka,
}

impl From<KeyspaceSource> for SourceBody {
    fn from(source: KeyspaceSource) -> Self {
        match source {
            KeyspaceSource::Static => Self::Static,
            KeyspaceSource::Kafka => Self::Kafka,
        }
    }
}

/// `PUT /v1/keyspaces/{name}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyspacePut {
    /// How many partitions. Must be there, unless the source is Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub partitions: Option<u32>,
    /// Who decides; `static` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceBody>,
    /// How long requests wait for the next owner of a partition when the last one has just been drained or lost; 1s
    /// to 10s. Not said: they fail at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("5s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub hold: Option<String>,
    /// Most requests that wait on one node; 1000 if not said. Only with `hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub hold_waiting_max: Option<u32>,
}

impl From<&Keyspace> for KeyspacePut {
    fn from(keyspace: &Keyspace) -> Self {
        let Keyspace { partitions, source, hold, .. } = *keyspace;
        (&KeyspaceConfig { partitions, source, hold }).into()
    }
}

impl From<&KeyspaceConfig> for KeyspacePut {
    fn from(keyspace: &KeyspaceConfig) -> Self {
        let (hold, hold_waiting_max) = service::shown_hold(keyspace.hold);
        Self {
            partitions: keyspace.partitions.map(PartitionCount::get),
            source: Some(keyspace.source.into()),
            hold,
            hold_waiting_max,
        }
    }
}

/// What an operator sets of a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its count; `None`: keep the last known one.
    pub partitions: Option<PartitionCount>,
    /// Who decides it.
    pub source: KeyspaceSource,
    /// How long requests wait for the next owner of a partition.
    pub hold: Option<Hold>,
}

/// Reads the body of a keyspace.
pub fn keyspace(body: Map<String, Value>) -> Result<Settings, Wrong> {
    let mut fields = Fields::of_body(body);
    let settings = document(&mut fields);
    let wrong = fields.finish();
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

/// Reads what is said of a keyspace wherever it stands. What is wrong is listed.
pub(crate) fn document(fields: &mut Fields) -> Settings {
    let allowed = format!("a whole number, 1 to {}", limit::PARTITION_COUNT_MAX);
    let source = fields.optional("source", text("static, kafka", source));
    let source = source.unwrap_or(KeyspaceSource::Static);
    let count = |value| count(&value, &allowed);
    let partitions = match source {
        KeyspaceSource::Kafka => fields.optional("partitions", count),
        KeyspaceSource::Static => fields.required("partitions", &allowed, count),
    };
    Settings { partitions, source, hold: service::hold(fields) }
}

fn source(text: &str) -> Result<KeyspaceSource, Invalid> {
    [KeyspaceSource::Static, KeyspaceSource::Kafka]
        .into_iter()
        .find(|source| source.as_str() == text)
        .ok_or_else(|| Invalid::new("", "is no known source", "static, kafka"))
}

fn count(value: &Value, allowed: &str) -> Result<PartitionCount, Wrong> {
    let count = value.as_u64().and_then(|count| PartitionCount::new(u32::try_from(count).ok()?).ok());
    count.ok_or_else(|| vec![Invalid::new("", "is no such number", allowed)])
}

/// A keyspace, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyspaceBody {
    /// Its name.
    pub name: String,
    /// How many partitions; null until Kafka has answered for the first time.
    #[schema(required)]
    pub partitions: Option<u32>,
    /// Who decides.
    pub source: SourceBody,
    /// How long requests wait for the next owner of a partition; null: they fail at once.
    #[schema(required)]
    pub hold: Option<String>,
    /// Most requests that wait on one node; null without `hold`.
    #[schema(required)]
    pub hold_waiting_max: Option<u32>,
    /// The log index of its last change, for `If-Match`.
    pub changed_index: u64,
}

impl From<&Keyspace> for KeyspaceBody {
    fn from(keyspace: &Keyspace) -> Self {
        let (hold, hold_waiting_max) = service::shown_hold(keyspace.hold);
        Self {
            name: keyspace.name.to_string(),
            partitions: keyspace.partitions.map(PartitionCount::get),
            source: keyspace.source.into(),
            hold,
            hold_waiting_max,
            changed_index: keyspace.changed.0,
        }
    }
}

/// A partition and its owner.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionBody {
    /// Which.
    pub partition: u32,
    /// The worker that holds it; null: nobody.
    #[schema(required)]
    pub owner: Option<String>,
    /// The owner's fencing token.
    #[schema(required)]
    pub epoch: Option<u64>,
    /// The owner's status; nothing is routed to an expired one.
    pub status: OwnershipBody,
}

/// What becomes of requests for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnershipBody {
    /// They go to its owner.
    Live,
    /// They go to its owner, whose heartbeats are late.
    Suspect,
    /// They are refused, or wait where the keyspace says so, until another worker registers: an operator drains its
    /// owner.
    Draining,
    /// They are refused until its owner is resumed or another one registers: an operator took its owner out of
    /// service.
    Offline,
    /// They are refused until its owner is back or another one registers.
    Expired,
    /// They are refused until somebody registers.
    Unowned,
}

impl PartitionBody {
    /// `owner` is whoever holds it, live or not.
    pub fn new(partition: u32, owner: Option<&Worker>) -> Self {
        let Some(worker) = owner else {
            return Self { partition, owner: None, epoch: None, status: OwnershipBody::Unowned };
        };
        let status = match (worker.status(), worker.intent.duty) {
            (Status::Expired, _) => OwnershipBody::Expired,
            // Departed workers hold nothing.
            (Status::Departed, _) => OwnershipBody::Unowned,
            (_, Duty::Draining) => OwnershipBody::Draining,
            (_, Duty::Offline) => OwnershipBody::Offline,
            (Status::Live, Duty::InService) => OwnershipBody::Live,
            (Status::Suspect, Duty::InService) => OwnershipBody::Suspect,
        };
        Self { partition, owner: Some(worker.id().to_string()), epoch: Some(worker.epoch.0), status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<(Option<u32>, KeyspaceSource), Vec<String>> {
        keyspace(body.as_object().expect("an object").clone())
            .map(|set| (set.partitions.map(PartitionCount::get), set.source))
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_operator_names_a_count_and_kafka_need_not() {
        assert_eq!(read(json!({"partitions": 24})), Ok((Some(24), KeyspaceSource::Static)));
        assert_eq!(read(json!({"source": "kafka"})), Ok((None, KeyspaceSource::Kafka)));
        assert_eq!(read(json!({"source": "kafka", "partitions": 6})), Ok((Some(6), KeyspaceSource::Kafka)));
    }

    #[test]
    fn a_count_is_bounded_and_never_zero() {
        for bad in [
            json!(0),
            json!(100_001),
            json!(-1),
            json!(1.5),
            json!("12"),
            json!(4_294_967_297_u64),
            json!([]),
        ] {
            let wrong = read(json!({"partitions": bad.clone()})).expect_err("out of bounds");
            assert_eq!(
                wrong,
                ["partitions: is no such number; allowed: a whole number, 1 to 100000"],
                "{bad}"
            );
        }
        assert_eq!(
            read(json!({"source": "static"})),
            Err(vec!["partitions: is missing; allowed: a whole number, 1 to 100000".into()])
        );
        assert_eq!(
            read(json!({"source": "etcd", "partitions": 1, "count": 3})),
            Err(vec![
                "source: is no known source; allowed: static, kafka".into(),
                "count: is no known field; allowed: source, partitions, hold, hold_waiting_max".into(),
            ])
        );
    }

    #[test]
    fn requests_wait_only_where_an_operator_says_so() {
        let read = |body: Value| keyspace(body.as_object().expect("an object").clone());
        assert_eq!(read(json!({"partitions": 1})).map(|set| set.hold), Ok(None));
        let set = read(json!({"partitions": 1, "hold": "3s", "hold_waiting_max": 9})).expect("valid");
        assert_eq!(set.hold, Hold::new(std::time::Duration::from_secs(3), 9).ok());
        let wrong = read(json!({"partitions": 1, "hold": "1m"})).expect_err("too long");
        assert_eq!(wrong[0].field, "hold");
    }
}
