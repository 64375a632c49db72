//! Deadlines without timers.
//!
//! A tokio timer per request costs more than a tenth of what forwarding the request costs (measured:
//! docs/performance.md), and almost none of them ever fires. So each core has one row of due times, one number
//! per conversation. Setting one is a store; ten times a second a sweep reads the row and wakes the tasks whose
//! time is over.
//!
//! What is set is due by the tick of the last sweep, which may be long ago: nobody reads the clock to set it. So a tick is
//! a sweep, not a tenth of a second. Were ticks read off the clock, a core that got no processor for a second would
//! skip ten of them at its next sweep, and whatever it had set just before would be due a second early: it would give
//! requests up whose answers wait in its sockets. So would the sweep that skips one because timers run a little late.
//! As it is, two sweeps are at least a [`TICK`] apart, and a deadline is never early. It is late by up to two of them,
//! and by as much as the sweeps in between were: time in which a core could not look does not count.
//!
//! The time of a single try ([`crate::forward`]) is a timer of its own: a retry is for being quick, in steps finer than a
//! tick, the row has one number for a conversation, which is its request's, and only routes and policies that set that
//! time pay for it.

use quorate_rt::time::sleep;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

/// How often a core sweeps.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// No deadline.
pub(crate) const NEVER: u32 = u32::MAX;

/// How many ticks surely last at least `duration`.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis()) + 1;
    u32::try_from(ticks).unwrap_or(NEVER).min(NEVER / 2)
}

/// A tick in milliseconds, for those who reckon in them.
pub(crate) fn now_ms(tick: u32) -> u64 {
    u64::from(tick) * TICK.as_millis() as u64
}

/// The deadlines of one core.
pub(crate) struct Deadlines {
    now: AtomicU32,
    due: Box<[AtomicU32]>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    free: Vec<u32>,
    wakers: Vec<Option<Waker>>,
}

impl Deadlines {
    /// Room for `places_max` at once.
    pub fn new(places_max: usize) -> Arc<Self> {
        let due = (0..places_max).map(|_| AtomicU32::new(NEVER)).collect();
        Arc::new(Self { now: AtomicU32::new(0), due, places: Mutex::default() })
    }

    /// Ticks since the core began.
    pub fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// A place in the row; `None` when all are taken.
    pub fn watch(self: &Arc<Self>) -> Option<Watch> {
        let mut places = self.places();
        let place = match places.free.pop() {
            Some(place) => place,
            None if places.wakers.len() < self.due.len() => {
                places.wakers.push(None);
                u32::try_from(places.wakers.len() - 1).ok()?
            }
            None => return None,
        };
        Some(Watch { deadlines: self.clone(), place })
    }

    /// Waits for the next tick, and sweeps.
    pub async fn tick(&self) -> u32 {
        sleep(TICK).await;
        // Wraps after thirteen years.
        let now = (self.now() + 1) & (u32::MAX >> 1);
        self.sweep(now);
        now
    }

    /// Moves the clock and wakes whoever is due. They stay due, and are woken again, until they say otherwise.
    pub fn sweep(&self, now: u32) {
        self.now.store(now, Ordering::Relaxed);
        let places = self.places();
        for (due, waker) in self.due.iter().zip(&places.wakers) {
            if due.load(Ordering::Relaxed) <= now
                && let Some(waker) = waker
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Whether the deadline at a place of the row is over.
    pub fn is_due(&self, place: u32) -> bool {
        self.due[place as usize].load(Ordering::Relaxed) <= self.now()
    }

    /// Wakes everybody, so that they look around.
    pub fn wake_all(&self) {
        self.places().wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One deadline that is set, moved and cleared over and over. Given back when dropped.
pub(crate) struct Watch {
    deadlines: Arc<Deadlines>,
    place: u32,
}

impl Watch {
    fn due(&self) -> &AtomicU32 {
        &self.deadlines.due[self.place as usize]
    }

    /// Due in `ticks` ([`ticks`]) from now.
    pub fn arm(&self, ticks: u32) {
        self.due().store(self.deadlines.now() + ticks, Ordering::Relaxed);
    }

    /// Due in `ticks` from now, or at the tick `until` if that is sooner.
    pub fn arm_before(&self, ticks: u32, until: u32) {
        self.due().store(until.min(self.deadlines.now() + ticks), Ordering::Relaxed);
    }

    /// Due at a tick.
    pub fn arm_at(&self, tick: u32) {
        self.due().store(tick, Ordering::Relaxed);
    }

    /// Due in `ticks` from now, unless it is due sooner.
    pub fn arm_no_later(&self, ticks: u32) {
        let tick = self.deadlines.now() + ticks;
        if self.due().load(Ordering::Relaxed) > tick {
            self.arm_at(tick);
        }
    }

    /// Never due.
    pub fn disarm(&self) {
        self.due().store(NEVER, Ordering::Relaxed);
    }

    /// Whether a deadline is set.
    pub fn is_armed(&self) -> bool {
        self.due().load(Ordering::Relaxed) != NEVER
    }

    /// Whether the deadline is over.
    pub fn is_due(&self) -> bool {
        self.deadlines.is_due(self.place)
    }

    /// Where it is in the row.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Nobody is woken any more.
    pub fn deregister(&self) {
        self.deadlines.places().wakers[self.place as usize] = None;
    }

    /// Who is woken.
    pub fn register(&self, waker: &Waker) {
        self.deadlines.places().wakers[self.place as usize] = Some(waker.clone());
    }

    /// `future`, or `None` once the deadline is over. The current task must be the registered one.
    pub async fn bound<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.is_due() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.disarm();
        let mut places = self.deadlines.places();
        places.wakers[self.place as usize] = None;
        places.free.push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::AtomicUsize,
        task::{Context, Wake},
    };

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn watched(deadlines: &Arc<Deadlines>) -> (Watch, Arc<Woken>) {
        let (watch, woken) = (deadlines.watch().expect("room"), Arc::new(Woken::default()));
        watch.register(&woken.clone().into());
        (watch, woken)
    }

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!(ticks(Duration::from_millis(100)), 2, "the current tick may be almost over");
        assert_eq!(ticks(Duration::from_millis(101)), 3);
        assert_eq!(ticks(Duration::MAX), NEVER / 2);
    }

    #[test]
    fn the_sweep_wakes_who_is_due_and_nobody_else() {
        let deadlines = Deadlines::new(8);
        let ((early, a), (late, b), (_never, c)) =
            (watched(&deadlines), watched(&deadlines), watched(&deadlines));
        early.arm(2);
        late.arm(3);
        let woken = || [&a, &b, &c].map(|w| w.0.load(Ordering::Relaxed));
        deadlines.sweep(1);
        assert_eq!((woken(), early.is_due()), ([0, 0, 0], false));
        deadlines.sweep(2);
        assert_eq!((woken(), early.is_due(), late.is_due()), ([1, 0, 0], true, false));
        early.disarm();
        deadlines.sweep(3);
        assert_eq!((woken(), early.is_due()), ([1, 1, 0], false));
        deadlines.wake_all();
        assert_eq!(woken(), [2, 2, 1]);
    }

    /// A core that got no processor for a while set deadlines by a tick long past; its next sweep then skipped all the
    /// ticks since, and with them the time that those deadlines had.
    #[tokio::test]
    async fn a_sweep_that_is_late_makes_no_deadline_early() {
        const SPAN: Duration = Duration::from_millis(200);
        let deadlines = Deadlines::new(1);
        let (watch, _woken) = watched(&deadlines);
        let set = async {
            // The sweep has begun to wait; what stands still here is the whole thread, and it with it.
            tokio::task::yield_now().await;
            std::thread::sleep(TICK * 7 / 2);
            watch.arm(ticks(SPAN));
            quorate_rt::time::Instant::now()
        };
        let swept = async {
            while !watch.is_armed() || !watch.is_due() {
                deadlines.tick().await;
            }
        };
        let (armed, ()) = tokio::join!(set, swept);
        let lasted = armed.elapsed();
        assert!(lasted >= SPAN, "{SPAN:?} were over after {lasted:?}");
    }

    #[test]
    fn places_are_bounded_and_used_again() {
        let deadlines = Deadlines::new(1);
        let (watch, woken) = watched(&deadlines);
        watch.arm(1);
        assert!(deadlines.watch().is_none(), "full");
        drop(watch);
        let next = deadlines.watch().expect("free again");
        deadlines.sweep(9);
        assert!(!next.is_due(), "the last holder's deadline is gone");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_bound_future_ends_when_its_time_is_over() {
        let deadlines = Deadlines::new(1);
        let (watch, woken) = watched(&deadlines);
        watch.arm(1);
        let waker: Waker = woken.into();
        let mut cx = Context::from_waker(&waker);
        let mut waiting = pin!(watch.bound(std::future::pending::<()>()));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        deadlines.sweep(1);
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(None));
    }
}
