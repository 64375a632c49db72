//! YAML that knows its lines: what settings files are read through, before anybody asks what the keys mean.

use super::error::Wrong;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// YAML as far as a configuration needs it: keys and items keep their line, scalars their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// Nothing, as behind `key:`.
    Null,
    /// A text, a number, true or false.
    Scalar(String),
    /// `- item` or `[item]`.
    List(Vec<Line<Yaml>>),
    /// In the order of the file.
    Map(Vec<(Line<String>, Yaml)>),
}

/// Something of a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<T> {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What stands there.
    pub value: T,
}

impl<T> From<Spanned<T>> for Line<T> {
    fn from(spanned: Spanned<T>) -> Self {
        let place = spanned.referenced;
        Self { line: place.line(), column: place.column(), value: spanned.value }
    }
}

impl Yaml {
    /// Reads one document.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let why = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            Wrong::new(format!("is no valid YAML: {why}"), "one YAML document, each key once")
        })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(text.into()))
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }
    fn visit_none<E: de::Error>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Yaml>>()? {
            list.push(item.into());
        }
        Ok(Yaml::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((key.into(), entries.next_value()?));
        }
        Ok(Yaml::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(Line<String>, Yaml)> {
        match Yaml::read(text) {
            Ok(Yaml::Map(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn items_of_lists_keep_their_lines_however_they_are_written() {
        let Yaml::List(items) = map("a:\n  - x\n\n  - b: 1\n    c: 2\n  - [y, z]\n").remove(0).1 else {
            panic!("a list")
        };
        let lines: Vec<_> = items.iter().map(|item| item.line).collect();
        assert_eq!(lines, [2, 4, 6]);
        let Yaml::Map(second) = &items[1].value else { panic!("a mapping") };
        assert_eq!((second[1].0.line, second[1].0.column, second[1].0.value.as_str()), (5, 5, "c"));
    }
}
