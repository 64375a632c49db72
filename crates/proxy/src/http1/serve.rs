//! A client's connection, served by hyper while it has something to serve.
//!
//! hyper keeps two buffers of 8 KiB for each connection, and the state of a request, for as long as it has the
//! connection. Most connections of most clients are idle. So after a while without a request hyper is taken away and
//! only the socket is kept, until there is something to read.

use super::socket::ClientSocket;
use crate::{client::Client, core::Stage, deadline::Registered, serve::serve, transport::Transport};
use bytes::Bytes;
use hyper::{Request, body::Incoming, server::conn::http1::Builder};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

/// Serves one client until the connection ends, is overdue, or is told to end. `early` was read from it already.
pub(crate) async fn connection(mut transport: Transport, mut early: Bytes, client: Arc<Client>) {
    // Boxed: what a connection at rest does not need is given back.
    while let Some(rested) = Box::pin(serve_on(transport, early, &client)).await {
        (transport, early) = rested;
        if early.is_empty() {
            // Even with nothing in it, it holds the buffer that it is a part of.
            drop(early);
            let Some(more) = rest(&mut transport, &client).await else { return };
            early = more;
        }
    }
}

/// Serves until the connection is over, or has had nothing to do for a while. What of it was read and not looked at.
async fn serve_on(transport: Transport, early: Bytes, client: &Arc<Client>) -> Option<(Transport, Bytes)> {
    let socket = ClientSocket { transport, early, client: client.clone() };
    let header_bytes_max = client.core.config.limits.header_bytes_max;
    let service = {
        let client = client.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let client = client.clone();
            async move { Ok::<_, Infallible>(serve(&client, request).await) }
        })
    };
    let mut connection = Builder::new()
        // Its timer is one per request; deadlines here are the core's.
        .header_read_timeout(None)
        .max_header_size(header_bytes_max)
        // The buffer must hold a head that is one byte too large, or it could not be told from a slow one.
        .max_buf_size(header_bytes_max + BUFFER_SLACK)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut registered = Registered::default();
    let mut told_to_finish = false;
    let end = poll_fn(|cx| {
        registered.keep(&client.watch, cx);
        if client.may_rest() {
            return Poll::Ready(End::Idle);
        }
        if client.core.is(Stage::Halted) || client.is_overdue() {
            return Poll::Ready(End::Over);
        }
        // How a connection ended is the client's affair: what went wrong in a request was told there.
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(End::Over);
        }
        // Only now: a request that is there already is answered.
        if client.core.is(Stage::Draining) && !told_to_finish {
            told_to_finish = true;
            Pin::new(&mut connection).graceful_shutdown();
            return Pin::new(&mut connection).poll(cx).map(|_| End::Over);
        }
        Poll::Pending
    })
    .await;
    match end {
        End::Over => None,
        End::Idle => {
            let parts = connection.into_parts()?;
            client.resting();
            Some((parts.io.into_inner().transport, parts.read_buf))
        }
    }
}

/// Why hyper is done with a connection.
enum End {
    Over,
    Idle,
}

/// Waits for something to read, and reads it. `None`: the connection is over.
async fn rest(transport: &mut Transport, client: &Client) -> Option<Bytes> {
    let mut early = Vec::new();
    let read = client.attend(poll_fn(|cx| {
        match transport.poll_first(cx, &mut early) {
            // Only now: a request that is there already is answered.
            Poll::Pending if client.core.is(Stage::Draining) => Poll::Ready(Ok(0)),
            polled => polled,
        }
    }));
    read.await?.ok().filter(|length| *length > 0)?;
    client.received();
    Some(early.into())
}

const BUFFER_SLACK: usize = 8 << 10;
