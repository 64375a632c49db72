//! What one core knows of one service's workers, and what of its requests may be retried. It outlives each version of
//! the service: a worker's record is not forgotten because another one came.

use super::{Conduct, Rules, ToldOpening};
use crate::{destination::Registered, seldom::Seldom};
use quorate_model::{Opening, ServiceName, Worker, WorkerId};
use quorate_routing::{
    breaker::Change,
    budget::{self, Account, Budget},
    outlier::{self, Cause, Roster},
};
use quorate_telemetry::{
    CoreCounters,
    label::{BreakerChange, Ejection},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// How often rates of success are compared.
const COMPARED_EVERY_MS: u64 = 10_000;

pub(crate) struct Book {
    /// Whose breakers it holds, and who is told when one opens.
    teller: Option<(ServiceName, mpsc::Sender<Opening>)>,
    counters: Arc<CoreCounters>,
    pages: Mutex<Pages>,
    /// Requests for which all of them had too many.
    pub full: Seldom,
}

struct Pages {
    account: Account,
    conducts: Registered<WorkerId, Arc<Conduct>>,
    out: Roster<WorkerId>,
    /// Nobody has looked yet: whoever is there now was there before.
    is_new: bool,
    compared_ms: u64,
}

impl Book {
    pub fn new(teller: Option<(ServiceName, mpsc::Sender<Opening>)>, counters: Arc<CoreCounters>) -> Self {
        let pages = Pages {
            account: Account::default(),
            conducts: HashMap::default(),
            out: Roster::default(),
            is_new: true,
            compared_ms: 0,
        };
        Self { teller, counters, pages: Mutex::new(pages), full: Seldom::default() }
    }

    /// The records of the service's workers, in their order. Those that are gone are forgotten.
    pub fn conducts<'w>(
        &self,
        workers: impl Iterator<Item = &'w Arc<Worker>>,
        now_ms: u64,
    ) -> Vec<Arc<Conduct>> {
        let mut pages = self.pages();
        let Pages { conducts, out, is_new, .. } = &mut *pages;
        let mut old = std::mem::take(conducts);
        let since_ms = (!*is_new).then_some(now_ms);
        let all: Vec<_> = workers
            .map(|worker| {
                let known = old.remove(worker.id().as_str()).filter(|known| known.epoch == worker.epoch);
                let conduct = known.unwrap_or_else(|| {
                    // Another life: it is ejected no more.
                    out.forget(worker.id());
                    Arc::new(Conduct::new(worker.id().clone(), worker.epoch, since_ms))
                });
                conducts.insert(worker.id().clone(), conduct.clone());
                conduct
            })
            .collect();
        old.keys().for_each(|gone| out.forget(gone));
        *is_new = false;
        all
    }

    /// What is known of a worker.
    pub fn conduct(&self, worker: &str) -> Option<Arc<Conduct>> {
        self.pages().conducts.get(worker).cloned()
    }

    /// How many workers this core has ejected.
    pub fn ejected(&self, now_ms: u64) -> usize {
        self.pages().out.count(now_ms)
    }

    /// A request for the service came.
    pub fn request(&self, now_ms: u64) {
        self.pages().account.request(now_ms);
    }

    /// Whether one more retry is within the budget.
    pub fn budget(&self, settings: &budget::Settings, now_ms: u64) -> Budget {
        self.pages().account.look(settings, now_ms)
    }

    /// One is made.
    pub fn retry(&self, settings: &budget::Settings, now_ms: u64) {
        self.pages().account.retry(settings, now_ms);
    }

    /// A breaker's state changed.
    pub fn changed(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.counters.breaker(match change {
            Change::Opened => BreakerChange::Opened,
            Change::HalfOpened => BreakerChange::HalfOpened,
            Change::Closed => BreakerChange::Closed,
        });
    }

    /// The breaker of a worker opened, by what this core saw of it. The others are told, if the policy says so.
    pub fn tell(&self, rules: &Rules, conduct: &Conduct) {
        let (Some(settings), Some((service, opened))) = (rules.breaker, &self.teller) else { return };
        if rules.shares_breaker {
            let left_ms = u32::try_from(settings.open_ms).unwrap_or(u32::MAX);
            let (service, worker) = (service.clone(), conduct.worker.clone());
            // Where there is no room the others find out for themselves.
            let _ = opened.try_send(Opening { service, worker, epoch: conduct.epoch, left_ms });
        }
    }

    /// Others have opened breakers. On their word half of the workers are left alone at most: who finds more of them
    /// bad may be cut off himself.
    pub fn hear(&self, rules: &Rules, told: &[ToldOpening], now_ms: u64) {
        let Some(settings) = rules.breaker.filter(|_| rules.shares_breaker && !told.is_empty()) else {
            return;
        };
        let pages = self.pages();
        let shut = pages.conducts.values().filter(|conduct| conduct.is_shut(rules, now_ms)).count();
        let mut left = (pages.conducts.len() / 2).saturating_sub(shut);
        for told in told {
            if left == 0 {
                return;
            }
            let conduct = pages.conducts.get(told.worker.as_str());
            if let Some(change) = conduct.and_then(|known| known.told_open(&settings, told, now_ms)) {
                left -= 1;
                self.changed(Some(change));
            }
        }
    }

    /// A worker has given reason to be ejected. That is done if not too many are already.
    pub fn eject(&self, settings: &outlier::Settings, (conduct, cause): (&Conduct, Cause), now_ms: u64) {
        let mut pages = self.pages();
        let (ejected, all) = (pages.out.count(now_ms), pages.conducts.len());
        if !outlier::may_eject(settings, ejected, all) {
            return;
        }
        let until_ms = conduct.eject(settings, cause, now_ms);
        pages.out.add(conduct.worker.clone(), until_ms);
        self.counters.ejected(match cause {
            Cause::Errors => Ejection::Errors,
            Cause::GatewayErrors => Ejection::GatewayErrors,
            Cause::ConnectFailures => Ejection::ConnectFailures,
            Cause::SuccessRate => Ejection::SuccessRate,
        });
    }

    /// Compares rates of success, when it is time to.
    pub fn compare(&self, rules: &Rules, now_ms: u64) {
        let Some((settings, rate)) =
            rules.outlier.and_then(|settings| Some((settings, settings.success_rate?)))
        else {
            return;
        };
        let conducts: Vec<Arc<Conduct>> = {
            let mut pages = self.pages();
            if now_ms.saturating_sub(pages.compared_ms) < COMPARED_EVERY_MS {
                return;
            }
            pages.compared_ms = now_ms;
            pages.conducts.values().cloned().collect()
        };
        let (who, tallies): (Vec<_>, Vec<_>) =
            conducts.iter().filter_map(|conduct| Some((conduct, conduct.take_tally(now_ms)?))).unzip();
        for nth in outlier::low_success(&rate, &tallies) {
            self.eject(&settings, (who[nth], Cause::SuccessRate), now_ms);
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
