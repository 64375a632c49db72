//! What is put, and what goes with a removal.

use super::{API_VERSION, labels, spec, status};
use crate::{
    Wrong,
    fields::{Fields, any_text, nested, object as json_object, text},
};
use quorate_model::{
    DnsLabel, Invalid, LogIndex, Object, ObjectId, ObjectPrecondition, ObjectStatus, Resource,
    object::ObjectText,
};
use serde_json::{Map, Value};

/// An object that is to be made, or to take the place of the one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// It.
    pub object: Box<Object>,
    /// Which version it is meant for.
    pub precondition: ObjectPrecondition,
}

/// What an object's status is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutStatus {
    /// It.
    pub status: ObjectStatus,
    /// Which version it is meant for.
    pub precondition: ObjectPrecondition,
}

/// Which version is to be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// That one.
    pub precondition: ObjectPrecondition,
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not of the kind that the path is for, or none at all.
    Malformed(String),
    /// Fields are wrong.
    Invalid {
        /// Of the object that calls itself so.
        name: String,
        /// Each of them.
        wrong: Wrong,
    },
}

/// What metadata say.
#[derive(Default)]
struct Metadata {
    name: Option<DnsLabel>,
    namespace: Option<String>,
    labels: std::collections::BTreeMap<Box<str>, Box<str>>,
    annotations: std::collections::BTreeMap<Box<str>, Box<str>>,
    precondition: ObjectPrecondition,
}

const NAME: &str = "1 to 63 lower-case letters, digits and dashes, no dash at either end";
const VERSION: &str = "the resourceVersion of an object as it was read";
const UID: &str = "the uid of an object as it was read";

/// Reads the body of a POST: an object that must not be there yet.
pub fn create(resource: Resource, namespace: &DnsLabel, body: &[u8]) -> Result<Put, Refused> {
    let put = read(resource, namespace, None, body)?;
    if put.precondition.changed.is_some() {
        return Err(malformed("metadata.resourceVersion: should not be set on objects to be created"));
    }
    // Whose it was where it comes from.
    Ok(Put { precondition: ObjectPrecondition::default(), ..put })
}

/// Reads the body of a PUT.
pub fn replace(id: &ObjectId, body: &[u8]) -> Result<Put, Refused> {
    read(id.resource, &id.namespace, Some(&id.name), body)
}

fn read(
    resource: Resource,
    namespace: &DnsLabel,
    name: Option<&DnsLabel>,
    body: &[u8],
) -> Result<Put, Refused> {
    let map = body_of(resource, body)?;
    let called = called(&map);
    let as_put = map.get("spec").map(Value::to_string).unwrap_or_default();
    let mut fields = Fields::of_body(map);
    let metadata = head(&mut fields, name);
    let spec = fields.required("spec", "what the object says", |value| {
        nested(value, |fields| spec::read(resource, fields))
    });
    let text = ObjectText::new("spec", &as_put).map_err(|wrong| fields.add([wrong])).ok();
    // Of those who put back what they have read: it has a place of its own.
    fields.optional("status", |_| Ok(()));
    let wrong = fields.finish();
    let named = named(metadata, (namespace, name))?;
    match (named, spec, text) {
        (Some((metadata, name)), Some(spec), Some(text)) if wrong.is_empty() => {
            let mut object = Object::new(namespace.clone(), name, spec, text);
            (object.labels, object.annotations) = (metadata.labels, metadata.annotations);
            Ok(Put { object: Box::new(object), precondition: metadata.precondition })
        }
        _ => Err(Refused::Invalid { name: called, wrong }),
    }
}

/// Reads the body of a PUT of a status. What stands beside it is not looked at but for the version.
pub fn status(id: &ObjectId, body: &[u8]) -> Result<PutStatus, Refused> {
    let mut map = body_of(id.resource, body)?;
    map.remove("spec");
    let said = map.get("status").cloned().unwrap_or_default();
    let mut fields = Fields::of_body(map);
    let metadata = head(&mut fields, Some(&id.name));
    let endpoints = fields.required("status", "how the object is", |value| {
        nested(value, |fields| status::read(id.resource, fields))
    });
    let as_put = status::kept(id.resource, said).to_string();
    let text = ObjectText::new("status", &as_put).map_err(|wrong| fields.add([wrong])).ok();
    let wrong = fields.finish();
    let named = named(metadata, (&id.namespace, Some(&id.name)))?;
    match (named, endpoints, text) {
        (Some((metadata, _)), Some(endpoints), Some(text)) if wrong.is_empty() => {
            Ok(PutStatus { status: ObjectStatus { endpoints, text }, precondition: metadata.precondition })
        }
        _ => Err(Refused::Invalid { name: id.name.to_string(), wrong }),
    }
}

/// Reads the body of a DELETE, which may be none. What it says of how the objects behind an object are to be taken away
/// is not looked at: there are none.
pub fn delete(body: &[u8]) -> Result<Deletion, Refused> {
    if body.trim_ascii().is_empty() {
        return Ok(Deletion::default());
    }
    let mut fields = Fields::of_body(json_object(body).map_err(|e| malformed(e.0))?);
    for ignored in
        ["kind", "apiVersion", "propagationPolicy", "orphanDependents", "gracePeriodSeconds", "dryRun"]
    {
        fields.optional(ignored, |_| Ok(()));
    }
    let precondition = fields.optional("preconditions", |value| nested(value, preconditions));
    let wrong = fields.finish();
    if wrong.is_empty() {
        return Ok(Deletion { precondition: precondition.unwrap_or_default() });
    }
    Err(Refused::Invalid { name: String::new(), wrong })
}

fn malformed(why: impl Into<String>) -> Refused {
    Refused::Malformed(why.into())
}

/// The body, if it is of this kind.
fn body_of(resource: Resource, body: &[u8]) -> Result<Map<String, Value>, Refused> {
    let mut map = json_object(body).map_err(|e| malformed(format!("the body is no JSON object: {}", e.0)))?;
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", resource.kind())] {
        match map.remove(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(said)) if said == wanted => {}
            Some(_) => {
                return Err(malformed(format!("{field}: is not what the path is for; allowed: {wanted}")));
            }
        }
    }
    Ok(map)
}

/// As an object calls itself, right or wrong.
fn called(map: &Map<String, Value>) -> String {
    let name = map.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
    name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect()
}

/// `name`: it is in the path, so it need not be said.
fn head(fields: &mut Fields, name: Option<&DnsLabel>) -> Option<Metadata> {
    if name.is_some() {
        let read = fields.optional("metadata", |value| nested(value, |fields| metadata(fields, false)));
        return Some(read.unwrap_or_default());
    }
    fields.required("metadata", "at least a name", |value| nested(value, |fields| metadata(fields, true)))
}

fn metadata(fields: &mut Fields, needs_name: bool) -> Option<Metadata> {
    let parse = text(NAME, DnsLabel::parse);
    let name = if needs_name { fields.required("name", NAME, parse) } else { fields.optional("name", parse) };
    let namespace = fields.optional("namespace", any_text);
    let labels = fields.optional("labels", labels::labels).unwrap_or_default();
    let annotations = fields.optional("annotations", labels::annotations).unwrap_or_default();
    let precondition = preconditions(fields).unwrap_or_default();
    for own in ["generation", "creationTimestamp", "selfLink", "managedFields"] {
        fields.optional(own, |_| Ok(()));
    }
    Some(Metadata { name, namespace, labels, annotations, precondition })
}

fn preconditions(fields: &mut Fields) -> Option<ObjectPrecondition> {
    let changed = fields.optional("resourceVersion", text(VERSION, version)).flatten();
    let uid = fields.optional("uid", text(UID, uid));
    Some(ObjectPrecondition { changed, uid })
}

/// Nothing says as little as none.
pub(super) fn version(text: &str) -> Result<Option<LogIndex>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let index = text.parse().ok().filter(|_| digits);
    index.map(|index| Some(LogIndex(index))).ok_or_else(|| Invalid::new("", "is none", VERSION))
}

fn uid(text: &str) -> Result<u128, Invalid> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_uid = text.len() == 36 && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let uid = u128::from_str_radix(&digits, 16).ok().filter(|_| is_uid);
    uid.ok_or_else(|| Invalid::new("", "is none", UID))
}

/// With the name that it has in the end; an error where it calls itself otherwise than the path does.
fn named(
    metadata: Option<Metadata>,
    (namespace, name): (&DnsLabel, Option<&DnsLabel>),
) -> Result<Option<(Metadata, DnsLabel)>, Refused> {
    let Some(mut metadata) = metadata else { return Ok(None) };
    if metadata.namespace.as_ref().is_some_and(|said| said != namespace.as_str()) {
        let why = "metadata.namespace: the namespace of the object does not match the namespace of the path";
        return Err(malformed(format!("{why}; allowed: {namespace}")));
    }
    let said = metadata.name.take();
    if let (Some(said), Some(name)) = (&said, name)
        && said != name
    {
        let why = "metadata.name: the name of the object does not match the name of the path";
        return Err(malformed(format!("{why}; allowed: {name}")));
    }
    Ok(name.cloned().or(said).map(|name| (metadata, name)))
}
