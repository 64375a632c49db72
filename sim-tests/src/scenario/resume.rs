//! Sessions of `quorate.v1`: users lose their sockets and come back to any node, within the window or not, while nodes die,
//! end in order, stand still and are cut off. What was acknowledged to its sender comes, unless the recipient was told that
//! its session is lost; what was refused does not come; deliveries have no gap, and nothing comes twice; what one says to
//! another comes in order; of whom somebody watches, coming and going take turns; a user has one live session at most. And in
//! peace no session is lost, also when a node ends.

mod ledger;
mod memory;
mod user;
mod watching;

use super::{
    leases::Leases,
    serving,
    sockets::{look, named},
};
use crate::{
    trace,
    world::{World, now_ms},
};
use ledger::{Ledger, Phase};
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use user::{NODES, Shared, USERS, book, name};

const ROUNDS: usize = 4;
/// Leases that end, sockets that nobody is behind, and sessions that come back.
const AGREED_WITHIN: Duration = Duration::from_secs(120);
const HEARD_WITHIN: Duration = Duration::from_secs(30);
/// What was sent and given up may still come, and log somebody in.
const STRAYS_WITHIN: Duration = Duration::from_secs(15);
/// A node that ends in order is back.
const BACK_WITHIN: Duration = Duration::from_secs(60);

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let ledger: Shared = Arc::new(Mutex::new(Ledger::default()));
    for user in 0..USERS {
        world.clients.spawn(user::live(user, ledger.clone()));
    }
    let mut run = Run { world, ledger, shown: Leases::default() };
    run.pass(Duration::from_secs(4)).await?;
    for _ in 0..ROUNDS {
        run.fault().await?;
        run.pass(ms(1_000..6_000)).await?;
    }
    run.world.settle().await?;
    run.enter(Phase::Calm);
    run.pass(STRAYS_WITHIN).await?;
    run.agree().await?;
    book(&run.ledger).is_peace = true;
    run.enter(Phase::Moves);
    run.pass(Duration::from_secs(5)).await?;
    run.one_ends().await?;
    run.enter(Phase::Calm);
    run.agree().await?;
    book(&run.ledger).is_last_word = true;
    run.all_arrives().await?;
    book(&run.ledger).acked_has_come()?;
    trace::event(|| book(&run.ledger).summary());
    let world = &run.world;
    world.oracle.borrow_mut().finish(&world.member_names())
}

fn ms(range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(thread_rng().gen_range(range))
}

struct Run {
    world: World,
    ledger: Shared,
    shown: Leases,
}

impl Run {
    fn enter(&self, phase: Phase) {
        trace::event(|| format!("users: {phase:?}"));
        book(&self.ledger).phase = phase;
    }

    async fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = now_ms() + time.as_millis();
        while now_ms() < end {
            self.world.pass(Duration::from_millis(25)).await?;
            book(&self.ledger).check()?;
            for machine in &self.world.machines {
                look(&mut self.shown, machine)?;
            }
        }
        Ok(())
    }

    async fn fault(&mut self) -> Result<(), String> {
        let victim = self.world.any();
        match thread_rng().gen_range(0..6) {
            0 => {
                self.world.isolate(victim);
                self.pass(ms(200..20_000)).await?;
                self.world.heal();
            }
            1 => {
                self.world.power_off(victim, CrashMode::LoseAll);
                self.pass(ms(0..12_000)).await?;
                self.world.power_on(victim);
            }
            2 => {
                // One way only: it hears the others, and they don't hear it.
                self.world.cut_link(victim, (victim + 1) % NODES);
                self.pass(ms(200..8_000)).await?;
                self.world.heal();
            }
            3 => {
                self.world.machines[victim].pause();
                self.pass(ms(100..16_000)).await?;
                self.world.machines[victim].resume();
            }
            4 => {
                // In the middle of it another one dies, or is cut off.
                self.world.machines[victim].leave();
                self.pass(ms(0..4_000)).await?;
                let other = (victim + 1) % NODES;
                if thread_rng().gen_bool(0.5) {
                    self.world.power_off(other, CrashMode::LoseAll);
                } else {
                    self.world.isolate(other);
                }
                self.pass(ms(500..8_000)).await?;
                self.world.heal();
                self.world.power_on(other);
            }
            _ => {
                self.world.machines[victim].leave();
                self.pass(ms(500..15_000)).await?;
            }
        }
        Ok(())
    }

    /// A node ends in order, and is back.
    async fn one_ends(&mut self) -> Result<(), String> {
        let victim = self.world.any();
        let life = self.world.machines[victim].life();
        self.world.machines[victim].leave();
        let limit = now_ms() + BACK_WITHIN.as_millis();
        while !(self.world.machines[victim].life() > life && self.world.machines[victim].serves()) {
            if now_ms() > limit {
                return Err(format!("n{} has not ended and come back within {BACK_WITHIN:?}", victim + 1));
            }
            self.pass(Duration::from_millis(100)).await?;
        }
        self.pass(Duration::from_secs(5)).await
    }

    /// In the end who has a session is who presence names, on all nodes, and nobody has two.
    async fn agree(&mut self) -> Result<(), String> {
        let limit = now_ms() + AGREED_WITHIN.as_millis();
        loop {
            let open = book(&self.ledger).open();
            let wanted: BTreeMap<_, _> = open.iter().map(|(user, all)| (name(*user), all.clone())).collect();
            let is_one_each = open.len() == USERS && open.values().all(|all| all.len() == 1);
            let named: Vec<Option<BTreeMap<String, BTreeSet<String>>>> =
                self.world.machines.iter().map(named).collect();
            if is_one_each && named.iter().all(|named| named.as_ref() == Some(&wanted)) {
                trace::event(|| format!("named alike: {wanted:?}"));
                return Ok(());
            }
            if now_ms() > limit {
                return Err(format!("there is {wanted:?}, and after {AGREED_WITHIN:?} named {named:?}"));
            }
            self.pass(Duration::from_millis(100)).await?;
        }
    }

    /// Everybody is there, and everybody speaks to everybody.
    async fn all_arrives(&mut self) -> Result<(), String> {
        // Each of them has its turn within some seconds.
        self.pass(Duration::from_secs(10)).await?;
        let limit = now_ms() + HEARD_WITHIN.as_millis();
        loop {
            let (awaited, missed) = book(&self.ledger).not_yet();
            if awaited.is_empty() && missed.is_empty() {
                return Ok(());
            }
            if now_ms() > limit {
                return Err(format!(
                    "in peace, within {HEARD_WITHIN:?}, not heard: {awaited:?}; not seen: {missed:?}"
                ));
            }
            self.pass(Duration::from_millis(100)).await?;
        }
    }
}
