//! Passive ejection: an endpoint whose answers are bad gets no requests for a while, on this node.
//!
//! Four reasons: failures to connect, answers that say that a gateway failed (502, 503, 504; what did not connect counts
//! too), any 5xx, each so many in a row; and, where there is enough to compare, far fewer good answers than the
//! others give. It is back after [`Settings::base_ms`], after twice that the second time, and so on; each such time
//! without another ejection takes one off again.
//!
//! An ejection is a guess, and one that is made by looking at oneself too: a node whose own network is broken finds all
//! endpoints bad. So no more than [`Settings::percent_max`] of a hundred are out at a time, the first one excepted,
//! which would never go where there are few; and never the last one. What goes beyond that is no ejection at all but
//! panic ([`crate::balance::Mode`]).

/// When to eject, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 5xx answers in a row.
    pub errors: u32,
    /// Failures of a gateway in a row.
    pub gateway_errors: u32,
    /// Failures to connect in a row. One is enough: nobody listens.
    pub connect_failures: u32,
    /// For how long, the first time.
    pub base_ms: u64,
    /// For how long at most.
    pub longest_ms: u64,
    /// How many of a hundred may be out.
    pub percent_max: u32,
    /// Comparing rates of success; `None`: not done.
    pub success_rate: Option<SuccessRate>,
}

/// When a rate of success is too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// Fewer endpoints than that with enough requests, and nothing is compared.
    pub endpoints_min: u32,
    /// Fewer requests since the last comparison are not enough.
    pub requests_min: u32,
    /// Too low: below the mean by so many thousandths of the standard deviation.
    pub deviations_permille: u32,
    /// And by at least so many of a thousand: where all answer nearly everything, a hair's breadth is no reason.
    pub gap_permille: u32,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { endpoints_min: 5, requests_min: 100, deviations_permille: 1_900, gap_permille: 50 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            errors: 5,
            gateway_errors: 5,
            connect_failures: 1,
            base_ms: 5_000,
            longest_ms: 300_000,
            percent_max: 50,
            success_rate: Some(SuccessRate::default()),
        }
    }
}

/// How an attempt ended, in an endpoint's disfavour or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An answer that is no 5xx.
    Good,
    /// A 5xx that the endpoint speaks for itself by.
    Error,
    /// 502, 503 or 504, or no answer.
    GatewayError,
    /// No connection.
    NoConnection,
}

impl Seen {
    /// Of an answer's status.
    pub fn of_status(status: u16) -> Self {
        match status {
            502..=504 => Self::GatewayError,
            500..=599 => Self::Error,
            _ => Self::Good,
        }
    }
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// [`Settings::errors`].
    Errors,
    /// [`Settings::gateway_errors`].
    GatewayErrors,
    /// [`Settings::connect_failures`].
    ConnectFailures,
    /// [`Settings::success_rate`].
    SuccessRate,
}

impl Cause {
    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::GatewayErrors => "gateway_errors",
            Self::ConnectFailures => "connect_failures",
            Self::SuccessRate => "success_rate",
        }
    }
}

/// What one core has seen of one endpoint of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    errors: u32,
    gateway_errors: u32,
    connect_failures: u32,
    /// How many times it was ejected, less those that were forgiven.
    ejections: u32,
    /// When the last ejection is, or was, over.
    until_ms: u64,
    tally: Tally,
}

/// Answers since the last comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Good ones.
    pub good: u32,
    /// All.
    pub all: u32,
}

impl Record {
    /// Whether it is out.
    pub fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// One more attempt ended: whether that is one too many.
    pub fn note(&mut self, settings: &Settings, seen: Seen) -> Option<Cause> {
        let count =
            |counter: &mut u32, is_one: bool| *counter = if is_one { counter.saturating_add(1) } else { 0 };
        let rank = match seen {
            Seen::Good => 0,
            Seen::Error => 1,
            Seen::GatewayError => 2,
            Seen::NoConnection => 3,
        };
        count(&mut self.errors, rank >= 1);
        count(&mut self.gateway_errors, rank >= 2);
        count(&mut self.connect_failures, rank >= 3);
        self.tally.good = self.tally.good.saturating_add(u32::from(rank == 0));
        self.tally.all = self.tally.all.saturating_add(1);
        let reached = |counter: u32, bound: u32| bound > 0 && counter >= bound;
        if reached(self.connect_failures, settings.connect_failures) {
            Some(Cause::ConnectFailures)
        } else if reached(self.gateway_errors, settings.gateway_errors) {
            Some(Cause::GatewayErrors)
        } else if reached(self.errors, settings.errors) {
            Some(Cause::Errors)
        } else {
            None
        }
    }

    /// Ejects it; until when.
    pub fn eject(&mut self, settings: &Settings, now_ms: u64) -> u64 {
        let forgiven = now_ms.saturating_sub(self.until_ms) / settings.base_ms.max(1);
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        self.ejections = self.ejections.saturating_sub(forgiven).saturating_add(1);
        let span = settings.base_ms.saturating_mul(self.ejections.into()).min(settings.longest_ms);
        self.until_ms = now_ms.saturating_add(span);
        (self.errors, self.gateway_errors, self.connect_failures) = (0, 0, 0);
        self.until_ms
    }

    /// The answers since the last time that it was asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }
}

/// Whether one more of `members` may be ejected, where `ejected` are.
pub fn may_eject(settings: &Settings, ejected: usize, members: usize) -> bool {
    let within = (ejected + 1) * 100 <= members * settings.percent_max as usize;
    let is_first = ejected == 0 && settings.percent_max > 0;
    ejected + 1 < members && (within || is_first)
}

/// Which of those that were compared have too low a rate of success.
pub fn low_success(rate: &SuccessRate, tallies: &[Tally]) -> Vec<usize> {
    const WHOLE: u64 = 1_000_000;
    let enough = |tally: &Tally| tally.all >= rate.requests_min.max(1);
    let share = |tally: &Tally| u64::from(tally.good) * WHOLE / u64::from(tally.all);
    let shares: Vec<(usize, u64)> =
        tallies.iter().enumerate().filter(|(_, t)| enough(t)).map(|(nth, t)| (nth, share(t))).collect();
    if shares.len() < rate.endpoints_min.max(2) as usize {
        return Vec::new();
    }
    let count = shares.len() as u64;
    let mean = shares.iter().map(|(_, share)| share).sum::<u64>() / count;
    let variance = shares.iter().map(|(_, share)| share.abs_diff(mean).pow(2)).sum::<u64>() / count;
    let by_deviation = variance.isqrt() * u64::from(rate.deviations_permille) / 1_000;
    let by_gap = WHOLE * u64::from(rate.gap_permille) / 1_000;
    let bound = mean.saturating_sub(by_deviation.max(by_gap));
    shares.into_iter().filter(|(_, share)| *share < bound).map(|(nth, _)| nth).collect()
}

/// Who of a service is out on this core: so that how many there are is known without asking all.
#[derive(Clone, Debug)]
pub struct Roster<T> {
    out: Vec<(u64, T)>,
    first_ms: u64,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { out: Vec::new(), first_ms: u64::MAX }
    }
}

impl<T: PartialEq> Roster<T> {
    /// How many are out.
    pub fn count(&mut self, now_ms: u64) -> usize {
        if now_ms >= self.first_ms {
            self.out.retain(|(until, _)| *until > now_ms);
            self.find_first();
        }
        self.out.len()
    }

    /// One more, or one for longer.
    pub fn add(&mut self, who: T, until_ms: u64) {
        self.forget(&who);
        self.out.push((until_ms, who));
        self.find_first();
    }

    /// It is gone, or another one under its name.
    pub fn forget(&mut self, who: &T) {
        self.out.retain(|(_, out)| out != who);
        self.find_first();
    }

    fn find_first(&mut self) {
        self.first_ms = self.out.iter().map(|(until, _)| *until).min().unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests;
