//! A 101 from the worker turns the connection into a tunnel.
//!
//! Only the worker's 101 does. A client that sends `Upgrade` and then speaks as if it had been agreed to is still
//! talking to an HTTP server, so it can't smuggle requests past the decision. `h2c` is never passed on: a worker
//! that agreed to it would take further requests on the tunnel, undecided and unseen.

use crate::{
    client::Client,
    core::Stage,
    destination::Ticket,
    headers::lists,
    http1::{AnswerBody, Upstream},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, Waker},
};
use tokio::io::{AsyncWriteExt, copy_bidirectional};

/// What a client wants to speak instead of HTTP.
pub(crate) struct Wanted {
    pub protocol: HeaderValue,
    client: OnUpgrade,
}

/// Why a worker's 101 is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the worker switched protocols, and nobody had asked it to")]
    Unasked,
    #[error("the worker switched to another protocol than the client asked for")]
    OtherProtocol,
}

/// The upgrade that a request asks for, if it is one that is passed on.
pub(crate) fn wanted(request: &mut Request<Incoming>) -> Option<Wanted> {
    let headers = request.headers();
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else { return None };
    let asks = request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && lists(headers, header::CONNECTION, "upgrade")
        && !lists(headers, header::UPGRADE, "h2c");
    let protocol = asks.then(|| protocol.clone())?;
    Some(Wanted { protocol, client: hyper::upgrade::on(request) })
}

/// Passes a worker's 101 on and opens the tunnel.
pub(crate) fn switch(
    mut response: Response<Incoming>,
    (upstream, ticket): (Upstream, Ticket),
    wanted: Option<Wanted>,
    client: &Arc<Client>,
) -> Result<Response<AnswerBody>, Refused> {
    let wanted = wanted.ok_or(Refused::Unasked)?;
    let agreed = response.headers_mut().remove(header::UPGRADE);
    if !agreed.is_some_and(|a| a.as_bytes().eq_ignore_ascii_case(wanted.protocol.as_bytes())) {
        return Err(Refused::OtherProtocol);
    }
    quorate_rt::spawn(tunnel(wanted.client, (upstream, ticket), client.clone()));
    let mut answer = response.map(|_| AnswerBody::own(Bytes::new(), client));
    crate::headers::Stamp::strip(answer.headers_mut());
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(header::UPGRADE, wanted.protocol);
    debug_assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    Ok(answer)
}

/// Copies both ways until both are done; an end on one side is passed on to the other, which may go on. The
/// client's place among the connections stays taken.
async fn tunnel(client_side: OnUpgrade, (upstream, ticket): (Upstream, Ticket), client: Arc<Client>) {
    // Fails if the client went away first; then there is nothing to connect.
    let Ok(client_side) = client_side.await else { return };
    client.tunnelled();
    client.core.counters.tunnel_opened();
    let (mut worker_io, early) = upstream.into_socket().await;
    // What the bytes mean is not known any more, nor how long somebody may take over them.
    worker_io.bear_standstill();
    let mut client_io = TokioIo::new(client_side);
    let mut copying = pin!(async {
        // What the worker said in one breath with its 101.
        client_io.write_all(&early).await?;
        copy_bidirectional(&mut client_io, &mut worker_io).await
    });
    let mut registered: Option<Waker> = None;
    poll_fn(|cx| {
        if !registered.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            client.watch.register(cx.waker());
            registered = Some(cx.waker().clone());
        }
        if client.core.is(Stage::Halted) { Poll::Ready(()) } else { copying.as_mut().poll(cx).map(drop) }
    })
    .await;
    client.core.counters.tunnel_closed();
    drop(ticket);
}
