//! Copies of requests for somebody who shall see them too.
//!
//! A copy is made when the request itself has its answer, so it can't delay it; what becomes of it nobody is told.
//! What can't be kept is not copied: a body that was too large to be kept, and an upgrade. Copies are bounded for each
//! core: beyond [`COPIES_MAX`] there are none until one is done. They are sent by HTTP/1.1.

use crate::{
    core::Core,
    destination::Seat,
    http1::{Ask, RequestBody},
    pool::Endpoint,
};
use http::Request;
use quorate_rt::time::timeout;
use quorate_telemetry::label::Mirrored;
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

/// Most copies that one core has under way.
pub(crate) const COPIES_MAX: usize = 128;
/// Most bytes of an answer that are read so that its connection can be used again.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A place among the copies.
struct Place(Arc<Core>);

impl Place {
    fn take(core: &Arc<Core>) -> Option<Self> {
        let place = Self(core.clone());
        (core.copies.fetch_add(1, Ordering::Relaxed) < COPIES_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends a copy, in a task of its own.
pub(crate) fn send(core: &Arc<Core>, to: &Seat, request: Request<RequestBody>) {
    let Some(place) = Place::take(core) else { return core.counters.mirrored(Mirrored::TurnedAway) };
    let (endpoint, ticket) = to.take(core.deadlines.now());
    let limit = core.config.request_timeout;
    quorate_rt::spawn(async move {
        let ended = timeout(limit, exchange(&place.0, &endpoint, request)).await;
        let is_answered = matches!(ended, Ok(Some(())));
        place.0.counters.mirrored(if is_answered { Mirrored::Answered } else { Mirrored::Failed });
        drop((ticket, place));
    });
}

async fn exchange(core: &Core, endpoint: &Endpoint, request: Request<RequestBody>) -> Option<()> {
    core.desk.follow_tunnel(endpoint);
    let mut upstream = match endpoint.take() {
        Some(upstream) => upstream,
        None => core.dialer.dial(endpoint, core.config.limits.worker_connections_max).await.ok()?,
    };
    let watch = core.deadlines.watch()?;
    let (head, body) = request.into_parts();
    let ask = Ask { method: &head.method, target: &head.uri, headers: &head.headers, more: None };
    upstream.ask(&ask, body);
    upstream.answer(&watch).await.ok()?;
    let mut read = 0;
    let is_whole = poll_fn(|cx| {
        loop {
            match upstream.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    read += frame.data_ref().map_or(0, |piece| piece.len() as u64);
                    if read > ANSWER_BYTES_MAX {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    if is_whole {
        endpoint.put(upstream, core.deadlines.now());
    }
    Some(())
}
