//! Signals: the first asks to end, the second insists.

use crate::failure::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// SIGINT and SIGTERM, held back from ending the process from now on.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Call inside a runtime.
    pub fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::failed("cannot listen for signals", e));
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    /// Waits for one; returns its number. `None` from a stream means that no signal can come any more.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => SIGTERM,
            Some(()) = self.interrupt.recv() => SIGINT,
            else => std::future::pending().await,
        }
    }
}
