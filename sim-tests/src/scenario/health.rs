//! Health checks: workers fall ill and recover, and all nodes know it in time; nodes that lose sight of workers take
//! nothing from the others; and nothing is written while nothing changes.

use super::serving;
use crate::{
    trace,
    world::{
        Machine, World,
        client::{self, Got, persist},
        now_ms,
        worker::{self, Mood},
    },
};
use futures_util::future::try_join;
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};
use quorate_routing::health::probers;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

const NODES: usize = 3;
const WORKERS: usize = 3;
/// Three bad probes in a row, half a second apart and at most 300 ms late each, what a second node finds, and the
/// commit; or two good ones.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// The same, where the nodes must first find out that one of them is gone.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);
/// How long nothing happens, and nothing is written.
const STEADY: Duration = Duration::from_secs(60);
/// What a node says about itself, and the feature level, are entries too, and come once, soon after the start.
const FIRST_WORDS: Duration = Duration::from_secs(35);

/// The run.
struct Run<'a> {
    world: &'a World,
    /// Who may be held for unwell.
    suspects: RefCell<BTreeSet<usize>>,
    /// The node that sees for itself alone, and may think what it likes.
    alone: Cell<Option<usize>>,
    over: Cell<bool>,
}

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, WORKERS).await?;
    let run =
        Run { world: &world, suspects: RefCell::default(), alone: Cell::new(None), over: Cell::new(false) };
    let policy = json!({"health": {
        "http": {"path": worker::HEALTH}, "interval": "500ms", "timeout": "300ms", "unhealthy": 3, "healthy": 2,
    }});
    persist(&world, "PUT", "/v1/services/s", &policy).await?;
    for n in 0..WORKERS {
        run.register(n).await?;
    }
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    try_join(run.events(), run.watch()).await?;
    world.settle().await
}

impl Run<'_> {
    async fn events(&self) -> Result<(), String> {
        self.world.pass(FIRST_WORDS).await?;
        self.nothing_is_written(STEADY).await?;
        let mut events = [0, 1, 2, 3, 4, 5];
        events.shuffle(&mut thread_rng());
        for event in events {
            match event {
                0 | 1 => self.falls_ill_and_recovers().await?,
                2 => self.registers_anew().await?,
                3 => self.loses_sight(Sight::OfWorkers).await?,
                4 => self.loses_sight(Sight::OfAll).await?,
                _ => self.prober_dies().await?,
            }
        }
        self.over.set(true);
        Ok(())
    }

    /// No node ever holds a worker for unwell that was well for long.
    async fn watch(&self) -> Result<(), String> {
        while !self.over.get() {
            self.world.pass(Duration::from_millis(50)).await?;
            for (i, machine) in self.world.machines.iter().enumerate() {
                let wronged: Vec<_> =
                    ailing(machine).into_iter().filter(|n| !self.suspects.borrow().contains(n)).collect();
                if !wronged.is_empty() && self.alone.get() != Some(i) {
                    return Err(format!(
                        "{} holds workers {wronged:?} for unwell, and they are well",
                        machine.name()
                    ));
                }
            }
        }
        Ok(())
    }

    async fn register(&self, n: usize) -> Result<(), String> {
        let body = json!({
            "address": format!("http://{}", worker::address(n + 1)),
            "services": [{"name": "s", "version": "1"}],
            "ttl": "600s",
        });
        persist(self.world, "PUT", &format!("/v1/workers/{}", self.world.workers[n].name()), &body).await
    }

    /// How many entries come within `time`: none.
    async fn nothing_is_written(&self, time: Duration) -> Result<(), String> {
        let before = self.world.log_index()?;
        self.world.pass(time).await?;
        let entries = self.world.log_index()? - before;
        trace::event(|| format!("{entries} log entries in {time:?}"));
        if entries == 0 {
            Ok(())
        } else {
            Err(format!("nothing changed, and {entries} entries were written"))
        }
    }

    /// A worker is unwell from now on, in some way that a probe can find out.
    fn falls_ill(&self) -> usize {
        let (n, slow) = (thread_rng().gen_range(0..WORKERS), thread_rng().gen_range(400..2_000));
        let all = [Mood::Ill, Mood::Hanging, Mood::Refusing, Mood::Slow(slow, slow + 100)];
        self.suspects.borrow_mut().insert(n);
        self.world.workers[n].be(*all.choose(&mut thread_rng()).expect("there are some"));
        n
    }

    async fn found_unwell(&self, n: usize, within: Duration) -> Result<(), String> {
        let what = format!("all nodes know that w{} is not well", n + 1);
        let on = |machine: &&Machine| machine.view().is_some();
        self.world
            .until(&what, within, |machines| {
                machines.iter().copied().filter(|m| on(m)).all(|m| ailing(m) == BTreeSet::from([n]))
            })
            .await
    }

    async fn recovers(&self, n: usize, within: Duration) -> Result<(), String> {
        self.world.workers[n].be(Mood::Well);
        let all_are_well =
            |machines: &[&Machine]| machines.iter().all(|m| m.view().is_some() && ailing(m).is_empty());
        self.world
            .until(&format!("all nodes know that w{} is well again", n + 1), within, all_are_well)
            .await?;
        // Nothing that was found before is under way any more: a verdict is confirmed and proposed within seconds.
        self.world.pass(KNOWN_WITHIN).await?;
        self.suspects.borrow_mut().remove(&n);
        Ok(())
    }

    async fn falls_ill_and_recovers(&self) -> Result<(), String> {
        let before = self.world.log_index()?;
        let n = self.falls_ill();
        self.found_unwell(n, KNOWN_WITHIN).await?;
        self.one_entry_since(before)?;
        for node in 0..NODES {
            self.reaches(node, n, false).await?;
        }
        let steady = thread_rng().gen_range(1..20);
        self.nothing_is_written(Duration::from_secs(steady)).await?;
        let before = self.world.log_index()?;
        self.recovers(n, KNOWN_WITHIN).await?;
        self.one_entry_since(before)?;
        for node in 0..NODES {
            self.reaches(node, n, true).await?;
        }
        Ok(())
    }

    fn one_entry_since(&self, before: u64) -> Result<(), String> {
        match self.world.log_index()? - before {
            1 => Ok(()),
            entries => Err(format!("a change of health cost {entries} log entries")),
        }
    }

    /// Whether worker `n` gets some of many requests through a node, which all are answered.
    async fn reaches(&self, node: usize, n: usize, wanted: bool) -> Result<(), String> {
        let mut reached = BTreeSet::new();
        for _ in 0..40 {
            match client::serve_raw(self.world, node, "GET", Value::Null).await {
                Got::Answer { status: 200, body, .. } => reached.extend(body.as_str().map(str::to_owned)),
                got => return Err(format!("n{} answers {got:?} while workers are well", node + 1)),
            }
        }
        if reached.contains(&self.world.workers[n].name()) == wanted {
            return Ok(());
        }
        Err(format!("n{} sent requests to {reached:?} when w{} was well: {wanted}", node + 1, n + 1))
    }

    /// Whoever registers begins well, whatever was found of an earlier life.
    async fn registers_anew(&self) -> Result<(), String> {
        let n = self.falls_ill();
        self.found_unwell(n, KNOWN_WITHIN).await?;
        self.register(n).await?;
        let began_ms = now_ms();
        for node in 0..NODES {
            client::barrier(self.world, node).await?;
            let since_ms = now_ms() - began_ms;
            if since_ms < 1_000 && ailing(&self.world.machines[node]).contains(&n) {
                return Err(format!(
                    "n{} holds against w{} what was found before it registered",
                    node + 1,
                    n + 1
                ));
            }
        }
        if thread_rng().gen_bool(0.5) {
            self.found_unwell(n, KNOWN_WITHIN).await?;
        }
        self.recovers(n, KNOWN_WITHIN).await
    }

    /// A node does not see the workers, or nobody at all: that is its own misfortune.
    async fn loses_sight(&self, of: Sight) -> Result<(), String> {
        let blind = thread_rng().gen_range(0..NODES);
        let leads = self.world.leader() == Some(blind);
        trace::event(|| format!("n{} loses sight {of:?}; it leads: {leads}", blind + 1));
        let machine = self.world.machines[blind].id();
        for worker in &self.world.workers {
            self.world.network.cut((machine, worker.id()));
            self.world.network.cut((worker.id(), machine));
        }
        if of == Sight::OfAll {
            self.world.isolate(blind);
            self.alone.set(Some(blind));
        }
        let time = thread_rng().gen_range(5..25);
        self.world.pass(Duration::from_secs(time)).await?;
        self.world.heal();
        self.alone.set(None);
        // What it was about to say is told now, or never.
        self.world.pass(TAKEN_OVER_WITHIN).await?;
        Ok(())
    }

    /// The node that probes a worker dies, and the worker is ill from then on.
    async fn prober_dies(&self) -> Result<(), String> {
        let n = self.falls_ill();
        let names: Vec<_> = self.world.machines.iter().map(Machine::name).collect();
        let endpoint = format!("s\n{}", self.world.workers[n].name());
        let first =
            probers(names.iter().map(String::as_str), &endpoint).first().map(|name| (*name).to_owned());
        let prober = names.iter().position(|name| Some(name) == first.as_ref()).ok_or("nobody probes")?;
        self.world.machines[prober].kill();
        self.found_unwell(n, TAKEN_OVER_WITHIN).await?;
        if thread_rng().gen_bool(0.5) {
            self.world.power_on(prober);
            return self.recovers(n, TAKEN_OVER_WITHIN).await;
        }
        let others = |machines: &[&Machine]| {
            machines.iter().filter(|m| m.is_on()).all(|m| m.view().is_some() && ailing(m).is_empty())
        };
        self.world.workers[n].be(Mood::Well);
        self.world.until("those that are left know that it is well again", TAKEN_OVER_WITHIN, others).await?;
        self.world.power_on(prober);
        self.recovers(n, TAKEN_OVER_WITHIN).await
    }
}

/// What a node sees no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    OfWorkers,
    OfAll,
}

/// The workers that a node holds for unwell, from 0.
fn ailing(machine: &Machine) -> BTreeSet<usize> {
    let Some(view) = machine.view() else { return BTreeSet::new() };
    let Some(service) = view.service("s") else { return BTreeSet::new() };
    let numbers = (0..WORKERS).filter(|n| {
        let endpoint = service.endpoint(&format!("w{}", n + 1));
        endpoint.is_some_and(|endpoint| endpoint.is_ailing())
    });
    numbers.collect()
}
