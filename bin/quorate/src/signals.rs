//! Signals: SIGINT and SIGTERM ask to end, the second of them insists; SIGHUP asks to read files again.

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

/// SIGHUP, held back from ending the process from now on.
pub struct Hangups(Signal);

impl Hangups {
    /// Call inside a runtime.
    pub fn listen() -> Result<Self, Failure> {
        on(SignalKind::hangup()).map(Self)
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::failed("cannot listen for signals", e))
}
