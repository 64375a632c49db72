//! WebSockets over HTTP/2 (RFC 8441), where only one of the two sides speaks it.
//!
//! There a stream is opened by `CONNECT` with `:protocol`, and the handshake of RFC 6455 has no key. A worker that speaks
//! HTTP/1.1 wants one: it is made here, and what the worker makes of it is checked here. And a client that speaks
//! HTTP/1.1 wants its own answered, which is done here for a worker that never saw it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::ext::Protocol;
use quorate_rt::rng::random_u64;

/// How long a key is, decoded (RFC 6455, 4.1).
const KEY_BYTES: usize = 16;
/// RFC 6455, 1.3.
const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What whoever has understood a key has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    fn with(key: &str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), SALT].concat());
        Self { accept: BASE64_STANDARD.encode(digest) }
    }

    /// The one that a client asks for by a request; `None`: it is not whole (RFC 6455, 4.2.1).
    pub fn asked_by<B>(request: &Request<B>) -> Option<Self> {
        let mut keys = request.headers().get_all(header::SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return None };
        let key = key.to_str().ok().filter(|_| request.method() == Method::GET)?;
        (BASE64_STANDARD.decode(key).ok()?.len() == KEY_BYTES).then(|| Self::with(key))
    }

    /// What completes it.
    pub fn accept(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.accept).ok()
    }

    /// Whether a worker's answer completes it.
    pub fn is_completed_by(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|said| said.as_bytes() == self.accept.as_bytes())
    }
}

/// Makes of an extended `CONNECT` the upgrade that an HTTP/1.1 client would have asked for, and says whether it did.
/// `CONNECT` for anything else is left to be refused.
pub(crate) fn prepare<B>(request: &mut Request<B>) -> bool {
    let wanted = request.extensions().get::<Protocol>();
    if request.method() != Method::CONNECT || wanted.is_none_or(|protocol| protocol.as_str() != "websocket") {
        return false;
    }
    let bytes = [random_u64().to_be_bytes(), random_u64().to_be_bytes()].concat();
    let key = BASE64_STANDARD.encode(bytes);
    request.extensions_mut().insert(Handshake::with(&key));
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_own_example() {
        let mut headers = HeaderMap::new();
        let handshake = Handshake::with("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(!handshake.is_completed_by(&headers));
        let accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        assert!(handshake.is_completed_by(&headers));
        assert!(!Handshake::with("another").is_completed_by(&headers));
    }

    #[test]
    fn a_client_s_own_handshake_is_answered_if_it_is_whole() {
        let accept = |method: Method, keys: &[&'static str]| {
            let mut request = Request::builder().method(method).uri("/chat").body(()).unwrap();
            for key in keys {
                request.headers_mut().append(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
            }
            Handshake::asked_by(&request).map(|handshake| handshake.accept().unwrap())
        };
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let expected = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept(Method::GET, &[key]), Some(expected));
        assert_eq!(accept(Method::POST, &[key]), None);
        assert_eq!(accept(Method::GET, &[key, key]), None);
        for bad in ["", "dGhlIHNhbXBsZQ==", "no base64 at all here!!!"] {
            assert_eq!(accept(Method::GET, &[bad]), None, "{bad}");
        }
    }

    #[test]
    fn only_an_extended_connect_for_websockets_is_an_upgrade() {
        let prepared = |method: Method, protocol: Option<&'static str>| {
            let mut request = Request::builder().method(method).uri("https://a/chat").body(()).unwrap();
            if let Some(protocol) = protocol {
                request.extensions_mut().insert(Protocol::from_static(protocol));
            }
            let was = prepare(&mut request);
            let headers = request.headers();
            let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| key.len());
            (was, request.method().as_str().to_owned(), headers.contains_key(header::UPGRADE), key)
        };
        let connect = || "CONNECT".to_owned();
        assert_eq!(prepared(Method::CONNECT, Some("websocket")), (true, "GET".into(), true, Some(24)));
        assert_eq!(prepared(Method::CONNECT, Some("connect-udp")), (false, connect(), false, None));
        assert_eq!(prepared(Method::CONNECT, None), (false, connect(), false, None));
        assert_eq!(prepared(Method::GET, Some("websocket")), (false, "GET".into(), false, None));
    }
}
