//! Rendered documents, and the ways to look into them that the rules share.

use serde_json::{Map, Value};

/// All documents of one kustomization or file.
pub struct Rendered(pub Vec<Value>);

impl Rendered {
    /// The documents of one kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |document| document["kind"] == kind)
    }

    /// Every template of pods: who asks for them, the metadata, the specification.
    pub fn pods(&self) -> impl Iterator<Item = Pod<'_>> {
        self.0.iter().filter_map(|document| {
            let at = match document["kind"].as_str()? {
                "CronJob" => "/spec/jobTemplate/spec/template",
                _ => "/spec/template",
            };
            let template = document.pointer(at)?;
            let labels = template.pointer("/metadata/labels").and_then(Value::as_object)?;
            Some(Pod { owner: title(document), labels, spec: &template["spec"] })
        })
    }

    /// As a golden file has it.
    pub fn pretty(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.0).expect("values are JSON");
        text.push('\n');
        text
    }
}

/// One template of pods.
pub struct Pod<'a> {
    pub owner: String,
    pub labels: &'a Map<String, Value>,
    pub spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// Whether a selector of exactly these labels finds it.
    pub fn is_selected_by(&self, labels: &Value) -> bool {
        labels.as_object().is_some_and(|labels| {
            !labels.is_empty() && labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
        })
    }

    pub fn containers(&self) -> &'a [Value] {
        self.spec["containers"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The number of the port called `name`.
    pub fn port(&self, name: &str) -> Option<u64> {
        let ports = self.containers().iter().filter_map(|container| container["ports"].as_array()).flatten();
        ports.filter(|port| port["name"] == name).find_map(|port| port["containerPort"].as_u64())
    }
}

/// `StatefulSet quorate`.
pub fn title(document: &Value) -> String {
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    format!("{} {name}", document["kind"].as_str().unwrap_or("a document without a kind"))
}

/// A list of a document, empty where there is none.
pub fn list<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The variables of a container that have a value, in their order.
pub fn environment(container: &Value) -> impl Iterator<Item = (&str, Option<&str>)> {
    list(container, "/env")
        .iter()
        .filter_map(|entry| Some((entry["name"].as_str()?, entry["value"].as_str())))
}

/// The value of one variable.
pub fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    environment(container).find(|(known, _)| *known == name)?.1
}

/// Adds a finding for each pointer whose value is not the wanted one.
pub fn expect(found: &mut Vec<String>, what: &str, document: &Value, wanted: &[(&str, Value)]) {
    for (pointer, value) in wanted {
        let is = document.pointer(pointer);
        if is != Some(value) {
            let is = is.map_or("missing".to_owned(), Value::to_string);
            found.push(format!("{what}: {pointer} must be {value}, and is {is}"));
        }
    }
}
