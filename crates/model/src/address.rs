//! Where a worker is reached: an absolute http(s) URL, taken apart once, at the edge.

use crate::{
    limit,
    name::{Invalid, excerpt},
};
use http::{Uri, uri::Authority};
use std::{fmt, sync::Arc};

const ALLOWED: &str = "an absolute http or https URL with a host, such as http://10.0.0.7:8081, without user, query or fragment";

/// The two schemes that workers are reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

/// An absolute http(s) URL of a worker.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    text: Box<str>,
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    /// Without a trailing slash; empty for `/`.
    path_prefix: Box<str>,
}

impl Address {
    /// Parses; the error is about the field `address`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: String| Invalid::new("address", problem, ALLOWED);
        if text.len() > limit::ADDRESS_BYTES_MAX {
            return Err(wrong(format!("is {} bytes long", text.len())));
        }
        if text.contains('#') {
            return Err(wrong(format!("{} has a fragment", excerpt(text))));
        }
        let uri: Uri = text.parse().map_err(|e| wrong(format!("{} is no URL ({e})", excerpt(text))))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(other) => return Err(wrong(format!("the scheme is {}", excerpt(other)))),
            None => return Err(wrong(format!("{} has no scheme", excerpt(text)))),
        };
        let authority = uri.authority().ok_or_else(|| wrong(format!("{} has no host", excerpt(text))))?;
        if authority.as_str().contains('@') {
            // Not echoed: it may be a password.
            return Err(wrong("names a user".into()));
        }
        if uri.query().is_some() {
            return Err(wrong(format!("{} has a query", excerpt(text))));
        }
        let (host, port) = host_and_port(authority, scheme)
            .ok_or_else(|| wrong(format!("{} has a bad host or port", excerpt(text))))?;
        let path_prefix = uri.path().trim_end_matches('/').into();
        Ok(Self(Arc::new(Parts { text: text.into(), scheme, host, port, path_prefix })))
    }

    /// As the worker gave it.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// http or https.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The host, without brackets for IPv6.
    pub fn host(&self) -> &str {
        self.0.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; 80 or 443 where none was given.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// `host:port`, ready to dial.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.0.host, self.0.port)
    }

    /// What precedes each request path; no trailing slash, empty for none.
    pub fn path_prefix(&self) -> &str {
        &self.0.path_prefix
    }
}

fn host_and_port(authority: &Authority, scheme: Scheme) -> Option<(Box<str>, u16)> {
    let host = authority.host();
    let named = authority.as_str().len() > host.len();
    let port = match (authority.port_u16(), named, scheme) {
        (Some(0), _, _) | (None, true, _) => return None,
        (Some(port), _, _) => port,
        (None, false, Scheme::Http) => 80,
        (None, false, Scheme::Https) => 443,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    Some((host.into(), port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_url_is_taken_apart() {
        let a = Address::parse("http://10.0.0.7:8081/base/").expect("valid");
        assert_eq!(
            (a.scheme(), a.host(), a.port(), a.path_prefix()),
            (Scheme::Http, "10.0.0.7", 8081, "/base")
        );
        assert_eq!(a.authority(), "10.0.0.7:8081");
        assert_eq!(a.as_str(), "http://10.0.0.7:8081/base/");
        assert_eq!(Address::parse("https://w.example").expect("valid").port(), 443);
        let v6 = Address::parse("http://[::1]:80").expect("valid");
        assert_eq!((v6.host(), v6.authority().as_str()), ("::1", "[::1]:80"));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for bad in [
            "",
            "10.0.0.7:8081",
            "/x",
            "ftp://h",
            "http://",
            "http://h:0",
            "http://h:99999",
            "http://h:",
            "http://u:secret@h",
            "http://h/?q=1",
            "http://h/#f",
            "http:// h",
            "http://h/\n",
        ] {
            let e = Address::parse(bad).expect_err(bad);
            assert_eq!(e.field, "address");
            assert!(e.allowed.contains("absolute http"));
            assert!(!e.to_string().contains("secret"), "{e}");
        }
    }
}
