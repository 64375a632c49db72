//! One struct per observable event. `emit` writes all that is to be seen of it: counter, histogram, log line.

mod full;
mod presence;

pub use full::{ServiceFull, WorkerFull};

use crate::{
    control::Control,
    label::{Label, LeaseTransition, Outcome, PathTemplate, ProbeResult, RampStop, WorkerStatus},
    proxy::{CoreCounters, add},
};
use quorate_model::{ErrorsSeen, Event, LogIndex, RampSubject, worker::Status};
use std::{fmt, sync::atomic::Ordering, time::Duration};

/// A health check's probe has found an endpoint well, or not.
pub struct Probed<'a> {
    /// For which service.
    pub service: &'a str,
    /// Which worker.
    pub worker: &'a str,
    /// Why it is not well; `None`: it is.
    pub failure: Option<&'a dyn fmt::Display>,
}

impl Probed<'_> {
    /// Counts it. The line is for whoever looks for a cause: what the checks come to is told when it changes.
    pub fn emit(&self, control: &Control) {
        control.count_probe(if self.failure.is_none() { ProbeResult::Passed } else { ProbeResult::Failed });
        if let Some(failure) = self.failure {
            tracing::debug!(service = self.service, worker = self.worker, %failure, "a health check failed");
        }
    }
}

/// A request has the head of its answer. No log line: at 50,000 a second nobody would read them.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// How it ended.
    pub outcome: Outcome,
    /// By what it was decided.
    pub path: PathTemplate,
    /// The answer's status code.
    pub status: u16,
    /// From the request's head to the answer's.
    pub elapsed: Duration,
}

impl Answered {
    /// Counts it.
    pub fn emit(self, core: &CoreCounters) {
        add(&core.requests[self.outcome.position()]);
        core.paths.answered(self.path, self.status, self.elapsed);
    }
}

/// A worker could not answer a request: refused, reset, garbled or too late.
pub struct WorkerFailed<'a> {
    /// How the request ended for the client.
    pub outcome: Outcome,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, without its query: queries carry secrets.
    pub path: &'a str,
    /// The worker's address.
    pub worker: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong in the end.
    pub error: &'a dyn fmt::Display,
}

impl WorkerFailed<'_> {
    /// One line, since somebody has to act on it.
    pub fn emit(&self) {
        tracing::warn!(
            outcome = self.outcome.as_str(),
            method = self.method,
            path = self.path,
            worker = self.worker,
            attempts = self.attempts,
            error = %self.error,
            "worker failed"
        );
    }
}

/// A request for a service goes on to another worker, since one failed.
pub struct FailedOver<'a> {
    /// The address of the one that failed.
    pub worker: &'a str,
    /// What went wrong.
    pub error: &'a dyn fmt::Display,
}

impl FailedOver<'_> {
    /// Counts it. A debug line: a worker that is gone fails each request until its lease is over.
    pub fn emit(&self, core: &CoreCounters) {
        add(&core.failovers);
        tracing::debug!(worker = self.worker, error = %self.error, "failed over");
    }
}

/// A request was refused here. Whoever sent it was told; the log needs it for debugging only.
pub struct Refused<'a> {
    /// Why.
    pub outcome: Outcome,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, without its query.
    pub path: &'a str,
    /// What exactly.
    pub reason: &'a dyn fmt::Display,
}

impl Refused<'_> {
    /// One debug line.
    pub fn emit(&self) {
        tracing::debug!(
            outcome = self.outcome.as_str(),
            method = self.method,
            path = self.path,
            reason = %self.reason,
            "request refused"
        );
    }
}

/// The client went away before its request had the head of an answer.
pub struct Abandoned;

impl Abandoned {
    /// Counts it.
    pub fn emit(self, core: &CoreCounters) {
        add(&core.requests[Outcome::Abandoned.position()]);
    }
}

/// A worker's answer broke off after its head had gone out.
pub struct AnswerCut<'a> {
    /// The worker's address.
    pub worker: &'a str,
    /// What went wrong.
    pub error: &'a dyn fmt::Display,
}

impl AnswerCut<'_> {
    /// Counts and logs it.
    pub fn emit(&self, core: &CoreCounters) {
        add(&core.cut);
        tracing::warn!(worker = self.worker, error = %self.error, "answer cut");
    }
}

/// The log was made durable.
#[derive(Clone, Copy, Debug)]
pub struct LogSynced {
    /// How long it took.
    pub elapsed: Duration,
}

impl LogSynced {
    /// A slower one than this holds up every writer of the cluster, and is worth a line.
    const SLOW: Duration = Duration::from_millis(500);

    /// Counts it; logs slow ones.
    pub fn emit(self, control: &Control) {
        control.log_synced(self.elapsed);
        if self.elapsed >= Self::SLOW {
            tracing::warn!(elapsed_ms = ms(self.elapsed), "slow log sync");
        }
    }
}

/// The lease keeper looked at its leases, and holds back this many expiries.
#[derive(Clone, Copy, Debug)]
pub struct LeasesHeld {
    /// 0 is usual.
    pub count: usize,
}

impl LeasesHeld {
    /// Sets the gauge; says when holding begins and when it is over, since somebody may have to repair the way by
    /// which heartbeats come.
    pub fn emit(self, control: &Control) {
        match (control.set_expiries_held(self.count as u64), self.count) {
            (0, 1..) => tracing::warn!(
                held = self.count,
                "most workers are silent at once, and nobody is heard on their way: expiries are held back for a while"
            ),
            (1.., 0) => tracing::info!("expiries are no longer held back"),
            (_, _) => {}
        }
    }
}

/// A snapshot was built.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotBuilt {
    /// The last log index that is in it.
    pub index: LogIndex,
    /// Its size.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl SnapshotBuilt {
    /// Counts and logs it.
    pub fn emit(self, control: &Control) {
        control.snapshot_built(self.index.0);
        tracing::info!(
            index = self.index.0,
            bytes = self.bytes,
            elapsed_ms = ms(self.elapsed),
            "snapshot built"
        );
    }
}

/// Counts and logs what applying the entry at `index` changed.
pub fn applied(control: &Control, index: LogIndex, events: &[Event]) {
    for event in events {
        if let Some(transition) = transition(event) {
            control.count_lease(transition);
        }
        if let Event::RampFailed { aborts, .. } = event {
            control.count_ramp_stop(if *aborts { RampStop::Aborted } else { RampStop::Paused });
        }
        log_applied(index.0, event);
    }
}

fn transition(event: &Event) -> Option<LeaseTransition> {
    match event {
        Event::WorkerRegistered { .. } => Some(LeaseTransition::Registered),
        Event::WorkerForgotten { .. } => Some(LeaseTransition::Forgotten),
        Event::WorkerStatus { from, to, .. } => match (from, to) {
            (Status::Expired | Status::Departed, Status::Live | Status::Suspect) => {
                Some(LeaseTransition::Revived)
            }
            (_, Status::Live) => Some(LeaseTransition::Recovered),
            (_, Status::Suspect) => Some(LeaseTransition::Suspected),
            (_, Status::Expired) => Some(LeaseTransition::Expired),
            (_, Status::Departed) => Some(LeaseTransition::Departed),
        },
        Event::PartitionsTaken { .. }
        | Event::KeyspaceChanged { .. }
        | Event::NodeDescribed { .. }
        | Event::LevelRaised { .. }
        | Event::LeasesHandedOver { .. }
        | Event::IntentChanged { .. }
        | Event::ServiceChanged { .. }
        | Event::RouteChanged { .. }
        | Event::SandboxChanged { .. }
        | Event::ObjectChanged { .. }
        | Event::ObjectEnded { .. }
        | Event::SandboxEnded { .. }
        | Event::HealthChanged { .. }
        | Event::DelegateChanged { .. }
        | Event::Presence(_)
        | Event::RampFailed { .. }
        | Event::Restored { .. } => None,
    }
}

fn log_applied(index: u64, event: &Event) {
    match event {
        Event::WorkerRegistered { id, epoch } => {
            // Below info: a busy fleet registers thousands of times a second.
            tracing::debug!(index, worker = id.as_str(), epoch = epoch.0, "worker registered");
        }
        Event::WorkerStatus { id, epoch, from, to } => {
            let (from, to) = (WorkerStatus::from(*from).as_str(), WorkerStatus::from(*to).as_str());
            tracing::info!(index, worker = id.as_str(), epoch = epoch.0, from, to, "worker status");
        }
        Event::PartitionsTaken { from, to, count } => {
            tracing::info!(index, from = from.as_str(), to = to.as_str(), count, "partitions taken");
        }
        Event::KeyspaceChanged { name, partitions } => {
            tracing::info!(index, keyspace = name.as_str(), partitions, "keyspace changed");
        }
        Event::WorkerForgotten { id, .. } => {
            tracing::debug!(index, worker = id.as_str(), "worker forgotten");
        }
        Event::NodeDescribed { name } => {
            tracing::debug!(index, node = name.as_str(), "node described");
        }
        Event::LevelRaised { to } => {
            tracing::info!(index, to = to.get(), "feature level raised");
        }
        Event::LeasesHandedOver { term, silences } => {
            tracing::debug!(index, term, silent = silences.len(), "leases handed over");
        }
        Event::IntentChanged { id, duty, weight } => {
            tracing::info!(
                index,
                worker = id.as_str(),
                duty = duty.as_str(),
                weight,
                "worker's duty changed"
            );
        }
        Event::RouteChanged { name } => {
            // Below info: one document may change many thousands.
            tracing::debug!(index, route = name.as_str(), "route changed");
        }
        // Not which: a routing key is what people send, and stands in no log. Whoever watches is told.
        Event::SandboxChanged { .. } => tracing::debug!(index, "sandbox changed"),
        Event::SandboxEnded { .. } => tracing::info!(index, "sandbox ended"),
        Event::ObjectChanged { id } => tracing::debug!(index, object = %id, "object changed"),
        Event::ObjectEnded { id } => tracing::info!(index, object = %id, "object ended"),
        Event::HealthChanged { service, worker, verdict } => {
            let (service, worker) = (service.as_str(), worker.as_str());
            tracing::info!(index, service, worker, verdict = verdict.as_str(), "endpoint health changed");
        }
        Event::ServiceChanged { name } => {
            tracing::info!(index, service = name.as_str(), "service policy changed");
        }
        Event::DelegateChanged { group, to } => {
            let (worker, epoch) = to.as_ref().map(|(id, epoch)| (id.as_str(), epoch.0)).unzip();
            tracing::info!(index, group = &**group, worker, epoch, "heartbeat delegate changed");
        }
        Event::Presence(event) => presence::log(index, event),
        // Not of which sandbox: see above. It is the one that changed last at this index.
        Event::RampFailed { subject, seen, aborts } => log_ramp(index, subject, (*seen, *aborts)),
        Event::Restored { workers } => {
            tracing::warn!(index, workers, "a backup took the place of the state");
        }
    }
}

/// The route, or the place of the rule.
fn ramp_of(subject: &RampSubject) -> (Option<&str>, Option<u16>) {
    match subject {
        RampSubject::Route(name) => (Some(name.as_str()), None),
        RampSubject::Rule { rule, .. } => (None, Some(*rule)),
    }
}

fn log_ramp(index: u64, subject: &RampSubject, (seen, aborts): (ErrorsSeen, bool)) {
    let (route, rule) = ramp_of(subject);
    let ErrorsSeen { destination, failures, requests } = seen;
    tracing::warn!(index, route, rule, destination, failures, requests, aborts, "a ramp stopped by itself");
}

fn ms(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

impl CoreCounters {
    /// Answers whose body broke off, for tests.
    pub fn answers_cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
