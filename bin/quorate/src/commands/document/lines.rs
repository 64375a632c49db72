//! Where in a file a field stands, by the place that a router calls it by, such as `routes.web.destinations[0].weight`.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// Line and column.
type At = (u64, u64);

/// The places of a document's fields and items.
#[derive(Default)]
pub struct Lines {
    start: Option<At>,
    node: Node,
}

impl Lines {
    /// Of a document that is known to be readable; of any other: none.
    pub fn of(text: &str) -> Self {
        Self { start: None, node: serde_saphyr::from_str(text).unwrap_or(Node::Scalar) }
    }

    /// Of each document of a file that is readable but for keys that are there twice; of any other: none.
    pub fn of_all(text: &str) -> Vec<Self> {
        let duplicate_keys = serde_saphyr::DuplicateKeyPolicy::FirstWins;
        let options = serde_saphyr::options! { with_snippet: false, duplicate_keys: duplicate_keys };
        let nodes: Vec<Spanned<Node>> =
            serde_saphyr::from_multiple_with_options(text, options).unwrap_or_default();
        nodes.into_iter().map(|node| Self { start: Some(at(&node)), node: node.value }).collect()
    }

    /// Where the document begins.
    pub fn start(&self) -> Option<At> {
        self.start
    }

    /// Where the field stands, or the innermost that there is of those that it is in.
    pub fn at(&self, place: &str) -> Option<At> {
        let (mut node, mut found) = (&self.node, None);
        let mut rest = place;
        while let Some((step, after)) = step(rest) {
            let Some((at, inner)) = node.child(step) else { break };
            (node, found, rest) = (inner, Some(at), after);
        }
        found
    }
}

/// Which object a place is in: the list, and its name there.
pub fn object_of(place: &str) -> Option<(&str, &str)> {
    let (list, rest) = step(place)?;
    let (name, _) = step(rest)?;
    Some((list, name))
}

fn at<T>(spanned: &Spanned<T>) -> At {
    (spanned.referenced.line(), spanned.referenced.column())
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

#[derive(Default)]
enum Node {
    #[default]
    Scalar,
    List(Vec<(At, Node)>),
    Map(Vec<(String, At, Node)>),
}

impl Node {
    fn child(&self, step: &str) -> Option<(At, &Self)> {
        match self {
            Self::Scalar => None,
            Self::List(items) => items.get(step.parse::<usize>().ok()?).map(|(at, node)| (*at, node)),
            Self::Map(entries) => {
                entries.iter().find(|(key, ..)| key == step).map(|(_, at, node)| (*at, node))
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
            list.push((at(&item), item.value));
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let at = at(&key);
            map.push((key.value, at, entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_its_field_or_of_what_it_is_missing_in() {
        let lines = Lines::of(
            "routes:\n  web:\n    match: {}\n    destinations:\n      - service: a\n      - service: b\n        weight: -1\n  a.b: null\n",
        );
        for (place, at) in [
            ("routes", Some((1, 1))),
            ("routes.web.destinations[1].weight", Some((7, 9))),
            ("routes.web.destinations[0].weight", Some((5, 9))),
            ("routes[\"a.b\"]", Some((8, 3))),
            ("routes.web.redirect", Some((2, 3))),
            ("query.limit", None),
            ("", None),
        ] {
            assert_eq!(lines.at(place), at, "{place}");
        }
    }
}
