//! Where in a file a field stands, by the place that a router calls it by, such as `routes.web.destinations[0].weight`.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// The lines of a file's fields and items.
pub struct Lines(Node);

impl Lines {
    /// Of a document that is known to be readable; of any other: none.
    pub fn of(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).unwrap_or(Node::Scalar))
    }

    /// The line of the field, or of the innermost that there is of those that it is in.
    pub fn line(&self, place: &str) -> Option<u64> {
        let (mut node, mut line) = (&self.0, None);
        let mut rest = place;
        while let Some((step, after)) = step(rest) {
            let Some((at, inner)) = node.child(step) else { break };
            (node, line, rest) = (inner, Some(at), after);
        }
        line
    }
}

/// The first step of a place, and what follows it: `.name`, `["na.me"]` or `[3]`; the first may stand without a dot.
fn step(place: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = place.strip_prefix("[\"") {
        return quoted.split_once("\"]");
    }
    if let Some(number) = place.strip_prefix('[') {
        return number.split_once(']');
    }
    let bare = place.strip_prefix('.').unwrap_or(place);
    let end = bare.find(['.', '[']).unwrap_or(bare.len());
    (!bare.is_empty()).then(|| bare.split_at(end))
}

enum Node {
    Scalar,
    List(Vec<(u64, Node)>),
    Map(Vec<(String, u64, Node)>),
}

impl Node {
    fn child(&self, step: &str) -> Option<(u64, &Self)> {
        match self {
            Self::Scalar => None,
            Self::List(items) => items.get(step.parse::<usize>().ok()?).map(|(line, node)| (*line, node)),
            Self::Map(entries) => {
                entries.iter().find(|(key, ..)| key == step).map(|(_, line, node)| (*line, node))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push((item.referenced.line(), item.value));
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((key.value, key.referenced.line(), entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_line_of_its_field_or_of_what_it_is_missing_in() {
        let lines = Lines::of(
            "routes:\n  web:\n    match: {}\n    destinations:\n      - service: a\n      - service: b\n        weight: -1\n  a.b: null\n",
        );
        for (place, line) in [
            ("routes", Some(1)),
            ("routes.web.destinations[1].weight", Some(7)),
            ("routes.web.destinations[0].weight", Some(5)),
            ("routes[\"a.b\"]", Some(8)),
            ("routes.web.redirect", Some(2)),
            ("query.limit", None),
            ("", None),
        ] {
            assert_eq!(lines.line(place), line, "{place}");
        }
    }
}
