//! The host that a request asks for, in the form that routes have it.

use std::borrow::Cow;

/// In lower case, without port and without the dot of the root that some write at its end. Borrowed where that is a part
/// of what came.
pub fn bare(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The port, if one is said.
pub fn port(authority: &str) -> Option<u16> {
    let rest = authority.get(without_port(authority).len()..)?;
    rest.strip_prefix(':')?.parse().ok()
}

fn without_port(authority: &str) -> &str {
    // An IPv6 address has colons of its own, and brackets for that.
    let from = if authority.starts_with('[') { authority.find(']').unwrap_or(0) } else { 0 };
    match authority[from..].find(':') {
        Some(colon) => &authority[..from + colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_its_port() {
        for (authority, host, port_of) in [
            ("api.example.com", "api.example.com", None),
            ("API.Example.com:8080", "api.example.com", Some(8080)),
            ("example.com.", "example.com", None),
            ("example.com.:80", "example.com", Some(80)),
            ("[::1]", "[::1]", None),
            ("[FE80::1]:443", "[fe80::1]", Some(443)),
            ("10.0.0.1:1", "10.0.0.1", Some(1)),
            ("h:", "h", None),
            ("[::1", "[", None),
            ("", "", None),
        ] {
            assert_eq!((&*bare(authority), port(authority)), (host, port_of), "{authority}");
        }
        assert!(matches!(bare("a.example:80"), Cow::Borrowed(_)));
    }
}
