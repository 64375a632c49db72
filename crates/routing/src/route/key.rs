//! What of a request says which requests belong together. It is hashed by [`crate::balance::key::hash`], here as in the
//! choice of an endpoint.

use crate::decide::RequestHead;
use http::header;
use percent_encoding::percent_decode_str;
use quorate_model::policy::KeySource;
use std::borrow::Cow;

/// The key that a request has. `None`: it has none, and goes where chance wants it. An empty one is none.
pub fn of<'h>(source: &KeySource, head: &RequestHead<'h>) -> Option<Cow<'h, [u8]>> {
    let key = match source {
        KeySource::Header(name) => Cow::Borrowed(head.headers.get(&**name)?.as_bytes()),
        KeySource::Cookie(name) => Cow::Borrowed(cookie(head, name)?),
        KeySource::Query(name) => bytes(parameters(head.query).find(|(known, _)| **known == **name)?.1),
        KeySource::PathSegment(nth) => {
            let segment = head.path.strip_prefix('/')?.split('/').nth(usize::from(*nth).checked_sub(1)?)?;
            percent_decode_str(segment).into()
        }
        KeySource::Trace => Cow::Borrowed(trace_id(head.headers.get("traceparent")?.as_bytes())?),
        KeySource::SourceIp => Cow::Borrowed(head.source.as_bytes()),
    };
    (!key.is_empty()).then_some(key)
}

fn cookie<'h>(head: &RequestHead<'h>, name: &str) -> Option<&'h [u8]> {
    let fields = head.headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let value = |pair: &'h [u8]| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    pairs.into_iter().find_map(value)
}

/// The trace id of a `traceparent`. All zeros is none.
fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let mut parts = value.trim_ascii().split(|byte| *byte == b'-');
    let (version, id) = (parts.next()?, parts.next()?);
    (version.len() == 2 && is_hex(version)).then_some(id).filter(|id| is_id(id, 32))
}

/// The trace's and the caller's ids of a `traceparent`: `00-{32 hex}-{16 hex}-{flags}` (W3C Trace Context).
pub(crate) fn trace_parent(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let trace = trace_id(value)?;
    let span = value.trim_ascii().split(|byte| *byte == b'-').nth(2)?;
    is_id(span, 16).then_some((trace, span))
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

fn is_id(text: &[u8], length: usize) -> bool {
    text.len() == length && is_hex(text) && text.iter().any(|byte| *byte != b'0')
}

/// The parameters of a query, decoded as forms are: `+` is a space.
pub fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8_lossy();
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    fn check(
        source: KeySource,
        target: &str,
        fields: &[(&'static str, &'static str)],
        expected: Option<&str>,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let head = RequestHead { query, source: "10.0.0.9", ..RequestHead::of(&Method::GET, path, &headers) };
        let key = of(&source, &head).map(|key| String::from_utf8_lossy(&key).into_owned());
        assert_eq!(key.as_deref(), expected, "{source:?} {target} {fields:?}");
    }

    #[test]
    fn a_key_is_read_where_the_route_says() {
        let header = || KeySource::Header("x-user".into());
        check(header(), "/", &[("x-user", "u1"), ("x-user", "u2")], Some("u1"));
        check(header(), "/", &[("x-user", "")], None);
        check(header(), "/", &[], None);
        let cookie = || KeySource::Cookie("sid".into());
        check(cookie(), "/", &[("cookie", "a=1; sid=x=y; b=2")], Some("x=y"));
        check(cookie(), "/", &[("cookie", "a=1"), ("cookie", "sid=z")], Some("z"));
        check(cookie(), "/", &[("cookie", "xsid=1; side=2")], None);
        let query = || KeySource::Query("q u".into());
        check(query(), "/?a=b&q+u=c%20d", &[], Some("c d"));
        check(query(), "/?q%20u=1&q+u=2", &[], Some("1"));
        check(query(), "/?x=1", &[], None);
        check(KeySource::PathSegment(2), "/a/b%20c/d", &[], Some("b c"));
        check(KeySource::PathSegment(4), "/a/b/c", &[], None);
        check(KeySource::SourceIp, "/", &[], Some("10.0.0.9"));
    }

    #[test]
    fn a_trace_is_known_by_its_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        check(KeySource::Trace, "/", &[("traceparent", good)], Some(id));
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "",
        ] {
            check(KeySource::Trace, "/", &[("traceparent", bad)], None);
        }
    }
}
