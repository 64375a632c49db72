//! A WebSocket on a shared connection (RFC 8441): a stream that is opened by `CONNECT` and carries bytes both ways.
//!
//! A tunnel has a place like a request, for as long as it lives. That the worker has tunnels is known from its
//! settings; whoever asks for one has looked ([`Place::for_tunnel`]).

use super::{
    Answer, Place,
    exchange::{Broken, broken, speak_http2},
};
use crate::{client::Client, deadline::Deadlines, tunnel::bytes::StreamBytes};
use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, Response, Version, header, uri::Scheme};
use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a worker made of it.
pub(crate) enum Opened {
    /// It agreed.
    Tunnel(Response<Pipe>),
    /// It did not: an answer like any other.
    Declined(Response<Answer>),
}

/// A tunnel's end. Whoever drops it before both sides are done resets the stream.
pub(crate) struct Pipe {
    // In this order: the stream has to be over before its place is given to another.
    bytes: StreamBytes,
    deadlines: Arc<Deadlines>,
    place: Place,
}

/// Makes the upgrade that an HTTP/1.1 worker would be asked for a `CONNECT` with `:protocol`. `false`: its host makes no
/// authority, which HTTP/2 can't do without here.
pub(crate) fn ask_for_tunnel<B>(request: &mut Request<B>, scheme: Scheme) -> bool {
    speak_http2(request, scheme);
    if request.version() != Version::HTTP_2 {
        return false;
    }
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    // RFC 8441, 5: the stream itself is what this was for.
    request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
    true
}

/// Asks for a tunnel and waits for the head of the answer, or until the client's deadline is over.
pub(crate) async fn open(place: Place, request: Request<()>, client: &Client) -> Result<Opened, Broken> {
    let Some(mut sender) = place.link.sender() else { return Err(Broken::Unsent) };
    let sent = sender.send_request(request, false);
    // A connection with a spare sender never closes by itself.
    drop(sender);
    let (mut answer, mut send) = sent.map_err(|error| broken(&place, error))?;
    let answered = poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
        Poll::Ready(answered) => Poll::Ready(answered.map_err(|error| broken(&place, error))),
        Poll::Pending if client.watch.is_due() => Poll::Ready(Err(Broken::TimedOut)),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let deadlines = client.core.deadlines.clone();
    place.link.heard(deadlines.now());
    let (head, receive) = answered.into_parts();
    if head.status.is_success() {
        let pipe = Pipe { bytes: StreamBytes::new(send, receive), deadlines, place };
        return Ok(Opened::Tunnel(Response::from_parts(head, pipe)));
    }
    // Nothing follows from here. It fails for a stream that is over.
    let _ = send.send_data(Bytes::new(), true);
    Ok(Opened::Declined(Response::from_parts(head, Answer::new(receive, place, None))))
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.place.link.heard(self.deadlines.now());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_put_as_http2_has_it() {
        let asked = |host: &str| {
            let mut request = Request::builder()
                .uri("/chat?room=1")
                .header("host", host)
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-protocol", "chat")
                .header("sec-websocket-extensions", "permessage-deflate")
                .body(())
                .unwrap();
            (ask_for_tunnel(&mut request, Scheme::HTTP), request)
        };
        let (is_asked, request) = asked("r.example:8080");
        assert!(is_asked);
        assert_eq!((request.method().as_str(), request.version()), ("CONNECT", Version::HTTP_2));
        assert_eq!(request.uri(), "http://r.example:8080/chat?room=1");
        assert_eq!(request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        let mut left: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version"]);
        assert!(!asked("a[b").0, "no authority");
    }
}
