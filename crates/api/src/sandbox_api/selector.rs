//! Label selectors: `app=web,tier!=db,env in (a, b),!old`.

use super::labels;
use quorate_model::Invalid;
use std::collections::BTreeMap;

const ALLOWED: &str = "requirements such as a=b, a!=b, a, !a, a in (b,c), a notin (b,c), separated by commas";
const REQUIREMENTS_MAX: usize = 64;

/// Which objects: those whose labels meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    There(Box<str>),
    NotThere(Box<str>),
    In(Box<str>, Vec<Box<str>>),
    /// Met also where the label is not there, as Kubernetes has it.
    NotIn(Box<str>, Vec<Box<str>>),
}

impl Selector {
    /// Reads one; an empty one is met by all.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts = parts(text).ok_or_else(|| wrong("has a bracket without its other one"))?;
        let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
        let all = parts.map(Requirement::parse).collect::<Result<Vec<_>, _>>()?;
        if all.len() > REQUIREMENTS_MAX {
            return Err(Invalid::new(
                "",
                format!("has {}", all.len()),
                format!("at most {REQUIREMENTS_MAX}"),
            ));
        }
        Ok(Self(all))
    }

    /// Whether labels meet all of it.
    pub fn is_met(&self, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::There(key) => labels.contains_key(key),
            Requirement::NotThere(key) => !labels.contains_key(key),
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
        })
    }
}

/// What stands between commas that are in no brackets.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut is_inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if is_inside => return None,
            '(' => is_inside = true,
            ')' if !is_inside => return None,
            ')' => is_inside = false,
            ',' if !is_inside => {
                parts.push(text.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..)?);
    (!is_inside).then_some(parts)
}

impl Requirement {
    fn parse(text: &str) -> Result<Self, Invalid> {
        if let Some(list) = text.strip_suffix(')') {
            let (head, list) =
                list.split_once('(').ok_or_else(|| wrong("has a bracket without its other one"))?;
            let mut words = head.split_whitespace();
            let values = list.split(',').map(|value| self::value(value.trim())).collect::<Result<_, _>>()?;
            return match (words.next(), words.next(), words.next()) {
                (Some(key), Some("in"), None) => Ok(Self::In(self::key(key)?, values)),
                (Some(key), Some("notin"), None) => Ok(Self::NotIn(self::key(key)?, values)),
                _ => Err(wrong("has brackets behind something else than `in` or `notin`")),
            };
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Ok(Self::NotIn(self::key(key.trim())?, vec![self::value(value.trim())?]));
        }
        if let Some((key, value)) = text.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value);
            return Ok(Self::In(self::key(key.trim())?, vec![self::value(value.trim())?]));
        }
        match text.strip_prefix('!') {
            Some(key) => Ok(Self::NotThere(self::key(key.trim())?)),
            None => Ok(Self::There(self::key(text)?)),
        }
    }
}

fn key(text: &str) -> Result<Box<str>, Invalid> {
    labels::key(text).map_err(|_| wrong("has a key that no label has"))?;
    Ok(text.into())
}

fn value(text: &str) -> Result<Box<str>, Invalid> {
    labels::value(text).map_err(|_| wrong("has a value that no label has"))?;
    Ok(text.into())
}

fn wrong(problem: &str) -> Invalid {
    Invalid::new("", problem, ALLOWED)
}
