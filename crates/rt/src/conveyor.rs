//! One item after the other, worked on by every core at once, and handed over in order.
//!
//! For blocking work that is long enough to be shared: a large snapshot is read by whoever has nothing to do,
//! understood by all, and put together by one. In simulation there are no threads; there one does it all, in the
//! same order.

use std::ops::ControlFlow;

/// What is to be done.
pub trait Conveyor: Sync {
    /// Where the items come from.
    type Source: Send;
    /// What one pair of hands works with; used again for each item.
    type Bench: Default;
    /// What an item becomes.
    type Done: Send;

    /// Takes the next item onto the bench; `false`: there is none left. Called by one at a time, in order.
    fn next(&self, source: &mut Self::Source, bench: &mut Self::Bench) -> bool;

    /// Makes of the item on the bench what it becomes. Called by many at once.
    fn work(&self, bench: &mut Self::Bench) -> Self::Done;
}

/// Carries all items of `source` to `take`, in their order, until it breaks. Blocks. A few items for each core are
/// under way at once.
pub fn carry<C: Conveyor>(conveyor: &C, source: C::Source, take: impl FnMut(C::Done) -> ControlFlow<()>) {
    crate::imp::carry(conveyor, source, take);
}

/// One does it all.
pub(crate) fn carry_alone<C: Conveyor>(
    conveyor: &C,
    mut source: C::Source,
    mut take: impl FnMut(C::Done) -> ControlFlow<()>,
) {
    let mut bench = C::Bench::default();
    while conveyor.next(&mut source, &mut bench) {
        if take(conveyor.work(&mut bench)).is_break() {
            return;
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Numbers up to a last one; the early ones take longer, so that the later ones are done first.
    struct Numbers {
        last: u64,
        taken: AtomicU64,
    }

    impl Conveyor for Numbers {
        type Source = u64;
        type Bench = u64;
        type Done = u64;

        fn next(&self, source: &mut u64, bench: &mut u64) -> bool {
            *source += 1;
            *bench = *source;
            self.taken.fetch_max(*source, Ordering::Relaxed);
            *source <= self.last
        }

        fn work(&self, bench: &mut u64) -> u64 {
            let rounds = if *bench % 4 == 1 { 20_000 } else { 1 };
            (0..rounds).fold(*bench, |n, _| std::hint::black_box(n))
        }
    }

    fn carried(last: u64, break_at: u64) -> (Vec<u64>, u64) {
        let (numbers, mut carried) = (Numbers { last, taken: AtomicU64::new(0) }, Vec::new());
        carry(&numbers, 0, |number| {
            carried.push(number);
            if number == break_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (carried, numbers.taken.into_inner())
    }

    #[test]
    fn what_is_done_early_waits_for_its_turn() {
        assert_eq!(carried(500, 0).0, (1..=500).collect::<Vec<_>>());
        assert_eq!(carried(0, 0).0, []);
    }

    /// Scenario: the first sections of a large file are found damaged. Nobody reads the rest of it for nothing.
    #[test]
    fn who_breaks_off_is_handed_nothing_more_and_the_rest_is_left_where_it_is() {
        let (carried, taken) = carried(u64::MAX, 100);
        assert_eq!(carried, (1..=100).collect::<Vec<_>>());
        assert!(taken < 100 + 1_000, "{taken}");
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_at_work_is_one_for_who_waits() {
        struct Clumsy;
        impl Conveyor for Clumsy {
            type Source = ();
            type Bench = ();
            type Done = ();
            fn next(&self, (): &mut (), (): &mut ()) -> bool {
                true
            }
            fn work(&self, (): &mut ()) {
                panic!("dropped it");
            }
        }
        carry(&Clumsy, (), |()| ControlFlow::Continue(()));
    }
}
