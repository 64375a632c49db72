//! `/ws`, `/health`, `/stats`.

use crate::{
    admit::{self, Door, Ticket, Visitor, retry_after},
    desk::Desk,
    dialect::{Caller, Dialect},
    wire::Wire,
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use quorate_model::ConnectionId;
use quorate_rt::{
    http::{BoxBody, HyperIo, full},
    rng,
};
use quorate_telemetry::gateway::TurnedAway;
use serde::Serialize;
use std::sync::Arc;

/// RFC 6455, 1.3.
const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How long a key is, decoded (RFC 6455, 4.1).
const KEY_BYTES: usize = 16;
/// RFC 6455, 4.1.
const VERSION: &str = "13";
/// The id of the connection, which the original's clients are not told.
const CONNECTION_ID: HeaderName = HeaderName::from_static("x-connection-id");

#[derive(Serialize)]
struct Stats<'a> {
    #[serde(rename = "gatewayId")]
    gateway_id: &'a str,
    connections: usize,
}

/// Answers the requests of one listener.
#[derive(Clone)]
pub struct Answers {
    /// What the sessions share.
    pub desk: Arc<Desk>,
    /// Who may come in.
    pub door: Door,
}

impl Answers {
    /// One request on a connection.
    pub fn answer(&self, request: Request<Incoming>, visitor: &Arc<Visitor>) -> Response<BoxBody> {
        match (request.uri().path(), request.method()) {
            ("/ws", _) => self.open(request, visitor),
            ("/health", &Method::GET | &Method::HEAD) => text(StatusCode::OK, "OK"),
            ("/stats", &Method::GET | &Method::HEAD) => self.stats(),
            ("/health" | "/stats", _) => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                answer
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn stats(&self) -> Response<BoxBody> {
        let stats = Stats { gateway_id: self.desk.node.as_str(), connections: self.desk.hall.count() };
        // Two fields that can be written.
        let mut answer = Response::new(full(serde_json::to_vec(&stats).unwrap_or_default()));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    fn open(&self, mut request: Request<Incoming>, visitor: &Arc<Visitor>) -> Response<BoxBody> {
        let agreed = hyper::upgrade::on(&mut request);
        match self.shake_hands(&request, visitor) {
            Ok((answer, shaken)) => {
                quorate_rt::spawn(speak(self.clone(), agreed, shaken));
                answer
            }
            Err(refused) => {
                let (why, answer) = *refused;
                self.desk.counters.turned_away(why);
                tracing::debug!(address = %visitor.address(), reason = ?why, "a client was not let in");
                answer
            }
        }
    }

    fn shake_hands(
        &self,
        request: &Request<Incoming>,
        visitor: &Arc<Visitor>,
    ) -> Result<(Response<BoxBody>, Shaken), Refused> {
        let accept = accept(request).map_err(|answer| Box::new((TurnedAway::Handshake, *answer)))?;
        let refused = |why| Box::new((why, turned_away(why)));
        let ticket = visitor.enter().map_err(refused)?;
        let (headers, query) = (request.headers(), request.uri().query());
        let proved = admit::identify(&self.desk, headers, query).map_err(refused)?;
        ticket.let_in().map_err(refused)?;
        let (dialect, name) = Dialect::choose(headers);
        let random = u128::from(rng::random_u64()) << 64 | u128::from(rng::random_u64());
        let connection = ConnectionId::from_random(random);
        let mut answer = Response::new(full(""));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let told = answer.headers_mut();
        told.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        told.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        told.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(name) = name {
            told.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        if let Ok(id) = HeaderValue::from_str(&connection.to_string()) {
            told.insert(CONNECTION_ID, id);
        }
        let caller = Caller { connection, address: visitor.address(), proved };
        Ok((answer, Shaken { caller, dialect, ticket }))
    }
}

/// Why somebody was not let in, and what they are told.
type Refused = Box<(TurnedAway, Response<BoxBody>)>;

/// Somebody is in.
struct Shaken {
    caller: Caller,
    dialect: Dialect,
    ticket: Ticket,
}

async fn speak(answers: Answers, agreed: OnUpgrade, shaken: Shaken) {
    let Answers { desk, door } = answers;
    let Shaken { caller, dialect, ticket } = shaken;
    let Ok(upgraded) = agreed.await else { return };
    let Ok(parts) = upgraded.downcast::<HyperIo>() else {
        tracing::error!("a connection is not of the kind that the listener takes");
        return;
    };
    let connection = caller.connection;
    desk.counters.opened(door.count());
    tracing::debug!(%connection, address = %caller.address, ?dialect, "socket opened");
    let io = Box::new(parts.io.into_inner());
    let wire = Wire::new(io, parts.read_buf, &desk.settings, desk.counters.clone()).await;
    let end = dialect.converse(wire, desk.clone(), caller).await;
    drop(ticket);
    desk.counters.closed(end.label(), door.count());
    tracing::debug!(%connection, reason = ?end, "socket closed");
}

/// RFC 6455, 4.2.1 and 4.2.2.
fn accept(request: &Request<Incoming>) -> Result<HeaderValue, Box<Response<BoxBody>>> {
    let headers = request.headers();
    let bad = |words: &str| Box::new(text(StatusCode::BAD_REQUEST, words));
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        let mut answer = bad("Bad Request: a WebSocket is opened by GET of HTTP/1.1\n");
        if request.method() != Method::GET {
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        return Err(answer);
    }
    if !names(headers, header::CONNECTION, "upgrade") {
        return Err(bad("Bad Request: 'upgrade' is not among the tokens of 'Connection'\n"));
    }
    if !names(headers, header::UPGRADE, "websocket") {
        return Err(bad("Bad Request: 'websocket' is not among the tokens of 'Upgrade'\n"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let mut answer =
            text(StatusCode::UPGRADE_REQUIRED, "Upgrade Required: version 13 of WebSockets is spoken\n");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return Err(Box::new(answer));
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(bad("Bad Request: there must be one 'Sec-WebSocket-Key'\n"));
    };
    if BASE64_STANDARD.decode(key).ok().is_none_or(|key| key.len() != KEY_BYTES) {
        return Err(bad("Bad Request: 'Sec-WebSocket-Key' is not 16 bytes in base64\n"));
    }
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), SALT].concat());
    HeaderValue::from_str(&BASE64_STANDARD.encode(digest)).map_err(|_| bad("Bad Request\n"))
}

fn names(headers: &HeaderMap, field: HeaderName, token: &str) -> bool {
    let lists = headers.get_all(field).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim().eq_ignore_ascii_case(token))
}

fn turned_away(why: TurnedAway) -> Response<BoxBody> {
    let mut answer = match why {
        TurnedAway::Handshake => return text(StatusCode::BAD_REQUEST, "Bad Request\n"),
        TurnedAway::Origin => return closing(text(StatusCode::FORBIDDEN, "Forbidden\n")),
        TurnedAway::Token => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return closing(answer);
        }
        TurnedAway::Address => text(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n"),
        TurnedAway::Full | TurnedAway::Rate | TurnedAway::Drain => {
            text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
        }
    };
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after()));
    // The next one may find another node.
    closing(answer)
}

/// No second try on one connection: what tries cost is bounded by what connections do.
fn closing(mut answer: Response<BoxBody>) -> Response<BoxBody> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn text(status: StatusCode, words: &str) -> Response<BoxBody> {
    let mut answer = Response::new(full(words.to_owned()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}
