//! What a route may ask for from now on.
//!
//! Some routes are well formed, and no request is ever theirs: the paths that they name are refused, or read as other
//! ones, wherever they are asked for (`quorate_routing::route::path`). Whoever declares one has mistaken something, and
//! is told so. The same kinds of documents stand in logs and snapshots from a time when nobody asked, so what is read
//! back from there is not asked: [`PathMatch::exact`] and its like take them.

use super::{HostMatch, PathMatch, RouteMatch, ValueMatch};
use crate::name::{Invalid, excerpt};
use http::Method;

impl PathMatch {
    /// This path, if a request can ask for it.
    pub fn declared_exact(path: &str) -> Result<Self, Invalid> {
        let parsed = Self::exact(path)?;
        reachable("match.path_exact", path, path)?;
        Ok(parsed)
    }

    /// A prefix, if a request can ask for something below it.
    pub fn declared_prefix(path: &str) -> Result<Self, Invalid> {
        let parsed = Self::prefix(path)?;
        if let Self::Prefix(bare) = &parsed {
            reachable("match.path_prefix", path, bare)?;
        }
        Ok(parsed)
    }
}

impl HostMatch {
    /// Reads `host` or `*.host`, if there is such a host. The dot of the root at its end is taken off, as it is from the
    /// host of a request.
    pub fn declared(text: &str) -> Result<Self, Invalid> {
        let parsed = Self::parse(text.strip_suffix('.').unwrap_or(text))?;
        match &parsed {
            Self::Below(below) if below.starts_with('[') => {
                let allowed = "an IP address alone, such as [::1]: nothing is below one";
                Err(Invalid::new("match.host", format!("is {}", excerpt(text)), allowed))
            }
            Self::Below(_) | Self::Exact(_) => Ok(parsed),
        }
    }
}

impl RouteMatch {
    /// A header's name, in lower case, if it says something about the request.
    pub fn declared_header(field: &str, name: &str) -> Result<Box<str>, Invalid> {
        /// Those of a connection: they say how it is used, in HTTP/1.1 only.
        const OF_CONNECTIONS: [&str; 6] =
            ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"];
        let parsed = Self::header_name(field, name)?;
        if OF_CONNECTIONS.contains(&&*parsed) {
            let problem = format!("{parsed} belongs to the connection, not to the request");
            return Err(Invalid::new(field, problem, "a header of the request"));
        }
        Ok(parsed)
    }

    /// A method that is routed.
    pub fn declared_method(field: &str, method: Method) -> Result<Method, Invalid> {
        if [Method::CONNECT, Method::TRACE].contains(&method) {
            let allowed = "a method that is routed: not CONNECT or TRACE";
            return Err(Invalid::new(
                field,
                format!("{method} is refused before any route is asked"),
                allowed,
            ));
        }
        Ok(method)
    }
}

impl ValueMatch {
    /// The value of a header, which has no spaces around it on any way.
    pub fn declared_exact(field: &str, value: &str) -> Result<Self, Invalid> {
        if value.trim_matches([' ', '\t']) == value {
            return Self::exact(field, value);
        }
        let problem = format!("{} has spaces around it, which no header arrives with", excerpt(value));
        Err(Invalid::new(field, problem, "text without spaces around it"))
    }
}

/// Whether requests for a path can be a route's. `written` is shown.
fn reachable(field: &str, written: &str, path: &str) -> Result<(), Invalid> {
    let Some(obstacle) = Obstacle::of(path) else { return Ok(()) };
    let problem = format!("{} has {}", excerpt(written), obstacle.problem());
    Err(Invalid::new(field, problem, obstacle.allowed()))
}

/// What in a path keeps requests away, or is meant otherwise than it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A control character, encoded.
    Control,
    /// A slash that does not look like one.
    HiddenSlash,
    /// A segment that leads elsewhere.
    Dots,
    /// Nothing between two slashes.
    EmptySegment,
    /// A wildcard, where there are none.
    Star,
}

impl Obstacle {
    /// The first one in a path.
    pub fn of(path: &str) -> Option<Self> {
        let shown = decoded(path);
        let segments = || shown.text.split('/').skip(1);
        let count = segments().count();
        // Some servers take parameters off before they resolve dots.
        let leads_away = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if shown.is_control {
            Some(Self::Control)
        } else if shown.is_hidden {
            Some(Self::HiddenSlash)
        } else if segments().any(leads_away) {
            Some(Self::Dots)
        } else if segments().take(count.saturating_sub(1)).any(str::is_empty) {
            Some(Self::EmptySegment)
        } else {
            path.contains('*').then_some(Self::Star)
        }
    }

    /// As an error says it.
    pub fn problem(self) -> &'static str {
        match self {
            Self::Control => "an encoded control character",
            Self::HiddenSlash => "an encoded slash or a backslash",
            Self::Dots => "`.` or `..` as a segment",
            Self::EmptySegment => "an empty segment",
            Self::Star => "a `*`",
        }
    }

    /// What to write instead in a route.
    fn allowed(self) -> &'static str {
        match self {
            Self::Control => "printable text: requests with one are refused",
            Self::HiddenSlash => {
                "`/` between segments: requests for an encoded slash are refused where a route is for one of its readings"
            }
            Self::Dots => "the path that it comes to: requests with such a segment are refused",
            Self::EmptySegment => {
                "one slash between segments: requests with two are refused where a route is for one of its readings"
            }
            Self::Star => {
                "no wildcard but `/*` at the end of a path_prefix; path_regex has others, and %2A is a star"
            }
        }
    }
}

/// A path with its escapes undone, once.
struct Decoded {
    text: String,
    /// There is a slash that does not look like one, or a backslash.
    is_hidden: bool,
    is_control: bool,
}

fn decoded(path: &str) -> Decoded {
    let (mut bytes, mut is_hidden, mut is_control) = (Vec::new(), path.contains('\\'), false);
    let mut rest = path.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match escaped(*byte, rest.as_slice()) {
            Some(byte) => {
                is_hidden |= matches!(byte, b'/' | b'\\');
                is_control |= byte.is_ascii_control();
                bytes.push(byte);
                rest.nth(1);
            }
            None => bytes.push(*byte),
        }
    }
    Decoded { text: String::from_utf8_lossy(&bytes).into_owned(), is_hidden, is_control }
}

fn escaped(byte: u8, rest: &[u8]) -> Option<u8> {
    let value = |at: usize| char::from(*rest.get(at)?).to_digit(16);
    let digits = (byte == b'%').then(|| Some(value(0)? << 4 | value(1)?))??;
    u8::try_from(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_request_has_is_not_declared() {
        for bad in [
            "/t/../x",
            "/a/./b",
            "/a/..",
            "/%2e%2E/x",
            "/a/..;v=1/b",
            "//",
            "/a//b",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%0a",
            "/a%7F/b",
            "/a/*/b",
            "/a*",
            "/*/b",
        ] {
            let wrong = PathMatch::declared_exact(bad).expect_err(bad);
            assert_eq!(wrong.field, "match.path_exact");
            assert!(
                !wrong.allowed.contains('\n') && PathMatch::exact(bad).is_ok(),
                "{bad}: what stands is read"
            );
            let below = format!("{bad}/below");
            assert_eq!(PathMatch::declared_prefix(&below).expect_err(&below).field, "match.path_prefix");
        }
        for good in
            ["/", "/a/", "/a/...", "/.well-known/x", "/a;v=1/b", "/%2A/b", "/caf%C3%A9", "/100%25", "/a%"]
        {
            assert_eq!(PathMatch::declared_exact(good), PathMatch::exact(good), "{good}");
        }
        for good in ["/", "/*", "/a/*", "/a/", "/a//"] {
            assert_eq!(PathMatch::declared_prefix(good), PathMatch::prefix(good), "{good}");
        }
    }

    #[test]
    fn a_host_a_header_and_a_method_are_those_of_requests() {
        assert_eq!(HostMatch::declared("API.example.com."), HostMatch::parse("api.example.com"));
        assert_eq!(HostMatch::declared("*.example.com."), HostMatch::parse("*.example.com"));
        for bad in ["a:80", ".", "a..", "*.[::1]", "*"] {
            assert_eq!(HostMatch::declared(bad).expect_err(bad).field, "match.host");
        }
        for bad in ["Connection", "TE", "transfer-encoding", ":path", "a b"] {
            assert!(RouteMatch::declared_header("f", bad).is_err(), "{bad}");
        }
        // Of a WebSocket, on whatever version of HTTP it comes.
        assert!(RouteMatch::declared_header("f", "Upgrade").is_ok());
        for (method, is_right) in [(Method::TRACE, false), (Method::CONNECT, false), (Method::OPTIONS, true)]
        {
            assert_eq!(RouteMatch::declared_method("f", method).is_ok(), is_right);
        }
        assert!(
            ValueMatch::declared_exact("f", " v").is_err() && ValueMatch::declared_exact("f", "a v").is_ok()
        );
    }
}
