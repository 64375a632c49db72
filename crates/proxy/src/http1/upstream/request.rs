//! The head of a request, and how the end of its body is told (RFC 9112, 3 and 6.1).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use hyper::body::Body;
use std::io::Write;

/// What a worker is asked.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub method: &'a Method,
    pub target: &'a Uri,
    pub headers: &'a HeaderMap,
    /// A field that is not among them.
    pub more: Option<(&'a HeaderName, &'a HeaderValue)>,
}

/// How the end of a request's body is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length { left: u64 },
    /// By a last chunk, and the fields after it that were announced.
    Chunked { announced: Vec<HeaderName> },
}

/// Heads are rarely larger.
const HEAD: usize = 1 << 10;

impl Framing {
    pub fn of(body: &impl Body, headers: &HeaderMap) -> Self {
        match body.size_hint().exact() {
            Some(left) => Self::Length { left },
            None => Self::Chunked { announced: announced(headers) },
        }
    }
}

/// The head's bytes. `framing` is that of the body, if there is one.
pub(super) fn head(ask: &Ask<'_>, framing: Option<&Framing>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD);
    let target = ask.target.path_and_query().map_or("/", |target| target.as_str());
    // Of `http://host?query` it is the query alone.
    let slash = if target.starts_with('?') { "/" } else { "" };
    for part in [ask.method.as_str(), " ", slash, target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut has_length = false;
    for (name, value) in ask.headers.iter().chain(ask.more) {
        match *name {
            // Ours to say.
            header::CONTENT_LENGTH => has_length = true,
            header::TRANSFER_ENCODING => {}
            _ => put(&mut out, name, value),
        }
    }
    match framing {
        // A POST without a body says so, if its client did.
        None if has_length => out.extend_from_slice(b"content-length: 0\r\n"),
        None => {}
        Some(Framing::Length { left }) => {
            // Writing to a Vec never fails.
            let _ = write!(out, "content-length: {left}\r\n");
        }
        Some(Framing::Chunked { .. }) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Puts the end of a chunked body: of the trailers those that were announced and may come so late.
pub(super) fn put_end(out: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name) && may_trail(name)) {
        put(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

fn put(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The fields that `Trailer` announces.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::TRAILER).iter();
    values.flat_map(crate::headers::tokens).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// Whether a field may come after the body: not what frames, routes, authenticates or says what the body is
/// (RFC 9110, 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    !matches!(
        *name,
        header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::CONNECTION
            | header::CONTENT_ENCODING
            | header::CONTENT_LENGTH
            | header::CONTENT_RANGE
            | header::CONTENT_TYPE
            | header::HOST
            | header::MAX_FORWARDS
            | header::SET_COOKIE
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    )
}
