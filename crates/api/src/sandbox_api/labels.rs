//! Labels and annotations, as Kubernetes allows them.

use crate::{
    Wrong,
    fields::{any_text, named},
};
use quorate_model::{Invalid, limit};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest name or value, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Longest prefix of a key, in bytes.
const PREFIX_BYTES_MAX: usize = 253;
/// Longest annotation, in bytes.
const ANNOTATION_BYTES_MAX: usize = 64 << 10;
const KEY: &str = "1 to 63 letters, digits, dashes, underscores and dots that begin and end with a letter or digit, \
                   after a DNS name and a slash or without";
const VALUE: &str =
    "at most 63 letters, digits, dashes, underscores and dots that begin and end with a letter or digit";

type Pairs = BTreeMap<Box<str>, Box<str>>;

/// Labels.
pub(super) fn labels(value: Value) -> Result<Pairs, Wrong> {
    let pair = |name: &str, value: Value| {
        let text = any_text(value)?;
        key(name).and_then(|()| self::value(&text)).map_err(|wrong| vec![wrong])?;
        Ok((name.into(), text.into()))
    };
    named(limit::LABELS_PER_OBJECT_MAX, pair)(value).map(|pairs| pairs.into_iter().collect())
}

/// Annotations: their values are anybody's.
pub(super) fn annotations(value: Value) -> Result<Pairs, Wrong> {
    let pair = |name: &str, value: Value| {
        let text = any_text(value)?;
        key(name).map_err(|wrong| vec![wrong])?;
        if text.len() > ANNOTATION_BYTES_MAX {
            let problem = format!("is {} bytes long", text.len());
            return Err(vec![Invalid::new("", problem, format!("at most {ANNOTATION_BYTES_MAX}"))]);
        }
        Ok((name.into(), text.into()))
    };
    let pairs: Pairs =
        named(limit::LABELS_PER_OBJECT_MAX, pair)(value).map(|pairs| pairs.into_iter().collect())?;
    let bytes = pairs.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
    if bytes > limit::OBJECT_BYTES_MAX {
        let problem = format!("are {bytes} bytes long together");
        return Err(vec![Invalid::new("", problem, format!("at most {}", limit::OBJECT_BYTES_MAX))]);
    }
    Ok(pairs)
}

/// The key of a label.
pub(super) fn key(text: &str) -> Result<(), Invalid> {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_dns = |prefix: &str| prefix.len() <= PREFIX_BYTES_MAX && prefix.split('.').all(is_label);
    if prefix.is_none_or(is_dns) && is_name(name) {
        return Ok(());
    }
    Err(Invalid::new("", "has a key that is not allowed", KEY))
}

/// The value of a label.
pub(super) fn value(text: &str) -> Result<(), Invalid> {
    if text.is_empty() || is_name(text) {
        Ok(())
    } else {
        Err(Invalid::new("", "is no value of a label", VALUE))
    }
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= NAME_BYTES_MAX
        && is_edge(text.chars().next())
        && is_edge(text.chars().next_back())
        && text.bytes().all(is_inside)
}
