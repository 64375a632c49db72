//! The schema of the document, for editors: what OpenAPI says of it, as a JSON Schema that stands by itself.

use super::ConfigBody;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// The dialect that OpenAPI 3.1 is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// What may be taken away by a null, where documents are merged.
const MAY_GO: [&str; 3] = ["routes", "sandboxes", "services"];

/// A JSON Schema of what `PATCH /v1/config` takes: the same with nulls as what `PUT` takes.
pub fn schema() -> Value {
    let mut parts = Vec::new();
    ConfigBody::schemas(&mut parts);
    let definitions: Map<String, Value> =
        parts.into_iter().map(|(name, part)| (name, standing_alone(&part))).collect();
    let mut schema = standing_alone(&ConfigBody::schema());
    for kind in MAY_GO {
        let object = &mut schema["properties"][kind]["additionalProperties"];
        *object = json!({"anyOf": [object.take(), {"type": "null"}]});
    }
    let mut whole = json!({"$schema": DIALECT, "title": "What a Quorate cluster is told to do"});
    if let (Some(whole), Value::Object(fields)) = (whole.as_object_mut(), schema) {
        whole.extend(fields);
        whole.insert("$defs".into(), definitions.into());
    }
    whole
}

fn standing_alone(schema: &RefOr<Schema>) -> Value {
    let mut value = serde_json::to_value(schema).unwrap_or_default();
    turn_references(&mut value);
    value
}

fn turn_references(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(turn_references),
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                *to = to.replace("#/components/schemas/", "#/$defs/");
            }
            fields.values_mut().for_each(turn_references);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
