//! A worker's life: registers, beats at a third of its TTL, and now and then stops, hangs, crashes or registers anew.
//! What it said in an earlier life may arrive late.

use super::{Caller, PARTITIONS, Phase, Workload};
use crate::{
    check::{Answer, Ask},
    trace,
    world::now_ms,
};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};

/// One worker's view of itself.
struct Life<'a> {
    load: &'a Workload<'a>,
    n: usize,
    caller: Caller<'a>,
    /// The lease that it believes to hold.
    lease: Option<u64>,
    /// Leases of earlier lives.
    former: Vec<u64>,
}

/// What a worker does after a heartbeat.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Leaves in good order, and comes back.
    Leaves,
    /// Says nothing for longer than its lease, and goes on as if nothing had been.
    Hangs,
    /// Its process dies; a new one registers. The old one's farewell may still be under way.
    Crashes,
    /// Registers anew, with other partitions, also such as others hold.
    Grabs,
    /// Its former self is heard.
    Echoes,
}

pub async fn live(load: &Workload<'_>, n: usize) -> Result<(), String> {
    let mut life = Life { load, n, caller: Caller::new(load), lease: None, former: Vec::new() };
    while load.phase() == Phase::Storm {
        if life.lease.is_none() {
            let partitions = life.partitions();
            life.register(partitions).await;
        } else {
            life.beat().await;
            if load.phase() == Phase::Storm && thread_rng().gen_bool(0.25) {
                life.happen().await;
            }
        }
        life.pause().await;
    }
    load.leaves_storm();
    if load.is_silent(n) {
        trace::event(|| format!("w{} is gone for good", n + 1));
        load.world.workers[n].kill();
        load.is_gone();
        return Ok(());
    }
    load.world.workers[n].start();
    while !load.may_come_home() && load.phase() == Phase::Calm {
        sleep(Duration::from_millis(100)).await;
    }
    let home = life.home();
    life.register(home.clone()).await;
    load.comes_home();
    while load.phase() == Phase::Calm {
        if life.lease.is_none() {
            life.register(home.clone()).await;
        } else {
            life.beat().await;
        }
        life.pause().await;
    }
    Ok(())
}

impl Life<'_> {
    fn worker(&self) -> String {
        self.load.world.workers[self.n].name()
    }

    fn ttl_ms(&self) -> u64 {
        self.load.ttls[self.n]
    }

    /// A third of the TTL, as workers are told.
    async fn pause(&self) {
        let third = self.ttl_ms() / 3;
        let time = if self.lease.is_some() { third } else { thread_rng().gen_range(50..300) };
        sleep(Duration::from_millis(time)).await;
    }

    /// The partitions that are its own where nobody grabs.
    fn home(&self) -> Vec<i32> {
        let (n, count) = (self.n, self.load.world.workers.len());
        (0..PARTITIONS).filter(|p| usize::try_from(*p).unwrap_or(0) % count == n).collect()
    }

    fn partitions(&self) -> Vec<i32> {
        let mut partitions = self.home();
        if thread_rng().gen_bool(0.3) {
            partitions.push(thread_rng().gen_range(0..PARTITIONS));
            partitions.sort_unstable();
            partitions.dedup();
        }
        partitions
    }

    async fn register(&mut self, partitions: Vec<i32>) {
        let ask = Ask::Register { worker: self.worker(), partitions };
        let phase = self.load.phase();
        while self.load.phase() == phase {
            if let Answer::Registered { incarnation, .. } = self.caller.persist(&ask).await {
                self.former.extend(self.lease.replace(incarnation));
                return;
            }
        }
    }

    async fn beat(&mut self) {
        let Some(incarnation) = self.lease else { return };
        let ask = Ask::Heartbeat { worker: self.worker(), incarnation };
        match self.caller.persist(&ask).await {
            // It must register anew.
            Answer::NotAlive => self.former.extend(self.lease.take()),
            _ => {}
        }
    }

    async fn leave(&mut self, incarnation: u64) {
        let ask = Ask::Unregister { worker: self.worker(), incarnation: Some(incarnation) };
        self.caller.persist(&ask).await;
    }

    async fn happen(&mut self) {
        let event = [Event::Leaves, Event::Hangs, Event::Crashes, Event::Grabs, Event::Echoes]
            [thread_rng().gen_range(0..5)];
        trace::event(|| format!("{}: {event:?}", self.worker()));
        match event {
            Event::Leaves => {
                if let Some(lease) = self.lease.take() {
                    self.leave(lease).await;
                    self.former.push(lease);
                }
                self.away(0, 2).await;
            }
            Event::Hangs => self.away(1, 3).await,
            Event::Crashes => {
                self.load.world.workers[self.n].kill();
                self.former.extend(self.lease.take());
                self.away(0, 2).await;
                self.load.world.workers[self.n].start();
            }
            Event::Grabs => {
                let first = thread_rng().gen_range(0..PARTITIONS);
                let partitions = (first..PARTITIONS.min(first + 3)).collect();
                self.register(partitions).await;
            }
            Event::Echoes => self.echo().await,
        }
    }

    /// Silent for `from` to `to` times its TTL.
    async fn away(&self, from: u64, to: u64) {
        let until = now_ms() + u128::from(thread_rng().gen_range(self.ttl_ms() * from..self.ttl_ms() * to));
        while now_ms() < until && self.load.phase() == Phase::Storm {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Messages of a former life that arrive late change nothing.
    async fn echo(&mut self) {
        let Some(incarnation) = self.former.last().copied() else { return };
        let worker = self.worker();
        if thread_rng().gen_bool(0.5) {
            self.leave(incarnation).await;
        } else {
            self.caller.persist(&Ask::Heartbeat { worker, incarnation }).await;
        }
    }
}
