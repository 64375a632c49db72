//! New connections to workers.

use crate::{
    config::Limits,
    http1::{
        Upstream,
        socket::{WorkerSocket, Wrapped},
    },
    http2::upstream::{Dialled, Fresh},
    pool::{Counted, Endpoint, Protocol},
    tunnel::Tunnels,
};
use quorate_model::Scheme;
use quorate_rt::{
    blocking,
    http::DirtyFlush,
    net::{self, TcpStream},
    time::timeout,
    tls::{self, Alpn},
};
use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// Dials, in the clear, by TLS or by way of a tunnel.
#[derive(Clone)]
pub(crate) struct Dialer {
    tunnels: Arc<dyn Tunnels>,
    tls: Arc<OnceCell<tls::Connector>>,
    limits: Limits,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Refused, unreachable, or the name has no address.
    #[error("connect to {authority}: {source}")]
    Connect { authority: String, source: io::Error },
    /// Nobody holds the tunnel, or nothing is at its end.
    #[error("{authority}: {source}")]
    Tunnel { authority: String, source: io::Error },
    /// Neither accepted nor refused.
    #[error("connect to {authority}: no connection within {limit:?}")]
    TooSlow { authority: String, limit: Duration },
    /// The handshake failed: wrong name, unknown authority, not TLS at all.
    #[error("TLS with {authority}: {source}")]
    Handshake { authority: String, source: io::Error },
    /// There is nothing to check a certificate against.
    #[error(transparent)]
    Authorities(#[from] tls::Error),
    /// The host is neither a DNS name nor an IP address.
    #[error("`{host}` is no name that a certificate could be for")]
    BadName { host: String },
    /// It does not greet as HTTP/2 has it.
    #[error("HTTP/2 with {authority}: {source}")]
    Greeting { authority: String, source: Box<h2::Error> },
    /// It speaks TLS, and not HTTP/2.
    #[error("HTTP/2 with {authority}: the worker did not choose it in the TLS handshake")]
    NotHttp2 { authority: String },
    /// Not even tried.
    #[error("connect to {authority}: all {max} connections are in use")]
    Full { authority: String, max: usize },
}

impl Dialer {
    /// Reads the file of authorities, if there is one: a wrong one is told at the start, not to the first client.
    pub async fn new(
        authorities: Option<PathBuf>,
        tunnels: Arc<dyn Tunnels>,
        limits: Limits,
    ) -> Result<Self, tls::Error> {
        let tls = OnceCell::new();
        if authorities.is_some() {
            let connector = blocking(move || tls::Connector::new(authorities.as_deref())).await?;
            tls.set(connector).ok();
        }
        Ok(Self { tunnels, tls: Arc::new(tls), limits })
    }

    /// A new connection to a worker for one request at a time, TLS included. The core may have `max` to it.
    pub async fn dial(&self, endpoint: &Endpoint, max: usize) -> Result<Upstream, Error> {
        let authority = || endpoint.authority.clone();
        let dialling = endpoint.dialling(max).ok_or_else(|| Error::Full { authority: authority(), max })?;
        let socket = self.within(endpoint, self.socket(endpoint, Alpn::Http1)).await?;
        Ok(self.upstream(socket, dialling.opened()))
    }

    /// A new connection for many requests, or what the worker chooses instead of it.
    pub async fn dial_shared(&self, endpoint: &Endpoint, max: usize) -> Result<Dialled, Error> {
        let full = || Error::Full { authority: endpoint.authority.clone(), max };
        let dialling = endpoint.dialling(max).ok_or_else(full)?;
        let greeted = self.within(endpoint, async {
            let alpn = if endpoint.protocol == Protocol::ByAlpn { Alpn::Either } else { Alpn::Http2 };
            let socket = self.socket(endpoint, alpn).await?;
            match (socket.alpn(), endpoint.protocol) {
                (Some(b"h2"), _) | (None, Protocol::H2c) => {}
                (Some(_) | None, Protocol::ByAlpn) => return Ok(Err(socket)),
                // In the clear nothing is chosen.
                (_, Protocol::H2) if endpoint.address.scheme() == Scheme::Http => {}
                (_, Protocol::H2 | Protocol::H2c | Protocol::Http1) => {
                    return Err(Error::NotHttp2 { authority: endpoint.authority.clone() });
                }
            }
            let greeted = Fresh::greet(socket, &self.limits).await;
            greeted.map(Ok).map_err(|source| Error::Greeting {
                authority: endpoint.authority.clone(),
                source: source.into(),
            })
        });
        match greeted.await? {
            Ok(fresh) => Ok(Dialled::Shared(fresh, dialling.opened())),
            Err(socket) => Ok(Dialled::Own(self.upstream(socket, dialling.opened()))),
        }
    }

    async fn within<T>(
        &self,
        endpoint: &Endpoint,
        dial: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.limits.dial_timeout;
        timeout(limit, dial)
            .await
            .map_err(|_| Error::TooSlow { authority: endpoint.authority.clone(), limit })?
    }

    fn upstream(&self, socket: WorkerSocket, counted: Counted) -> Upstream {
        Upstream::new(socket, self.limits.header_bytes_max, counted)
    }

    async fn socket(&self, endpoint: &Endpoint, alpn: Alpn) -> Result<WorkerSocket, Error> {
        let authority = || endpoint.authority.clone();
        if let Some(name) = endpoint.address.tunnel() {
            let opened = self.tunnels.open(name).await;
            return opened
                .map(|stream| WorkerSocket::Wrapped(Box::new(Wrapped::Tunnel(stream))))
                .map_err(|source| Error::Tunnel { authority: authority(), source });
        }
        let tcp = TcpStream::connect(endpoint.authority.as_str())
            .await
            .map_err(|source| Error::Connect { authority: authority(), source })?;
        // A socket that is already closed refuses the options; the first write says so.
        let _ = tcp.set_nodelay(true);
        let _ = net::give_up_after(&tcp, self.limits.worker_silence);
        let tcp = DirtyFlush::new(tcp);
        match endpoint.address.scheme() {
            Scheme::Http => Ok(WorkerSocket::Plain(tcp)),
            Scheme::Https => {
                let host = endpoint.address.host();
                let connected = self.connector().await?.connect(host, tcp, alpn).await;
                let wrapped = |stream| WorkerSocket::Wrapped(Box::new(Wrapped::Tls(stream)));
                connected.map(wrapped).map_err(|source| match source.kind() {
                    io::ErrorKind::InvalidInput => Error::BadName { host: host.to_owned() },
                    _ => Error::Handshake { authority: authority(), source },
                })
            }
        }
    }

    /// Without a file of authorities it is made when the first https worker is dialled: a node without any needs
    /// no authorities at all.
    async fn connector(&self) -> Result<&tls::Connector, Error> {
        Ok(self.tls.get_or_try_init(|| blocking(|| tls::Connector::new(None))).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http2::upstream::{
            Got, Links, Turn,
            link::Bounds,
            links::{More, Room},
        },
        pool::PoolBounds,
        tunnel::NoTunnels,
    };
    use quorate_model::Address;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// What comes of dialling a worker that does `serve` with its connection.
    async fn dialled<F: Future<Output = ()> + Send + 'static>(
        protocol: Protocol,
        limits: Limits,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> Result<Dialled, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        quorate_rt::spawn(async move { serve(listener.accept().await.unwrap().0).await });
        let endpoint = Endpoint::new(address, protocol, PoolBounds::of(&limits));
        let max = limits.worker_connections_max;
        Dialer::new(None, Arc::new(NoTunnels), limits).await.unwrap().dial_shared(&endpoint, max).await
    }

    async fn serve_http2(tcp: TcpStream) {
        let mut connection = h2::server::handshake(tcp).await.unwrap();
        while connection.accept().await.is_some() {}
    }

    #[tokio::test]
    async fn http2_is_spoken_without_asking_where_it_is_known() {
        for protocol in [Protocol::H2c, Protocol::H2] {
            let got = dialled(protocol, Limits::default(), serve_http2).await;
            assert!(matches!(got, Ok(Dialled::Shared(..))), "{protocol:?}: {:?}", got.err());
        }
    }

    #[tokio::test]
    async fn a_worker_that_speaks_http1_is_told_from_one_that_speaks_http2() {
        let got = dialled(Protocol::H2c, Limits::default(), |mut tcp| async move {
            let mut heard = [0; 24];
            tcp.read_exact(&mut heard).await.unwrap();
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            std::future::pending().await
        })
        .await;
        assert!(matches!(got, Err(Error::Greeting { .. })), "{:?}", got.err());
    }

    #[tokio::test]
    async fn a_worker_that_does_not_greet_is_given_up() {
        let limits = Limits { dial_timeout: Duration::from_millis(200), ..Limits::default() };
        let got = dialled(Protocol::H2c, limits, |tcp| async move {
            std::future::pending::<()>().await;
            drop(tcp);
        })
        .await;
        assert!(matches!(got, Err(Error::TooSlow { .. })), "{:?}", got.err());
    }

    #[tokio::test]
    async fn a_connection_that_was_just_used_is_not_an_old_one() {
        let limits = Limits::default();
        let got = dialled(Protocol::H2c, limits, serve_http2).await;
        let links = Links::new(Bounds::of(&limits));
        let room = Room { links_max: 1, waiting_max: 0 };
        let Turn::WaitAndDial(waiting, mut dial) = links.turn(0, room) else { panic!("there is none yet") };
        assert!(dial.done(got, 10_000) == More::Enough);
        let Ok(Ok(Got::Place(place))) = waiting.await else { panic!("it has room") };
        drop(place);
        links.sweep(10_009, 900);
        assert!(!links.is_empty(), "thrown away after a second");
        links.sweep(10_900, 900);
        assert!(links.is_empty(), "kept for longer than it may be");
    }

    #[tokio::test]
    async fn connections_are_counted_while_they_live() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let limits = Limits::default();
        let endpoint = Endpoint::new(address, Protocol::Http1, PoolBounds::of(&limits));
        let dialer = Dialer::new(None, Arc::new(NoTunnels), limits).await.unwrap();
        let dialling = endpoint.dialling(2).expect("room");
        let first = dialer.dial(&endpoint, 2).await.expect("it listens");
        assert_eq!((endpoint.open(), endpoint.being_dialled()), (1, 1));
        assert!(matches!(dialer.dial(&endpoint, 2).await, Err(Error::Full { max: 2, .. })));
        drop(dialling);
        let second = dialer.dial(&endpoint, 2).await.expect("it listens");
        assert_eq!((endpoint.open(), endpoint.being_dialled()), (2, 0));
        drop((first, second));
        assert_eq!(endpoint.open(), 0);
    }
}
