//! Where pages may come from that connect.
//!
//! A browser sends a page's origin and lets no page change it, so a list of them keeps other people's pages from using a
//! visitor's network. Programs that are no browsers send none, and could send any: for them it is no fence, and none is
//! put up.

use http::{HeaderMap, header};

/// Those that may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    scheme: String,
    /// Without the dot and what stands before it, where any host below it may.
    host: String,
    below: bool,
    port: Option<String>,
}

/// It is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin")]
pub struct NotAnOrigin(pub String);

impl Origins {
    /// What an origin may look like.
    pub const ALLOWED: &'static str =
        "SCHEME://HOST[:PORT], such as https://example.com, or https://*.example.com for all hosts below it";

    /// Of a list.
    pub fn parse<'a>(origins: impl Iterator<Item = &'a str>) -> Result<Self, NotAnOrigin> {
        origins
            .map(|text| Pattern::parse(text).ok_or_else(|| NotAnOrigin(text.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a request with these headers may come in.
    pub fn let_in(&self, headers: &HeaderMap) -> bool {
        let mut said = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (said.next(), said.next()) else {
            return headers.get(header::ORIGIN).is_none();
        };
        let origin = origin.to_str().ok().and_then(Pattern::parse).filter(|origin| !origin.below);
        origin.is_some_and(|origin| self.0.iter().any(|pattern| pattern.covers(&origin)))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://")?;
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(authority) => (true, authority),
            None => (false, authority),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.to_owned())),
            Some(_) | None => (authority, None),
        };
        let is_word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let is_host = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        };
        let is_port = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_right = is_word(scheme) && is_host(host) && port.as_ref().is_none_or(is_port);
        let port = port.filter(|port| !matches!((scheme, port.as_str()), ("https", "443") | ("http", "80")));
        is_right.then(|| Self { scheme: scheme.to_owned(), host: host.to_owned(), below, port })
    }

    fn covers(&self, origin: &Self) -> bool {
        let is_host = if self.below {
            origin.host.strip_suffix(&self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            origin.host == self.host
        };
        is_host && self.scheme == origin.scheme && self.port == origin.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn origins_are_let_in_by_scheme_host_and_port() {
        let list =
            ["https://example.com", "https://*.example.org", "http://localhost:3000", "http://[::1]:80"];
        let origins = Origins::parse(list.into_iter()).expect("good");
        for (origin, expected) in [
            ("https://example.com", true),
            ("https://EXAMPLE.com:443", true),
            ("http://example.com", false),
            ("https://example.com:8443", false),
            ("https://example.com.evil.org", false),
            ("https://evilexample.com", false),
            ("https://www.example.com", false),
            ("https://www.example.org", true),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://evilexample.org", false),
            ("https://.example.org", false),
            ("https://*.example.org", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
            ("http://[::1]", true),
            ("null", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(origins.let_in(&headers), expected, "{origin}");
            headers.append(header::ORIGIN, HeaderValue::from_static("https://example.com"));
            assert!(!origins.let_in(&headers), "two of them");
        }
        assert!(origins.let_in(&HeaderMap::new()), "not a browser");
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for bad in ["", "*", "example.com", "https://", "https://a/b", "https://a:b", "https://a b"] {
            assert_eq!(Origins::parse([bad].into_iter()), Err(NotAnOrigin(bad.into())));
        }
    }
}
