//! Which of a route's destinations a request goes to.
//!
//! Without a key chance decides, by weight. With one the choice is a pure function of the key, the destinations and
//! their weights, so a user or a trace stays on one version, on every node and across restarts.
//!
//! Cutting the space of hashes into pieces as long as the weights would do that too, but moving one border moves all
//! behind it: from 50/30/20 to 40/30/30 it would give another destination to a fifth of all keys (here it is an eighth,
//! and the least is a tenth), and a new destination in the front would move most. So the destinations compete for each key (rendezvous
//! hashing): each draws for it a number that has the exponential distribution with the destination's weight, and the
//! smallest wins. That is by weight; of two destinations a change from 90/10 to 80/20 moves a tenth of all keys; no key
//! moves between destinations that did not change; and the order in which they are written means nothing. The logarithm in it is computed in whole numbers: those of processors
//! and libraries differ in the last bit, and two nodes would differ with them.

use crate::{balance::key::hash, pick::next_random};
use quorate_model::route::{Destination, Target};

/// The place of the destination in the list. The list has a weight above 0, or the first one is taken.
pub fn choose(destinations: &[Destination], key: Option<&[u8]>, entropy: u64) -> usize {
    match (destinations, key) {
        ([] | [_], _) => 0,
        (_, Some(key)) => by_key(destinations, hash(key)),
        (_, None) => by_chance(destinations, entropy),
    }
}

fn by_chance(destinations: &[Destination], entropy: u64) -> usize {
    let total: u64 = destinations.iter().map(|one| u64::from(one.weight)).sum();
    // Not the request's own number: which endpoint of the destination it is, that one decides.
    let random = next_random(&mut (entropy ^ SALT));
    // The high half times the total, shifted: there are at most 64 weights of a million.
    let mut draw = ((random >> 32) * total) >> 32;
    for (nth, one) in destinations.iter().enumerate() {
        match draw.checked_sub(u64::from(one.weight)) {
            Some(left) => draw = left,
            None => return nth,
        }
    }
    0
}

const SALT: u64 = 0x7765_6967_6874_6564;

fn by_key(destinations: &[Destination], key: u64) -> usize {
    let mut best: Option<(usize, u64, u64)> = None;
    for (nth, one) in destinations.iter().enumerate().filter(|(_, one)| one.weight > 0) {
        let drawn = neg_log2(mix(key ^ identity(destinations, nth)));
        let weight = u64::from(one.weight);
        // Which quotient is the smaller one, without dividing: below 2^39 times below 2^20.
        if best.is_none_or(|(_, least, of)| drawn * of < least * weight) {
            best = Some((nth, drawn, weight));
        }
    }
    best.map_or(0, |(nth, _, _)| nth)
}

/// Of a destination, whatever its place and weight. One that is there twice is two.
fn identity(destinations: &[Destination], nth: usize) -> u64 {
    let target = &destinations[nth].target;
    let earlier = destinations[..nth].iter().filter(|one| one.target == *target).count();
    let (kind, name) = match target {
        Target::Service(name) => (1, hash(name.as_str().as_bytes())),
        Target::Url { address, .. } => (2, hash(address.as_str().as_bytes())),
        Target::Keyspace(name) => (3, hash(name.as_str().as_bytes())),
        Target::Version { service, version } => {
            (4, hash(service.as_str().as_bytes()) ^ mix(hash(version.as_bytes())))
        }
    };
    mix(name ^ kind ^ ((earlier as u64) << 8))
}

/// The end of splitmix64: numbers that differ in one bit differ in half of theirs.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// `-log2` of a number that is read as a fraction of 2^64, in units of 2^-32. Never 0.
fn neg_log2(number: u64) -> u64 {
    let number = number | 1;
    let zeros = number.leading_zeros();
    // Between 1 and 2, in units of 2^-63.
    let mut mantissa = u128::from(number << zeros);
    let mut fraction = 0_u64;
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = mantissa >> 64;
        mantissa >>= bit;
        fraction = fraction << 1 | bit as u64; // 0 or 1
    }
    (u64::from(zeros + 1) << 32) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::ServiceName;

    fn split(weights: &[(&str, u32)]) -> Vec<Destination> {
        let to = |(name, weight): &(&str, u32)| Destination {
            target: Target::Service(ServiceName::parse(name).expect("a name")),
            weight: *weight,
        };
        weights.iter().map(to).collect()
    }

    const KEYS: usize = 100_000;

    fn chosen(destinations: &[Destination]) -> Vec<&str> {
        let name = |nth: usize| match &destinations
            [choose(destinations, Some(format!("user-{nth}").as_bytes()), 0)]
        .target
        {
            Target::Service(name) => name.as_str(),
            _ => "",
        };
        (0..KEYS).map(name).collect()
    }

    fn share(of: &str, among: &[&str]) -> f64 {
        among.iter().filter(|name| **name == of).count() as f64 / KEYS as f64
    }

    fn moved(before: &[(&str, u32)], after: &[(&str, u32)]) -> f64 {
        let (before, after) = (split(before), split(after));
        let (before, after) = (chosen(&before), chosen(&after));
        before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / KEYS as f64
    }

    /// A deviation of five in a thousand is more than three standard deviations of a hundred thousand draws.
    fn check(got: f64, expected: f64) {
        assert!((got - expected).abs() < 0.005, "{got}, not {expected}");
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let destinations = split(&[("a", 50), ("b", 30), ("c", 20), ("d", 0)]);
        let all = chosen(&destinations);
        for (name, expected) in [("a", 0.5), ("b", 0.3), ("c", 0.2)] {
            check(share(name, &all), expected);
        }
        assert_eq!(share("d", &all).to_bits(), 0.0_f64.to_bits());
        let rare = split(&[("a", 999_000), ("b", 1_000)]);
        let rare = share("b", &chosen(&rare));
        assert!((0.0005..0.0015).contains(&rare), "{rare}");
    }

    #[test]
    fn chance_is_by_weight() {
        let destinations = split(&[("a", 1), ("b", 0), ("c", 3)]);
        let mut counts = [0; 3];
        let mut entropy = 7;
        for _ in 0..KEYS {
            counts[choose(&destinations, None, next_random(&mut entropy))] += 1;
        }
        assert_eq!(counts[1], 0);
        check(f64::from(counts[0]) / KEYS as f64, 0.25);
    }

    #[test]
    fn only_the_share_that_changed_moves() {
        check(moved(&[("a", 90), ("b", 10)], &[("a", 80), ("b", 20)]), 0.1);
        // The least is a tenth, which no draw of each for itself can reach; pieces of a line would move a fifth.
        let three = moved(&[("a", 50), ("b", 30), ("c", 20)], &[("a", 40), ("b", 30), ("c", 30)]);
        assert!((0.1..0.135).contains(&three), "{three}");
        // A new one takes its share and nothing else moves, wherever it is written.
        check(moved(&[("a", 50), ("b", 50)], &[("c", 100), ("a", 50), ("b", 50)]), 0.5);
        // The order means nothing, nor does the scale.
        check(moved(&[("a", 90), ("b", 10)], &[("b", 1_000), ("a", 9_000)]), 0.0);
    }

    #[test]
    fn no_key_moves_between_those_that_did_not_change() {
        let (before, after) =
            (split(&[("a", 50), ("b", 30), ("c", 20)]), split(&[("a", 50), ("b", 30), ("c", 0)]));
        for (before, after) in chosen(&before).iter().zip(chosen(&after)) {
            assert!(*before == "c" || *before == after, "{before} {after}");
        }
    }

    /// Scenario: a ramp gives a new version 5, 50 and 100 percent. Whoever has come to it once, stays.
    #[test]
    fn no_key_leaves_a_share_that_grows() {
        let steps: [&[(&str, u32)]; 3] =
            [&[("old", 95), ("new", 5)], &[("old", 50), ("new", 50)], &[("old", 0), ("new", 100)]];
        let splits = steps.map(split);
        let mut before = vec!["old"; KEYS];
        for split in &splits {
            let now = chosen(split);
            let left = before.iter().zip(&now).filter(|(was, is)| **was == "new" && **is == "old").count();
            assert_eq!(left, 0, "of {KEYS} keys");
            before = now;
        }
        assert!(before.iter().all(|name| *name == "new"));
        // Also where several others give: shares of one that grows, by other sums.
        let three = |new| split(&[("a", 60), ("b", 40), ("new", new)]);
        let (few, many) = (three(10), three(300));
        let (few, many) = (chosen(&few), chosen(&many));
        assert!(few.iter().zip(&many).all(|(was, is)| *was != "new" || *is == "new"));
    }

    /// Part of what nodes agree on: one that chooses otherwise sends each user elsewhere.
    #[test]
    fn the_choice_is_frozen() {
        let destinations = split(&[("a", 50), ("b", 30), ("c", 20)]);
        let first: String = chosen(&destinations).into_iter().take(32).collect();
        assert_eq!(first, FROZEN);
    }

    const FROZEN: &str = "caabbbabbccaabaaaaaabaaaccccabba";

    #[test]
    fn the_same_destination_twice_counts_twice() {
        let all = split(&[("a", 50), ("b", 50), ("a", 50)]);
        check(share("a", &chosen(&all)), 2.0 / 3.0);
    }

    #[test]
    fn the_logarithm_is_right() {
        for number in [1, 3, 1 << 20 | 1, u64::MAX / 3, u64::MAX / 2, u64::MAX] {
            let expected = -((number as f64) / 2_f64.powi(64)).log2() * 2_f64.powi(32);
            let got = neg_log2(number) as f64;
            assert!((got - expected).abs() <= 2.0, "{number}: {got}, not {expected}");
        }
    }
}
