//! Active health checks: which endpoints this node probes, and what becomes of what it finds.
//!
//! Each endpoint of a service whose policy has it checked is probed by one node, so that ten thousand endpoints get ten
//! thousand probes an interval and not three times as many. A node that finds an endpoint unwell has a second one look
//! before it proposes so: what is broken may be the way from here. A node that is cut off alone finds nobody to ask, and
//! takes nothing from the others.

mod confirm;
mod schedule;

use crate::tunnels::Roads;
use confirm::Confirmer;
use quorate_consensus::Consensus;
use quorate_model::{Command, FeatureLevel, HealthChange, NodeName, Verdict};
use quorate_proxy::probe::Prober;
use quorate_routing::health::{Probe, Second, Step, step};
use quorate_rt::{
    planted::{self, Bug},
    shutdown::Shutdown,
    time,
};
use quorate_state::View;
use quorate_telemetry::{Metrics, events::Probed};
use schedule::{Found, Job, Matter, Schedule};
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
    found: mpsc::Sender<News>,
}

/// What the tasks of the checks tell.
enum News {
    /// A probe is over.
    Found(Found),
    /// Whatever was to be settled about its endpoint is.
    Settled(Job),
}

/// Probes until the node ends.
pub(crate) async fn run(
    (consensus, me): (Consensus, NodeName),
    roads: Roads,
    metrics: Arc<Metrics>,
    mut shutdown: Shutdown,
) {
    let prober = Prober::new(Arc::new(roads));
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
            Some(news) = finds.recv() => {
                match news {
                    News::Settled(job) => schedule.settled(&job),
                    News::Found(found) => {
                        if let Some((job, matter)) = schedule.note(found, now()) {
                            quorate_rt::spawn(settle(checks.clone(), job, matter));
                        }
                    }
                }
            }
            () = time::sleep(tick) => {}
        }
        // Not only after a tick: while there is much to hear of, there would be none.
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
                let _ = checks.found.send(News::Found(Found { job, probe })).await;
            });
        }
    }
}

/// Has a verdict confirmed where it must be, and proposes it.
async fn settle(checks: Arc<Checks>, job: Job, matter: Matter) {
    decide(&checks, &job, matter).await;
    let _ = checks.found.send(News::Settled(job)).await;
}

async fn decide(checks: &Checks, job: &Job, Matter { own, held }: Matter) {
    let mut others = confirm::Others::new(&checks.consensus, &checks.me, job);
    let needs_nobody = others.is_alone() || planted::is(Bug::UnconfirmedVerdict);
    let mut second = if needs_nobody { Second::NobodyElse } else { Second::NotAsked };
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

async fn propose(consensus: &Consensus, job: &Job, verdict: Verdict) {
    let view = consensus.view().get();
    // The next probe ends before the schedule knows what was committed, and finds the same.
    if view.feature_level() < FeatureLevel::FOURTH || holds(&view, job, verdict) {
        return;
    }
    let Job { service, worker, incarnation, .. } = job.clone();
    let change = HealthChange { service, worker, incarnation, verdict };
    if let Err(error) = consensus.propose(Command::ChangeHealth(vec![change.clone()])).await {
        tracing::warn!(%error, service = %change.service, worker = %change.worker, "a change of health was not committed; trying again with the next probe");
    }
}

/// Whether the cluster knows already.
fn holds(view: &View, job: &Job, verdict: Verdict) -> bool {
    let service = view.service(job.service.as_str());
    let endpoint = service.and_then(|service| service.endpoint(job.worker.as_str()));
    endpoint.is_some_and(|endpoint| {
        endpoint.worker().incarnation == job.incarnation
            && endpoint.is_ailing() == (verdict == Verdict::Unhealthy)
            && !planted::is(Bug::KnownVerdictsWritten)
    })
}
