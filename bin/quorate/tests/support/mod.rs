//! Real processes on a real disk and real sockets: what the end-to-end tests are made of.
//!
//! Nothing here waits for a fixed time where it means a condition: [`eventually`] looks again and again, within a
//! bound. Whatever was started is ended when its owner goes, also when a test panics; should the test process
//! itself be killed, its children see their stdin end and go too.

pub mod cluster;
pub mod http;
pub mod node;
pub mod worker;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU16, Ordering},
    },
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

/// A loopback address that nobody uses. Below the range from which the kernel takes ports for outgoing
/// connections, so that a node that is down finds its port again.
pub fn free_address() -> SocketAddr {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 8_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes at once begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).expect("smaller than a u16");
    for _ in 0..COUNT {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + nth));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
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
