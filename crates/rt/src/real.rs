//! Production: tokio.
#![expect(clippy::disallowed_methods, reason = "this is the seam that the ban leads to")]

pub use openraft_rt_tokio::TokioRuntime as RaftRuntime;
pub use tokio::task::JoinHandle;

use crate::conveyor::Conveyor;
use std::{
    future::Future,
    ops::ControlFlow,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Starts a task on the current runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs blocking work off the async threads. Panics of `work` are passed on.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(e) => panic!("blocking work was cancelled, which only happens while the runtime ends: {e}"),
        },
    }
}

/// More cores than this would wait for the one who takes.
const CARRIERS_MAX: usize = 4;

/// See [`conveyor::carry`](crate::conveyor::carry).
pub(crate) fn carry<C: Conveyor>(
    conveyor: &C,
    source: C::Source,
    mut take: impl FnMut(C::Done) -> ControlFlow<()>,
) {
    let carriers = thread::available_parallelism().map_or(1, usize::from).min(CARRIERS_MAX);
    if carriers == 1 {
        return crate::conveyor::carry_alone(conveyor, source, take);
    }
    let (order, places) = mpsc::sync_channel(2 * carriers);
    let line = Mutex::new(Some((source, order)));
    thread::scope(|scope| {
        for _ in 0..carriers {
            scope.spawn(|| carrier(conveyor, &line));
        }
        // Gone when this ends: carriers then find nobody who takes their places.
        for place in places {
            // Without an answer its carrier has panicked, which the scope passes on.
            let Ok(done) = place.recv() else { return };
            if take(done).is_break() {
                return;
            }
        }
    });
}

/// The source, and where a place in the order is taken; `None` once it is at its end.
type Line<C> = Option<(<C as Conveyor>::Source, mpsc::SyncSender<mpsc::Receiver<<C as Conveyor>::Done>>)>;

/// Takes a place in the order with each item, so that the results are handed over in the order of the items.
fn carrier<C: Conveyor>(conveyor: &C, line: &Mutex<Line<C>>) {
    let mut bench = C::Bench::default();
    loop {
        let (sender, place) = mpsc::sync_channel(1);
        if !next(conveyor, line, &mut bench, place) || sender.send(conveyor.work(&mut bench)).is_err() {
            return;
        }
    }
}

/// Waits, the line in its hands, while too much is under way. `false`: there is nothing more to do.
fn next<C: Conveyor>(
    conveyor: &C,
    line: &Mutex<Line<C>>,
    bench: &mut C::Bench,
    place: mpsc::Receiver<C::Done>,
) -> bool {
    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out, and put back only if there is more: without it, or after a panic, the order ends.
    let Some((mut source, order)) = line.take() else { return false };
    let more = conveyor.next(&mut source, bench) && order.send(place).is_ok();
    if more {
        *line = Some((source, order));
    }
    more
}

/// Time.
pub mod time {
    use std::future::Future;
    pub use std::time::Duration;
    pub use tokio::time::{Instant, Sleep, Timeout, error::Elapsed};

    // Functions of our own, not re-exports: clippy's ban follows a re-export to its origin.

    /// Waits for `duration`.
    pub fn sleep(duration: Duration) -> Sleep {
        tokio::time::sleep(duration)
    }

    /// Waits until `deadline`.
    pub fn sleep_until(deadline: Instant) -> Sleep {
        tokio::time::sleep_until(deadline)
    }

    /// Gives `future` at most `duration`.
    pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
        tokio::time::timeout(duration, future)
    }

    /// Milliseconds since 1970-01-01 UTC. For display and log time only: it may jump.
    pub fn wall_ms() -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// TCP.
pub mod net {
    use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
    use std::{
        io,
        net::SocketAddr,
        sync::{Mutex, PoisonError},
        time::Duration,
    };
    pub use tokio::net::{TcpListener, TcpStream, lookup_host};

    const BACKLOG: i32 = 4_096;

    /// Who may listen at the same address.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Others {
        /// Nobody, neither now nor later.
        None,
        /// Nobody now, and later our own: the address is bound alone, and shared from then on.
        Later,
        /// Those who share it already.
        Now,
    }

    fn socket(addr: SocketAddr, others: Others) -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(others == Others::Now)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.set_reuse_port(others != Others::None)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// Binds one listener. Call inside a runtime.
    #[expect(clippy::unused_async, reason = "the simulator takes its time to bind")]
    pub async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_std(socket(addr, Others::None)?)
    }

    /// Has the system end a connection whose other machine is gone without a word: once what was sent is
    /// unacknowledged for `silence`, or, with nothing under way, probes are for about as long. Zero: as the system
    /// has it, which is a quarter of an hour and two hours. Only where the system can: elsewhere it changes nothing.
    ///
    /// Linux ends it also when the other side takes nothing for so long though there is more to send: to the sender
    /// a program that stands still is no different.
    pub fn give_up_after(tcp: &TcpStream, silence: Duration) -> io::Result<()> {
        if silence.is_zero() {
            return Ok(());
        }
        let socket = SockRef::from(tcp);
        // Seconds are what the system counts probes in.
        let second = Duration::from_secs(1);
        let probes = TcpKeepalive::new().with_time((silence / 2).max(second));
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        let probes = probes.with_interval((silence / 6).max(second)).with_retries(3);
        socket.set_tcp_keepalive(&probes)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(silence))?;
        Ok(())
    }

    /// Takes back that the other side must take what is sent within some time. Probes go on.
    pub fn bear_standstill(tcp: &TcpStream) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        SockRef::from(tcp).set_tcp_user_timeout(None)?;
        let _ = tcp;
        Ok(())
    }

    /// Listeners of one address for many cores, not yet tied to a runtime.
    pub struct SharedPort {
        addr: SocketAddr,
        /// The one that claimed it, until a core takes it. Were it closed in between, somebody else could claim the
        /// address meanwhile, above all where the system chooses the port.
        first: Mutex<Option<std::net::TcpListener>>,
    }

    impl SharedPort {
        /// Claims the address. Fails if any other socket listens there: `SO_REUSEPORT` alone would let two
        /// processes of one user share it in silence, and half of the requests would go astray.
        pub fn claim(addr: SocketAddr) -> io::Result<Self> {
            let first = socket(addr, Others::Later)?;
            Ok(Self { addr: first.local_addr()?, first: Mutex::new(Some(first)) })
        }

        /// The address, with the port that the system chose for port 0.
        pub fn local_addr(&self) -> SocketAddr {
            self.addr
        }

        /// One core's own listener; the kernel spreads connections. Call inside that core's runtime.
        #[expect(clippy::unused_async, reason = "the simulator takes its time to bind")]
        pub async fn listener(&self) -> io::Result<TcpListener> {
            let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let listener = first.map_or_else(|| socket(self.addr, Others::Now), Ok)?;
            TcpListener::from_std(listener)
        }
    }
}

/// Randomness, seeded by the operating system.
pub mod rng {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// A random number.
    pub fn random_u64() -> u64 {
        rand::rng().next_u64()
    }

    /// A generator of one's own.
    pub fn generator() -> StdRng {
        StdRng::seed_from_u64(random_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::net::{SharedPort, TcpListener, TcpStream, bear_standstill, give_up_after};
    use std::{net::SocketAddr, time::Duration};

    #[tokio::test]
    async fn a_claimed_port_is_nobody_else_s_at_any_time() {
        let claimed = SharedPort::claim(SocketAddr::from(([127, 0, 0, 1], 0))).expect("some port is free");
        let address = claimed.local_addr();
        let taken = |when: &str| assert!(SharedPort::claim(address).is_err(), "{when}");
        taken("before a core listens");
        let first = claimed.listener().await.expect("the one that claimed it");
        taken("while one core listens");
        let second = claimed.listener().await.expect("shared with the first");
        assert_eq!((first.local_addr().ok(), second.local_addr().ok()), (Some(address), Some(address)));
        taken("while two cores listen");
        drop((claimed, first, second));
        SharedPort::claim(address).expect("free again");
    }

    /// A machine that is gone without a word is found in the time that was said, with something under way or without.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_probes_of_a_connection_are_over_within_the_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let address = listener.local_addr().expect("it listens");
        let (_theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ours = ours.expect("it was dialled").0;
        let silence = Duration::from_secs(60);
        give_up_after(&ours, silence).expect("the system can");
        let socket = socket2::SockRef::from(&ours);
        assert!(socket.keepalive().expect("it is a socket"));
        let (first, each, count) =
            (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval(), socket.tcp_keepalive_retries());
        let (first, each) = (first.expect("it is a socket"), each.expect("it is a socket"));
        assert_eq!(first + each * count.expect("it is a socket"), silence);
        assert_eq!(socket.tcp_user_timeout().expect("it is a socket"), Some(silence));
    }

    /// Standing still, the other side's system acknowledges and takes nothing.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_that_takes_nothing_ends_unless_that_is_borne() {
        let (silence, patience) = (Duration::from_secs(1), Duration::from_secs(20));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let address = listener.local_addr().expect("it listens");
        let mut both = Vec::new();
        for is_borne in [false, true] {
            let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (ours, theirs) = (ours.expect("it listens"), theirs.expect("it was dialled").0);
            give_up_after(&ours, silence).expect("the system can");
            if is_borne {
                bear_standstill(&ours).expect("the system can");
            }
            while ours.try_write(&[0; 64 << 10]).is_ok() {}
            both.push((ours, theirs));
        }
        // To become writable without having been read from, it must have ended.
        tokio::time::timeout(patience, both[0].0.writable()).await.expect("in time").expect("it is told");
        assert!(both[0].0.try_write(&[0]).is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut));
        let full = both[1].0.try_write(&[0]).map_err(|e| e.kind());
        assert_eq!(full, Err(std::io::ErrorKind::WouldBlock));
    }
}
