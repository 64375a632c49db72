//! A client's connection, served by hyper.

use super::socket::ClientSocket;
use crate::{client::Client, core::Stage, serve::serve, transport::Transport};
use bytes::Bytes;
use hyper::{Request, body::Incoming, server::conn::http1::Builder};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, Waker},
};

/// Serves one client until the connection ends, is overdue, or is told to end. `early` was read from it already.
pub(crate) async fn connection(transport: Transport, early: Bytes, client: Arc<Client>) {
    let socket = ClientSocket { transport, early, client: client.clone() };
    let header_bytes_max = client.core.config.limits.header_bytes_max;
    let service = {
        let client = client.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let client = client.clone();
            async move { Ok::<_, Infallible>(serve(&client, request).await) }
        })
    };
    let connection = Builder::new()
        // Its timer is one per request; deadlines here are the core's.
        .header_read_timeout(None)
        .max_header_size(header_bytes_max)
        // The buffer must hold a head that is one byte too large, or it could not be told from a slow one.
        .max_buf_size(header_bytes_max + BUFFER_SLACK)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut registered: Option<Waker> = None;
    let mut told_to_finish = false;
    poll_fn(|cx| {
        if !registered.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            client.watch.register(cx.waker());
            registered = Some(cx.waker().clone());
        }
        if client.core.is(Stage::Halted) || client.is_overdue() {
            return Poll::Ready(());
        }
        if client.core.is(Stage::Draining) && !told_to_finish {
            told_to_finish = true;
            connection.as_mut().graceful_shutdown();
        }
        // How a connection ended is the client's affair: what went wrong in a request was told there.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

const BUFFER_SLACK: usize = 8 << 10;
