//! JSON objects, read field by field.
//!
//! The reader collects what is wrong instead of stopping at it, and knows the path of each value, so that one
//! answer tells a caller all there is to correct. Whatever was not taken when the reader is finished is an
//! unknown field. Depth is bounded by serde_json (128), size by whoever read the bytes.

mod partly;

pub use partly::{list_partly, nested_partly};

use crate::{Wrong, duration, nearest::nearest};
use quorate_model::{Invalid, Partition, shown_key};
use serde_json::{Map, Value};
use std::{ops::RangeInclusive, time::Duration};

/// What is wrong, in one line. What is allowed may have commas.
pub fn in_one_line(wrong: &[Invalid]) -> String {
    const SHOWN_MAX: usize = 10;
    let mut all = wrong.iter();
    let mut shown: Vec<_> = all.by_ref().take(SHOWN_MAX).map(ToString::to_string).collect();
    if all.len() > 0 {
        shown.push(format!("and {} more", all.len()));
    }
    shown.join("; ")
}

/// Why the bytes of a body are not even an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnObject(
    /// What the parser says, or what the document is instead.
    pub String,
);

/// Parses one JSON object.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => Err(NotAnObject(format!("it is {}", kind(&other)))),
        Err(error) => Err(NotAnObject(error.to_string())),
    }
}

/// What a value is, without showing it: an error never echoes a megabyte, nor a secret.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn is_not(value: &Value, allowed: impl Into<String>) -> Invalid {
    Invalid::new("", format!("is {}", kind(value)), allowed)
}

/// Takes fields out of an object.
pub struct Fields {
    map: Map<String, Value>,
    /// Of the object itself, with a trailing dot; empty for the body.
    prefix: String,
    known: Vec<&'static str>,
    wrong: Wrong,
}

impl Fields {
    /// Reads the body itself.
    pub fn of_body(map: Map<String, Value>) -> Self {
        Self { map, prefix: String::new(), known: Vec::new(), wrong: Vec::new() }
    }

    /// Takes a field that must be there. `None`: it is wrong, and listed.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        read: impl FnOnce(Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        match self.take(name) {
            Some(value) => self.read(name, value, read),
            None => {
                self.wrong.push(Invalid::new(self.path(name), "is missing", allowed));
                None
            }
        }
    }

    /// Takes a field that may be absent or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.read(name, value, read)
    }

    /// Whether a field that was not taken yet is there, right or wrong.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Adds what was found wrong by other means.
    pub fn add(&mut self, wrong: impl IntoIterator<Item = Invalid>) {
        self.wrong.extend(wrong);
    }

    /// The same, of what is called by its place in this object: behind the place of the object itself.
    pub fn add_inside(&mut self, wrong: impl IntoIterator<Item = Invalid>) {
        let prefix = self.prefix.clone();
        self.wrong.extend(wrong.into_iter().map(|one| {
            let place = format!("{prefix}{}", one.field);
            one.renamed(place)
        }));
    }

    /// The places inside of this object that are listed already.
    pub fn wrong_places(&self) -> Vec<String> {
        let inside = |one: &Invalid| one.field.strip_prefix(&self.prefix).map(str::to_owned);
        self.wrong.iter().filter_map(inside).collect()
    }

    /// Whether a field that was not taken yet was sent as null.
    pub fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    /// Whether the object has nothing at all.
    pub fn is_empty(&self) -> bool {
        self.map.values().all(Value::is_null)
    }

    /// Which of `names`, of which one must be there; more than one, or none, is wrong.
    pub fn one_of<const N: usize>(&mut self, names: [&'static str; N]) -> Option<&'static str> {
        let there: Vec<_> = names.into_iter().filter(|name| self.has(name)).collect();
        if there.is_empty() {
            let problem = format!("has none of {}", names.join(", "));
            // The object itself: its place is what stands before its fields.
            let place = self.prefix.strip_suffix('.').unwrap_or_default().to_owned();
            self.wrong.push(Invalid::new(place, problem, "one of them"));
        }
        self.at_most_one_of(names)
    }

    /// Which of `names`, of which at most one may be there.
    pub fn at_most_one_of<const N: usize>(&mut self, names: [&'static str; N]) -> Option<&'static str> {
        let mut there = names.into_iter().filter(|name| self.has(name));
        let first = there.next();
        if let (Some(first), Some(second)) = (first, there.next()) {
            let allowed = format!("one of {}", names.join(", "));
            self.wrong.push(Invalid::new(self.path(second), format!("is there with {first}"), allowed));
        }
        first
    }

    /// Everything that is wrong, unknown fields included.
    pub fn finish(mut self) -> Wrong {
        let allowed = if self.known.is_empty() { "no field at all".into() } else { self.known.join(", ") };
        for name in self.map.keys() {
            let path = format!("{}{}", self.prefix, shown_key(name));
            let meant = nearest(name, self.known.iter().copied());
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            self.wrong.push(Invalid::new(path, format!("is no known field{meant}"), allowed.clone()));
        }
        self.wrong
    }

    /// Null is as good as absent.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &mut self,
        name: &str,
        value: Value,
        read: impl FnOnce(Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        let path = self.path(name);
        match read(value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong.extend(wrong.into_iter().map(|w| under(&path, w)));
                None
            }
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Readers of values say where inside their value something is wrong: nowhere, at `[3]` or at `.name`. What a
/// noun of the model calls itself is replaced by the field's name here.
fn under(path: &str, wrong: Invalid) -> Invalid {
    let inside = if wrong.field.starts_with(['[', '.']) { wrong.field.as_str() } else { "" };
    let path = format!("{path}{inside}");
    wrong.renamed(path)
}

/// A string that `parse` understands.
pub fn text<T>(
    allowed: &str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> impl FnOnce(Value) -> Result<T, Wrong> {
    move |value| match &value {
        Value::String(text) => parse(text).map_err(|e| vec![e.renamed("")]),
        other => Err(vec![is_not(other, allowed)]),
    }
}

/// A whole number from 0 to `max`.
pub fn number(max: u64) -> impl FnOnce(Value) -> Result<u64, Wrong> {
    number_in(0..=max)
}

/// A whole number within `bounds`.
pub fn number_in(bounds: RangeInclusive<u64>) -> impl FnOnce(Value) -> Result<u64, Wrong> {
    move |value| {
        let allowed = format!("{} to {}", bounds.start(), bounds.end());
        match value.as_u64() {
            Some(number) if bounds.contains(&number) => Ok(number),
            Some(number) => Err(vec![Invalid::new("", format!("is {number}"), allowed)]),
            None if value.is_i64() || value.as_f64().is_some_and(|number| number.abs() >= 1e18) => {
                // Negative, or more than any of our numbers.
                Err(vec![Invalid::new("", format!("is {value}"), allowed)])
            }
            None if value.is_number() => {
                let problem = format!("is {value}");
                Err(vec![Invalid::new("", problem, format!("a whole number, {allowed}"))])
            }
            None => Err(vec![is_not(&value, format!("a number, {allowed}"))]),
        }
    }
}

/// true or false.
pub fn flag(value: Value) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| vec![is_not(&value, "true or false")])
}

/// A span of time, such as `30s`.
pub fn span(value: Value) -> Result<Duration, Wrong> {
    text(duration::ALLOWED, |text| {
        duration::parse(text).ok_or_else(|| Invalid::new("", "is no duration", duration::ALLOWED))
    })(value)
}

/// A span of time within `bounds`.
pub fn span_in(bounds: RangeInclusive<Duration>) -> impl FnOnce(Value) -> Result<Duration, Wrong> {
    move |value| {
        let asked = span(value)?;
        duration::within(asked, bounds).map_err(|wrong| vec![wrong])
    }
}

/// An array of at most `max` items; each is read by `item`.
pub fn list<T>(
    max: usize,
    item: impl Fn(Value) -> Result<T, Wrong>,
) -> impl FnOnce(Value) -> Result<Vec<T>, Wrong> {
    move |value| {
        let Value::Array(values) = value else { return Err(vec![is_not(&value, "an array")]) };
        if values.len() > max {
            let problem = format!("has {} items", values.len());
            return Err(vec![Invalid::new("", problem, format!("at most {max}"))]);
        }
        let (mut items, mut wrong) = (Vec::with_capacity(values.len()), Vec::new());
        for (at, value) in values.into_iter().enumerate() {
            match item(value) {
                Ok(item) => items.push(item),
                Err(found) => wrong.extend(found.into_iter().map(|w| under(&format!("[{at}]"), w))),
            }
        }
        if wrong.is_empty() { Ok(items) } else { Err(wrong) }
    }
}

/// An object of any keys; each value is read by `item`.
pub fn entries<T>(
    item: impl Fn(Value) -> Result<T, Wrong>,
) -> impl FnOnce(Value) -> Result<Vec<(String, T)>, Wrong> {
    move |value| {
        let Value::Object(map) = value else { return Err(vec![is_not(&value, "an object")]) };
        let (mut items, mut wrong) = (Vec::with_capacity(map.len()), Vec::new());
        for (key, value) in map {
            match item(value) {
                Ok(item) => items.push((key, item)),
                Err(found) => {
                    let path = format!(".{}", shown_key(&key));
                    wrong.extend(found.into_iter().map(|w| under(&path, w)));
                }
            }
        }
        if wrong.is_empty() { Ok(items) } else { Err(wrong) }
    }
}

/// An object whose keys are names; each name with its value is read by `item`, and is the place of what is wrong.
pub fn named<T>(
    max: usize,
    item: impl Fn(&str, Value) -> Result<T, Wrong>,
) -> impl FnOnce(Value) -> Result<Vec<T>, Wrong> {
    move |value| {
        let Value::Object(map) = value else { return Err(vec![is_not(&value, "an object")]) };
        if map.len() > max {
            let problem = format!("has {} items", map.len());
            return Err(vec![Invalid::new("", problem, format!("at most {max}"))]);
        }
        let (mut items, mut wrong) = (Vec::with_capacity(map.len()), Vec::new());
        for (name, value) in map {
            match item(&name, value) {
                Ok(item) => items.push(item),
                Err(found) => wrong.extend(found.into_iter().map(|w| under(&place(&name), w))),
            }
        }
        if wrong.is_empty() { Ok(items) } else { Err(wrong) }
    }
}

/// `.name`, or `["na.me"]` where it would be taken for something else.
fn place(name: &str) -> String {
    const SHOWN_MAX: usize = 128;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= SHOWN_MAX && name.chars().all(is_plain) {
        return format!(".{name}");
    }
    let shown: String = name.chars().filter(|c| !c.is_control() && *c != '"').take(SHOWN_MAX).collect();
    format!("[\"{shown}\"]")
}

/// An object inside of a body, read like one.
pub fn nested<T>(value: Value, read: impl FnOnce(&mut Fields) -> Option<T>) -> Result<T, Wrong> {
    let Value::Object(map) = value else { return Err(vec![is_not(&value, "an object")]) };
    let mut fields = Fields { map, prefix: ".".into(), known: Vec::new(), wrong: Vec::new() };
    let read = read(&mut fields);
    let wrong = fields.finish();
    match read {
        Some(value) if wrong.is_empty() => Ok(value),
        Some(_) | None => Err(wrong),
    }
}

/// A whole number up to `max`, as what the model counts with.
pub fn count<N>(max: N) -> impl FnOnce(Value) -> Result<N, Wrong>
where
    N: Copy + Into<u64> + TryFrom<u64>,
{
    move |value| {
        let found = number(max.into())(value)?;
        Ok(N::try_from(found).unwrap_or(max))
    }
}

/// A span in milliseconds; whether it is within bounds is the model's to say.
pub fn millis(value: Value) -> Result<u32, Wrong> {
    span(value).map(|span| u32::try_from(span.as_millis()).unwrap_or(u32::MAX))
}

/// What is either said or not: true, and nothing else.
pub fn only_true(value: Value) -> Result<(), Wrong> {
    match value {
        Value::Bool(true) => Ok(()),
        Value::Bool(false) => Err(vec![Invalid::new("", "is false", "true, or nothing")]),
        other => Err(vec![is_not(&other, "true, or nothing")]),
    }
}

/// A partition: any 32-bit number; whether there is such a partition is the cluster's to say.
pub fn partition(value: Value) -> Result<Partition, Wrong> {
    const ALLOWED: &str = "a whole number, -2147483648 to 2147483647";
    match value.as_i64().map(i32::try_from) {
        Some(Ok(number)) => Ok(Partition(number)),
        Some(Err(_)) => Err(vec![Invalid::new("", "is out of range", ALLOWED)]),
        None if value.is_number() => Err(vec![Invalid::new("", "is no whole number", ALLOWED)]),
        None => Err(vec![is_not(&value, ALLOWED)]),
    }
}

/// A text as it is.
pub fn any_text(value: Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(vec![is_not(&other, "a string")]),
    }
}

#[cfg(test)]
mod tests;
