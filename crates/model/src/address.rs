//! Where a worker is reached: an absolute http(s) URL, or the name of a tunnel, taken apart once, at the edge.
//!
//! What a tunnel carries is HTTP in the clear, so its scheme is [`Scheme::Http`]; it has no host that could be dialled,
//! and whoever dials asks for [`Address::tunnel`] first.

use crate::{
    limit,
    name::{Invalid, TunnelName, excerpt},
};
use http::{Uri, uri::Authority};
use std::{fmt, sync::Arc};

const ALLOWED: &str = "an absolute http or https URL with a host, such as http://10.0.0.7:8081, without user, query or fragment; or tunnel://NAME";
const TUNNEL_ALLOWED: &str = "tunnel://NAME, with or without a path behind it; NAME has 1 to 128 of a-z, 0-9, `.`, `_` and `-` and begins with a letter or a digit";

/// The two schemes that workers are reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How an address begins that names a tunnel.
const TUNNEL: &str = "tunnel://";

/// An absolute http(s) URL of a worker, or a tunnel's name. There may be a million of them, so its parts are pieces of its text: one
/// allocation in the place of four.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: Arc<str>,
    /// Where in the text the path begins, and its end without a trailing slash; empty for `/`.
    path: (u16, u16),
    /// How long the host is, which begins behind the scheme.
    host_bytes: u16,
    port: u16,
    scheme: Scheme,
    is_tunnel: bool,
}

const _: () = assert!(limit::ADDRESS_BYTES_MAX <= u16::MAX as usize, "a place in the text fits");

/// What is between scheme and host.
const BEFORE_HOST: &str = "://";

impl Address {
    /// Parses; the error is about the field `address`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: String| Invalid::new("address", problem, ALLOWED);
        if text.len() > limit::ADDRESS_BYTES_MAX {
            return Err(wrong(format!("is {} bytes long", text.len())));
        }
        if let Some(rest) = text.strip_prefix(TUNNEL) {
            return Self::of_tunnel(text, rest);
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
        let place = |bytes: usize| u16::try_from(bytes).expect("the text is not longer than the limit");
        let path = scheme.as_str().len() + BEFORE_HOST.len() + authority.as_str().len();
        let path_end = path + uri.path().trim_end_matches('/').len();
        let (path, host_bytes) = ((place(path), place(path_end)), place(host.len()));
        Ok(Self { text: text.into(), path, host_bytes, port, scheme, is_tunnel: false })
    }

    fn of_tunnel(text: &str, rest: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("address", format!("is {}", excerpt(text)), TUNNEL_ALLOWED);
        let name = rest.split('/').next().unwrap_or_default();
        let behind = &rest[name.len()..];
        let is_path = behind.is_empty()
            || behind.parse::<http::uri::PathAndQuery>().is_ok_and(|path| path.query().is_none());
        if !is_tunnel_name(name) || !is_path || behind.contains('#') {
            return Err(wrong());
        }
        let place = |bytes: usize| u16::try_from(bytes).expect("the text is not longer than the limit");
        let path = TUNNEL.len() + name.len();
        let path_end = path + behind.trim_end_matches('/').len();
        let (path, host_bytes) = ((place(path), place(path_end)), place(name.len()));
        Ok(Self { text: text.into(), path, host_bytes, port: 80, scheme: Scheme::Http, is_tunnel: true })
    }

    /// As the worker gave it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the tunnel that leads to it, if one does: then there is nothing to dial but that.
    pub fn tunnel(&self) -> Option<&str> {
        self.is_tunnel.then(|| self.bracketed_host())
    }

    /// http or https; http for a tunnel.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, without brackets for IPv6.
    pub fn host(&self) -> &str {
        self.bracketed_host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; 80 or 443 where none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, ready to dial; of a tunnel `tunnel://NAME`, which nobody can dial by mistake.
    pub fn authority(&self) -> String {
        if let Some(name) = self.tunnel() {
            return format!("{TUNNEL}{name}");
        }
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// What precedes each request path; no trailing slash, empty for none.
    pub fn path_prefix(&self) -> &str {
        &self.text[usize::from(self.path.0)..usize::from(self.path.1)]
    }

    fn bracketed_host(&self) -> &str {
        let from = if self.is_tunnel { TUNNEL.len() } else { self.scheme.as_str().len() + BEFORE_HOST.len() };
        &self.text[from..from + usize::from(self.host_bytes)]
    }
}

/// Whether a tunnel may have this name.
fn is_tunnel_name(name: &str) -> bool {
    TunnelName::parse(name).is_ok()
}

fn host_and_port(authority: &Authority, scheme: Scheme) -> Option<(&str, u16)> {
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
    Some((host, port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
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
        for (text, host, port, path) in [
            ("HTTP://H", "H", 80, ""),
            ("http://h/", "h", 80, ""),
            ("https://h:1//", "h", 1, ""),
            ("https://[fe80::1]:8443/a/b//", "fe80::1", 8443, "/a/b"),
        ] {
            let a = Address::parse(text).expect(text);
            assert_eq!((a.as_str(), a.host(), a.port(), a.path_prefix()), (text, host, port, path));
        }
    }

    #[test]
    fn a_tunnel_is_an_address_that_nobody_can_dial() {
        let a = Address::parse("tunnel://dev.web-1/base/").expect("valid");
        assert_eq!((a.tunnel(), a.scheme(), a.path_prefix()), (Some("dev.web-1"), Scheme::Http, "/base"));
        assert_eq!((a.host(), a.authority().as_str()), ("dev.web-1", "tunnel://dev.web-1"));
        assert_eq!(a.as_str(), "tunnel://dev.web-1/base/");
        assert_eq!(Address::parse("tunnel://3000").expect("valid").tunnel(), Some("3000"));
        assert_eq!(Address::parse("http://tunnel:3000").expect("valid").tunnel(), None);
        let long = format!("tunnel://{}", "x".repeat(129));
        for bad in [
            "tunnel://",
            "tunnel://A",
            "tunnel://-a",
            "tunnel://a:80",
            "tunnel://a?q",
            "tunnel://a/#f",
            "tunnel://u@a",
            &long,
        ] {
            let wrong = Address::parse(bad).expect_err(bad);
            assert_eq!(wrong.field, "address");
            assert!(wrong.allowed.contains("tunnel://NAME"), "{wrong}");
        }
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
