//! Connections are accepted, within the bounds.

use crate::{
    client::Client,
    core::{Core, Stage},
    http1, opening,
};
use quorate_model::Scheme;
use quorate_rt::{
    net::{TcpListener, TcpStream},
    published::Reader,
    shutdown::Shutdown,
    time::sleep,
    tls,
};
use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What ends a core, in this order; each may come without the one before.
#[derive(Clone)]
pub(crate) struct Ends {
    /// Clients are asked to leave.
    pub leave: Shutdown,
    /// No new ones are taken.
    pub close: Shutdown,
}

/// Where a core's clients come in.
pub(crate) struct Door {
    pub listener: TcpListener,
    /// They have to speak TLS, by the certificate that is newest when they connect.
    pub tls: Option<Reader<tls::Acceptor>>,
}

/// Accepts until it is told to close. What the kernel has accepted by then is served too: closing the listener
/// would reset it.
pub(crate) async fn accept(core: &Arc<Core>, door: Door, places: &Arc<Semaphore>, mut ends: Ends) {
    let Door { listener, mut tls } = door;
    let mut newest = || tls.as_mut().map(|tls| (**tls.load()).clone());
    let mut leaving = false;
    loop {
        // A place first: without one, clients wait in the kernel's backlog, not in our memory.
        let accepted = tokio::select! {
            biased;
            () = ends.close.wait() => break,
            () = ends.leave.wait(), if !leaving => {
                leaving = true;
                core.enter(Stage::Leaving);
                continue;
            }
            accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((tcp, peer))) => welcome(core, (tcp, newest()), peer, place),
            // Out of file descriptors, or the peer is gone: neither ends the listener.
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
    while let Ok(place) = places.clone().try_acquire_owned() {
        let Poll::Ready(Ok((tcp, peer))) = pin!(listener.accept()).poll(&mut http1::upstream::quiet()) else {
            break;
        };
        welcome(core, (tcp, newest()), peer, place);
    }
}

fn welcome(
    core: &Arc<Core>,
    (tcp, tls): (TcpStream, Option<tls::Acceptor>),
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    // There are more watches per core than places in all.
    let Some(watch) = core.deadlines.watch() else { return };
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    let client = Client::new(core.clone(), watch, (peer.ip(), scheme), place);
    quorate_rt::spawn(opening::connection(tcp, tls, client));
}
