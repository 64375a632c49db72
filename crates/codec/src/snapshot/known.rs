//! What many workers state in the same words: labels, capabilities, services, keyspaces.
//!
//! A fleet of a million workers has a few hundred different ones. They are found again by their text, before it is
//! parsed: that is most of the parsing saved, and most of the memory, since equal ones are then shared.

use super::WHAT;
use crate::error::DecodeError;
use quorate_model as model;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// So many texts of one kind are kept; then it begins anew, so that a fleet in which each worker states its own
/// costs no memory, and one that comes behind it is shared all the same.
const TEXTS_MAX: usize = 1_024;
/// A longer text is not kept.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What was read before, by kind.
#[derive(Default)]
pub(super) struct Known {
    pub keyspaces: Texts<model::KeyspaceName>,
    pub labels: Texts<model::Facts<Box<str>>>,
    pub capabilities: Texts<model::Facts<model::Capability>>,
    pub services: Texts<Vec<model::ServiceOffer>>,
}

/// Values by the text that they were read from.
pub(super) struct Texts<T>(BTreeMap<Box<str>, T>);

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Texts<T> {
    /// What `text` says: as it was read before, or read by `read` now.
    pub fn get<E>(&mut self, text: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<T, E> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let value = read(text)?;
        if text.len() <= TEXT_BYTES_MAX {
            if self.0.len() >= TEXTS_MAX {
                self.0.clear();
            }
            self.0.insert(text.into(), value.clone());
        }
        Ok(value)
    }
}

/// A field that is written from a value and read as its text.
pub(super) enum Field<'a, T> {
    Value(T),
    Text(&'a RawValue),
}

impl<T> Field<'_, T> {
    /// Its text; a field that was read always has one.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text.get(),
            Self::Value(_) => "null",
        }
    }
}

impl<T: Serialize> Serialize for Field<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for Field<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(Self::Text)
    }
}

/// A text as what it is the JSON of.
pub(super) fn parse_text<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|e| DecodeError::malformed(WHAT, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn a_text_is_read_once_and_a_flood_of_others_does_not_keep_it_out() {
        let mut texts = Texts::default();
        let mut read = 0;
        let mut get = |texts: &mut Texts<String>, text: &str| {
            let made = texts.get(text, |text| {
                read += 1;
                Ok::<_, Infallible>(text.to_uppercase())
            });
            (made.expect("it can't fail"), read)
        };
        assert_eq!(get(&mut texts, "a"), ("A".into(), 1));
        assert_eq!(get(&mut texts, "a"), ("A".into(), 1));
        for other in 0..3 * TEXTS_MAX {
            get(&mut texts, &format!("b{other}"));
        }
        let (_, before) = get(&mut texts, "late");
        assert_eq!(get(&mut texts, "late").1, before);
        assert!(texts.0.len() <= TEXTS_MAX);
    }

    #[test]
    fn a_text_that_can_not_be_read_is_not_known() {
        let mut texts: Texts<u8> = Texts::default();
        assert_eq!(texts.get("x", |_| Err("no")), Err("no"));
        assert_eq!(texts.get("x", |_| Ok::<_, &str>(1)), Ok(1));
    }
}
