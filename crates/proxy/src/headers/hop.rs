//! Headers that are for one hop only (RFC 9110, 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The header fields that are dropped whether or not `Connection` names them.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Drops the fields that `Connection` names, less those that `spare` spares, and those that `doomed` dooms.
pub(crate) fn strip(
    headers: &mut HeaderMap,
    spare: impl Fn(&HeaderName) -> bool,
    doomed: impl Fn(&str) -> bool,
) {
    // No allocation while there is nothing to drop, which is usual for answers.
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        names.extend(nominated(value).filter(|name| !spare(name)));
    }
    names.extend(headers.keys().filter(|name| doomed(name.as_str())).cloned());
    for name in names {
        headers.remove(name);
    }
}

/// The fields that one `Connection` value names.
fn nominated(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    tokens(value)
        .filter(|token| {
            !["close", "keep-alive", "upgrade"].iter().any(|t| token.eq_ignore_ascii_case(t.as_bytes()))
        })
        // What is no header name names no header.
        .filter_map(|token| HeaderName::from_bytes(token).ok())
}

/// Whether a list-valued field has `token` in one of its values.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|t| t.eq_ignore_ascii_case(token.as_bytes()))
}

/// The members of a list-valued field, less the empty ones.
pub(crate) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn what_connection_names_is_dropped() {
        let mut headers =
            map(&[("connection", "close, X-A ,,bad name, x-b"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")]);
        headers.append("connection", HeaderValue::from_static("X-C"));
        strip(&mut headers, |name| name == "x-b", is_hop_by_hop);
        assert_eq!(headers, map(&[("x-b", "2")]));
    }

    #[test]
    fn a_list_is_searched_through_all_its_values() {
        let mut headers = map(&[("connection", "keep-alive")]);
        headers.append("connection", HeaderValue::from_static("x, UPGRADE"));
        assert!(lists(&headers, header::CONNECTION, "upgrade"));
        assert!(!lists(&headers, header::CONNECTION, "up"));
    }
}
