//! Gateways in one process, over a cluster that is a table, and a client.

mod client;
mod table;

pub use client::Client;
pub use table::Table;

use crate::{
    backplane::Ways,
    gateway::{Gateway, Parts},
    settings::Settings,
    token::Verifier,
};
use quorate_model::{NodeName, UserId};
use quorate_rt::{
    certificate::Certificate,
    net::SharedPort,
    time::{self, Duration, Instant},
};
use std::{net::SocketAddr, sync::Arc};

/// Whatever is waited for comes sooner, also on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway of a table.
pub async fn gateway(table: &Arc<Table>, name: &str, settings: Settings) -> Gateway {
    guarded(table, name, settings, None).await
}

/// One that speaks TLS.
pub async fn certified(
    table: &Arc<Table>,
    name: &str,
    settings: Settings,
    certificate: Certificate,
) -> Gateway {
    started(table, name, settings, (None, Some(certificate))).await
}

/// One that wants proofs.
pub async fn guarded(
    table: &Arc<Table>,
    name: &str,
    settings: Settings,
    verifier: Option<Verifier>,
) -> Gateway {
    started(table, name, settings, (verifier, None)).await
}

async fn started(
    table: &Arc<Table>,
    name: &str,
    settings: Settings,
    (verifier, certificate): (Option<Verifier>, Option<Certificate>),
) -> Gateway {
    let node = NodeName::parse(name).expect("a good name");
    let port = SharedPort::claim(SocketAddr::from(([127, 0, 0, 1], 0))).expect("some port is free");
    let (known, me) = (table.clone(), node.clone());
    let ways = Ways {
        me: node.clone(),
        others: Arc::new(move || known.others(&me)),
        presence: table.presence(&node),
        backplane: table.backplane(&node),
    };
    let parts = Parts { settings, verifier, certificate, threads: 1, ways, counters: Arc::default() };
    Gateway::start(parts, port).await.expect("it starts")
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        time::sleep(Duration::from_millis(5)).await;
    }
}

/// A user's name.
pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a good name")
}
