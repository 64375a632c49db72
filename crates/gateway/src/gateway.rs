//! A gateway's life: it listens on threads of its own, and ends in order.
//!
//! On threads of its own, because a storm of sockets must slow down neither routing nor the heartbeats of consensus.

use crate::{
    admit::Door,
    answer::Answers,
    backplane::{BackplaneError, Ways},
    delivery::Courier,
    desk::Desk,
    drain::Drain,
    extension::{asked, shared::Shared},
    hall::Hall,
    listen::listen,
    settings::Settings,
    token::Verifier,
};
use quorate_rt::{
    certificate::Certificate,
    cores::Cores,
    net::SharedPort,
    shutdown,
    time::{self, Duration},
};
use quorate_telemetry::gateway::GatewayCounters;
use std::{io, net::SocketAddr, sync::Arc};

/// What is left of the limit for goodbyes once the last socket's turn has come.
const GOODBYES: Duration = Duration::from_secs(3);

/// What a gateway is made of.
pub struct Parts {
    /// What the operator has decided.
    pub settings: Settings,
    /// Set: whoever connects must prove who they are.
    pub verifier: Option<Verifier>,
    /// Set: clients speak TLS, and are shown this.
    pub certificate: Option<Certificate>,
    /// How many threads.
    pub threads: usize,
    /// By what it finds users, and reaches other gateways.
    pub ways: Ways,
    /// What is counted.
    pub counters: Arc<GatewayCounters>,
}

/// A gateway that listens.
pub struct Gateway {
    desk: Arc<Desk>,
    door: Door,
    ways: Ways,
    certificate: Option<Certificate>,
    address: SocketAddr,
    listening: shutdown::Trigger,
    cores: Cores,
}

/// Why a gateway does not listen.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its threads don't start.
    #[error("the gateway's threads don't start: {0}")]
    Threads(#[from] io::Error),
    /// It could not hear what others bring.
    #[error("the gateway's backplane does not start: {0}")]
    Backplane(#[from] BackplaneError),
}

impl Gateway {
    /// Listens. Messages of others are taken from the first client on.
    pub async fn start(parts: Parts, port: SharedPort) -> Result<Self, StartError> {
        let Parts { settings, verifier, certificate, threads, ways, counters } = parts;
        let node = ways.me.clone();
        let hall = Hall::new(ways.presence.clone(), counters.clone(), settings.slow);
        ways.backplane.start(hall.clone()).await?;
        let (presence, backplane) = (ways.presence.clone(), ways.backplane.clone());
        let courier = Courier::new(node.clone(), presence.clone(), backplane.clone(), hall.clone());
        let door = Door::new(&settings);
        let drain = Drain::default();
        let extension = Shared::new();
        let desk = Arc::new(Desk {
            node,
            settings,
            verifier,
            presence,
            hall,
            backplane,
            others: ways.others.clone(),
            extension,
            courier,
            counters,
            drain,
        });
        asked::answer_by(&desk);
        let (listening, stopped) = shutdown::channel();
        quorate_rt::spawn(asked::tell_changes(Arc::downgrade(&desk), stopped.clone()));
        let address = port.local_addr();
        let answers = Answers { desk: desk.clone(), door: door.clone() };
        let (port, shown) = (Arc::new(port), certificate.as_ref().map(|shown| shown.newest().clone()));
        let (emptied, extension) = (door.clone(), desk.extension.clone());
        let cores = Cores::start(threads, "gateway", move |_| {
            let (port, answers, stopped) = (port.clone(), answers.clone(), stopped.clone());
            let (emptied, extension) = (emptied.clone(), extension.clone());
            let shown = shown.as_ref().map(|shown| shown.reader());
            async move {
                match port.listener().await {
                    Ok(listener) => listen(listener, shown, answers, stopped).await,
                    Err(error) => tracing::error!(%error, "a thread of the gateway can't listen"),
                }
                // The sockets of this thread end with it.
                emptied.emptied().await;
                extension.emptied().await;
            }
        })?;
        Ok(Self { desk, door, ways, certificate, address, listening, cores })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it shows to those who connect; `None`: it speaks cleartext. Whoever holds this can have it read again.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// What its sessions share.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Lets nobody in any more, and those who are in out one after the other, within the limit; then stops hearing others.
    pub async fn drain(self) {
        let Self { desk, door, ways, listening, cores, .. } = self;
        let Settings { drain_spread, drain_limit, .. } = desk.settings;
        let sockets = door.count();
        door.close();
        listening.fire();
        desk.drain.begin(drain_spread.min(drain_limit.saturating_sub(GOODBYES)));
        let is_empty = time::timeout(drain_limit, cores.join()).await.is_ok();
        tracing::info!(sockets, left = door.count(), is_empty, "gateway drained");
        ways.backplane.stop().await;
    }
}

#[cfg(test)]
mod tests;
