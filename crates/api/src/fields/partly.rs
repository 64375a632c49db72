//! What is read where a part of it is wrong: the wrong part is listed, and the model can still judge the rest.

use super::{Fields, is_not, under};
use crate::Wrong;
use quorate_model::Invalid;
use serde_json::Value;

impl Fields {
    /// Takes a field of which a part can be read where another part is wrong: what is wrong is listed, and the rest can
    /// still be judged by the model.
    pub fn optional_partly<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> (Option<T>, Wrong),
    ) -> Option<T> {
        let value = self.take(name)?;
        let ((value, wrong), path) = (read(value), self.path(name));
        self.wrong.extend(wrong.into_iter().map(|w| under(&path, w)));
        value
    }

    /// The same of one that must be there.
    pub fn required_partly<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        read: impl FnOnce(Value) -> (Option<T>, Wrong),
    ) -> Option<T> {
        if !self.has(name) {
            self.wrong.push(Invalid::new(self.path(name), "is missing", allowed));
        }
        self.optional_partly(name, read)
    }
}

/// An object inside of a body, of which the rest is read where a part is wrong.
pub fn nested_partly<T>(value: Value, read: impl FnOnce(&mut Fields) -> T) -> (Option<T>, Wrong) {
    let Value::Object(map) = value else { return (None, vec![is_not(&value, "an object")]) };
    let mut fields = Fields { map, prefix: ".".into(), known: Vec::new(), wrong: Vec::new() };
    let read = read(&mut fields);
    (Some(read), fields.finish())
}

/// An array of at most `max` items, of which the rest is read where a part is wrong.
pub fn list_partly<T>(
    max: usize,
    mut item: impl FnMut(Value) -> (T, Wrong),
) -> impl FnOnce(Value) -> (Option<Vec<T>>, Wrong) {
    move |value| {
        let Value::Array(values) = value else { return (None, vec![is_not(&value, "an array")]) };
        if values.len() > max {
            let problem = format!("has {} items", values.len());
            return (None, vec![Invalid::new("", problem, format!("at most {max}"))]);
        }
        let (mut items, mut wrong) = (Vec::with_capacity(values.len()), Vec::new());
        for (at, value) in values.into_iter().enumerate() {
            let (read, found) = item(value);
            items.push(read);
            wrong.extend(found.into_iter().map(|w| under(&format!("[{at}]"), w)));
        }
        (Some(items), wrong)
    }
}
