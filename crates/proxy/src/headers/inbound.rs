//! A request's headers on their way to a worker.

use super::hop::{is_hop_by_hop, lists, strip};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quorate_model::{Scheme, route::HeaderEdits};
use quorate_routing::{
    hops::{HOPS, HOPS_MAX},
    route::edit::edit,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const ROUTED_BY: HeaderName = HeaderName::from_static("x-routed-by");
/// Fixed by the contract: workers know the original by this name.
const ROUTER: HeaderValue = HeaderValue::from_static("workspace-engine-router");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
/// What we add to a request: room for it is made once.
const ADDED: usize = 6;
/// How often the request went through a router, this time included.
static COUNTS: [HeaderValue; HOPS_MAX as usize] =
    [count("1"), count("2"), count("3"), count("4"), count("5"), count("6"), count("7"), count("8")];

const fn count(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// What a request's headers are made into.
pub(crate) struct ToWorker<'a> {
    /// The client's address, and how it was spoken to.
    pub client: (&'a HeaderValue, Scheme),
    /// The host that the client asked for.
    pub host: HeaderValue,
    /// How often it went through a router before; less than [`HOPS_MAX`].
    pub hops: u8,
    /// The protocol that it wants to upgrade to, if any.
    pub upgrade: Option<HeaderValue>,
}

/// Drops what is not for the worker, makes the changes that a route or a rule wants, then adds what it is told by us.
pub(crate) fn to_worker(headers: &mut HeaderMap, facts: ToWorker<'_>, edits: Option<&HeaderEdits>) {
    let trailers = headers.contains_key(header::TE) && lists(headers, header::TE, "trailers");
    let is_dropped = |name: &str| is_hop_by_hop(name) || is_forged(name);
    strip(headers, is_ours_to_keep, is_dropped);
    // Only now, or a client could have dropped what they put in, by naming it in `Connection`.
    if let Some(edits) = edits {
        edit(edits, headers);
        strip(headers, is_ours_to_keep, is_dropped);
    }
    headers.reserve(ADDED);
    let (client, scheme) = facts.client;
    append_client(headers, client);
    headers.insert(FORWARDED_HOST, facts.host.clone());
    headers.insert(
        FORWARDED_PROTO,
        match scheme {
            Scheme::Http => HTTP,
            Scheme::Https => HTTPS,
        },
    );
    headers.insert(ROUTED_BY, ROUTER);
    headers.insert(HOPS, COUNTS[usize::from(facts.hops.min(HOPS_MAX - 1))].clone());
    headers.insert(header::HOST, facts.host);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = facts.upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

/// What a client can't have dropped by naming it in `Connection`: the worker must see the workspace that the
/// request was routed by.
fn is_ours_to_keep(name: &HeaderName) -> bool {
    *name == quorate_routing::workspace::HEADER
}

/// Names that only we may say to a worker, also in the spelling with `_` that some frameworks take for the same.
fn is_forged(name: &str) -> bool {
    let Some(rest) = name.strip_prefix('x') else { return false };
    if rest.starts_with("-quorate-") || name == "x-routed-by" {
        return true;
    }
    rest.contains('_') && {
        let name = name.replace('_', "-");
        is_forged(&name)
            || matches!(
                &*name,
                "x-workspace-id" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto"
            )
    }
}

/// The way that the request came, and the client at its end. Several fields become one.
fn append_client(headers: &mut HeaderMap, client: &HeaderValue) {
    let mut way = headers.get_all(FORWARDED_FOR).iter().peekable();
    let value = if way.peek().is_none() {
        client.clone()
    } else {
        let joined =
            way.map(HeaderValue::as_bytes).chain([client.as_bytes()]).collect::<Vec<_>>().join(&b", "[..]);
        // Legal values joined by a comma are legal.
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| client.clone())
    };
    headers.insert(FORWARDED_FOR, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        fields: &[(&'static str, &'static str)],
        upgrade: Option<&'static str>,
        expected: &[(&str, &str)],
    ) {
        check_edited(fields, upgrade, None, expected);
    }

    fn check_edited(
        fields: &[(&'static str, &'static str)],
        upgrade: Option<&'static str>,
        edits: Option<&HeaderEdits>,
        expected: &[(&str, &str)],
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let client = HeaderValue::from_static("10.0.0.9");
        let host = HeaderValue::from_static("r.example");
        to_worker(
            &mut headers,
            ToWorker {
                client: (&client, Scheme::Http),
                host,
                hops: 2,
                upgrade: upgrade.map(HeaderValue::from_static),
            },
            edits,
        );
        let added = [
            ("host", "r.example"),
            ("x-forwarded-host", "r.example"),
            ("x-forwarded-proto", "http"),
            ("x-quorate-hops", "3"),
            ("x-routed-by", "workspace-engine-router"),
        ];
        let mut expected: Vec<_> = expected.iter().chain(&added).copied().collect();
        let mut got: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_plain_request_is_told_who_asked() {
        check(
            &[("host", "r.example"), ("accept", "*/*")],
            None,
            &[("accept", "*/*"), ("x-forwarded-for", "10.0.0.9")],
        );
    }

    #[test]
    fn the_client_is_appended_to_the_way() {
        check(
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")],
            None,
            &[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9")],
        );
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        check(
            &[
                ("connection", "keep-alive, x-once"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic eDp5"),
                ("te", "gzip"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("http2-settings", "AAMAAABk"),
                ("x-once", "1"),
            ],
            None,
            &[("x-forwarded-for", "10.0.0.9")],
        );
    }

    #[test]
    fn our_headers_can_not_be_nominated_away() {
        check(
            &[
                (
                    "connection",
                    "x-forwarded-for, x-forwarded-host, x-routed-by, x-quorate-hops, host, x-workspace-id",
                ),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-workspace-id", "w1"),
            ],
            None,
            &[("x-forwarded-for", "10.0.0.9"), ("x-workspace-id", "w1")],
        );
    }

    #[test]
    fn what_a_route_puts_in_can_not_be_nominated_away() {
        let pair = |name: &str, value| (Box::from(name), HeaderValue::from_static(value));
        let edits = HeaderEdits {
            set: vec![pair("x-env", "test"), pair("x_quorate_hops", "0")],
            add: vec![pair("x-tag", "2")],
            remove: vec!["x-secret".into()],
        };
        check_edited(
            &[
                ("connection", "x-env, x-tag"),
                ("x-env", "prod"),
                ("x-tag", "1"),
                ("x-secret", "s"),
                ("x-forwarded-for", "1.1.1.1"),
            ],
            None,
            Some(&edits),
            &[("x-env", "test"), ("x-tag", "2"), ("x-forwarded-for", "1.1.1.1, 10.0.0.9")],
        );
    }

    #[test]
    fn our_names_can_not_be_forged() {
        check(
            &[
                ("x-routed-by", "me"),
                ("x_routed_by", "me"),
                ("x-quorate-index", "1"),
                ("x-quorate-hops", "0"),
                ("x_quorate_hops", "0"),
                ("x_quorate_anything", "1"),
                ("x-quorate_node", "1"),
                ("x_forwarded_for", "6.6.6.6"),
                ("x-forwarded_host", "evil"),
                ("x_workspace_id", "w2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil"),
                ("x_own_thing", "kept"),
            ],
            None,
            &[("x-forwarded-for", "10.0.0.9"), ("x_own_thing", "kept")],
        );
    }

    #[test]
    fn trailers_and_a_wanted_upgrade_are_said_anew() {
        check(
            &[("te", "gzip, Trailers"), ("connection", "TE, Upgrade"), ("upgrade", "websocket")],
            Some("websocket"),
            &[
                ("connection", "Upgrade"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("x-forwarded-for", "10.0.0.9"),
            ],
        );
    }
}
