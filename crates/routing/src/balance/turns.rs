//! Round-robin by weight: whose turn is due first.
//!
//! Each member is due every `1 / weight`, and the earliest is taken. Equal members come in a fixed rotation; a heavy
//! one comes often and never several times in a row where that can be spread, which is what nginx calls smooth. A
//! turn costs the depth of a heap; nginx looks at all members for each request, which at ten thousand of them costs
//! more than forwarding it. Where in the rotation a core begins is chance, or all cores of all nodes would begin with
//! the same endpoint.

use crate::pick::next_random;
use std::{cmp::Reverse, collections::BinaryHeap};

/// The time between two turns of a member of weight one thousandth.
const LAP: u64 = 1 << 40;
/// From here on the clock is set back. A member of the least weight gets there with its millionth turn or so.
const CLOCK_MAX: u64 = 1 << 62;
/// How many who are not there are passed over, before all are asked.
const PASSED_MAX: usize = 32;

/// The members of a group by who is due when.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    due: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Turns {
    /// Of `count` members with weights in thousandths.
    pub fn new(count: usize, weight: impl Fn(usize) -> u64, mut chance: u64) -> Self {
        let due = (0..count).map(|nth| {
            let lap = lap(weight(nth));
            let begin = (u128::from(lap) * u128::from(next_random(&mut chance))) >> 64;
            Reverse((begin as u64, nth as u32))
        });
        Self { due: due.collect() }
    }

    /// Of how many.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whose turn it is of those that are there. Who is not there misses the turn: what it missed is not made up for.
    pub fn next(&mut self, weight: impl Fn(usize) -> u64, is_there: impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..self.due.len().min(PASSED_MAX) {
            let mut first = self.due.peek_mut()?;
            let (due, nth) = first.0;
            // Sifted down when `first` is dropped: one walk instead of two.
            *first = Reverse((due + lap(weight(nth as usize)), nth));
            drop(first);
            if due > CLOCK_MAX {
                self.set_back(due);
            }
            if is_there(nth as usize) {
                return Some(nth as usize);
            }
        }
        let there = self.due.iter().filter(|turn| is_there(turn.0.1 as usize));
        there.min_by_key(|turn| turn.0).map(|turn| turn.0.1 as usize)
    }

    fn set_back(&mut self, by: u64) {
        let due = std::mem::take(&mut self.due);
        self.due = due.into_iter().map(|turn| Reverse((turn.0.0.saturating_sub(by), turn.0.1))).collect();
    }
}

fn lap(weight: u64) -> u64 {
    LAP / weight.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(weights: &[u64], count: usize) -> Vec<usize> {
        let weight = |nth: usize| weights[nth] * 1_000;
        let mut turns = Turns::new(weights.len(), weight, 3);
        (0..count).map(|_| turns.next(weight, |_| true).expect("all are there")).collect()
    }

    #[test]
    fn equals_come_in_a_fixed_rotation() {
        let turns = run(&[100; 5], 50);
        for lap in turns.chunks(5) {
            assert_eq!(lap, &turns[..5], "{turns:?}");
        }
        let mut first = turns[..5].to_vec();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2, 3, 4]);
    }

    /// In any stretch as long as all weights together each one comes as often as its weight, give or take one.
    #[test]
    fn a_heavy_one_is_spread_out() {
        for weights in [&[5, 1, 1][..], &[3, 2], &[10, 1], &[4, 3, 2, 1]] {
            let lap = weights.iter().sum::<u64>() as usize;
            let turns = run(weights, 20 * lap);
            for stretch in turns.windows(lap) {
                for (nth, weight) in weights.iter().enumerate() {
                    let count = stretch.iter().filter(|turn| **turn == nth).count() as u64;
                    assert!(count.abs_diff(*weight) <= 1, "{weights:?}: {stretch:?}");
                }
            }
        }
        assert!(!run(&[2, 1, 1], 200).windows(3).any(|w| w == [0, 0, 0]));
    }

    #[test]
    fn who_is_not_there_is_passed_over() {
        let mut turns = Turns::new(100, |_| 1_000, 1);
        assert_eq!(turns.next(|_| 1_000, |nth| nth == 77), Some(77), "all are asked in the end");
        assert_eq!(turns.next(|_| 1_000, |_| false), None);
        assert_eq!(Turns::default().next(|_| 1, |_| true), None);
    }

    #[test]
    fn the_clock_is_set_back_and_nobody_notices() {
        let mut turns = Turns::new(3, |_| 1_000, 1);
        let late =
            turns.due.into_iter().map(|turn| Reverse((turn.0.0 + CLOCK_MAX - 2 * LAP / 1_000, turn.0.1)));
        turns.due = late.collect();
        let order: Vec<_> = (0..30).filter_map(|_| turns.next(|_| 1_000, |_| true)).collect();
        assert!(order.chunks(3).all(|lap| lap == &order[..3]), "{order:?}");
        assert!(turns.due.iter().all(|turn| turn.0.0 < CLOCK_MAX));
    }
}
