//! A client's connection, and a task for each of its streams; served by hyper.

use super::{Session, body::PiecedBody, request, session::Overdue, socket::Socket};
use crate::{
    Limits, client::Client, core::Stage, deadline::Registered, serve::serve, transport::Transport, websocket,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::{body::Incoming, rt::Executor, server::conn::http2::Builder};
use hyper_util::rt::TokioIo;
use quorate_rt::http::Timer;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

/// Serves one client until the connection ends, has been idle for too long, or is told to end.
pub(crate) async fn connection(transport: Transport, early: Bytes, client: Arc<Client>) {
    let session = Session::new(client.clone());
    let io = TokioIo::new(Socket::new(transport, early, session.clone()));
    let service = {
        let session = session.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let stream = session.open();
            async move {
                match stream {
                    Some(stream) => Ok(answer(&stream, request).await),
                    // The client may send it again, here or elsewhere: nothing was done with it.
                    None => Err(h2::Error::from(h2::Reason::REFUSED_STREAM)),
                }
            }
        })
    };
    let exec = Exec(session.clone());
    let connection = builder(&client.core.config.limits, exec).serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut registered = Registered::default();
    poll_fn(|cx| {
        registered.keep(&client.watch, cx);
        let core = &client.core;
        if core.is(Stage::Halted) {
            return Poll::Ready(());
        }
        let told = core.is(Stage::Draining) || core.is(Stage::Leaving) && session.is_used();
        let overdue = session.overdue();
        if overdue == Some(Overdue::Cut) {
            return Poll::Ready(());
        }
        if overdue == Some(Overdue::Leave) || told && session.leave() {
            connection.as_mut().graceful_shutdown();
        }
        // How a connection ended is the client's affair: what went wrong in a request was told there.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

fn builder(limits: &Limits, exec: Exec) -> Builder<Exec> {
    let mut builder = Builder::new(exec);
    builder
        .timer(Timer)
        .keep_alive_interval(Some(limits.http2_ping_interval))
        .keep_alive_timeout(limits.http2_ping_timeout)
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits.http2_stream_window)
        .initial_connection_window_size(limits.http2_connection_window)
        .max_send_buf_size(limits.http2_send_buffer)
        .max_pending_accept_reset_streams(limits.http2_early_resets_max)
        .max_local_error_reset_streams(limits.http2_own_resets_max)
        .enable_connect_protocol();
    builder
}

/// Answers the one request of a stream.
async fn answer(stream: &Arc<Client>, mut request: Request<Incoming>) -> Response<PiecedBody> {
    request::prepare(&mut request);
    let handshake = websocket::prepare(&mut request);
    let method = request.method().clone();
    let mut response = serve(stream, request).await;
    if handshake && response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 8441, 5: a 200 opens the tunnel, and nothing of the handshake is left.
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(header::UPGRADE);
        response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
    }
    // There is no such field here (RFC 9113, 8.2.2): a connection that ends says so by itself.
    response.headers_mut().remove(header::CONNECTION);
    response.map(|body| PiecedBody::to(&method, body, stream))
}

/// Spawns hyper's tasks: each of its streams within its deadline.
#[derive(Clone)]
struct Exec(Arc<Session>);

impl<F> Executor<F> for Exec
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        match self.0.take_next() {
            Some(stream) => drop(quorate_rt::spawn(async move {
                // What is dropped unfinished is reset.
                let _ = stream.attend(future).await;
            })),
            // Bytes for a tunnel, which has a deadline of its own; or a stream that is refused.
            None => drop(quorate_rt::spawn(future)),
        }
    }
}
