//! A 101 from the worker turns the connection into a tunnel.
//!
//! Only the worker's 101 does. A client that sends `Upgrade` and then speaks as if it had been agreed to is still
//! talking to an HTTP server, so it can't smuggle requests past the decision. `h2c` is never passed on: a worker
//! that agreed to it would take further requests on the tunnel, undecided and unseen.

use crate::{
    client::Client,
    destination::Ticket,
    headers::lists,
    http1::{AnswerBody, Upstream},
    http2::{tunnel::StreamEnd, upstream::Pipe},
    websocket::Handshake,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use std::{pin::pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

/// What a client wants to speak instead of HTTP.
pub(crate) struct Wanted {
    pub protocol: HeaderValue,
    client: OnUpgrade,
    /// What a worker must say to it, where it is not the client who checks that.
    handshake: Option<Handshake>,
    /// It is a WebSocket, and can be asked for in HTTP/2.
    pub is_websocket: bool,
    /// What the client must be told of one that was, where it has a handshake of its own.
    told: Option<Handshake>,
}

/// Why a worker's 101 is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the worker switched protocols, and nobody had asked it to")]
    Unasked,
    #[error("the worker switched to another protocol than the client asked for")]
    OtherProtocol,
    #[error("the worker took a WebSocket handshake for an ordinary request")]
    NotSwitched,
    #[error("the worker's answer does not complete the WebSocket handshake")]
    BadHandshake,
}

/// The upgrade that a request asks for, if it is one that is passed on.
pub(crate) fn wanted(request: &mut Request<Incoming>) -> Option<Wanted> {
    let headers = request.headers();
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return None };
    let handshake = request.extensions().get::<Handshake>().cloned();
    let asks = (request.version() == Version::HTTP_11 || handshake.is_some())
        && request.body().is_end_stream()
        && lists(headers, header::CONNECTION, "upgrade")
        && !lists(headers, header::UPGRADE, "h2c");
    let protocol = asks.then(|| protocol.clone())?;
    let told = Handshake::asked_by(request).filter(|_| handshake.is_none());
    let is_websocket =
        protocol.as_bytes().eq_ignore_ascii_case(b"websocket") && (handshake.is_some() || told.is_some());
    Some(Wanted { protocol, client: hyper::upgrade::on(request), handshake, is_websocket, told })
}

/// Whether a worker's answer is to be taken by [`switch`]. Over HTTP/2 a tunnel is opened by a 2xx, so no other answer
/// may look like that.
pub(crate) fn is_answered_by(wanted: Option<&Wanted>, status: StatusCode) -> bool {
    let by_us = wanted.is_some_and(|wanted| wanted.handshake.is_some());
    status == StatusCode::SWITCHING_PROTOCOLS || by_us && status.is_success()
}

/// Passes a worker's 101 on and opens the tunnel.
pub(crate) fn switch(
    mut response: Response<()>,
    (upstream, ticket): (Upstream, Ticket),
    wanted: Option<Wanted>,
    client: &Arc<Client>,
) -> Result<Response<AnswerBody>, Refused> {
    let wanted = wanted.ok_or(Refused::Unasked)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refused::NotSwitched);
    }
    let agreed = response.headers_mut().remove(header::UPGRADE);
    if !agreed.is_some_and(|a| a.as_bytes().eq_ignore_ascii_case(wanted.protocol.as_bytes())) {
        return Err(Refused::OtherProtocol);
    }
    if wanted.handshake.is_some_and(|handshake| !handshake.is_completed_by(response.headers())) {
        return Err(Refused::BadHandshake);
    }
    quorate_rt::spawn(tunnel(wanted.client, (WorkerEnd::Own(upstream), ticket), client.clone()));
    Ok(switched(response, wanted.protocol, client))
}

/// Tells the client that a worker has opened a tunnel for it in HTTP/2, as HTTP/1.1 would have said it.
pub(crate) fn open(
    response: Response<Pipe>,
    ticket: Ticket,
    wanted: Option<Wanted>,
    client: &Arc<Client>,
) -> Result<Response<AnswerBody>, Refused> {
    let wanted = wanted.ok_or(Refused::Unasked)?;
    let (mut head, pipe) = response.into_parts();
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    if let Some(accept) = wanted.told.as_ref().and_then(Handshake::accept) {
        head.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    quorate_rt::spawn(tunnel(wanted.client, (WorkerEnd::Shared(pipe), ticket), client.clone()));
    let mut answer = switched(Response::from_parts(head, ()), wanted.protocol, client);
    *answer.version_mut() = Version::HTTP_11;
    Ok(answer)
}

/// A 101 as it is passed on.
fn switched(head: Response<()>, protocol: HeaderValue, client: &Arc<Client>) -> Response<AnswerBody> {
    let mut answer = head.map(|()| AnswerBody::own(Bytes::new(), client));
    crate::headers::Stamp::strip(answer.headers_mut());
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(header::UPGRADE, protocol);
    debug_assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    answer
}

/// A worker's end of a tunnel.
enum WorkerEnd {
    /// A connection of its own.
    Own(Upstream),
    /// A stream of a shared one.
    Shared(Pipe),
}

/// Copies both ways until both are done; an end on one side is passed on to the other, which may go on. A reset of
/// the client's stream ends it at once. The client's place among the connections stays taken.
async fn tunnel(client_side: OnUpgrade, (worker, ticket): (WorkerEnd, Ticket), client: Arc<Client>) {
    // Fails if the client went away first; then there is nothing to connect.
    let Ok(client_side) = client_side.await else { return };
    client.tunnelled();
    client.core.counters.tunnel_opened();
    let client_io = StreamEnd::new(TokioIo::new(client_side), &client);
    match worker {
        WorkerEnd::Own(upstream) => {
            let (worker_io, early) = upstream.into_socket().await;
            // What the bytes mean is not known any more, nor how long somebody may take over them.
            worker_io.bear_standstill();
            carry(client_io, (worker_io, early), &client).await;
        }
        WorkerEnd::Shared(pipe) => carry(client_io, (pipe, Bytes::new()), &client).await,
    }
    client.core.counters.tunnel_closed();
    drop(ticket);
}

async fn carry<C, W>(mut client_io: C, (mut worker_io, early): (W, Bytes), client: &Client)
where
    C: AsyncRead + AsyncWrite + Unpin,
    W: AsyncRead + AsyncWrite + Unpin,
{
    let mut copying = pin!(async {
        // What the worker said in one breath with its 101.
        client_io.write_all(&early).await?;
        copy_bidirectional(&mut client_io, &mut worker_io).await
    });
    client.attend(copying.as_mut()).await;
}
