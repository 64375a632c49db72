//! What becomes of headers: changes of them, and what browsers of other origins are told.

use super::matching::methods;
use quorate_model as model;
use quorate_model::Invalid;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HeaderEdits {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    add: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove: Vec<Box<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: Box<str>,
    pub(super) value: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cors {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_headers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exposed_headers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "super::is_false")]
    allow_credentials: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u32>,
}

impl HeaderEdits {
    /// Whether nothing changes: then it is not written.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    pub(super) fn read(self, field: &str) -> Result<model::route::HeaderEdits, Invalid> {
        use model::route::HeaderEdits as M;
        let remove = self.remove.iter().map(|name| M::name(field, name));
        Ok(M {
            set: read_headers(field, self.set)?,
            add: read_headers(field, self.add)?,
            remove: remove.collect::<Result<_, _>>()?,
        })
    }
}

/// Headers to put on a message.
pub(super) fn read_headers(
    field: &str,
    list: Vec<Header>,
) -> Result<Vec<(Box<str>, http::HeaderValue)>, Invalid> {
    use model::route::HeaderEdits as M;
    let header = |header: Header| Ok((M::name(field, &header.name)?, M::value(field, &header.value)?));
    list.into_iter().map(header).collect()
}

impl Header {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.to_owned() }
    }
}

impl From<&(Box<str>, http::HeaderValue)> for Header {
    fn from((name, value): &(Box<str>, http::HeaderValue)) -> Self {
        // The model makes them of text, so nothing is lost.
        Self::new(name, &String::from_utf8_lossy(value.as_bytes()))
    }
}

impl From<&model::route::HeaderEdits> for HeaderEdits {
    fn from(edits: &model::route::HeaderEdits) -> Self {
        let model::route::HeaderEdits { set, add, remove } = edits;
        Self {
            set: set.iter().map(Header::from).collect(),
            add: add.iter().map(Header::from).collect(),
            remove: remove.clone(),
        }
    }
}

impl From<&model::route::Cors> for Cors {
    fn from(cors: &model::route::Cors) -> Self {
        let model::route::Cors {
            allowed_origins,
            allowed_methods,
            allowed_headers,
            exposed_headers,
            allow_credentials,
            max_age_seconds,
        } = cors;
        Self {
            allowed_origins: allowed_origins.iter().map(ToString::to_string).collect(),
            allowed_methods: allowed_methods.iter().map(ToString::to_string).collect(),
            allowed_headers: allowed_headers.clone(),
            exposed_headers: exposed_headers.clone(),
            allow_credentials: *allow_credentials,
            max_age_seconds: *max_age_seconds,
        }
    }
}

impl TryFrom<Cors> for model::route::Cors {
    type Error = Invalid;

    fn try_from(cors: Cors) -> Result<Self, Invalid> {
        let origin = |text: &String| model::route::OriginMatch::parse("cors.allowed_origins", text);
        for (field, names) in
            [("cors.allowed_headers", &cors.allowed_headers), ("cors.exposed_headers", &cors.exposed_headers)]
        {
            // Checked, and kept in the case that they have.
            names.iter().try_for_each(|name| model::route::RouteMatch::header_name(field, name).map(drop))?;
        }
        Ok(Self {
            allowed_origins: cors.allowed_origins.iter().map(origin).collect::<Result<_, Invalid>>()?,
            allowed_methods: methods("cors.allowed_methods", &cors.allowed_methods)?,
            allowed_headers: cors.allowed_headers,
            exposed_headers: cors.exposed_headers,
            allow_credentials: cors.allow_credentials,
            max_age_seconds: cors.max_age_seconds,
        })
    }
}
