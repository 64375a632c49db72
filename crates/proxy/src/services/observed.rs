//! What this core makes of a service's workers, for operators.

use super::{Choice, Known, Services};
use crate::{deadline::now_ms, destination::Workers};
use quorate_model::{EndpointObservation, Observation, ServiceName, WorkerId};
use quorate_routing::balance::{Mode, ramp};

impl Services {
    /// Of `asked`, which are in order, those of whom there is anything to say.
    pub fn observe(
        &self,
        service: &ServiceName,
        workers: &Workers,
        (asked, now): (&[WorkerId], u32),
    ) -> Observation {
        let (known, now_ms) = (self.cached.get(service.as_str()), now_ms(now));
        let endpoint = |worker: &WorkerId| {
            let unknown = EndpointObservation {
                worker: worker.clone(),
                in_flight: workers.outstanding(worker.as_str()).into(),
                breaker: None,
                ejection: None,
                slow_start_percent: None,
            };
            known.and_then(|known| known.observe(&unknown, now_ms)).unwrap_or(unknown)
        };
        let is_panicking = |known: &Known| known.choices.iter().any(|choice| choice.is_panicking(now_ms));
        Observation {
            cores: 1,
            cores_silent: 0,
            cores_asked: known.is_some().into(),
            cores_in_panic: known.is_some_and(is_panicking).into(),
            endpoints: asked.iter().map(endpoint).collect(),
        }
    }
}

impl Known {
    /// What a policy says of breakers and ejections is the same in whichever manner a worker is chosen; of slow starts
    /// only some manners want to know.
    fn observe(&self, unknown: &EndpointObservation, now_ms: u64) -> Option<EndpointObservation> {
        let rules = &self.choices.first()?.rules;
        let conduct = self.book.conduct(unknown.worker.as_str())?;
        let windows = self.choices.iter().filter_map(|choice| choice.rules.balancing);
        let window_ms = windows.map(|options| options.slow_start_ms).max().unwrap_or(0);
        let share = conduct.since_ms.map(|since| ramp::share(now_ms.saturating_sub(since), window_ms));
        Some(EndpointObservation {
            breaker: conduct.breaker(rules, now_ms),
            ejection: rules.outlier.and_then(|_| conduct.ejection(now_ms)),
            slow_start_percent: share
                .filter(|share| *share < ramp::WHOLE)
                .map(|share| u8::try_from(share * 100 / ramp::WHOLE).unwrap_or(100)),
            ..unknown.clone()
        })
    }
}

impl Choice {
    /// Whether so many workers are out that those are asked too.
    fn is_panicking(&self, now_ms: u64) -> bool {
        let ejected = self.ejected(now_ms);
        let mode = match &self.table {
            Some(table) => table.mode(ejected),
            // What the checks find was heeded when the candidates were made.
            None if self.mode_by_checks() == Mode::Panic => Mode::Panic,
            None => self.mode_by_score(ejected),
        };
        mode == Mode::Panic
    }

    fn mode_by_checks(&self) -> Mode {
        let serving = self.service.endpoints().filter(|endpoint| endpoint.worker().serves(endpoint.offer()));
        let (well, unwell): (Vec<_>, Vec<_>) = serving.partition(|endpoint| !endpoint.is_ailing());
        Mode::of(well.len(), well.len() + unwell.len(), self.rules.panic_percent)
    }
}
