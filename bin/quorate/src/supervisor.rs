//! What systemd is told, where it started the node and asks (`Type=notify`).
//!
//! The rule: what is told is what others see. The node is asked over its own management listener, as a load balancer
//! asks, so that "ready" and "alive" can't be said by a process whose listener hangs. While there is no answer the
//! watchdog is not fed, and systemd starts the node anew.
//!
//! The end of a node may take its drain delay and its drain limit. For so long, and no longer, systemd is asked for
//! more time again and again: a short `TimeoutStopSec` does not cut requests off, and a node that hangs is ended.

use crate::commands::healthcheck::dialled;
use quorate_client::{
    Url,
    probe::{Health, Probe, Question},
};
use quorate_node::{Consensus, Node};
use sd_notify::NotifyState;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How often the node is looked at until it is ready: each moment counts for whoever waits for it.
const EVERY_AT_FIRST: Duration = Duration::from_millis(100);
/// Afterwards. More often where the watchdog asks for more.
const EVERY: Duration = Duration::from_secs(5);
/// Chances to feed the watchdog before it bites.
const FEEDS: u32 = 4;
/// How much more time is asked for, each [`EVERY`].
const EXTENSION: Duration = Duration::from_secs(20);
/// What a node may need to end besides its drain delay and its drain limit.
const CLOSING: Duration = Duration::from_secs(15);
/// A systemd that does not listen holds nothing up for longer.
const SAY_LIMIT: Duration = Duration::from_secs(1);

const _: () = assert!(EXTENSION.as_secs() >= 3 * EVERY.as_secs(), "a late message must not end the node");

/// Tells systemd how a node is, as long as it lives.
pub struct Supervisor {
    watch: JoinHandle<()>,
}

impl Supervisor {
    /// Begins to tell. `None` where nobody asks.
    pub fn of(node: &Node) -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let look = Look::at(node)?;
        Some(Self { watch: tokio::spawn(tell(look)) })
    }

    /// The node ends now, within `limit` and what it needs to close.
    pub async fn stopping(&mut self, limit: Duration) {
        self.watch.abort();
        say(vec!["STOPPING=1".into(), "STATUS=ending: requests in flight are finished".into(), extension()])
            .await;
        self.watch = tokio::spawn(extend(Instant::now() + limit + CLOSING));
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// How the node is looked at.
struct Look {
    probe: Probe,
    consensus: Consensus,
    every: Duration,
    watchdog: bool,
}

impl Look {
    fn at(node: &Node) -> Option<Self> {
        let watchdog = sd_notify::watchdog_enabled();
        let every = watchdog.map_or(EVERY, |limit| EVERY.min(limit / FEEDS)).max(Duration::from_millis(1));
        let management: SocketAddr = dialled(node.management_addr());
        let probe = Url::parse(&format!("http://{management}"))
            .map_err(|e| e.to_string())
            .and_then(|url| Probe::new(url, every).map_err(|e| e.to_string()));
        match probe {
            Ok(probe) => {
                Some(Self { probe, consensus: node.consensus().clone(), every, watchdog: watchdog.is_some() })
            }
            Err(error) => {
                tracing::error!(error, "systemd can't be told how this node is");
                None
            }
        }
    }

    /// `leader at index 7`, or `follower of n2 at index 7`.
    fn role(&self) -> String {
        let index = self.consensus.view().get().index();
        match self.consensus.leader() {
            Some(leader) if leader.id == self.consensus.id() => format!("leader at index {index}"),
            Some(leader) => format!("follower of {} at index {index}", leader.name),
            None => format!("no leader, at index {index}"),
        }
    }
}

async fn tell(look: Look) {
    let (mut was_ready, mut said) = (false, String::new());
    loop {
        let begun = Instant::now();
        if let Ok(health) = look.probe.ask(Question::Ready).await {
            let mut lines = Vec::new();
            if health.healthy && !was_ready {
                was_ready = true;
                lines.push("READY=1".into());
            }
            if look.watchdog {
                lines.push("WATCHDOG=1".into());
            }
            let status = status(&health, &look.role());
            if status != said {
                lines.push(status.clone());
                said = status;
            }
            say(lines).await;
        }
        let every = if was_ready { look.every } else { EVERY_AT_FIRST.min(look.every) };
        tokio::time::sleep(every.saturating_sub(begun.elapsed())).await;
    }
}

/// One line, whatever the reason is.
fn status(health: &Health, role: &str) -> String {
    let why = health.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("STATUS={}, {role}{why}", health.status).replace(char::is_control, " ")
}

async fn extend(until: Instant) {
    while Instant::now() < until {
        tokio::time::sleep(EVERY).await;
        say(vec![extension()]).await;
    }
}

fn extension() -> String {
    format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros())
}

/// Nothing is said where there is nothing to say. A systemd that does not listen is no reason to do anything else.
pub async fn say(lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    // It blocks while systemd's queue is full.
    let told = tokio::task::spawn_blocking(move || {
        let lines: Vec<_> = lines.iter().map(|line| NotifyState::Custom(line)).collect();
        sd_notify::notify(&lines)
    });
    match tokio::time::timeout(SAY_LIMIT, told).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::debug!(%error, "systemd could not be told"),
        Ok(Err(_)) | Err(_) => tracing::debug!("systemd does not listen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_with_the_reason() {
        let health = |status: &str, reason: Option<&str>| Health {
            healthy: true,
            status: status.into(),
            reason: reason.map(Into::into),
        };
        assert_eq!(status(&health("ready", None), "leader at index 7"), "STATUS=ready, leader at index 7");
        assert_eq!(
            status(&health("degraded", Some("no\nleader")), "no leader, at index 7"),
            "STATUS=degraded, no leader, at index 7 (no leader)"
        );
    }
}
