//! Where a routing key was on its way, and where it was lost: `/v1/sandboxes/{key}/trace`.

use crate::{
    Wrong, duration,
    fields::{Fields, span},
    timestamp,
};
use quorate_model::key_trace::{self, Joined, KeyAt, KeyTrace, Trail};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;

/// `POST /v1/sandboxes/{key}/trace`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowBody {
    /// For how long from now on: 1s to 10m; 60s if not said.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schema(examples("60s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub span: Option<String>,
}

/// Reads it: in milliseconds.
pub fn follow(body: Map<String, Value>) -> Result<u64, Wrong> {
    const USUAL_MS: u64 = 60_000;
    let mut fields = Fields::of_body(body);
    let ms = fields.optional("for", |value| {
        let ms = span(value).and_then(|span| key_trace::follow_ms(span).map_err(|wrong| vec![wrong]));
        ms.map_err(|wrong| {
            wrong.into_iter().map(|one| one.allowing("a duration such as 60s, 1s to 10m")).collect()
        })
    });
    let wrong = fields.finish();
    if wrong.is_empty() { Ok(ms.unwrap_or(USUAL_MS)) } else { Err(wrong) }
}

/// Who follows a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FollowAnswer {
    /// Each node.
    pub nodes: Vec<FollowingNode>,
}

/// A node, and whether it follows the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FollowingNode {
    /// Which.
    pub node: String,
    /// Whether it notes requests with the key now.
    pub following: bool,
    /// For how much longer; null: it does not.
    #[schema(required)]
    pub left: Option<String>,
    /// How many of its cores tell. Each has notes of its own.
    pub cores: u32,
    /// How many cores did not tell in time.
    pub cores_silent: u32,
    /// Requests without the key that it could not keep until it was known whether their trace had it: a loss among them is
    /// not told.
    pub passed_over: u64,
    /// Why it does not follow the key, or why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl FollowingNode {
    /// As it was told, or why it was not.
    pub fn new(node: &str, told: Result<&KeyTrace, &str>) -> Self {
        let (told, why) = match told {
            Ok(told) if told.cores_full > 0 => {
                let why = format!("it follows {} other keys already", key_trace::KEYS_MAX);
                (told.clone(), Some(why))
            }
            Ok(told) => (told.clone(), None),
            Err(why) => (KeyTrace::default(), Some(why.to_owned())),
        };
        Self {
            node: node.to_owned(),
            following: told.left_ms.is_some(),
            left: told.left_ms.map(|ms| duration::format(Duration::from_millis(ms))),
            cores: told.cores,
            cores_silent: told.cores_silent,
            passed_over: told.passed_over,
            why,
        }
    }
}

/// What was seen of a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyTraceBody {
    /// Each node.
    pub nodes: Vec<FollowingNode>,
    /// The newest traces, the oldest of them first; a request without a trace id stands alone.
    pub traces: Vec<TrailBody>,
    /// How many older traces are not shown.
    pub left_out: usize,
}

impl KeyTraceBody {
    /// At most `limit` traces.
    pub fn new(nodes: Vec<FollowingNode>, trails: &[Trail], limit: usize) -> Self {
        let left_out = trails.len().saturating_sub(limit);
        Self { nodes, traces: trails.iter().skip(left_out).map(Into::into).collect(), left_out }
    }
}

/// The hops of one trace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TrailBody {
    /// Its ids; none: the request had none, and what became of it behind its target can't be followed.
    pub ids: Vec<String>,
    /// Whether the key was lost in it.
    pub lost: bool,
    /// In order of time.
    pub hops: Vec<HopBody>,
}

/// Whether a hop had the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyWord {
    /// It had.
    Present,
    /// Nothing before it had either.
    NotYet,
    /// It had not, and one before it had.
    Lost,
}

/// A request that passed a node.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HopBody {
    /// Which node.
    pub node: String,
    /// When it came.
    #[schema(format = "date-time")]
    pub at: String,
    /// Until the head of its answer, in whole milliseconds.
    pub elapsed: String,
    /// The place of the hop that was under way when it came; null: none was.
    #[schema(required)]
    pub inside: Option<usize>,
    /// Whether it had the key.
    pub key: KeyWord,
    /// In what.
    pub forms: Vec<String>,
    /// The place of the last hop on its way that had the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_after: Option<usize>,
    /// It had another key.
    pub other_key: bool,
    /// Its method.
    pub method: String,
    /// The host that was asked for.
    pub host: String,
    /// What was asked for, without its query, and with `{}` for what looks like an id.
    pub path: String,
    /// The span that it was made by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What decided where it went.
    pub decided_by: String,
    /// The service that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The address that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What was answered; null: the client went away.
    #[schema(required)]
    pub status: Option<u16>,
    /// Where it had been sent first, and by what, where that failed and it went elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_over: Option<String>,
}

impl From<&Trail> for TrailBody {
    fn from(trail: &Trail) -> Self {
        Self {
            ids: trail.traces.iter().map(ToString::to_string).collect(),
            lost: trail.is_broken(),
            hops: trail.hops.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Joined> for HopBody {
    fn from(joined: &Joined) -> Self {
        let Joined { node, hop, inside, key } = joined;
        let text = |text: &Option<Box<str>>| text.as_deref().map(ToOwned::to_owned);
        let (key, lost_after) = match key {
            KeyAt::Present => (KeyWord::Present, None),
            KeyAt::NotYet => (KeyWord::NotYet, None),
            KeyAt::Lost { after } => (KeyWord::Lost, Some(*after)),
        };
        Self {
            node: node.to_string(),
            at: timestamp::millis(hop.at),
            elapsed: duration::format(Duration::from_millis(hop.elapsed_us.div_ceil(1_000))),
            inside: *inside,
            key,
            forms: hop.forms.iter().map(ToString::to_string).collect(),
            lost_after,
            other_key: hop.has_other_key,
            method: hop.method.to_string(),
            host: hop.host.to_string(),
            path: hop.path.to_string(),
            parent: text(&hop.parent),
            decided_by: hop.decided_by.to_string(),
            service: text(&hop.service),
            address: text(&hop.address),
            status: hop.status,
            failed_over: text(&hop.failed_over),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<u64, String> {
        let read = follow(body.as_object().expect("an object").clone());
        read.map_err(|wrong| crate::fields::in_one_line(&wrong))
    }

    #[test]
    fn a_key_is_followed_for_a_while_and_not_for_ever() {
        assert_eq!(read(json!({})), Ok(60_000));
        assert_eq!((read(json!({"for": "1s"})), read(json!({"for": "10m"}))), (Ok(1_000), Ok(600_000)));
        for bad in [json!("999ms"), json!("11m"), json!("0"), json!(60), json!("soon")] {
            let said = read(json!({"for": bad})).expect_err("refused");
            assert!(
                said.starts_with("for: ") && said.ends_with("allowed: a duration such as 60s, 1s to 10m"),
                "{said}"
            );
        }
        assert!(read(json!({"until": "60s"})).expect_err("refused").starts_with("until: is no known field"));
    }
}
