//! So many a second: a bucket of tokens, with time as an argument.

use crate::settings::Rate;
use quorate_rt::time::{Duration, Instant};

/// Tokens that were not used, up to the burst. May be in debt: what has come has come, and the next one waits.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Full.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), at: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }

    /// Takes `count`, into debt if need be.
    pub fn charge(&mut self, count: u32, now: Instant) {
        self.refill(now);
        self.tokens -= f64::from(count);
    }

    /// How long until it is out of debt; `None`: it is in none.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        let debt = -self.tokens;
        (debt > 0.0).then(|| Duration::from_secs_f64(debt / f64::from(self.rate.per_second.max(1))))
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let burst = f64::from(self.rate.burst);
        self.tokens = (self.tokens + passed * f64::from(self.rate.per_second)).min(burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, start);
        let taken = (0..5).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 3);
        let later = start + Duration::from_millis(150);
        assert_eq!((bucket.take(later), bucket.take(later)), (true, false));
        let rested = start + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| bucket.take(rested)).count(), 3, "no more than the burst, however long");
    }

    #[test]
    fn debt_is_paid_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, start);
        bucket.charge(3, start);
        assert_eq!(bucket.wait(start), None, "all of it, and no more");
        bucket.charge(5, start);
        assert_eq!(bucket.wait(start), Some(Duration::from_millis(500)));
        assert_eq!(bucket.wait(start + Duration::from_millis(500)), None);
    }
}
