//! Which requests a route is for.

use crate::{
    limit,
    name::{Invalid, excerpt},
    policy::{header_name, target_path},
};
use http::Method;
use std::{fmt, sync::Arc};

/// All of it must hold. What is not said holds for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMatch {
    /// The host that was asked for.
    pub host: Option<HostMatch>,
    /// The path.
    pub path: PathMatch,
    /// Any of these; none: all methods.
    pub methods: Vec<Method>,
    /// Headers, by name in lower case; all of them.
    pub headers: Vec<(Box<str>, ValueMatch)>,
    /// Query parameters, by name; all of them.
    pub query: Vec<(Box<str>, ValueMatch)>,
}

impl RouteMatch {
    /// A header's name, in lower case; the error is about `field`.
    pub fn header_name(field: &str, name: &str) -> Result<Box<str>, Invalid> {
        header_name(field, name)
    }

    /// How many headers and query parameters it asks for: of two routes with the same path and host, the one that asks
    /// for more is the more specific one.
    pub fn header_count(&self) -> usize {
        self.headers.len() + self.query.len()
    }

    pub(super) fn mistakes(&self) -> Vec<Invalid> {
        let counts = [
            ("match.headers", self.headers.len()),
            ("match.query", self.query.len()),
            ("match.methods", self.methods.len()),
        ];
        let max = limit::MATCH_VALUES_MAX;
        let many = counts.into_iter().filter(|(_, count)| *count > max);
        many.map(|(field, count)| Invalid::new(field, format!("has {count}"), format!("at most {max}")))
            .collect()
    }
}

/// A host, in lower case and without a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostMatch {
    /// This one.
    Exact(Box<str>),
    /// Every one below this: `*.example.com` is kept as `example.com`. It stands for one or more labels.
    Below(Box<str>),
}

impl HostMatch {
    /// Reads `host` or `*.host`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = "a host name or IP address without port, such as api.example.com, or *.example.com";
        let (wild, host) = text.strip_prefix("*.").map_or((false, text), |host| (true, host));
        let lower = host.to_ascii_lowercase();
        if !is_host(&lower) {
            return Err(Invalid::new("match.host", format!("is {}", excerpt(text)), allowed));
        }
        Ok(if wild { Self::Below(lower.into()) } else { Self::Exact(lower.into()) })
    }
}

impl fmt::Display for HostMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

pub(super) fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

/// A path, as it came: not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    #[default]
    Any,
    /// This one.
    Exact(Box<str>),
    /// This one and all below it: `/x` is for `/x`, `/x/` and `/x/y`, not for `/xy`. Kept without a slash at its end;
    /// the empty one is every path.
    Prefix(Box<str>),
    /// All of the path matches.
    Regex(Pattern),
    /// A gRPC service, or one method of it.
    Grpc {
        /// With its package.
        service: Box<str>,
        /// `None`: all.
        method: Option<Box<str>>,
    },
}

impl PathMatch {
    /// This path.
    pub fn exact(path: &str) -> Result<Self, Invalid> {
        Ok(Self::Exact(target_path("match.path_exact", path)?))
    }

    /// A prefix; `/x/` and `/x/*` mean the same as `/x`.
    pub fn prefix(path: &str) -> Result<Self, Invalid> {
        target_path("match.path_prefix", path)?;
        // What remains must mean the same when it is read again.
        let bare = path.trim_end_matches('/');
        let bare = bare.strip_suffix("/*").map_or(bare, |bare| bare.trim_end_matches('/'));
        if bare.ends_with("/*") {
            let allowed = "one `/*` at its end at most";
            return Err(Invalid::new("match.path_prefix", format!("is {}", excerpt(path)), allowed));
        }
        Ok(Self::Prefix(bare.into()))
    }

    /// A regular expression for the whole path.
    pub fn regex(text: &str) -> Result<Self, Invalid> {
        Ok(Self::Regex(Pattern::parse("match.path_regex", text)?))
    }

    /// A gRPC service, or one of its methods.
    pub fn grpc(service: &str, method: Option<&str>) -> Result<Self, Vec<Invalid>> {
        let is_word = |text: &str| {
            let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
            !text.is_empty() && text.len() <= limit::LABEL_BYTES_MAX && text.bytes().all(is_letter)
        };
        let mut wrong = Vec::new();
        if !is_word(service) {
            let allowed = "a gRPC service with its package, such as pkg.Service";
            wrong.push(Invalid::new("match.grpc_service", format!("is {}", excerpt(service)), allowed));
        }
        if let Some(method) = method.filter(|method| !is_word(method) || method.contains('.')) {
            wrong.push(Invalid::new(
                "match.grpc_method",
                format!("is {}", excerpt(method)),
                "a gRPC method such as Get",
            ));
        }
        if wrong.is_empty() {
            Ok(Self::Grpc { service: service.into(), method: method.map(Into::into) })
        } else {
            Err(wrong)
        }
    }
}

/// A regular expression for a whole value. Two are equal when their texts are.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: regex::Regex,
}

impl Pattern {
    /// Compiles it, within bounds of length and size: matching then takes time linear in the value.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let allowed =
            "a regular expression of at most 1024 bytes that compiles (syntax of Rust's regex crate)";
        if text.len() > limit::PATTERN_BYTES_MAX {
            return Err(Invalid::new(field, format!("is {} bytes long", text.len()), allowed));
        }
        let compiled = regex::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(limit::PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(limit::PATTERN_COMPILED_BYTES_MAX)
            .build();
        // Alone first: `a)(b` would be right only between our brackets.
        let alone = regex_syntax_error(text);
        match (alone, compiled) {
            (None, Ok(regex)) => Ok(Self { text: text.into(), regex }),
            (Some(problem), _) => {
                Err(Invalid::new(field, format!("{} does not compile: {problem}", excerpt(text)), allowed))
            }
            (None, Err(error)) => Err(Invalid::new(
                field,
                format!("{} does not compile: {}", excerpt(text), last_line(&error.to_string())),
                allowed,
            )),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of a value matches.
    pub fn is_match(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

fn regex_syntax_error(text: &str) -> Option<String> {
    let alone = regex::RegexBuilder::new(text).size_limit(limit::PATTERN_COMPILED_BYTES_MAX).build();
    alone.err().map(|error| last_line(&error.to_string()).to_owned())
}

/// What is wrong stands at the end; before it the expression is drawn over several lines.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

/// What a header or a query parameter must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// This.
    Exact(Box<str>),
    /// All of it matches.
    Regex(Pattern),
    /// It is there, whatever it is.
    Present,
}

impl ValueMatch {
    /// Exactly `value`.
    pub fn exact(field: &str, value: &str) -> Result<Self, Invalid> {
        if value.len() <= limit::VALUE_BYTES_MAX && !value.chars().any(char::is_control) {
            return Ok(Self::Exact(value.into()));
        }
        let allowed = format!("at most {} bytes of printable text", limit::VALUE_BYTES_MAX);
        Err(Invalid::new(field, format!("is {}", excerpt(value)), allowed))
    }

    /// Whether a value is what it must be.
    pub fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *value,
            Self::Regex(pattern) => pattern.is_match(value),
            Self::Present => true,
        }
    }
}
