//! How long to wait before the next attempt: 100 ms, doubled each time, 10 s at most, less a random part.
//!
//! Without the random part all requests that failed together come back together, and fail together again.

/// How much of the wait is chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// All of it: between nothing and the whole wait. The least load for the time waited.
    #[default]
    Full,
    /// Half of it: never less than half of the wait.
    Equal,
}

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Before the first retry.
    pub initial_ms: u32,
    /// Before any.
    pub max_ms: u32,
    /// How much of it is chance.
    pub jitter: Jitter,
}

impl Default for Settings {
    fn default() -> Self {
        Self { initial_ms: 100, max_ms: 10_000, jitter: Jitter::Full }
    }
}

/// Before retry number `nth`, counted from 0, in milliseconds.
pub fn wait_ms(settings: &Settings, nth: u32, entropy: u64) -> u32 {
    let doubled = u64::from(settings.initial_ms) << nth.min(31);
    let whole = doubled.min(settings.max_ms.into()) as u32;
    let fixed = match settings.jitter {
        Jitter::Full => 0,
        Jitter::Equal => whole / 2,
    };
    fixed + part(whole - fixed, entropy)
}

/// Of `bound` milliseconds, from none to all.
fn part(bound: u32, entropy: u64) -> u32 {
    ((u128::from(entropy) * (u128::from(bound) + 1)) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::next_random;

    #[test]
    fn it_doubles_up_to_its_bound() {
        let longest = |nth| wait_ms(&Settings::default(), nth, u64::MAX);
        assert_eq!(
            [0, 1, 2, 3, 6, 7, 31, u32::MAX].map(longest),
            [100, 200, 400, 800, 6_400, 10_000, 10_000, 10_000]
        );
        let equal = Settings { jitter: Jitter::Equal, ..Settings::default() };
        assert_eq!([0, 1, 9].map(|nth| wait_ms(&equal, nth, 0)), [50, 100, 5_000]);
        assert_eq!([0, 1, 9].map(|nth| wait_ms(&equal, nth, u64::MAX)), [100, 200, 10_000]);
        let none = Settings { initial_ms: 0, ..Settings::default() };
        assert_eq!(wait_ms(&none, 3, u64::MAX), 0);
        let most = Settings { initial_ms: u32::MAX, max_ms: u32::MAX, jitter: Jitter::Full };
        assert_eq!(wait_ms(&most, u32::MAX, u64::MAX), u32::MAX);
    }

    #[test]
    fn full_jitter_is_even() {
        let (mut chance, mut tenths) = (1, [0u32; 10]);
        for _ in 0..100_000 {
            let wait = wait_ms(&Settings::default(), 9, next_random(&mut chance));
            tenths[(wait as usize * 10 / 10_001).min(9)] += 1;
        }
        // Binomial: the deviation is 95.
        assert!(tenths.iter().all(|count| count.abs_diff(10_000) < 500), "{tenths:?}");
    }
}
