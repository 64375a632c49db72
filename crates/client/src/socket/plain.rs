//! What went wrong with a gateway in plain words, with the likely cause where a mistake is known by its looks.

use super::dial::name;
use crate::{Problem, Url, nodes::causes};
use std::fmt::Display;

/// What a gateway's address looks like.
const EXPECTED: &str = "expected: a node's WebSocket gateway, such as ws://HOST:PORT/ws";

/// A connection that broke.
pub(super) fn broken(error: &impl Display) -> String {
    without_links(&error.to_string())
}

/// A dial that got no answer.
pub(super) fn silent(gateway: &Url, error: &reqwest::Error) -> String {
    let why = without_links(&causes(error));
    match hint(gateway, &why, error.is_connect()) {
        Some(hint) => format!("{why}; {hint}"),
        None => why,
    }
}

/// A dial that was answered by something else than an upgrade. `None`: a gateway may answer so.
pub(super) fn not_a_gateway(problem: &Problem) -> Option<String> {
    // Those, and what a proxy in front of one says for a while.
    let is_of_a_gateway = matches!(problem.status, 300..=399 | 401 | 403 | 429 | 500..=599);
    (!is_of_a_gateway).then(|| format!("{problem}: this is no gateway; {EXPECTED}"))
}

fn hint(gateway: &Url, why: &str, is_unconnected: bool) -> Option<String> {
    let other = |scheme: &str| {
        let mut url = gateway.clone();
        // Both are known schemes.
        let _ = url.set_scheme(scheme);
        name(&url)
    };
    if gateway.scheme() == "http" {
        // It took the connection and answered a request with something that is no HTTP, such as an alert of TLS.
        let is_no_http = !is_unconnected && (why.contains("invalid HTTP") || why.contains("closed before"));
        return is_no_http.then(|| format!("perhaps it speaks TLS, then its address is {}", other("https")));
    }
    if why.contains("InvalidContentType") || why.contains("handshake eof") {
        return Some(format!("perhaps it speaks no TLS, then its address is {}", other("http")));
    }
    let is_stranger = why.contains("UnknownIssuer") || why.contains("CaUsedAsEndEntity");
    is_stranger.then(|| "nobody who is trusted has signed it; SSL_CERT_FILE=FILE names who is".to_owned())
}

/// Libraries name a page of theirs for whoever builds on them, which is not whoever reads this.
fn without_links(text: &str) -> String {
    if text.contains("close_notify") {
        return "the connection broke off".into();
    }
    text.split(": https://docs.rs").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted(url: &str, why: &str) -> Option<String> {
        hint(&Url::parse(url).expect("a URL"), why, false)
    }

    #[test]
    fn a_wrong_scheme_is_guessed() {
        let tls = hinted("http://a:1/ws", "invalid HTTP version parsed").expect("a hint");
        assert!(tls.ends_with("wss://a:1/ws"), "{tls}");
        let clear = "received corrupt message of type InvalidContentType";
        let clear = hinted("https://a:1/ws", clear).expect("a hint");
        assert!(clear.ends_with(" ws://a:1/ws"), "{clear}");
        let stranger = hinted("https://a/ws", "invalid peer certificate: UnknownIssuer").expect("a hint");
        assert!(stranger.contains("SSL_CERT_FILE"), "{stranger}");
        assert_eq!(hinted("http://a/ws", "Connection refused (os error 111)"), None);
    }

    #[test]
    fn nobody_is_sent_to_the_pages_of_a_library() {
        let said = "IO error: peer closed connection without sending TLS close_notify: \
                    https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
        assert_eq!(broken(&said), "the connection broke off");
        assert_eq!(broken(&"x: https://docs.rs/y"), "x");
        assert_eq!(broken(&"Connection reset by peer"), "Connection reset by peer");
    }

    #[test]
    fn what_is_no_gateway_is_called_so() {
        let problem = |status, code: &str| Problem {
            status,
            code: code.into(),
            detail: "d".into(),
            errors: Vec::new(),
        };
        for (status, code) in [(404, ""), (200, ""), (400, "bad_workspace")] {
            let said = not_a_gateway(&problem(status, code)).expect("it is none");
            assert!(said.contains("ws://HOST:PORT/ws"), "{said}");
        }
        for status in [302, 401, 403, 429, 503] {
            assert_eq!(not_a_gateway(&problem(status, "x")), None, "{status}");
        }
    }
}
