//! One of many by weight, in the same few steps however many there are: Walker's alias method, in whole numbers.
//!
//! Each member has a slot of equal size, and what a light one leaves free of its slot belongs to one heavier one.
//! A draw is a random slot, and then one comparison.

use crate::pick::below;

/// Draws members by weight.
#[derive(Clone, Debug)]
pub(super) enum Alias {
    /// So many of one weight.
    Even(usize),
    /// For each: up to where its slot is its own, of 2^32, and whose the rest is.
    Uneven(Box<[(u32, u32)]>),
}

impl Alias {
    /// Of members with these weights, none of them 0.
    pub fn new(weights: &[u32]) -> Self {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Even(weights.len());
        }
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // A slot holds `total`; all together are `total` times their number.
        let mut rest: Vec<u64> = weights.iter().map(|w| u64::from(*w) * weights.len() as u64).collect();
        let mut slots: Vec<(u32, u32)> = (0..weights.len() as u32).map(|nth| (u32::MAX, nth)).collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|nth| rest[*nth] < total);
        while let (Some(small), Some(large)) = (light.pop(), heavy.pop()) {
            let own = (u128::from(rest[small]) << 32) / u128::from(total);
            slots[small] = (own as u32, large as u32);
            rest[large] -= total - rest[small];
            if rest[large] < total { light.push(large) } else { heavy.push(large) }
        }
        Self::Uneven(slots.into())
    }

    /// Which one. There is at least one.
    pub fn draw(&self, random: u64) -> usize {
        match self {
            Self::Even(count) => below(random, *count),
            Self::Uneven(slots) => {
                let nth = below(random, slots.len());
                let (own, other) = slots[nth];
                if (random as u32) < own { nth } else { other as usize }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::next_random;

    #[test]
    fn draws_are_in_proportion_to_weights() {
        for weights in
            [vec![1, 1, 1], vec![100, 50, 25], vec![1, 1_000], vec![7, 1, 1, 3, 1_000_000, 500_000]]
        {
            let (alias, mut chance) = (Alias::new(&weights), 7);
            let mut counts = vec![0u64; weights.len()];
            (0..200_000).for_each(|_| counts[alias.draw(next_random(&mut chance))] += 1);
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            for (weight, count) in weights.iter().zip(&counts) {
                let expected = 200_000 * u64::from(*weight) / total;
                // Five deviations of a binomial, and one for small numbers.
                let margin = 5 * expected.isqrt() + 1;
                assert!(count.abs_diff(expected) <= margin, "{weights:?}: {counts:?}");
            }
        }
    }

    /// What the slots hold adds up to each one's weight exactly, but for the 2^32nd parts.
    #[test]
    fn slots_hold_the_weights() {
        let weights = [3, 999, 1, 50, 50, 123_456];
        let Alias::Uneven(slots) = Alias::new(&weights) else { panic!("uneven") };
        let mut held = [0u64; 6];
        for (nth, (own, other)) in slots.iter().enumerate() {
            held[nth] += u64::from(*own);
            held[*other as usize] += (1 << 32) - u64::from(*own);
        }
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        for (weight, held) in weights.iter().zip(held) {
            let expected = (u64::from(*weight) * 6) << 32;
            assert!(held.abs_diff(expected / total) < 8, "{weight}: {held}");
        }
    }
}
