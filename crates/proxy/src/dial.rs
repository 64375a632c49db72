//! New connections to workers.

use crate::{
    http1::{Upstream, socket::WorkerSocket},
    pool::Endpoint,
};
use quorate_model::Scheme;
use quorate_rt::{blocking, http::DirtyFlush, net::TcpStream, time::timeout, tls};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// Dials, in the clear or by TLS.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Arc<OnceCell<tls::Connector>>,
    header_bytes_max: usize,
    limit: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Refused, unreachable, or the name has no address.
    #[error("connect to {authority}: {source}")]
    Connect { authority: String, source: io::Error },
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
    /// hyper refused the socket.
    #[error("connect to {authority}: {source}")]
    Setup { authority: String, source: hyper::Error },
}

impl Dialer {
    /// Reads the file of authorities, if there is one: a wrong one is told at the start, not to the first client.
    pub async fn new(
        authorities: Option<PathBuf>,
        header_bytes_max: usize,
        limit: Duration,
    ) -> Result<Self, tls::Error> {
        let tls = OnceCell::new();
        if authorities.is_some() {
            let connector = blocking(move || tls::Connector::new(authorities.as_deref())).await?;
            tls.set(connector).ok();
        }
        Ok(Self { tls: Arc::new(tls), header_bytes_max, limit })
    }

    /// A new connection to a worker, TLS included.
    pub async fn dial(&self, endpoint: &Endpoint) -> Result<Upstream, Error> {
        let authority = || endpoint.authority.clone();
        let socket = timeout(self.limit, self.socket(endpoint))
            .await
            .map_err(|_| Error::TooSlow { authority: authority(), limit: self.limit })??;
        Upstream::new(socket, self.header_bytes_max)
            .await
            .map_err(|source| Error::Setup { authority: authority(), source })
    }

    async fn socket(&self, endpoint: &Endpoint) -> Result<WorkerSocket, Error> {
        let authority = || endpoint.authority.clone();
        let tcp = TcpStream::connect(endpoint.authority.as_str())
            .await
            .map_err(|source| Error::Connect { authority: authority(), source })?;
        // A socket that is already closed refuses the option; the first write says so.
        let _ = tcp.set_nodelay(true);
        let tcp = DirtyFlush::new(tcp);
        match endpoint.address.scheme() {
            Scheme::Http => Ok(WorkerSocket::Plain(tcp)),
            Scheme::Https => {
                let host = endpoint.address.host();
                let connected = self.connector().await?.connect(host, tcp).await;
                connected.map(|stream| WorkerSocket::Tls(Box::new(stream))).map_err(|source| {
                    match source.kind() {
                        io::ErrorKind::InvalidInput => Error::BadName { host: host.to_owned() },
                        _ => Error::Handshake { authority: authority(), source },
                    }
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
