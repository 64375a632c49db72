//! How one worker has behaved for one service, as this core saw it.
//!
//! It is about one life of the worker: who registers anew, or comes back to life, is a new one, with a clean record and
//! a slow start.

use super::{Rules, ToldOpening};
use quorate_model::{
    BreakerObservation, BreakerPhase, EjectionCause, EjectionObservation, Epoch, OpeningCause, WorkerId,
};
use quorate_routing::{
    balance::{Standing, ewma::PeakEwma},
    breaker::{self, Breaker, Change, Ended, Pass},
    outlier::{self, Cause, Record, Seen, Tally},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Conduct {
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// When this core saw it begin; `None`: it was there before the core looked.
    pub since_ms: Option<u64>,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    breaker: Breaker,
    record: Record,
    latency: PeakEwma,
    /// When the breaker's state changed last; `None`: never.
    changed_ms: Option<u64>,
    /// Whether it was opened on the word of others.
    is_told: bool,
    ejection: Option<Ejection>,
    /// When it last did well.
    well_ms: Option<u64>,
    /// The number of the last opening that was told of it.
    told: u64,
}

/// The last one.
#[derive(Clone, Copy)]
struct Ejection {
    cause: Cause,
    since_ms: u64,
    until_ms: u64,
}

/// For so long a success counts for more than what others say.
const FRESH_MS: u64 = 10_000;

/// How an attempt ended that says something about the worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Result {
    pub seen: Seen,
    /// Until the head of the answer, if that is of interest.
    pub took_us: Option<u32>,
}

impl Conduct {
    pub fn new(worker: WorkerId, epoch: Epoch, since_ms: Option<u64>) -> Self {
        Self { worker, epoch, since_ms, life: Mutex::default() }
    }

    /// Whether it may be asked, where it has `in_flight` requests.
    pub fn standing(&self, rules: &Rules, in_flight: u32, now_ms: u64) -> Standing {
        let life = self.life();
        let is_shut = life.is_shut(rules, now_ms);
        let is_full = rules.limits.in_flight.is_some_and(|max| in_flight >= max);
        if is_shut || is_full {
            Standing::Out
        } else if rules.outlier.is_some() && life.record.is_ejected(now_ms) {
            Standing::Ejected { in_flight }
        } else {
            Standing::Open { in_flight }
        }
    }

    /// Whether its breaker lets nothing through.
    pub fn is_shut(&self, rules: &Rules, now_ms: u64) -> bool {
        self.life().is_shut(rules, now_ms)
    }

    /// Another core or node has found it bad. Each word is heeded once, and not where it has just done well here and
    /// failed nothing since.
    pub fn told_open(&self, settings: &breaker::Settings, told: &ToldOpening, now_ms: u64) -> Option<Change> {
        let mut life = self.life();
        if told.epoch != self.epoch || told.number <= life.told {
            return None;
        }
        life.told = told.number;
        let is_fresh = life.well_ms.is_some_and(|at| now_ms < at.saturating_add(FRESH_MS));
        if is_fresh && life.breaker.state() == breaker::State::default() {
            return None;
        }
        let change = life.breaker.told_open(settings, told.until_ms.saturating_sub(now_ms), now_ms);
        life.note(change, now_ms);
        life.is_told |= change.is_some();
        change
    }

    /// When its breaker lets a request through again, where it does not now.
    pub fn shut_until(&self, rules: &Rules, now_ms: u64) -> Option<u64> {
        self.life().breaker.shut_until(&rules.breaker?, now_ms)
    }

    /// In microseconds.
    pub fn latency(&self, now_ms: u64) -> Option<u32> {
        self.life().latency.read(now_ms)
    }

    /// A request is given to it.
    pub fn admit(&self, rules: &Rules, now_ms: u64) -> (Option<Pass>, Option<Change>) {
        let Some(settings) = rules.breaker else { return (None, None) };
        let mut life = self.life();
        let Some((pass, change)) = life.breaker.admit(&settings, now_ms) else { return (None, None) };
        life.note(change, now_ms);
        (Some(pass), change)
    }

    /// A request ended in a way that says nothing about it.
    pub fn abandoned(&self, rules: &Rules, pass: Pass) {
        if let Some(settings) = rules.breaker {
            // Nothing that depends on the time can follow.
            self.life().breaker.ended(&settings, (pass, Ended::Unknown), 0);
        }
    }

    /// An attempt ended. What it changes, and whether the worker should be ejected.
    pub fn ended(
        &self,
        rules: &Rules,
        (pass, result): (Option<Pass>, Result),
        now_ms: u64,
    ) -> (Option<Change>, Option<Cause>) {
        let mut life = self.life();
        // What was sent before it was ejected says nothing new.
        let is_watched = !life.record.is_ejected(now_ms);
        if let Some(us) = result.took_us {
            match result.seen {
                Seen::Good | Seen::Error => life.latency.answered(us, now_ms),
                Seen::GatewayError | Seen::NoConnection if is_watched && !life.is_shut(rules, now_ms) => {
                    life.latency.failed(us, now_ms);
                }
                Seen::GatewayError | Seen::NoConnection => {}
            }
        }
        let how = if result.seen == Seen::Good { Ended::Success } else { Ended::Failure };
        if how == Ended::Success {
            life.well_ms = Some(now_ms);
        }
        let change = match (rules.breaker, pass) {
            (Some(settings), Some(pass)) => life.breaker.ended(&settings, (pass, how), now_ms),
            (None, _) | (_, None) => None,
        };
        life.note(change, now_ms);
        let cause = rules.outlier.filter(|_| is_watched).and_then(|s| life.record.note(&s, result.seen));
        (change, cause)
    }

    /// Ejects it; until when.
    pub fn eject(&self, settings: &outlier::Settings, cause: Cause, now_ms: u64) -> u64 {
        let mut life = self.life();
        let until_ms = life.record.eject(settings, now_ms);
        life.latency = PeakEwma::UNKNOWN;
        life.ejection = Some(Ejection { cause, since_ms: now_ms, until_ms });
        until_ms
    }

    /// Its breaker, where the policy has one.
    pub fn breaker(&self, rules: &Rules, now_ms: u64) -> Option<BreakerObservation> {
        let settings = rules.breaker?;
        let life = self.life();
        let phase = match life.breaker.state() {
            breaker::State::Closed { .. } => BreakerPhase::Closed,
            // The next request finds out how it is.
            breaker::State::Open { until_ms } if now_ms >= until_ms => BreakerPhase::HalfOpen,
            breaker::State::Open { .. } => BreakerPhase::Open,
            breaker::State::HalfOpen { .. } => BreakerPhase::HalfOpen,
        };
        let until_ms = life.breaker.shut_until(&settings, now_ms).filter(|_| phase == BreakerPhase::Open);
        Some(BreakerObservation {
            phase,
            cores: 1,
            since_ms: life.changed_ms.map_or(0, |at| now_ms.saturating_sub(at)),
            left_ms: until_ms.map_or(0, |until| until.saturating_sub(now_ms)),
            cause: if life.is_told { OpeningCause::Told } else { OpeningCause::Failures },
        })
    }

    /// That it is ejected now.
    pub fn ejection(&self, now_ms: u64) -> Option<EjectionObservation> {
        let Ejection { cause, since_ms, until_ms } = self.life().ejection?;
        let cause = match cause {
            Cause::Errors => EjectionCause::Errors,
            Cause::GatewayErrors => EjectionCause::GatewayErrors,
            Cause::ConnectFailures => EjectionCause::ConnectFailures,
            Cause::SuccessRate => EjectionCause::SuccessRate,
        };
        let left_ms = until_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
        Some(EjectionObservation { cause, cores: 1, since_ms: now_ms.saturating_sub(since_ms), left_ms })
    }

    /// Its answers since the last comparison; `None`: it is ejected.
    pub fn take_tally(&self, now_ms: u64) -> Option<Tally> {
        let mut life = self.life();
        (!life.record.is_ejected(now_ms)).then(|| life.record.take_tally())
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    /// The breaker's state changed.
    fn note(&mut self, change: Option<Change>, now_ms: u64) {
        let Some(change) = change else { return };
        self.changed_ms = Some(now_ms);
        match change {
            // By a failure; whoever was told says so himself.
            Change::Opened => {
                self.is_told = false;
                self.latency = PeakEwma::UNKNOWN;
            }
            Change::Closed => self.is_told = false,
            Change::HalfOpened => {}
        }
    }

    fn is_shut(&self, rules: &Rules, now_ms: u64) -> bool {
        rules.breaker.is_some_and(|settings| !self.breaker.lets_through(&settings, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::ServicePolicy;
    use quorate_routing::balance::ewma::FAILURE_US;

    const SETTINGS: outlier::Settings = outlier::Settings {
        errors: 5,
        gateway_errors: 5,
        connect_failures: 1,
        base_ms: 1_000,
        longest_ms: 10_000,
        percent_max: 50,
        success_rate: None,
    };

    fn conduct() -> (Conduct, Rules) {
        let mut rules = Rules::of(
            Some(&ServicePolicy::default()),
            super::super::Manner::of(None),
            &super::super::Here::default(),
        );
        rules.outlier = Some(SETTINGS);
        (Conduct::new(WorkerId::parse("w").expect("valid"), Epoch(1), None), rules)
    }

    fn refused(conduct: &Conduct, rules: &Rules, now_ms: u64) -> Option<Cause> {
        let result = Result { seen: Seen::NoConnection, took_us: Some(100) };
        conduct.ended(rules, (None, result), now_ms).1
    }

    /// Balancing by latency would not ask it for a minute: a failure counts as an answer that took a second.
    #[test]
    fn an_ejection_is_all_the_punishment_there_is() {
        let (conduct, rules) = conduct();
        let cause = refused(&conduct, &rules, 10).expect("one is enough");
        assert_eq!(conduct.latency(10), Some(FAILURE_US), "until somebody ejects it");
        conduct.eject(&SETTINGS, cause, 10);
        assert_eq!(conduct.latency(10), None);
        assert_eq!(refused(&conduct, &rules, 500), None);
        assert_eq!(conduct.latency(500), None, "it was sent before");
        assert_eq!(refused(&conduct, &rules, 1_010), Some(Cause::ConnectFailures));
        assert_eq!(conduct.latency(1_010), Some(FAILURE_US));
    }
}
