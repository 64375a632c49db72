//! The gateway, as a node starts it.

use super::{LogPresence, direct::Direct};
use crate::{
    config::{Config, GatewayListener, Identity, Tokens},
    node::StartError,
};
use quorate_consensus::Consensus;
use quorate_gateway::{
    backplane::{Detour, Ways},
    gateway::{Gateway, Parts},
    token::{NotAKey, Verifier},
};
use quorate_rt::{
    certificate::Certificate,
    net::SharedPort,
    tls::{self, Alpn},
};
use quorate_telemetry::Metrics;
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

/// A file that can't be used. What is in it is not shown.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It can't be read.
    #[error("--gateway-token-key {path}: {source}")]
    Unread {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no key.
    #[error("--gateway-token-key {path}: {source}")]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: NotAKey,
    },
    /// The listener's certificate or its key.
    #[error("--gateway-tls-cert, --gateway-tls-key: {0}")]
    Certificate(#[from] tls::Error),
}

/// What the configuration's files say about a gateway's clients.
pub(crate) struct Guards {
    /// What their tokens are signed by.
    verifier: Option<Verifier>,
    /// What they are shown.
    certificate: Option<Certificate>,
}

/// A gateway's port, and how its clients come in.
pub(crate) struct Claimed {
    port: SharedPort,
    guards: Guards,
}

impl Claimed {
    /// The address that it has.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }
}

/// Reads the files.
pub(crate) async fn guards(config: &Config) -> Result<Guards, Unusable> {
    let verifier = key(config).await?;
    let certificate = match config.gateway.identity.clone() {
        // Without a listener its certificate is not asked for.
        Some(Identity { certificate, key }) if config.gateway.address().is_some() => {
            Some(Certificate::read(certificate, key, Alpn::Http1).await?)
        }
        Some(_) | None => None,
    };
    Ok(Guards { verifier, certificate })
}

async fn key(config: &Config) -> Result<Option<Verifier>, Unusable> {
    let Some(Tokens { key: path, signature, issuer, audience }) = config.gateway.tokens.clone() else {
        return Ok(None);
    };
    let file = path.clone();
    let read = quorate_rt::blocking(move || std::fs::read(file)).await;
    let key = read.map_err(|source| Unusable::Unread { path: path.clone(), source })?;
    let verifier = Verifier::new(signature, &key).map_err(|source| Unusable::NoKey { path, source })?;
    Ok(Some(verifier.from_issuer(issuer).for_audience(audience)))
}

/// Sees to it that the address can be had; `None`: no gateway listens here.
pub(crate) fn claim(config: &Config, guards: Guards) -> Result<Option<Claimed>, StartError> {
    let port = match config.gateway.listen {
        GatewayListener::Off => return Ok(None),
        GatewayListener::At(address) => SharedPort::claim(address).map_err(|source| StartError::Listen {
            listener: "--gateway",
            address,
            source,
        })?,
        GatewayListener::IfFree(address) => match SharedPort::claim(address) {
            Ok(port) => port,
            Err(error) => {
                tracing::warn!(%address, %error, "no WebSocket gateway: its address is taken; --gateway names another one");
                return Ok(None);
            }
        },
    };
    Ok(Some(Claimed { port, guards }))
}

/// Listens.
pub(crate) async fn start(
    config: &Config,
    claimed: Option<Claimed>,
    detour: Option<Detour>,
    (consensus, metrics): (&Consensus, &Metrics),
) -> Result<Option<Gateway>, StartError> {
    let Some(Claimed { port, guards: Guards { verifier, certificate } }) = claimed else { return Ok(None) };
    let cluster = consensus.clone();
    let ways = Ways {
        me: config.node_name.clone(),
        others: Arc::new(move || cluster.other_nodes()),
        presence: Arc::new(LogPresence::new(consensus.clone())),
        backplane: Arc::new(Direct::new(consensus)),
    };
    let ways = match detour {
        Some(detour) => detour(ways),
        None => ways,
    };
    let parts = Parts {
        settings: config.gateway.settings.clone(),
        verifier,
        certificate,
        threads: config.gateway.threads,
        ways,
        counters: metrics.gateway().clone(),
    };
    Ok(Some(Gateway::start(parts, port).await?))
}

/// Its clients leave one after the other, and are in the log until they do; then what the node holds is over.
pub(crate) async fn end(gateway: Option<Gateway>, consensus: &Consensus) {
    if let Some(gateway) = gateway {
        gateway.drain().await;
    }
    consensus.close_gateway().await;
}
