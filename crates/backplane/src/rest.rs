//! How long to wait after a failure: by chance, so that the gateways of a fleet don't come back together, and longer each
//! time, so that a server that comes up is not overrun.

use quorate_rt::rng;
use std::time::Duration;

/// After the first failure, at most.
const SHORTEST: Duration = Duration::from_millis(100);
/// After many.
const LONGEST: Duration = Duration::from_secs(2);
const _: () = assert!(SHORTEST.as_millis() * 2 < LONGEST.as_millis(), "it gets longer");

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    failures: u32,
}

impl Rest {
    /// It has failed once more: wait for so long, half to the whole of what it is by now.
    pub fn next(&mut self) -> Duration {
        let whole = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let share = u32::try_from(rng::random_u64() % 1_001).unwrap_or(0);
        whole / 2 + whole / 2 * share / 1_000
    }

    /// It has worked.
    pub fn over(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_grows_to_the_longest_and_begins_anew_after_a_success() {
        let mut rest = Rest::default();
        for failure in 0..40 {
            let (now, whole) = (rest.next(), (SHORTEST * (1 << failure.min(10))).min(LONGEST));
            assert!((whole / 2..=whole).contains(&now), "{now:?} after {failure} failures");
        }
        rest.over();
        assert!(rest.next() <= SHORTEST);
    }
}
