//! A sandbox as others have left it, and its time by the cluster's own clock.

use crate::{
    Error, Operator,
    operator::{SandboxRecord, Told},
    tasks,
};
use quorate_api::{duration, timestamp};
use serde_json::{Map, Value};
use std::time::Duration;

/// A sandbox, as far as it is put back.
pub(super) struct Found {
    pub rules: Vec<Value>,
    /// As it was set.
    pub ttl: Option<Value>,
    /// When it ends, in milliseconds since 1970.
    pub ends: Option<u64>,
    pub changed: u64,
    /// Places of rules that no request comes to.
    pub silenced: Vec<u64>,
}

impl Found {
    pub async fn find(operator: &Operator, key: &str) -> Result<Option<Self>, Error> {
        read(operator.sandbox(key).await)
    }

    /// As the leader knows it.
    pub async fn standing(operator: &Operator, key: &str) -> Result<Option<Self>, Error> {
        read(operator.standing_sandbox(key).await)
    }

    /// How long it stands from each write on, as it was set.
    pub fn span_ms(&self) -> Option<u64> {
        span_ms(self.ttl.as_ref()?.as_str()?)
    }

    /// The same sandbox with other rules.
    pub fn body(&self, rules: Vec<Value>) -> Value {
        let mut body = Map::new();
        body.insert("rules".into(), Value::Array(rules));
        if let Some(ttl) = &self.ttl {
            body.insert("ttl".into(), ttl.clone());
        }
        Value::Object(body)
    }
}

fn read(told: Result<Told<SandboxRecord>, Error>) -> Result<Option<Found>, Error> {
    let told = match told {
        Ok(told) => told,
        Err(Error::Refused(problem)) if problem.code == "sandbox_unknown" => return Ok(None),
        Err(error) => return Err(error),
    };
    let items = |field: &str| told.json.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let silenced = items("overlaps").iter().filter_map(|one| one.get("rule")?.as_u64()).collect();
    Ok(Some(Found {
        rules: items("rules"),
        ttl: told.json.get("ttl").cloned(),
        ends: ends_ms(&told.json),
        changed: told.value.changed_index,
        silenced,
    }))
}

/// When a sandbox ends, as an answer says it.
pub(super) fn ends_ms(told: &Value) -> Option<u64> {
    timestamp::parse_millis(told.get("ends_at")?.as_str()?).map(|at| at.0)
}

fn span_ms(text: &str) -> Option<u64> {
    u64::try_from(duration::parse(text)?.as_millis()).ok()
}

/// As the API has it.
pub(super) fn ttl(ms: u64) -> String {
    duration::format(Duration::from_millis(ms))
}

/// The cluster's clock, as far as its answers have told it. It is never ahead: while this machine sleeps it stands still.
#[derive(Default)]
pub(super) struct Clock(Option<(u64, Duration)>);

impl Clock {
    /// Something that was written just now ends then, after so long.
    pub fn learn(&mut self, told: &Value, span_ms: u64) {
        if let Some(now) = ends_ms(told).and_then(|ends| ends.checked_sub(span_ms)) {
            self.0 = Some((now, tasks::now()));
        }
    }

    /// `None`: nothing was told yet.
    pub fn now_ms(&self) -> Option<u64> {
        let (told, at) = self.0?;
        let since = tasks::now().saturating_sub(at).as_millis();
        Some(told.saturating_add(u64::try_from(since).unwrap_or(u64::MAX)))
    }
}
