//! What goes wrong: workers in turn, so that enough are well at any moment, and nodes.

use super::{Kind, Run, routed};
use crate::{
    fault::Fault,
    trace,
    world::{now_ms, worker::Mood},
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use quorate_state::ServiceView;

/// How long it goes on, and how long where a second of it is more work to simulate.
const LASTS: Duration = Duration::from_secs(20);
const LASTS_BUSY: Duration = Duration::from_secs(12);
/// What a router may have to learn about workers that are well takes no longer.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// What befalls a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It is in a mood.
    In(Mood),
    /// Its process is dead.
    Dead,
}

impl Trouble {
    fn any(kind: Kind) -> Self {
        let slow = thread_rng().gen_range(10..2_500);
        let all = [
            Self::In(Mood::Ill),
            Self::In(Mood::Hanging),
            Self::In(Mood::Slow(slow, slow + 500)),
            Self::In(Mood::Dying),
            Self::In(Mood::Vanishing),
            Self::In(Mood::Refusing),
            Self::Dead,
            Self::In(Mood::Leaving),
        ];
        // By HTTP/1.1 nobody can say that he leaves.
        let all = if kind == Kind::Http2 { &all[..] } else { &all[..all.len() - 1] };
        *all.choose(&mut thread_rng()).expect("there are some")
    }

    /// Whether its connections break with it: in some moods that of one request, which may be shared. Of one that leaves
    /// too: in the simulated network a write fails as soon as the other end is closed, though its last words are still
    /// under way.
    fn breaks(self, is_shared: bool) -> bool {
        match self {
            Self::Dead | Self::In(Mood::Refusing | Mood::Dying | Mood::Leaving) => true,
            Self::In(Mood::Vanishing) => is_shared,
            Self::In(Mood::Well | Mood::Ill | Mood::Hanging | Mood::Slow(..)) => false,
        }
    }
}

/// A time of trouble.
#[derive(Clone, Copy, Debug)]
struct Spell {
    trouble: Trouble,
    from_ms: u128,
    /// `None`: it lasts.
    to_ms: Option<u128>,
}

/// How the workers were, at any time.
pub struct Troubles(Vec<Vec<Spell>>);

impl Troubles {
    /// So many workers, all well.
    pub fn new(workers: usize) -> Self {
        Self(vec![Vec::new(); workers])
    }

    fn begin(&mut self, worker: usize, trouble: Trouble) {
        self.0[worker].push(Spell { trouble, from_ms: now_ms(), to_ms: None });
    }

    /// It is well from now on.
    pub fn end(&mut self, worker: usize) {
        if let Some(spell) = self.0[worker].last_mut() {
            spell.to_ms.get_or_insert(now_ms());
        }
    }

    /// Whether requests to any worker were in danger at some moment between.
    pub fn any(&self, from_ms: u128, to_ms: u128) -> bool {
        let endangers =
            |spell: &Spell| spell.trouble != Trouble::In(Mood::Ill) && spell.meets(from_ms, to_ms);
        self.0.iter().flatten().any(endangers)
    }

    /// Whether connections of this worker broke then.
    pub fn broke(&self, worker: usize, (from_ms, to_ms): (u128, u128), is_shared: bool) -> bool {
        self.0[worker].iter().any(|spell| spell.trouble.breaks(is_shared) && spell.meets(from_ms, to_ms))
    }
}

impl Spell {
    fn meets(&self, from_ms: u128, to_ms: u128) -> bool {
        self.from_ms <= to_ms && self.to_ms.is_none_or(|end| end >= from_ms)
    }
}

impl Run<'_> {
    /// All of it, and peace at the end.
    pub(super) async fn weather(&self) -> Result<(), String> {
        let lasts = match self.kind {
            Kind::Services => LASTS,
            Kind::Routes | Kind::Http2 => LASTS_BUSY,
        };
        let until_ms = now_ms() + lasts.as_millis();
        futures_util::try_join!(
            self.workers_suffer(until_ms),
            self.nodes_suffer(until_ms),
            self.watch(until_ms)
        )?;
        trace::event(|| "the faults are over".into());
        self.peace().await?;
        self.over.set(true);
        Ok(())
    }

    /// Looks at every node, and starts those that have ended.
    async fn watch(&self, until_ms: u128) -> Result<(), String> {
        while now_ms() < until_ms {
            sleep(Duration::from_millis(25)).await;
            self.world.look()?;
        }
        Ok(())
    }

    /// Some workers are unwell for a time, then others.
    async fn workers_suffer(&self, until_ms: u128) -> Result<(), String> {
        while now_ms() < until_ms {
            let victims = self.victims();
            for n in &victims {
                self.befall(*n, Trouble::any(self.kind));
            }
            let lasts = thread_rng().gen_range(200..5_000);
            sleep(Duration::from_millis(lasts)).await;
            for n in &victims {
                self.recover(*n).await;
            }
            self.lull().await?;
        }
        Ok(())
    }

    /// Who is unwell next: of each service fewer than a request is given to, so that one of those is well.
    fn victims(&self) -> Vec<usize> {
        let mut random = thread_rng();
        if self.kind == Kind::Routes {
            return routed::victims();
        }
        let mut workers: Vec<_> = (0..self.world.workers.len()).collect();
        workers.shuffle(&mut random);
        // A check or a breaker may hold one for unwell for a while after it is well.
        let most = if self.is_checked || self.is_tuned { 1 } else { 2 };
        workers.truncate(random.gen_range(1..=most));
        workers
    }

    fn befall(&self, n: usize, trouble: Trouble) {
        self.troubles.borrow_mut().begin(n, trouble);
        let worker = &self.world.workers[n];
        match trouble {
            Trouble::In(mood) => worker.be(mood),
            Trouble::Dead => {
                trace::event(|| format!("{} dies", worker.name()));
                self.up[n].set(false);
                worker.kill();
            }
        }
    }

    /// Waits until no request is under way that met a worker's trouble, and no node that runs avoids a worker for it.
    pub(super) async fn lull(&self) -> Result<(), String> {
        // A worker that has just been started is about to listen.
        sleep(Duration::from_millis(50)).await;
        let (since_ms, limit_ms) = (now_ms(), now_ms() + KNOWN_WITHIN.as_millis());
        let is_old = || self.under_way.borrow().values().any(|began_ms| *began_ms <= since_ms);
        while is_old() || self.somebody_is_avoided() {
            if now_ms() > limit_ms {
                return Err(format!("all workers are well, and {KNOWN_WITHIN:?} later a node avoids one"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn somebody_is_avoided(&self) -> bool {
        self.world.machines.iter().filter_map(|machine| machine.view()).any(|view| {
            let avoids = |service: &ServiceView| service.endpoints().any(|endpoint| !endpoint.serves());
            self.services().iter().any(|name| view.service(name).is_none_or(|service| avoids(service)))
        })
    }

    /// Nodes are killed, cut off from each other, and hand over.
    async fn nodes_suffer(&self, until_ms: u128) -> Result<(), String> {
        while now_ms() < until_ms {
            let pause = thread_rng().gen_range(500..4_000);
            sleep(Duration::from_millis(pause)).await;
            let all = [Fault::Kill, Fault::Partition, Fault::HandOver];
            let fault = *all.choose(&mut thread_rng()).expect("there are some");
            trace::event(|| format!("{fault:?}"));
            fault.strike(self.world).await;
        }
        Ok(())
    }
}
