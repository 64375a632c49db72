//! Real processes on a real disk and real sockets: what the end-to-end tests are made of.
//!
//! Nothing here waits for a fixed time where it means a condition: [`eventually`] looks again and again, within a
//! bound. Whatever was started is ended when its owner goes, also when a test panics; should the test process
//! itself be killed, its children see their stdin end and go too.

pub mod cluster;
pub mod http;
pub mod node;
pub mod ports;
pub mod worker;

pub use ports::free_address;

use std::{
    io::Write as _,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Far more than is needed: machines of tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something to see; fails the test after [`PATIENCE`].
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}"))
}

/// Looks until there is something to see, for at most `limit`.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Says a figure also where the test passes.
pub fn figure(text: &str) {
    // A stderr that takes nothing is no reason to fail.
    let _ = writeln!(std::io::stderr(), "figure: {text}");
}

static MACHINE: RwLock<()> = RwLock::new(());

/// For a test that measures time: no other one runs meanwhile.
pub fn machine_to_itself() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For every other test.
pub fn machine_shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}
