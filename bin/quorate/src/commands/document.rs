//! Documents that operators write: YAML or JSON, from a file or stdin. What a router finds wrong in one is told with
//! the line that it stands in.

mod lines;
mod many;

pub use many::Documents;

use crate::failure::Failure;
use lines::Lines;
use quorate_client::Error;
use serde_json::Value;
use std::io::Read as _;

/// Larger files are refused; routers take no larger documents.
const BYTES_MAX: u64 = 4 << 20;

/// A document.
pub struct Document {
    /// How messages call it.
    name: String,
    text: String,
    /// What it says.
    pub value: Value,
    /// Where in the text that stands; empty: it is all of it.
    place: &'static str,
}

impl Document {
    /// Reads `file`; `-` is stdin.
    pub fn read(file: &str) -> Result<Self, Failure> {
        let name = if file == "-" { "stdin" } else { file };
        let text = read_text(file).map_err(|why| Failure::Usage(format!("{name}: {why}")))?;
        Self::parse(name, text)
    }

    fn parse(name: &str, text: String) -> Result<Self, Failure> {
        // JSON is YAML.
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let value = serde_saphyr::from_str_with_options::<Value>(&text, options);
        match value {
            Ok(value @ Value::Object(_)) => Ok(Self { name: name.into(), text, value, place: "" }),
            Ok(_) => Err(Failure::Usage(format!("{name}: is no mapping; allowed: fields with their values"))),
            Err(error) => {
                let (at, what) = unreadable(&error);
                Err(Failure::Usage(format!("{name}{}: {what}", shown(at))))
            }
        }
    }

    /// What stands at `field`, alone.
    pub fn inside(mut self, field: &'static str) -> Self {
        self.value = self.value.get_mut(field).map(Value::take).unwrap_or_default();
        self.place = field;
        self
    }

    /// Takes out what `get` prints beside the object itself, a `what`: its name, its indexes, `more`. The index of the
    /// change that was shown is the condition.
    pub fn take_shown(
        &mut self,
        what: &str,
        (field, name): (&str, &str),
        more: &[&str],
    ) -> Result<Option<u64>, Failure> {
        let Some(fields) = self.value.as_object_mut() else { return Ok(None) };
        if let Some(other) = fields.remove(field).filter(|shown| shown != name) {
            let problem = format!("the file is about the {what} {other}, not about {name}");
            return Err(Failure::Usage(problem));
        }
        for shown in ["created_index"].iter().chain(more) {
            fields.remove(*shown);
        }
        let Some(shown) = fields.remove("changed_index") else { return Ok(None) };
        // Without the condition it would replace what nobody has seen.
        let index = shown.as_u64().ok_or_else(|| {
            let allowed = "a log index such as 57, or no such field";
            Failure::Usage(format!("changed_index is {shown}; allowed: {allowed}"))
        })?;
        Ok(Some(index))
    }

    /// Why a router did not take it. Each mistake with its line, where it is found in the file.
    pub fn failure(&self, error: Error) -> Failure {
        let Error::Refused(problem) = &error else { return error.into() };
        if problem.errors.is_empty() {
            return error.into();
        }
        let lines = Lines::of(&self.text);
        let told = problem.errors.iter().map(|wrong| {
            // What the command line says, and not the file.
            if let Some(argument) = wrong.field.strip_prefix("path.") {
                return format!("{argument}: {}", wrong.detail);
            }
            let place = [self.place, wrong.field.as_str()].join(if self.place.is_empty() { "" } else { "." });
            format!("{}{}: {}: {}", self.name, shown(lines.at(&place)), wrong.field, wrong.detail)
        });
        Failure::Failed(told.collect::<Vec<_>>().join("\n"))
    }
}

/// What a file says; `-` is stdin.
fn read_text(file: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|why| why.to_string())?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("has more than {BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8".into())
}

/// Line and column, as they stand behind a file's name.
fn shown(at: Option<(u64, u64)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"))
}

/// Where and why a text is no YAML, in words for whoever wrote it.
fn unreadable(error: &serde_saphyr::Error) -> (Option<(u64, u64)>, String) {
    use serde_saphyr::{Error, UserMessageFormatter};
    let at = error.location().map(|location| (location.line(), location.column()));
    let why = match error.without_snippet() {
        Error::MultipleDocuments { .. } => "a second document begins here; allowed: one document".into(),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` is there twice; allowed: each key once")
        }
        other => other.render_with_formatter(&UserMessageFormatter),
    };
    (at, format!("is no valid YAML: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_and_what_is_neither_is_usage() {
        let read = |text: &str| Document::parse("f", text.to_owned());
        let yaml = read("match: {path_prefix: /a}\ndestinations:\n  - service: a\n    weight: 5\n");
        let json =
            read(r#"{"match": {"path_prefix": "/a"}, "destinations": [{"service": "a", "weight": 5}]}"#);
        assert_eq!(yaml.ok().map(|y| y.value), json.ok().map(|j| j.value));
        for bad in ["[1]", "a: [", "a: 1\na: 2", "text", ""] {
            assert!(matches!(read(bad), Err(Failure::Usage(text)) if text.starts_with('f')), "{bad}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line_and_without_words_of_a_library() {
        let told = |text: &str| match Document::parse("f", text.to_owned()) {
            Err(Failure::Usage(told)) => told,
            _ => String::new(),
        };
        assert_eq!(told("a: 1\na: 2"), "f:2:1: is no valid YAML: `a` is there twice; allowed: each key once");
        assert_eq!(
            told("a: 1\n---\nb: 2"),
            "f:3:1: is no valid YAML: a second document begins here; allowed: one document"
        );
        for bad in ["a: [", "a: *x", "a: 1\n b: 2", "a: {b"] {
            let told = told(bad);
            assert!(told.starts_with("f:"), "{bad}: {told}");
            for word in ["Policy", "Options", "from_", "::", "Error"] {
                assert!(!told.contains(word), "{bad}: {told}");
            }
        }
    }
}
