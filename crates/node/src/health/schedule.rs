//! Which endpoints are probed from here, and when the next time. Pure: time is an argument, in milliseconds.

use quorate_model::{Epoch, NodeName, ServiceName, Verdict, WorkerId};
use quorate_proxy::probe::Target;
use quorate_routing::{
    balance::key::hash,
    health::{Check, Probe, Thresholds, probers},
    pick,
};
use quorate_rt::planted::{self, Bug};
use quorate_state::{Endpoint, ServiceView, View};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How an endpoint is checked; `None`: it is not.
pub(super) fn target(service: &ServiceView, endpoint: &Endpoint) -> Option<Target> {
    let policy = &service.stored_policy()?.policy;
    let check = policy.health.clone()?;
    Some(Target { address: pick::address(endpoint).clone(), protocol: policy.protocol, check })
}

/// One probe.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub service: ServiceName,
    pub worker: WorkerId,
    pub incarnation: Epoch,
    pub target: Arc<Target>,
}

/// What it found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub job: Job,
    pub probe: Probe,
}

type Key = (ServiceName, WorkerId);

/// The endpoints that this node probes.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    slots: BTreeMap<Key, Slot>,
    /// Those that are not being probed, by the time of their next probe.
    queue: BTreeSet<(u64, Key)>,
}

#[derive(Debug)]
struct Slot {
    incarnation: Epoch,
    target: Arc<Target>,
    check: Check,
    /// What the cluster holds.
    held: Verdict,
    due: u64,
    is_running: bool,
    /// Failed probes since somebody else was asked about an endpoint that the cluster holds for unwell.
    doubts: u32,
    /// Something about it is being settled already.
    is_settling: bool,
}

/// So many, and another node is asked whether it is still so.
const DOUBTS: u32 = 5;

/// What is to be settled about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matter {
    /// What this node finds.
    pub own: Verdict,
    /// What the cluster holds.
    pub held: Verdict,
}

impl Schedule {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Brings it up to the View and to the nodes that are there.
    pub fn follow(&mut self, view: &View, (me, nodes): (&NodeName, &[NodeName]), now: u64) {
        let mut left = std::mem::take(&mut self.slots);
        self.queue.clear();
        for service in view.services() {
            let is_checked = service.stored_policy().is_some_and(|stored| stored.policy.health.is_some());
            let endpoints = service.endpoints().filter(|e| is_checked && e.worker().takes_requests());
            for endpoint in endpoints {
                let names = nodes.iter().map(NodeName::as_str);
                let key = (service.name().clone(), endpoint.worker().id().clone());
                if probers(names, &name(&key.0, &key.1)).first() != Some(&me.as_str()) {
                    continue;
                }
                let Some(target) = target(service, endpoint) else { continue };
                let slot = Slot::follow(left.remove(&key), (endpoint, target), &key, now);
                if !slot.is_running {
                    self.queue.insert((slot.due, key.clone()));
                }
                self.slots.insert(key, slot);
            }
        }
    }

    /// An endpoint whose probe is due.
    pub fn next(&mut self, now: u64) -> Option<Job> {
        let (due, key) = self.queue.first().filter(|(due, _)| *due <= now).cloned()?;
        self.queue.remove(&(due, key.clone()));
        let slot = self.slots.get_mut(&key)?;
        slot.is_running = true;
        let (service, worker) = key;
        Some(Job { service, worker, incarnation: slot.incarnation, target: slot.target.clone() })
    }

    /// Takes a result in. What is to be settled, where it is not what the cluster holds, or may not be any more.
    pub fn note(&mut self, found: Found, now: u64) -> Option<(Job, Matter)> {
        let key = (found.job.service.clone(), found.job.worker.clone());
        // Whoever has registered anew meanwhile, or is checked otherwise, was given a slot of its own.
        let slot = self.slots.get_mut(&key).filter(|slot| Arc::ptr_eq(&slot.target, &found.job.target))?;
        let check = &slot.target.check;
        let thresholds = Thresholds { unhealthy: check.unhealthy.into(), healthy: check.healthy.into() };
        slot.check.note(found.probe, &thresholds);
        slot.is_running = false;
        // On a fixed beat, unless a probe took longer than that.
        slot.due = (slot.due + u64::from(check.interval_ms)).max(now);
        self.queue.insert((slot.due, key));
        slot.matter(found.probe).map(|matter| (found.job, matter))
    }

    /// What was to be settled about an endpoint is, or can't be for now.
    pub fn settled(&mut self, job: &Job) {
        let slot = self.slots.get_mut(&(job.service.clone(), job.worker.clone()));
        if let Some(slot) = slot.filter(|slot| Arc::ptr_eq(&slot.target, &job.target)) {
            slot.is_settling = false;
        }
    }
}

impl Slot {
    /// What is to be settled after a probe.
    fn matter(&mut self, probe: Probe) -> Option<Matter> {
        let matter = Matter { own: self.check.verdict(), held: self.held };
        let fails = probe == Probe::Failed && matter.held == Verdict::Unhealthy;
        self.doubts = if fails { self.doubts + 1 } else { 0 };
        let is_doubted = self.doubts >= DOUBTS;
        if is_doubted {
            self.doubts = 0;
        }
        // One that speaks against the verdict is no reason to propose it.
        let agrees = (probe == Probe::Passed) == (matter.own == Verdict::Healthy);
        let is_news = (matter.own != matter.held && agrees) || planted::is(Bug::KnownVerdictsWritten);
        let is_due = (is_news || is_doubted) && !self.is_settling;
        self.is_settling |= is_due;
        is_due.then_some(matter)
    }

    fn follow(old: Option<Self>, (endpoint, target): (&Endpoint, Target), key: &Key, now: u64) -> Self {
        let held = if endpoint.is_ailing() { Verdict::Unhealthy } else { Verdict::Healthy };
        let incarnation = endpoint.worker().incarnation;
        match old {
            Some(mut slot) if slot.incarnation == incarnation && *slot.target == target => {
                // Another node has found otherwise meanwhile.
                if slot.held != held && slot.check.verdict() != held {
                    slot.check = Check::new(held);
                }
                slot.held = held;
                slot
            }
            _ => {
                // Spread over the interval: endpoints that came at once must not be probed at once.
                let due =
                    now + hash(name(&key.0, &key.1).as_bytes()) % u64::from(target.check.interval_ms.max(1));
                let check = Check::new(held);
                Self {
                    incarnation,
                    target: Arc::new(target),
                    check,
                    held,
                    due,
                    is_running: false,
                    doubts: 0,
                    is_settling: false,
                }
            }
        }
    }
}

/// An endpoint, as the nodes are ranked for it.
pub(super) fn name(service: &ServiceName, worker: &WorkerId) -> String {
    format!("{service}\n{worker}")
}

#[cfg(test)]
mod tests;
