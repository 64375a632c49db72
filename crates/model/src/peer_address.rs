//! Where a node's peer listener is dialled.

use crate::Invalid;
use std::{fmt, net::Ipv6Addr};

/// Longest host, in bytes, brackets included. Longer: refused.
const HOST_BYTES_MAX: usize = 255;

/// `host:port`, dialled at each connection anew: a DNS name is resolved each time. IPv6 hosts stand in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(Box<str>);

impl PeerAddress {
    /// What [`PeerAddress::parse`] takes, for people.
    pub const ALLOWED: &str = "HOST:PORT, such as 10.0.0.7:7070, router-0.routers:7070 or [::1]:7070";

    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: &str| Err(Invalid::new("peer", problem, Self::ALLOWED));
        let Some((host, port)) = text.rsplit_once(':') else { return wrong("has no port") };
        // Digits only: `u16::from_str` also takes a plus sign.
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let Some(1..) = port.parse::<u16>().ok().filter(|_| digits) else { return wrong("has no such port") };
        if host.len() > HOST_BYTES_MAX {
            return wrong("has too long a host");
        }
        let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
        };
        if good { Ok(Self(text.into())) } else { wrong("has no such host") }
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_checked() {
        for good in ["10.0.0.7:7070", "router-0.routers:7070", "[::1]:7070", "a_b:1", "x:65535"] {
            assert_eq!(PeerAddress::parse(good).map(|a| a.to_string()), Ok(good.into()));
        }
        let long = format!("{}:1", "x".repeat(256));
        for bad in
            ["", "x", ":7070", "x:", "x:0", "x:65536", "x:+1", "::1:7070", "[x]:1", "a b:1", "u@x:1", &long]
        {
            let wrong = PeerAddress::parse(bad).expect_err(bad);
            assert_eq!((wrong.field.as_str(), wrong.allowed.as_str()), ("peer", PeerAddress::ALLOWED));
        }
    }
}
