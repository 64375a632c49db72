//! Retry budget: retries are at most a fifth of the requests, and always three a second.
//!
//! Retries help while few fail. When many do, they are the load that keeps a service down: three attempts each
//! make three times the load at the worst moment. So a retry costs a token, each request brings a fifth of one, and
//! a few come with time, so that a service that is seldom asked can retry at all.
//!
//! Tokens live for ten seconds. A bucket that only has a size would have to choose between one that is too small for a
//! burst (a worker with three hundred open requests dies) and one that lets an hour of quiet pay for a storm.

/// For how many seconds a token lives.
const SECONDS: usize = 10;
const SECOND_MS: u64 = 1_000;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Retries per hundred requests.
    pub percent: u32,
    /// Retries a second, whatever there is of requests.
    pub per_second_min: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { percent: 20, per_second_min: 3 }
    }
}

/// Whether there is a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// There is.
    Left,
    /// There is none: no retry.
    Spent,
}

/// One core's budget for one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    slots: [Slot; SECONDS],
    sum: Slot,
    /// The second of the newest slot.
    second: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    requests: u64,
    retries: u64,
}

impl Account {
    /// A request came, the first time.
    pub fn request(&mut self, now_ms: u64) {
        let slot = self.slot(now_ms);
        slot.requests += 1;
        self.sum.requests += 1;
    }

    /// Whether there is a token for a retry.
    pub fn look(&mut self, settings: &Settings, now_ms: u64) -> Budget {
        self.slot(now_ms);
        let earned = self.sum.requests.saturating_mul(settings.percent.into()) / 100;
        let granted = u64::from(settings.per_second_min) * SECONDS as u64;
        if self.sum.retries < earned + granted { Budget::Left } else { Budget::Spent }
    }

    /// Takes a token for a retry, if there is one.
    pub fn retry(&mut self, settings: &Settings, now_ms: u64) -> Budget {
        let budget = self.look(settings, now_ms);
        if budget == Budget::Left {
            self.slot(now_ms).retries += 1;
            self.sum.retries += 1;
        }
        budget
    }

    /// The slot of now; those that have become too old are emptied.
    fn slot(&mut self, now_ms: u64) -> &mut Slot {
        let second = (now_ms / SECOND_MS).max(self.second);
        let passed = second - self.second;
        for nth in 1..=passed.min(SECONDS as u64) {
            let old = &mut self.slots[((self.second + nth) % SECONDS as u64) as usize];
            self.sum.requests -= old.requests;
            self.sum.retries -= old.retries;
            *old = Slot::default();
        }
        self.second = second;
        &mut self.slots[(second % SECONDS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { percent: 20, per_second_min: 3 };

    /// `per_second` requests, all of which would be retried once: how many are, from second 20 to 120.
    fn retries(per_second: u64) -> u64 {
        let (mut account, mut retries) = (Account::default(), 0);
        for second in 0..120 {
            for nth in 0..per_second {
                let now = second * 1_000 + nth * 1_000 / per_second;
                account.request(now);
                let is_left = account.retry(&SETTINGS, now) == Budget::Left;
                retries += u64::from(is_left && second >= 20);
            }
        }
        retries
    }

    #[test]
    fn a_fifth_of_the_requests_and_three_a_second() {
        for (per_second, expected) in [(1, 100), (3, 300), (10, 500), (100, 2_300), (5_000, 100_300)] {
            let retries = retries(per_second);
            assert!(retries.abs_diff(expected) * 50 <= expected, "{per_second}/s: {retries}, not {expected}");
        }
    }

    #[test]
    fn a_burst_may_take_what_ten_seconds_have_brought_and_no_more() {
        let mut account = Account::default();
        for nth in 0..3_600_000u64 {
            account.request(nth); // 1,000 a second, for an hour
        }
        let now = 3_600_000;
        let burst = (0..100_000).filter(|_| account.retry(&SETTINGS, now) == Budget::Left).count();
        // Ten seconds, the running one among them, which has just begun.
        assert_eq!(burst, 9_000 / 5 + 30);
        assert_eq!(account.look(&SETTINGS, now + 5_000), Budget::Spent);
        assert_eq!(account.look(&SETTINGS, now + 10_000), Budget::Left);
    }

    #[test]
    fn time_may_jump() {
        let mut account = Account::default();
        account.request(5_000);
        account.request(u64::MAX);
        assert_eq!(account.sum.requests, 1);
        account.request(0);
        assert_eq!(account.sum.requests, 2, "back counts as now");
        let nothing = Settings { percent: 0, per_second_min: 0 };
        assert_eq!(account.retry(&nothing, 0), Budget::Spent);
    }

    #[test]
    fn the_contracts_numbers_are_the_default() {
        assert_eq!(Settings::default(), SETTINGS);
    }
}
