//! How requests are spread over the endpoints of a service or a route, and what happens when one of them fails.
//!
//! Everything here is optional. A service without a policy behaves as it did before there were policies, so an upgrade
//! changes nothing for anybody.

mod ejection;
mod health;
mod retries;

pub use ejection::{Breaker, EndpointLimits, Outlier};
pub use health::{HealthCheck, HealthProbe};
pub use retries::{Backoff, Retries, RetryBudget};

use crate::{
    limit,
    name::{Invalid, excerpt},
};
use http::HeaderName;
use std::time::Duration;

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1, in the clear or over TLS as its URL says.
    Http1,
    /// HTTP/2 in the clear, by prior knowledge (RFC 9113, 3.3).
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::H2c, Self::H2];
    /// As an error lists them.
    pub const ALLOWED: &'static str = "http1, h2c or h2";

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
            Self::H2 => "h2",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        known.ok_or_else(|| Invalid::new("protocol", format!("is {}", excerpt(text)), Self::ALLOWED))
    }
}

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balancing {
    /// One after the other, by weight.
    RoundRobin,
    /// The one that has the fewest requests for its weight.
    LeastConnections,
    /// By the client's address: the same one as long as the endpoints stay.
    SourceIp,
    /// By a key of the request; when one of n endpoints goes, about one n-th of the keys move.
    ConsistentHash,
    /// The better of two random ones, by latency and requests (peak EWMA).
    #[default]
    P2c,
}

impl Balancing {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::RoundRobin, Self::LeastConnections, Self::SourceIp, Self::ConsistentHash, Self::P2c];
    /// As an error lists them.
    pub const ALLOWED: &'static str = "round-robin, least-connections, source-ip, consistent-hash or p2c";

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::SourceIp => "source-ip",
            Self::ConsistentHash => "consistent-hash",
            Self::P2c => "p2c",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|balancing| balancing.as_str() == text);
        known.ok_or_else(|| Invalid::new("balancing", format!("is {}", excerpt(text)), Self::ALLOWED))
    }
}

/// What of a request says which requests belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// The value of a header.
    Header(Box<str>),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The value of a query parameter.
    Query(Box<str>),
    /// A segment of the path; the first one is 1.
    PathSegment(u16),
    /// The trace id of `traceparent` (W3C Trace Context).
    Trace,
    /// The client's address.
    SourceIp,
}

impl KeySource {
    /// By a header.
    pub fn header(name: &str) -> Result<Self, Invalid> {
        Ok(Self::Header(header_name("header", name)?))
    }

    /// By a cookie, whose name is a token (RFC 6265, 4.1.1).
    pub fn cookie(name: &str) -> Result<Self, Invalid> {
        // Header names and tokens have the same letters, but for the case.
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) if name.len() <= limit::LABEL_BYTES_MAX => Ok(Self::Cookie(name.into())),
            _ => Err(Invalid::new("cookie", format!("is {}", excerpt(name)), "a token of at most 256 bytes")),
        }
    }

    /// By a query parameter.
    pub fn query(name: &str) -> Result<Self, Invalid> {
        let is_right = !name.is_empty() && name.len() <= limit::LABEL_BYTES_MAX;
        is_right
            .then(|| Self::Query(name.into()))
            .ok_or_else(|| Invalid::new("query", format!("is {}", excerpt(name)), "1 to 256 bytes of text"))
    }

    /// By a segment of the path.
    pub fn path_segment(nth: u64) -> Result<Self, Invalid> {
        let segment = u16::try_from(nth).ok().filter(|nth| (1..=limit::PATH_SEGMENT_MAX).contains(nth));
        segment.map(Self::PathSegment).ok_or_else(|| {
            let allowed = format!("1 to {}", limit::PATH_SEGMENT_MAX);
            Invalid::new("path_segment", format!("is {nth}"), allowed)
        })
    }
}

/// A header's name, in lower case.
pub(crate) fn header_name(field: &str, name: &str) -> Result<Box<str>, Invalid> {
    let allowed = "the name of a header, at most 256 bytes";
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(parsed) if name.len() <= limit::LABEL_BYTES_MAX => Ok(parsed.as_str().into()),
        _ => Err(Invalid::new(field, format!("is {}", excerpt(name)), allowed)),
    }
}

/// A span in milliseconds within bounds; the error is about `field`.
pub fn span_ms(field: &str, span: Duration, min: u32, max: u32) -> Result<u32, Invalid> {
    let ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    if (min..=max).contains(&ms) {
        return Ok(ms);
    }
    let show = |ms: u32| match ms {
        ms if ms % 3_600_000 == 0 && ms > 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 && ms > 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 && ms > 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    };
    let is = if span.as_millis() > u128::from(u32::MAX) {
        "is too long".to_owned()
    } else {
        format!("is {}", show(ms))
    };
    Err(Invalid::new(field, is, format!("{} to {}", show(min), show(max))))
}

/// A whole number within bounds; the error is about `field`.
pub fn within<N: Copy + PartialOrd + std::fmt::Display>(
    field: &str,
    number: N,
    min: N,
    max: N,
) -> Result<N, Invalid> {
    if number >= min && number <= max {
        return Ok(number);
    }
    Err(Invalid::new(field, format!("is {number}"), format!("{min} to {max}")))
}

fn all<T, const N: usize>(value: T, checks: [Result<(), Invalid>; N]) -> Result<T, Vec<Invalid>> {
    let wrong: Vec<Invalid> = checks.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(value) } else { Err(wrong) }
}

/// A path to ask for: absolute, without query, in the letters that a request line allows.
pub(crate) fn target_path(field: &str, path: &str) -> Result<Box<str>, Invalid> {
    let allowed = format!(
        "a path that begins with a slash, without query, fragment or spaces, at most {} bytes",
        limit::PATH_BYTES_MAX
    );
    let is_right = path.starts_with('/')
        && path.len() <= limit::PATH_BYTES_MAX
        && !path.bytes().any(|b| matches!(b, b'?' | b'#' | b' ') || b.is_ascii_control())
        && path.parse::<http::uri::PathAndQuery>().is_ok();
    if is_right {
        return Ok(path.into());
    }
    let problem = match path {
        "" => "is empty".to_owned(),
        path if !path.starts_with('/') => format!("{} does not begin with a slash", excerpt(path)),
        path if path.len() > limit::PATH_BYTES_MAX => format!("is {} bytes long", path.len()),
        path => format!("{} has a letter that a path can't have", excerpt(path)),
    };
    Err(Invalid::new(field, problem, allowed))
}

#[cfg(test)]
mod tests;
