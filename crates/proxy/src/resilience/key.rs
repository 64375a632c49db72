//! What of a request says which worker it belongs to.

use super::Rules;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use quorate_model::policy::KeySource;
use quorate_routing::balance::{Strategy, key::hash};
use std::borrow::Cow;

/// What a request has of keys.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub headers: &'a HeaderMap,
    pub path: &'a str,
    pub query: &'a str,
    /// The client's address.
    pub client: &'a [u8],
}

/// The hash of the key that a service's rules want. `None`: they want none, or the request has none, and chance decides.
pub(crate) fn key_of(rules: &Rules, keys: Keys<'_>) -> Option<u64> {
    match rules.balancing?.strategy {
        Strategy::SourceIp => Some(hash(keys.client)),
        Strategy::ConsistentHash => value_of(rules.hash_on.as_ref()?, keys).map(|value| hash(&value)),
        Strategy::RoundRobin | Strategy::LeastConnections | Strategy::PeakEwma => None,
    }
}

/// An empty one is none.
fn value_of<'a>(source: &KeySource, keys: Keys<'a>) -> Option<Cow<'a, [u8]>> {
    let value = match source {
        KeySource::Header(name) => Cow::Borrowed(keys.headers.get(&**name)?.as_bytes()),
        KeySource::Cookie(name) => Cow::Borrowed(cookie(keys.headers, name)?),
        KeySource::Query(name) => {
            let mut pairs = keys.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let is_it = |text: &str| percent_decode_str(text).eq(name.bytes());
            percent_decode_str(pairs.find(|(known, _)| is_it(known))?.1).into()
        }
        KeySource::PathSegment(nth) => {
            let mut segments = keys.path.strip_prefix('/')?.split('/');
            percent_decode_str(segments.nth(usize::from(*nth).checked_sub(1)?)?).into()
        }
        KeySource::Trace => {
            let mut parts = keys.headers.get("traceparent")?.as_bytes().split(|byte| *byte == b'-');
            Cow::Borrowed(parts.nth(1).filter(|id| id.len() == 32)?)
        }
        KeySource::SourceIp => Cow::Borrowed(keys.client),
    };
    (!value.is_empty()).then_some(value)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let mut pairs =
        fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn a_key_is_read_where_the_policy_says() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-user", "u1"),
            ("x-empty", ""),
            ("cookie", "a=1; sid=x=y"),
            ("cookie", "b=2"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let keys =
            Keys { headers: &headers, path: "/a/b%20c/", query: "x=1&q%20u=c%2Fd&y", client: b"10.0.0.9" };
        let check = |source: KeySource, expected: Option<&str>| {
            let value = value_of(&source, keys).map(|value| String::from_utf8_lossy(&value).into_owned());
            assert_eq!(value.as_deref(), expected, "{source:?}");
        };
        check(KeySource::Header("x-user".into()), Some("u1"));
        check(KeySource::Header("x-empty".into()), None);
        check(KeySource::Header("x-none".into()), None);
        check(KeySource::Cookie("sid".into()), Some("x=y"));
        check(KeySource::Cookie("b".into()), Some("2"));
        check(KeySource::Cookie("id".into()), None);
        check(KeySource::Query("q u".into()), Some("c/d"));
        check(KeySource::Query("y".into()), None);
        check(KeySource::PathSegment(2), Some("b c"));
        check(KeySource::PathSegment(3), None);
        check(KeySource::PathSegment(4), None);
        check(KeySource::Trace, Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        check(KeySource::SourceIp, Some("10.0.0.9"));
    }
}
