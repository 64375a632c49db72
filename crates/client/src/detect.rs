//! Whether a service is there: it accepts a connection, or says over HTTP that it is well.
//!
//! Each look is a connection of its own. A kept one would say that a process lives which has stopped to listen.

use crate::{
    Error, Url,
    nodes::causes,
    tasks,
    tls::{self, Roots},
};
use reqwest::{Client, redirect};
use std::{fmt, time::Duration};
use tokio::net::TcpStream;

/// How a service is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It accepts a connection.
    Tcp {
        /// A name or an address, an IPv6 one without brackets.
        host: String,
        /// Where.
        port: u16,
    },
    /// It answers `GET` of this URL with a status of the 2xx family. Redirects are not followed.
    Http(Url),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Http(url) => url.fmt(f),
        }
    }
}

/// Why a service is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// It can't be talked to.
    #[error("{0}")]
    Unreachable(String),
    /// It does not answer.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It says that it is not well.
    #[error("status {0}")]
    Unwell(u16),
}

/// Looks at services.
pub struct Detector {
    client: Client,
    limit: Duration,
}

impl Detector {
    /// For `checks`; each look takes at most `limit`.
    pub fn new<'a>(checks: impl IntoIterator<Item = &'a Check>, limit: Duration) -> Result<Self, Error> {
        let secure = |check: &Check| matches!(check, Check::Http(url) if url.scheme() == "https");
        let roots = if checks.into_iter().any(secure) { Roots::System } else { Roots::None };
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(roots)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("quorate-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Setup(causes(&e)))?;
        Ok(Self { client, limit })
    }

    /// Looks once.
    pub async fn look(&self, check: &Check) -> Result<(), Absent> {
        let look = async {
            match check {
                Check::Tcp { host, port } => match TcpStream::connect((host.as_str(), *port)).await {
                    Ok(_) => Ok(()),
                    Err(e) => Err(Absent::Unreachable(e.to_string())),
                },
                Check::Http(url) => match self.client.get(url.clone()).send().await {
                    Ok(answer) if answer.status().is_success() => Ok(()),
                    Ok(answer) => Err(Absent::Unwell(answer.status().as_u16())),
                    Err(e) => Err(Absent::Unreachable(causes(&e))),
                },
            }
        };
        tasks::within(self.limit, look).await.unwrap_or(Err(Absent::Late(self.limit)))
    }
}
