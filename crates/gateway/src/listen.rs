//! The gateway's listener: HTTP/1.1, by TLS where there is a certificate, until a client asks to speak WebSocket.
//!
//! Connections that have not asked yet are bounded apart from those that have, in number and in time: a client that never
//! asks, or never ends its handshake of TLS, keeps nobody out for long. Those of one address count from here on.

use crate::{admit::Visitor, answer::Answers};
use hyper::{server::conn::http1, service::service_fn};
use quorate_rt::{
    duplex,
    http::{DirtyFlush, DuplexIo, Timer},
    net::{self, TcpListener, TcpStream},
    published::Reader,
    shutdown::Shutdown,
    time::{self, Duration},
    tls,
};
use quorate_telemetry::gateway::TurnedAway;
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that speak HTTP still. When full, new ones wait in the kernel's backlog.
const HTTP_MAX: usize = 4_096;
/// A client has this long for its handshake of TLS, and then to send a request's head.
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

/// By what those who speak TLS are shown the certificate; `None`: nobody does.
pub type Shown = Option<Reader<tls::Acceptor>>;

/// Takes connections until `shutdown`. Those that are open go on.
pub async fn listen(listener: TcpListener, mut shown: Shown, answers: Answers, mut shutdown: Shutdown) {
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
                // The newest one: it may have been renewed.
                let tls = shown.as_mut().map(|shown| (**shown.load()).clone());
                quorate_rt::spawn(welcome((tcp, tls), visitor, answers.clone(), (place, shutdown.clone())));
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

async fn welcome(
    (tcp, tls): (TcpStream, Option<tls::Acceptor>),
    visitor: Arc<Visitor>,
    answers: Answers,
    (place, mut shutdown): (OwnedSemaphorePermit, Shutdown),
) {
    // A socket that is already closed refuses the options; the next read says so.
    let _ = (net::give_up_after(&tcp, SILENCE), tcp.set_nodelay(true));
    let tcp = DirtyFlush::new(tcp);
    let Some(tls) = tls else { return serve(Box::new(tcp), visitor, answers, (place, shutdown)).await };
    let shaken = tokio::select! {
        biased;
        () = shutdown.wait() => return,
        shaken = time::timeout(HEAD_WITHIN, tls.accept(tcp)) => shaken,
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no handshake of TLS in time");
    match shaken.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => serve(Box::new(stream), visitor, answers, (place, shutdown)).await,
        // It has left: whoever looks whether a port is open does no more.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {}
        Err(error) => {
            answers.desk.counters.turned_away(TurnedAway::Tls);
            tracing::debug!(address = %visitor.address(), %error, "a client was not let in");
        }
    }
}

async fn serve(
    io: duplex::Stream,
    visitor: Arc<Visitor>,
    answers: Answers,
    (place, mut shutdown): (OwnedSemaphorePermit, Shutdown),
) {
    let service = service_fn(move |request| {
        let answer = answers.answer(request, &visitor);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(DuplexIo::new(io), service)
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
    // A timeout around it can't be shown to be `Send` in the simulator.
    tokio::select! {
        biased;
        _ = connection => {}
        () = time::sleep(HEAD_WITHIN) => {}
    }
    drop(place);
}
