//! Capabilities of any shape.
//!
//! The model has flags, numbers and texts. Whatever else a worker says is kept as its JSON text, under its key with
//! [`JSON`] behind it, and becomes what it was on its way out. A key that ends so by itself is kept like that too,
//! so nothing that comes in can be taken for something else.

use crate::{Wrong, fields::entries};
use quorate_model::{Capability, Invalid, limit};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The end of a key whose value is a JSON text.
const JSON: &str = "#json";

/// Reads an object of any values.
pub(super) fn read(value: Value) -> Result<BTreeMap<Box<str>, Capability>, Wrong> {
    let entries = entries(Ok)(value)?;
    if entries.len() > limit::CAPABILITIES_PER_WORKER_MAX {
        let allowed = format!("at most {}", limit::CAPABILITIES_PER_WORKER_MAX);
        return Err(vec![Invalid::new("", format!("has {} items", entries.len()), allowed)]);
    }
    Ok(entries.into_iter().map(|(key, value)| kept(key, value)).collect())
}

fn kept(key: String, value: Value) -> (Box<str>, Capability) {
    match value {
        _ if key.ends_with(JSON) => json(&key, &value),
        Value::Bool(flag) => (key.into(), Capability::Flag(flag)),
        Value::Number(number) => (key.into(), Capability::Number(number.to_string().into())),
        Value::String(text) if !text.chars().any(char::is_control) => {
            (key.into(), Capability::Text(text.into()))
        }
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => json(&key, &value),
    }
}

fn json(key: &str, value: &Value) -> (Box<str>, Capability) {
    (format!("{key}{JSON}").into(), Capability::Text(value.to_string().into()))
}

/// As they came.
pub fn shown(capabilities: &BTreeMap<Box<str>, Capability>) -> Map<String, Value> {
    capabilities.iter().map(|(key, value)| given_back(key, value)).collect()
}

fn given_back(key: &str, value: &Capability) -> (String, Value) {
    if let (Some(key), Capability::Text(text)) = (key.strip_suffix(JSON), value)
        && let Ok(value) = serde_json::from_str(text)
    {
        return (key.into(), value);
    }
    let value = match value {
        Capability::Flag(flag) => Value::Bool(*flag),
        Capability::Number(text) => {
            text.parse().map_or_else(|_| Value::String(text.to_string()), Value::Number)
        }
        Capability::Text(text) => Value::String(text.to_string()),
    };
    (key.into(), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_comes_in_comes_out() {
        let said = json!({
            "cpu_cores": 8, "ram": "15.6GB", "containerized": true, "load": 0.25, "big": u64::MAX,
            "gpu_type": null, "disks": ["nvme", {"size": 5}], "gpu": {"name": "L4"}, "two": "a\nb",
            "gpu#json": "{\"name\": \"not this one\"}", "flag#json": true, "text#json#json": "x",
        });
        let kept = read(said.clone()).expect("valid");
        assert_eq!(kept.len(), said.as_object().expect("an object").len());
        assert_eq!(Value::Object(shown(&kept)), said);
    }

    #[test]
    fn what_was_registered_natively_is_shown_as_it_is() {
        let kept = BTreeMap::from([("a#json".into(), Capability::Text("no JSON".into()))]);
        assert_eq!(Value::Object(shown(&kept)), json!({"a#json": "no JSON"}));
    }

    #[test]
    fn too_many_are_refused() {
        let many: Map<_, _> = (0..65).map(|i| (i.to_string(), json!(i))).collect();
        assert_eq!(
            read(Value::Object(many)).expect_err("65")[0].to_string(),
            ": has 65 items; allowed: at most 64"
        );
        assert!(read(json!([])).is_err());
    }
}
