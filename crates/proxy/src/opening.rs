//! The first bytes of a connection say what it speaks.
//!
//! By TLS the handshake does, where the client takes part in ALPN. Otherwise an HTTP/2 client begins with a preface
//! that no HTTP/1.1 request begins with (RFC 9113, 3.4). The first read is one that would be made anyway, and what it
//! brought is handed on: an HTTP/1.1 connection pays with one copy in its life.

use crate::{client::Client, http1, http2, transport::Transport};
use bytes::Bytes;
use quorate_rt::{http::DirtyFlush, net::TcpStream, tls};
use std::{future::poll_fn, io, sync::Arc};

/// What every HTTP/2 client says first.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// A connection of which that is known, and what was read to know it.
struct Opened {
    transport: Transport,
    speaks: Speaks,
    early: Bytes,
}

/// Serves one client until its connection ends.
pub(crate) async fn connection(tcp: TcpStream, tls: Option<tls::Acceptor>, client: Arc<Client>) {
    // A socket that is already closed refuses the option; the next read says so.
    let _ = tcp.set_nodelay(true);
    let tcp = DirtyFlush::new(tcp);
    let opened = match tls {
        None => client.attend(listen_in(Transport::Plain(tcp))).await,
        // Boxed here and below: what is rare shall not make the state of each connection larger.
        Some(tls) => client.attend(Box::pin(shake_hands(tls, tcp))).await,
    };
    // Who says nothing, nothing in time or nothing that is TLS gets no answer.
    let Some(Ok(Some(Opened { transport, speaks, early }))) = opened else { return };
    match speaks {
        Speaks::Http1 => http1::serve::connection(transport, early, client).await,
        Speaks::Http2 => Box::pin(http2::serve::connection(transport, early, client)).await,
    }
}

async fn shake_hands(tls: tls::Acceptor, tcp: DirtyFlush<TcpStream>) -> io::Result<Option<Opened>> {
    let stream = tls.accept(tcp).await?;
    let speaks = match tls::agreed_protocol(&stream) {
        Some(b"h2") => Speaks::Http2,
        Some(_) => Speaks::Http1,
        None => return listen_in(Transport::Wrapped(Box::new(stream))).await,
    };
    Ok(Some(Opened { transport: Transport::Wrapped(Box::new(stream)), speaks, early: Bytes::new() }))
}

/// Reads until it is known. `None`: the client left before.
async fn listen_in(mut transport: Transport) -> io::Result<Option<Opened>> {
    let mut early = Vec::new();
    loop {
        if poll_fn(|cx| transport.poll_first(cx, &mut early)).await? == 0 {
            return Ok(None);
        }
        if let Some(speaks) = spoken(&early) {
            return Ok(Some(Opened { transport, speaks, early: early.into() }));
        }
    }
}

/// What a client speaks who begins like this. `None`: that is not said yet.
fn spoken(early: &[u8]) -> Option<Speaks> {
    if early.starts_with(PREFACE) {
        Some(Speaks::Http2)
    } else if PREFACE.starts_with(early) {
        None
    } else {
        Some(Speaks::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the state of a connection takes, whichever it turns out to be.
    fn state_of<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_is_rare_costs_an_ordinary_connection_nothing() {
        let (whole, http1) = (state_of(connection), state_of(http1::serve::connection));
        assert!(whole <= http1 + 512, "{whole} bytes, of which HTTP/1.1 takes {http1}");
    }

    #[test]
    fn the_preface_and_nothing_else_is_http2() {
        for end in 0..PREFACE.len() {
            assert_eq!(spoken(&PREFACE[..end]), None, "{end}");
            let mut other = PREFACE[..end].to_vec();
            other.push(b'!');
            assert_eq!(spoken(&other), Some(Speaks::Http1), "{end}");
        }
        assert_eq!(spoken(PREFACE), Some(Speaks::Http2));
        assert_eq!(spoken(&[PREFACE, &b"\0\0\0"[..]].concat()), Some(Speaks::Http2));
        for other in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n", "\r\n"] {
            assert_eq!(spoken(other.as_bytes()), Some(Speaks::Http1), "{other}");
        }
    }
}
