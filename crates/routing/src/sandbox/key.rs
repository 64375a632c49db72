//! Which routing key a request carries, and where it says so.
//!
//! A key is said in one of several forms, because between two routers it has to survive applications that pass on one
//! form and drop another. The first form that has a key counts, in this order:
//!
//! 1. the headers that the node is told of, in the order of that list: `x-route-key`, then `x-routing-key`, where it is
//!    told of none;
//! 2. the member `route-key` of W3C Baggage, then `x-route-key`, percent-decoded;
//! 3. the member `route-key` of W3C Trace Context's `tracestate`;
//! 4. `uberctx-route-key`, then `uberctx-x-route-key` (Jaeger's), percent-decoded;
//! 5. `ot-baggage-route-key`, then `ot-baggage-x-route-key` (OpenTracing's);
//! 6. the query parameter `x-route-key` of a WebSocket's handshake, since browsers can't add headers to one.
//!
//! What is no key (too long, or of other letters) is as if it were not there, and the next form is looked at: a header
//! that somebody garbled must not lead a request astray, nor fail it. It is counted.
//!
//! Every request comes by here and few carry a key. So there is one pass over the names of the headers, which compares
//! nothing but their lengths and first letters; the rest is for names that could be one of those above.

use crate::route::key::parameters;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode;
use quorate_model::{Invalid, limit, route::HeaderEdits};
use std::{borrow::Cow, fmt};

/// The header that the key is passed on in, whatever it came in.
pub const ROUTE_KEY: HeaderName = HeaderName::from_static("x-route-key");
/// Another spelling of it.
pub const ROUTING_KEY: HeaderName = HeaderName::from_static("x-routing-key");
/// W3C Baggage.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// W3C Trace Context.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What Jaeger's clients pass on.
pub const UBERCTX: HeaderName = HeaderName::from_static("uberctx-route-key");
/// What OpenTracing's clients pass on.
pub const OT_BAGGAGE: HeaderName = HeaderName::from_static("ot-baggage-route-key");
/// The member of a list that is the key.
pub const MEMBER: &str = "route-key";
/// The same in another spelling, and the query parameter.
pub const LONG_MEMBER: &str = "x-route-key";
/// Most headers that a node can be told to look for a key in.
pub const HEADERS_MAX: usize = 16;

const UBERCTX_LONG: HeaderName = HeaderName::from_static("uberctx-x-route-key");
const OT_BAGGAGE_LONG: HeaderName = HeaderName::from_static("ot-baggage-x-route-key");
/// Longer names are told apart by their letters only.
const LENGTHS: usize = 64;

/// Where a node looks for keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyForms {
    /// In the order in which they count.
    fields: Vec<(HeaderName, Reading)>,
    /// How many of them are headers that the node is told of.
    told: usize,
    /// The first letters of the names, by their lengths.
    firsts: [u32; LENGTHS],
}

/// How a header says a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// As it is.
    Plain,
    /// Percent-encoded.
    Encoded,
    /// As a member of a list.
    Baggage,
    /// The same, of another list.
    Tracestate,
    /// It does not: it says that the request is a handshake.
    Upgrade,
}

/// A request's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'h> {
    /// The key.
    pub text: Cow<'h, str>,
    /// Where the request says it.
    pub form: Form<'h>,
}

/// Where a request says its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'h> {
    /// In a header of its own.
    Header(&'h str),
    /// As a member of `baggage`: this one.
    Baggage(&'static str),
    /// As a member of `tracestate`.
    Tracestate,
    /// As a query parameter.
    Query,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<'h> {
    /// The key.
    pub key: Option<Key<'h>>,
    /// Forms that were looked at and had something else.
    pub invalid: u32,
}

/// What a form has.
enum Said<'h> {
    Nothing,
    Key(Key<'h>),
    Invalid,
}

impl Default for KeyForms {
    fn default() -> Self {
        Self::new([])
    }
}

impl KeyForms {
    /// With the headers that a node is told of; none: those that it knows.
    pub fn new(headers: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut told: Vec<HeaderName> = headers.into_iter().collect();
        if told.is_empty() {
            told = vec![ROUTE_KEY, ROUTING_KEY];
        }
        let known = [
            (BAGGAGE, Reading::Baggage),
            (TRACESTATE, Reading::Tracestate),
            (UBERCTX, Reading::Encoded),
            (UBERCTX_LONG, Reading::Encoded),
            (OT_BAGGAGE, Reading::Plain),
            (OT_BAGGAGE_LONG, Reading::Plain),
            (header::UPGRADE, Reading::Upgrade),
        ];
        let count = told.len();
        let fields: Vec<_> = told.into_iter().map(|name| (name, Reading::Plain)).chain(known).collect();
        let mut firsts = [0; LENGTHS];
        for (name, _) in &fields {
            let (length, letter) = place(name.as_str());
            firsts[length] |= letter;
        }
        Self { fields, told: count, firsts }
    }

    /// The same, checked: by their names, each of which may be in any case and have spaces around it.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, Invalid> {
        const FIELD: &str = "route-key-headers";
        let mut headers: Vec<HeaderName> = Vec::new();
        for name in names {
            let allowed = "names of headers that are the key and nothing else, each once";
            let name = HeaderEdits::name(FIELD, name.trim())?;
            let is_list = [BAGGAGE, TRACESTATE].iter().any(|list| *list == *name);
            let header = HeaderName::from_bytes(name.as_bytes()).ok();
            match header.filter(|header| !is_list && !headers.contains(header)) {
                Some(header) => headers.push(header),
                None => return Err(Invalid::new(FIELD, format!("has `{name}`"), allowed)),
            }
        }
        let (count, max) = (headers.len(), HEADERS_MAX);
        if count > max {
            return Err(Invalid::new(FIELD, format!("has {count}"), format!("at most {max} headers")));
        }
        Ok(Self::new(headers))
    }

    /// The headers that the node is told of.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields[..self.told].iter().map(|(name, _)| name)
    }

    /// The key of a request. `query` is without its `?`.
    #[inline]
    pub fn find<'h>(&'h self, headers: &'h HeaderMap, query: &'h str) -> Found<'h> {
        if headers.keys().any(|name| self.may_have(name.as_str())) {
            return self.look(headers, query);
        }
        Found::default()
    }

    /// All keys that a request says, each with what says it: for those who follow one. A hop may pass on one form and drop
    /// another, or say two keys.
    pub fn all<'h>(&'h self, headers: &'h HeaderMap, query: &'h str) -> Vec<Key<'h>> {
        let there = self.fields.iter().filter(|(name, _)| headers.contains_key(name));
        let said = there.map(|(name, reading)| read(headers, (name, *reading), query));
        said.filter_map(|said| match said {
            Said::Key(key) => Some(key),
            Said::Nothing | Said::Invalid => None,
        })
        .collect()
    }

    #[inline]
    fn may_have(&self, name: &str) -> bool {
        let (length, letter) = place(name);
        self.firsts[length] & letter != 0
    }

    #[inline(never)]
    fn look<'h>(&'h self, headers: &'h HeaderMap, query: &'h str) -> Found<'h> {
        let mut invalid = 0;
        for (name, reading) in &self.fields {
            if !headers.contains_key(name) {
                continue;
            }
            match read(headers, (name, *reading), query) {
                Said::Nothing => {}
                Said::Key(key) => return Found { key: Some(key), invalid },
                Said::Invalid => invalid += 1,
            }
        }
        Found { key: None, invalid }
    }
}

impl Form<'_> {
    /// In a word: the header, or that it is the query.
    pub fn word(&self) -> &str {
        match self {
            Self::Header(name) => name,
            Self::Baggage(_) => "baggage",
            Self::Tracestate => "tracestate",
            Self::Query => "query",
        }
    }
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Baggage(member) => write!(f, "baggage member {member}"),
            Self::Tracestate => write!(f, "tracestate member {MEMBER}"),
            Self::Query => write!(f, "query parameter {LONG_MEMBER}"),
        }
    }
}

/// A name's length and the bit of its first letter.
#[inline]
fn place(name: &str) -> (usize, u32) {
    let letter = name.as_bytes().first().map_or(0, |first| first & 31);
    (name.len().min(LENGTHS - 1), 1 << letter)
}

fn read<'h>(headers: &'h HeaderMap, (name, reading): (&'h HeaderName, Reading), query: &'h str) -> Said<'h> {
    let form = Form::Header(name.as_str());
    let first = || headers.get(name).map_or(&b""[..], HeaderValue::as_bytes).trim_ascii();
    match reading {
        Reading::Plain => said(Cow::Borrowed(first()), form),
        Reading::Encoded => said(percent_decode(first()).into(), form),
        Reading::Baggage => in_baggage(headers),
        Reading::Tracestate => in_tracestate(headers),
        Reading::Upgrade if !query.is_empty() && is_handshake(headers) => in_query(query),
        Reading::Upgrade => Said::Nothing,
    }
}

/// What is empty is as good as absent: it garbles nothing.
fn said<'h>(value: Cow<'h, [u8]>, form: Form<'h>) -> Said<'h> {
    if value.is_empty() {
        return Said::Nothing;
    }
    let text = match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    match text.filter(|text| is_key(text)) {
        Some(text) => Said::Key(Key { text, form }),
        None => Said::Invalid,
    }
}

/// The first right member in the shorter spelling, else in the longer one.
fn in_baggage(headers: &HeaderMap) -> Said<'_> {
    let mut last = Said::Nothing;
    for spelling in [MEMBER, LONG_MEMBER] {
        for member in members(headers, &BAGGAGE).filter(|member| member.name == spelling.as_bytes()) {
            // Behind it may be properties.
            let value = member.value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            match said(percent_decode(value).into(), Form::Baggage(spelling)) {
                Said::Nothing => {}
                Said::Key(key) => return Said::Key(key),
                Said::Invalid => last = Said::Invalid,
            }
        }
    }
    last
}

fn in_tracestate(headers: &HeaderMap) -> Said<'_> {
    match members(headers, &TRACESTATE).find(|member| member.name == MEMBER.as_bytes()) {
        Some(member) => said(Cow::Borrowed(member.value), Form::Tracestate),
        None => Said::Nothing,
    }
}

fn in_query(query: &str) -> Said<'_> {
    let value = parameters(query).find(|(name, _)| name == LONG_MEMBER).map(|(_, value)| value);
    match value {
        Some(Cow::Borrowed(value)) => said(Cow::Borrowed(value.as_bytes()), Form::Query),
        Some(Cow::Owned(value)) => said(Cow::Owned(value.into_bytes()), Form::Query),
        None => Said::Nothing,
    }
}

/// Whether it may be a [`quorate_model::RoutingKey`].
fn is_key(text: &str) -> bool {
    (1..=limit::ROUTING_KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// One that is whole has a key of its own (RFC 6455, 4.1); that of HTTP/2 was given one before. Else the parameter would
/// count in any request that says `Upgrade`.
fn is_handshake(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        return false;
    }
    let mut asked =
        headers.get_all(header::UPGRADE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    asked.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// One member of a list.
pub(super) struct Member<'h> {
    /// Its name.
    pub name: &'h [u8],
    /// What it is.
    pub value: &'h [u8],
    /// All of it.
    pub whole: &'h [u8],
}

/// The members of a list that may be in several fields. Empty ones are left out.
pub(super) fn members<'h>(headers: &'h HeaderMap, list: &HeaderName) -> impl Iterator<Item = Member<'h>> {
    let all = headers.get_all(list).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    all.map(<[u8]>::trim_ascii).filter(|whole| !whole.is_empty()).map(|whole| {
        let at = whole.iter().position(|b| *b == b'=').unwrap_or(whole.len());
        let (name, value) = (&whole[..at], whole.get(at + 1..).unwrap_or_default());
        Member { name: name.trim_ascii(), value: value.trim_ascii(), whole }
    })
}

#[cfg(test)]
mod tests;
