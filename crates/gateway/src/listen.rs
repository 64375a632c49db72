//! The gateway's listener: HTTP/1.1, until a client asks to speak WebSocket.
//!
//! Connections that have not asked yet are bounded apart from those that have, in number and in time: a client that never
//! asks keeps nobody out for long. Those of one address count from here on.

use crate::{admit::Visitor, answer::Answers};
use hyper::{server::conn::http1, service::service_fn};
use quorate_rt::{
    http::{Timer, hyper_io},
    net::{self, TcpListener, TcpStream},
    shutdown::Shutdown,
    time::{self, Duration},
};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that speak HTTP still. When full, new ones wait in the kernel's backlog.
const HTTP_MAX: usize = 4_096;
/// A client has this long to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A connection that has not become a WebSocket by then is closed, after the request that is under way.
const HTTP_WITHIN: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes; beyond it 431.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A client whose machine is gone without a word is found after this time.
///
/// Twice the contract's interval of pings: presence must not name it for longer. The pings that do not come would say so
/// too, but later, because a client that lives may be late with them.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes connections until `shutdown`. Those that are open go on.
pub async fn listen(listener: TcpListener, answers: Answers, mut shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(HTTP_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.wait() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((tcp, remote, place)) = accepted else { continue };
        match answers.door.accept(remote.ip()) {
            Ok(visitor) => {
                quorate_rt::spawn(serve(tcp, visitor, answers.clone(), (place, shutdown.clone())));
            }
            Err(why) => answers.desk.counters.turned_away(why),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((tcp, remote)) => Some((tcp, remote, place)),
        Err(_) => {
            // Out of file descriptors, or the peer is gone: neither ends the listener.
            time::sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

async fn serve(
    tcp: TcpStream,
    visitor: Arc<Visitor>,
    answers: Answers,
    (place, mut shutdown): (OwnedSemaphorePermit, Shutdown),
) {
    // A socket that is already closed refuses the option; the next read says so.
    let _ = net::give_up_after(&tcp, SILENCE);
    let service = service_fn(move |request| {
        let answer = answers.answer(request, &visitor);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(hyper_io(tcp), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        biased;
        // Also when it has left HTTP: the rest goes on elsewhere.
        _ = connection.as_mut() => return drop(place),
        () = shutdown.wait() => {}
        () = time::sleep(HTTP_WITHIN) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = time::timeout(HEAD_WITHIN, connection).await;
    drop(place);
}
