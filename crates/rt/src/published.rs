//! A cell that one task writes and every request reads.
//!
//! A reader keeps the last value beside it and compares one version number, so an unchanged value costs one
//! atomic load and no shared lock or reference count. arc-swap would be the usual choice; it has an open
//! memory-safety report on arm64 (vorner/arc-swap#210).

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

/// The writer's side, shared by reference.
pub struct Published<T> {
    version: AtomicU64,
    slot: RwLock<Arc<T>>,
    /// Told of each store. Costs the writer next to nothing while nobody waits.
    stored: Notify,
}

impl<T> Published<T> {
    /// A cell that holds `value`.
    pub fn new(value: Arc<T>) -> Arc<Self> {
        Arc::new(Self { version: AtomicU64::new(0), slot: RwLock::new(value), stored: Notify::new() })
    }

    /// Replaces the value. Readers see it from their next load on.
    pub fn store(&self, value: Arc<T>) {
        let old = {
            let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::replace(&mut *slot, value);
            // Inside the lock, so that a reader that sees this version reads this value or a newer one.
            self.version.fetch_add(1, Ordering::Release);
            old
        };
        self.stored.notify_waiters();
        drop(old); // outside the lock: the last reference may free a large structure
    }

    /// How many values were stored so far, for [`Self::changed`].
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Waits until there is a newer value than the one of version `seen`; returns the version that there is now.
    pub async fn changed(&self, seen: u64) -> u64 {
        loop {
            // Before the look: what is stored after it is told to this one.
            let stored = self.stored.notified();
            let now = self.version();
            if now != seen {
                return now;
            }
            stored.await;
        }
    }

    /// The value, for those who read rarely.
    pub fn get(&self) -> Arc<T> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A reader that caches the value.
    pub fn reader(self: &Arc<Self>) -> Reader<T> {
        // Read before the value: if a store comes between, the next load notices.
        let seen = self.version.load(Ordering::Acquire);
        Reader { seen, cached: self.get(), cell: self.clone() }
    }
}

/// A reader of its own for each core. It keeps the value that it saw last alive: don't keep one per connection.
pub struct Reader<T> {
    cell: Arc<Published<T>>,
    seen: u64,
    cached: Arc<T>,
}

impl<T> Reader<T> {
    /// The newest value. One atomic load where nothing changed.
    pub fn load(&mut self) -> &Arc<T> {
        let version = self.cell.version.load(Ordering::Acquire);
        if version != self.seen {
            self.cached = self.cell.get();
            self.seen = version;
        }
        &self.cached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_each_store() {
        let cell = Published::new(Arc::new(1));
        let mut reader = cell.reader();
        assert_eq!(**reader.load(), 1);
        cell.store(Arc::new(2));
        assert_eq!(**reader.load(), 2);
        assert_eq!(*cell.get(), 2);
    }

    #[test]
    fn whoever_waits_is_told_of_a_store_and_of_one_before() {
        use std::{
            future::Future,
            pin::pin,
            task::{Context, Poll, Waker},
        };
        let cell = Published::new(Arc::new(1));
        let mut cx = Context::from_waker(Waker::noop());
        let seen = cell.version();
        {
            let mut waiting = pin!(cell.changed(seen));
            assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Pending);
            cell.store(Arc::new(2));
            assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(seen + 1));
        }
        assert_eq!(pin!(cell.changed(seen)).poll(&mut cx), Poll::Ready(seen + 1), "it is past already");
    }

    #[test]
    fn a_reader_never_goes_back() {
        let cell = Published::new(Arc::new(0u64));
        let mut reader = cell.reader();
        std::thread::scope(|threads| {
            threads.spawn(|| (1..=100_000).for_each(|i| cell.store(Arc::new(i))));
            let mut last = 0;
            while last < 100_000 {
                let now = **reader.load();
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
        });
    }
}
