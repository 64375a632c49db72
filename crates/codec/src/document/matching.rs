//! Which requests a route is for.

use crate::v1::registration::first;
use http::Method;
use quorate_model as model;
use quorate_model::Invalid;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RouteMatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<NamedMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    query: Vec<NamedMatch>,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum PathMatch {
    Exact(String),
    Prefix(String),
    Regex(String),
    Grpc {
        service: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
    },
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct NamedMatch {
    name: Box<str>,
    value: ValueMatch,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ValueMatch {
    Exact(String),
    Regex(String),
    Present,
}

impl RouteMatch {
    /// Whether it holds for every request: then it is not written.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&model::route::RouteMatch> for RouteMatch {
    fn from(matches: &model::route::RouteMatch) -> Self {
        let model::route::RouteMatch { host, path, methods, headers, query } = matches;
        let named = |list: &[(Box<str>, model::route::ValueMatch)]| {
            list.iter().map(|(name, value)| NamedMatch { name: name.clone(), value: value.into() }).collect()
        };
        Self {
            host: host.as_ref().map(ToString::to_string),
            path: PathMatch::written(path),
            methods: methods.iter().map(ToString::to_string).collect(),
            headers: named(headers),
            query: named(query),
        }
    }
}

impl TryFrom<RouteMatch> for model::route::RouteMatch {
    type Error = Invalid;

    fn try_from(matches: RouteMatch) -> Result<Self, Invalid> {
        let header = |one: NamedMatch| {
            let name = Self::header_name("match.headers", &one.name)?;
            Ok((name, one.value.read("match.headers")?))
        };
        let query = |one: NamedMatch| Ok((one.name, one.value.read("match.query")?));
        Ok(Self {
            host: matches.host.map(|host| model::route::HostMatch::parse(&host)).transpose()?,
            path: matches.path.map_or(Ok(model::route::PathMatch::Any), TryInto::try_into)?,
            methods: methods("match.methods", &matches.methods)?,
            headers: matches.headers.into_iter().map(header).collect::<Result<_, Invalid>>()?,
            query: matches.query.into_iter().map(query).collect::<Result<_, Invalid>>()?,
        })
    }
}

pub(super) fn methods(field: &str, names: &[String]) -> Result<Vec<Method>, Invalid> {
    let method = |name: &String| {
        let wrong = |_| Invalid::new(field, "has a name that is no method", "methods such as GET");
        Method::from_bytes(name.as_bytes()).map_err(wrong)
    };
    names.iter().map(method).collect()
}

impl PathMatch {
    fn written(path: &model::route::PathMatch) -> Option<Self> {
        use model::route::PathMatch as M;
        Some(match path {
            M::Any => return None,
            M::Exact(path) => Self::Exact(path.to_string()),
            M::Prefix(prefix) => Self::Prefix(spelt_out(prefix)),
            M::Regex(pattern) => Self::Regex(pattern.as_str().to_owned()),
            M::Grpc { service, method } => {
                Self::Grpc { service: service.to_string(), method: method.as_deref().map(Into::into) }
            }
        })
    }
}

/// A prefix such that it is read as itself: the model keeps `/` as nothing.
fn spelt_out(prefix: &str) -> String {
    if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() }
}

impl TryFrom<PathMatch> for model::route::PathMatch {
    type Error = Invalid;

    fn try_from(path: PathMatch) -> Result<Self, Invalid> {
        match path {
            PathMatch::Exact(path) => Self::exact(&path),
            PathMatch::Prefix(path) => Self::prefix(&path),
            PathMatch::Regex(text) => Self::regex(&text),
            PathMatch::Grpc { service, method } => Self::grpc(&service, method.as_deref()).map_err(first),
        }
    }
}

impl From<&model::route::ValueMatch> for ValueMatch {
    fn from(value: &model::route::ValueMatch) -> Self {
        use model::route::ValueMatch as M;
        match value {
            M::Exact(text) => Self::Exact(text.to_string()),
            M::Regex(pattern) => Self::Regex(pattern.as_str().to_owned()),
            M::Present => Self::Present,
        }
    }
}

impl ValueMatch {
    fn read(self, field: &str) -> Result<model::route::ValueMatch, Invalid> {
        use model::route::{Pattern, ValueMatch as M};
        match self {
            Self::Exact(text) => M::exact(field, &text),
            Self::Regex(text) => Ok(M::Regex(Pattern::parse(field, &text)?)),
            Self::Present => Ok(M::Present),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prefix that changed on its way would make the node that took it in another replica.
    #[test]
    fn each_prefix_is_read_as_it_was_written() {
        let longest = format!("/{}/*", "a".repeat(model::limit::PATH_BYTES_MAX - 3));
        for text in ["/", "/*", "/x", "/x/", "/x/*", "/x/*/", "/x/*/y", "/x//*", "//", &longest] {
            let path = model::route::PathMatch::prefix(text).expect(text);
            let written = PathMatch::written(&path).expect("not every path");
            assert_eq!(model::route::PathMatch::try_from(written), Ok(path), "{text}");
        }
    }
}
