//! What the tests' node is told at its start.

use quorate_management::Config;
use quorate_model::{OwnAddresses, Ttl};
use quorate_rt::{published::Published, shutdown};
use std::{sync::Arc, time::Duration};

/// When the fake's log time begins.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

pub fn config() -> Config {
    Config {
        default_ttl: Ttl::new(Duration::from_secs(30)).expect("a TTL"),
        coordinator_ttl: Ttl::new(Duration::from_secs(90)).expect("a TTL"),
        own: OwnAddresses {
            listeners: ["0.0.0.0:8080", "127.0.0.1:9090"].map(|a| a.parse().expect("an address")).into(),
            advertised: vec![("router-1.example".into(), 8080)],
        },
        gateway: Some("ws://router-1.example:8082/ws".into()),
        key_forms: Arc::default(),
        local: Published::new(Arc::default()),
        metrics: Arc::new(|| "quorate_raft_term 3\n".into()),
        metrics_type: "text/plain; version=0.0.4",
        ending: shutdown::channel().1,
        keep_alive: Duration::from_millis(50),
    }
}
