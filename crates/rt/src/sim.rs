//! Simulation: madsim. One seed decides every interleaving, delay and random number.

pub use madsim::task::{JoinHandle, spawn};
pub use raft::SimRuntime as RaftRuntime;

/// Runs blocking work. There are no threads in the simulator: it runs inline.
#[expect(clippy::unused_async, reason = "the same signature as in production")]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    work()
}

pub(crate) use crate::conveyor::carry_alone as carry;

/// Time, as the node's own clock counts it: see [`clock_skew`](super::clock_skew).
pub mod time {
    use super::clock_skew::{to_global, to_local};
    pub use madsim::time::{Sleep, error::Elapsed};
    pub use std::time::Duration;
    use std::{
        future::Future,
        ops::{Add, AddAssign, Sub, SubAssign},
    };

    /// A moment of the node's own monotonic clock. Means nothing on another node.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Instant(Duration);

    impl Instant {
        /// Now.
        pub fn now() -> Self {
            Self(to_local(madsim::time::TimeHandle::current().elapsed()))
        }

        /// Since then.
        pub fn elapsed(&self) -> Duration {
            Self::now() - *self
        }

        /// Since `earlier`; zero if that is later.
        pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
            *self - earlier
        }

        /// Since `earlier`; zero if that is later, as in the standard library.
        pub fn duration_since(&self, earlier: Self) -> Duration {
            *self - earlier
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;
        fn add(self, d: Duration) -> Self {
            Self(self.0 + d)
        }
    }
    impl AddAssign<Duration> for Instant {
        fn add_assign(&mut self, d: Duration) {
            self.0 += d;
        }
    }
    impl Sub<Duration> for Instant {
        type Output = Self;
        fn sub(self, d: Duration) -> Self {
            Self(self.0.saturating_sub(d))
        }
    }
    impl SubAssign<Duration> for Instant {
        fn sub_assign(&mut self, d: Duration) {
            self.0 = self.0.saturating_sub(d);
        }
    }
    impl Sub<Self> for Instant {
        type Output = Duration;
        fn sub(self, other: Self) -> Duration {
            self.0.saturating_sub(other.0)
        }
    }

    /// The simulator's own clock, which hyper reads for its timers.
    impl From<std::time::Instant> for Instant {
        fn from(then: std::time::Instant) -> Self {
            let simulated = madsim::time::TimeHandle::current();
            Self(to_local(simulated.elapsed() + then.saturating_duration_since(simulated.now_instant())))
        }
    }

    /// Sleeps for so long on the node's own clock.
    pub fn sleep(d: Duration) -> Sleep {
        madsim::time::sleep(to_global(d))
    }

    /// Sleeps until a moment of the node's own clock.
    pub fn sleep_until(t: Instant) -> Sleep {
        sleep(t - Instant::now())
    }

    /// A deadline by the node's own clock.
    pub fn timeout<F: Future>(d: Duration, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
        madsim::time::timeout(to_global(d), future)
    }

    /// Simulated wall clock: 2026-01-01 plus what the node's own clock has counted.
    pub fn wall_ms() -> u64 {
        const BASE_MS: u64 = 1_767_225_600_000;
        let elapsed = madsim::time::TimeHandle::current().elapsed();
        let local = super::clock_skew::to_local(elapsed).as_millis();
        (BASE_MS + u64::try_from(local).unwrap_or(u64::MAX / 2))
            .saturating_add_signed(super::clock_skew::offset_ms())
    }
}

/// Clock rates and offsets that differ per node, which madsim lacks.
pub mod clock_skew {
    use std::{cell::RefCell, collections::BTreeMap, time::Duration};

    #[derive(Clone, Copy, Default)]
    struct Skew {
        ppm: i64,
        offset_ms: i64,
        /// When the rate changed last, in simulated time and on the node's own clock, which must never jump.
        since: Duration,
        local_since: Duration,
    }

    // One thread is one simulated run.
    thread_local! { static SKEW: RefCell<BTreeMap<String, Skew>> = const { RefCell::new(BTreeMap::new()) }; }

    /// Sets how much faster (parts per million) node `id` (madsim's, as text) counts from now on, and how far its
    /// wall clock is off.
    pub fn set(id: impl ToString, ppm: i64, offset_ms: i64) {
        let since = madsim::time::TimeHandle::current().elapsed();
        SKEW.with(|s| {
            let mut map = s.borrow_mut();
            let old = map.get(&id.to_string()).copied().unwrap_or_default();
            let local_since = old.local(since);
            map.insert(id.to_string(), Skew { ppm, offset_ms, since, local_since });
        });
    }

    /// Forgets all; call when a run begins.
    pub fn clear() {
        SKEW.with(|s| s.borrow_mut().clear());
    }

    fn here() -> Skew {
        SKEW.with(|s| {
            let map = s.borrow();
            if map.is_empty() {
                Skew::default()
            } else {
                map.get(&madsim::plugin::node().to_string()).copied().unwrap_or_default()
            }
        })
    }

    pub(super) fn offset_ms() -> i64 {
        here().offset_ms
    }

    impl Skew {
        fn local(&self, elapsed: Duration) -> Duration {
            self.local_since + scale(elapsed.saturating_sub(self.since), 1_000_000 + self.ppm, 1_000_000)
        }
    }

    pub(super) fn to_local(elapsed: Duration) -> Duration {
        here().local(elapsed)
    }

    pub(super) fn to_global(d: Duration) -> Duration {
        scale(d, 1_000_000, 1_000_000 + here().ppm)
    }

    fn scale(d: Duration, by: i64, over: i64) -> Duration {
        let scaled =
            d.as_nanos().saturating_mul(by.unsigned_abs().into()) / u128::from(over.unsigned_abs().max(1));
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

/// TCP, simulated.
pub mod net {
    pub use madsim::net::{TcpListener, TcpStream, lookup_host};
    use std::{io, net::SocketAddr, time::Duration};

    /// See the production module: here connections end as the simulated network has it.
    pub fn give_up_after(_tcp: &TcpStream, _silence: Duration) -> io::Result<()> {
        Ok(())
    }

    /// See the production module.
    pub fn bear_standstill(_tcp: &TcpStream) -> io::Result<()> {
        Ok(())
    }

    /// Binds one listener.
    pub async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr).await
    }

    /// See the production module: in simulation there is one core and one listener.
    pub struct SharedPort {
        addr: SocketAddr,
    }

    impl SharedPort {
        /// Remembers the address.
        pub fn claim(addr: SocketAddr) -> io::Result<Self> {
            Ok(Self { addr })
        }

        /// The address.
        pub fn local_addr(&self) -> SocketAddr {
            self.addr
        }

        /// The one listener.
        pub async fn listener(&self) -> io::Result<TcpListener> {
            bind(self.addr).await
        }
    }
}

/// Randomness, all of it from the seed.
pub mod rng {
    use rand::{SeedableRng, rngs::StdRng};

    /// A random number.
    pub fn random_u64() -> u64 {
        madsim::rand::random()
    }

    /// A generator of one's own.
    pub fn generator() -> StdRng {
        StdRng::seed_from_u64(random_u64())
    }
}

mod raft {
    use super::time::{self, Instant};
    use openraft_rt::{AsyncRuntime, OptionalSend};
    use openraft_rt_tokio as on_tokio;
    use rand::SeedableRng;
    use std::{
        fmt,
        future::Future,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    impl openraft_rt::Instant for Instant {
        fn now() -> Self {
            Self::now()
        }
    }

    pin_project_lite::pin_project! {
        pub struct Timeout<F> { #[pin] future: F, #[pin] sleep: madsim::time::Sleep }
    }

    #[derive(Debug)]
    pub struct Elapsed;

    impl fmt::Display for Elapsed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("deadline elapsed")
        }
    }

    impl<F: Future> Future for Timeout<F> {
        type Output = Result<F::Output, Elapsed>;
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let this = self.project();
            if let Poll::Ready(value) = this.future.poll(cx) {
                return Poll::Ready(Ok(value));
            }
            this.sleep.poll(cx).map(|()| Err(Elapsed))
        }
    }

    /// openraft on madsim. Its channels are tokio's, which work on any executor.
    pub struct SimRuntime(madsim::runtime::Runtime);

    impl fmt::Debug for SimRuntime {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("SimRuntime")
        }
    }

    impl AsyncRuntime for SimRuntime {
        type JoinError = madsim::task::JoinError;
        type JoinHandle<T: OptionalSend + 'static> = madsim::task::JoinHandle<T>;
        type Sleep = madsim::time::Sleep;
        type Instant = Instant;
        type TimeoutError = Elapsed;
        type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
        type ThreadLocalRng = rand::rngs::StdRng;
        type Mpsc = on_tokio::TokioMpsc;
        type Watch = on_tokio::TokioWatch;
        type Oneshot = on_tokio::TokioOneshot;
        type Mutex<T: OptionalSend + 'static> = on_tokio::TokioMutex<T>;

        fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
        where
            T: Future + OptionalSend + 'static,
            T::Output: OptionalSend + 'static,
        {
            madsim::task::spawn(future)
        }
        fn sleep(d: Duration) -> Self::Sleep {
            time::sleep(d)
        }
        fn sleep_until(t: Instant) -> Self::Sleep {
            time::sleep_until(t)
        }
        fn timeout<R, F: Future<Output = R> + OptionalSend>(d: Duration, future: F) -> Timeout<F> {
            Timeout { future, sleep: Self::sleep(d) }
        }
        fn timeout_at<R, F: Future<Output = R> + OptionalSend>(t: Instant, future: F) -> Timeout<F> {
            Timeout { future, sleep: Self::sleep_until(t) }
        }
        fn is_panic(e: &Self::JoinError) -> bool {
            e.is_panic()
        }
        fn thread_rng() -> Self::ThreadLocalRng {
            rand::rngs::StdRng::seed_from_u64(madsim::rand::random())
        }
        fn new(_threads: usize) -> Self {
            Self(madsim::runtime::Runtime::new())
        }
        fn block_on<F, T>(&mut self, future: F) -> T
        where
            F: Future<Output = T>,
        {
            self.0.block_on(future)
        }
        async fn spawn_blocking<F, T>(work: F) -> Result<T, std::io::Error>
        where
            F: FnOnce() -> T + Send + 'static,
            T: Send + 'static,
        {
            Ok(work())
        }
    }
}
