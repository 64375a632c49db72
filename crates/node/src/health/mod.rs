//! Active health checks: which endpoints this node probes, and what becomes of what it finds.
//!
//! Each endpoint of a service whose policy has it checked is probed by one node, so that ten thousand endpoints get ten
//! thousand probes an interval and not three times as many. A node that finds an endpoint unwell has a second one look
//! before it proposes so: what is broken may be the way from here. A node that is cut off alone finds nobody to ask, and
//! takes nothing from the others.

mod confirm;
mod schedule;

use confirm::Confirmer;
use quorate_consensus::Consensus;
use quorate_model::{Command, FeatureLevel, HealthChange, NodeName, Verdict};
use quorate_proxy::probe::Prober;
use quorate_routing::health::{Probe, Second, Step, step};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_telemetry::{Metrics, events::Probed};
use schedule::{Found, Job, Schedule};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};

/// How often it is looked whether a probe is due.
const TICK: Duration = Duration::from_millis(100);
/// The same while there is nothing to probe.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How often the schedule is brought up to the View, at most: a storm of registrations changes that with each entry.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// Probes at once. When full: the next one waits, and is late.
const AT_ONCE_MAX: usize = 256;

/// The checks of one node.
struct Checks {
    consensus: Consensus,
    me: NodeName,
    prober: Prober,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    found: mpsc::Sender<Found>,
}

/// Probes until the node ends.
pub(crate) async fn run(consensus: Consensus, me: NodeName, metrics: Arc<Metrics>, mut shutdown: Shutdown) {
    let prober = Prober::default();
    Confirmer::new(&consensus, prober.clone()).install(&consensus);
    // Each probe has room for what it finds.
    let (found, mut finds) = mpsc::channel(AT_ONCE_MAX);
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let checks = Arc::new(Checks { consensus, me, prober, places, metrics, found });
    let mut schedule = Schedule::default();
    let (begun, mut followed) = (time::Instant::now(), None);
    let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    loop {
        let tick = if schedule.is_empty() { IDLE_TICK } else { TICK };
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            Some(found) = finds.recv() => {
                if let Some((job, verdict)) = schedule.note(found, now()) {
                    quorate_rt::spawn(settle(checks.clone(), job, verdict));
                }
                continue;
            }
            () = time::sleep(tick) => {}
        }
        if followed.is_none_or(|at: time::Instant| at.elapsed() >= FOLLOW_EVERY) {
            followed = Some(time::Instant::now());
            let view = checks.consensus.view().get();
            schedule.follow(&view, (&checks.me, &checks.consensus.sharers().answering), now());
        }
        while let Ok(place) = checks.places.clone().try_acquire_owned() {
            let Some(job) = schedule.next(now()) else { break };
            let checks = checks.clone();
            quorate_rt::spawn(async move {
                let result = checks.prober.probe(&job.target).await;
                drop(place);
                Probed {
                    service: job.service.as_str(),
                    worker: job.worker.as_str(),
                    failure: result.as_ref().err().map(|failure| failure as &dyn std::fmt::Display),
                }
                .emit(checks.metrics.control());
                let probe = if result.is_ok() { Probe::Passed } else { Probe::Failed };
                // Nobody hears it when the node ends.
                let _ = checks.found.send(Found { job, probe }).await;
            });
        }
    }
}

/// Has a verdict confirmed where it must be, and proposes it.
async fn settle(checks: Arc<Checks>, job: Job, own: Verdict) {
    let held = if own == Verdict::Healthy { Verdict::Unhealthy } else { Verdict::Healthy };
    let mut others = confirm::Others::new(&checks.consensus, &checks.me, &job);
    let mut second = if others.is_alone() { Second::NobodyElse } else { Second::NotAsked };
    loop {
        match step(own, held, second) {
            Step::Nothing => return,
            Step::Ask => second = others.ask(&checks.consensus).await,
            Step::Drop => {
                tracing::debug!(service = %job.service, worker = %job.worker, ?second, "an endpoint fails checks here, and nobody confirms it");
                return;
            }
            Step::Propose(verdict) => return propose(&checks.consensus, job, verdict).await,
        }
    }
}

async fn propose(consensus: &Consensus, job: Job, verdict: Verdict) {
    if consensus.view().get().feature_level() < FeatureLevel::FOURTH {
        return;
    }
    let Job { service, worker, incarnation, .. } = job;
    let change = HealthChange { service, worker, incarnation, verdict };
    if let Err(error) = consensus.propose(Command::ChangeHealth(vec![change.clone()])).await {
        tracing::warn!(%error, service = %change.service, worker = %change.worker, "a change of health was not committed; trying again with the next probe");
    }
}
