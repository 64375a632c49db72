//! Dialling a gateway: a WebSocket handshake (RFC 6455, section 4.1) on this library's own HTTP client, which brings
//! TLS and its limits along.

use super::{Caller, DIALLED_WITHIN, Dialect, Token, plain};
use crate::{Error, Problem, Url, error::Silence, nodes::read_bounded, tasks, upgrading};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, Response, Upgraded, header::HeaderMap};
use std::time::Duration;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

/// What the gateway is asked to speak.
const SUBPROTOCOL: &str = "quorate.v1";
/// What a server proves to have read the handshake with (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Larger messages are refused.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A connection to a gateway.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// Dials gateways.
#[derive(Debug)]
pub(super) struct Dialler {
    client: Client,
    dialect: Dialect,
    token: Option<Token>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NotDialled {
    /// Nothing answers.
    Silent(Silence),
    /// It answers that it can't now, and perhaps when to come again.
    Later(Problem, Option<Duration>),
    /// It will not.
    Never(Error),
}

impl Dialler {
    pub fn new(caller: &Caller) -> Result<Self, Error> {
        Ok(Self {
            client: upgrading::client(&caller.gateways)?,
            dialect: caller.dialect,
            token: caller.token.clone(),
        })
    }

    /// Dials one.
    pub async fn dial(&self, gateway: &Url) -> Result<Socket, NotDialled> {
        let silent = |why| NotDialled::Silent(Silence { node: name(gateway), why });
        let late = || silent(format!("no answer within {DIALLED_WITHIN:?}"));
        tasks::within(DIALLED_WITHIN, self.ask(gateway)).await.ok_or_else(late)?
    }

    async fn ask(&self, gateway: &Url) -> Result<Socket, NotDialled> {
        let silent = |e: reqwest::Error| {
            NotDialled::Silent(Silence { node: name(gateway), why: plain::silent(gateway, &e) })
        };
        let key = STANDARD.encode(tasks::random_bytes());
        let mut request = self
            .client
            .get(gateway.clone())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &key);
        if self.dialect == Dialect::Quorate {
            request = request.header("sec-websocket-protocol", SUBPROTOCOL);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let response = request.send().await.map_err(silent)?;
        if response.status().as_u16() != 101 {
            return Err(refused(response, gateway).await);
        }
        let answer = |problem: String| NotDialled::Never(Error::Answer { node: name(gateway), problem });
        check(response.headers(), &key, self.dialect).map_err(answer)?;
        let upgraded = response.upgrade().await.map_err(silent)?;
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }
}

/// How a gateway is called in what people read.
pub(super) fn name(gateway: &Url) -> String {
    let scheme = if gateway.scheme() == "https" { "wss" } else { "ws" };
    let port = gateway.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{}{port}{}", gateway.host_str().unwrap_or_default(), gateway.path())
}

async fn refused(mut response: Response, gateway: &Url) -> NotDialled {
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
    let body = read_bounded(&mut response).await.unwrap_or_default();
    let mut problem = Problem::read(status, &body);
    if problem.detail.is_empty() {
        problem.detail = match String::from_utf8(body) {
            Ok(text) if (1..200).contains(&text.trim().len()) => text.trim().to_owned(),
            Ok(_) | Err(_) => "the gateway does not upgrade the connection".into(),
        };
    }
    if let Some(problem) = plain::not_a_gateway(&problem) {
        return NotDialled::Never(Error::Answer { node: name(gateway), problem });
    }
    problem.detail = format!("{}: {}", name(gateway), problem.detail);
    match status {
        300..=399 | 429 | 500..=599 => NotDialled::Later(problem, after.map(Duration::from_secs)),
        _ => NotDialled::Never(Error::Refused(problem)),
    }
}

fn check(headers: &HeaderMap, key: &str, dialect: Dialect) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("sec-websocket-accept") != Some(&accept(key)) {
        return Err("the handshake is answered with another key".into());
    }
    match (header("sec-websocket-protocol"), dialect) {
        (Some(SUBPROTOCOL), Dialect::Quorate) | (None, Dialect::Legacy) => Ok(()),
        (None, Dialect::Quorate) => {
            Err(format!("it does not speak {SUBPROTOCOL}; --legacy speaks as clients of the original do"))
        }
        (Some(other), _) => Err(format!("it speaks {other:?}, which nobody asked for")),
    }
}

fn accept(key: &str) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_handshake_is_checked() {
        // RFC 6455, section 1.3.
        let (key, right) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let told = |accept: &str, protocol: Option<&str>, dialect| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-websocket-accept", accept.parse().expect("a value"));
            if let Some(protocol) = protocol {
                headers.insert("sec-websocket-protocol", protocol.parse().expect("a value"));
            }
            check(&headers, key, dialect)
        };
        assert_eq!(told(right, Some(SUBPROTOCOL), Dialect::Quorate), Ok(()));
        assert_eq!(told(right, None, Dialect::Legacy), Ok(()));
        assert!(told("x", None, Dialect::Legacy).is_err());
        assert!(told(right, None, Dialect::Quorate).is_err_and(|why| why.contains("--legacy")));
        assert!(told(right, Some("chat"), Dialect::Quorate).is_err());
        assert!(told(right, Some(SUBPROTOCOL), Dialect::Legacy).is_err());
    }

    #[test]
    fn a_gateway_is_named_without_its_query() {
        let named = |text: &str| name(&Url::parse(text).expect("a URL"));
        assert_eq!(named("http://a:8082/ws?token=x"), "ws://a:8082/ws");
        assert_eq!(named("https://b/ws"), "wss://b/ws");
    }
}
