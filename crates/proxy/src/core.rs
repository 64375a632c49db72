//! What one core owns.

use crate::{
    Config, Freshness,
    deadline::{Deadlines, TICK, ticks},
    decide::Desk,
    dial::Dialer,
    headers::Stamp,
    hold::{Holds, Waiting},
    in_flight::InFlight,
    key_trace::{self, KeyTraces, Tracer},
    mirror,
    observations::{self, Observations},
    pool::PoolBounds,
    ramps::Ramps,
    resilience::{Breakers, Here},
};
use quorate_routing::{balance::key::hash, local::Local};
use quorate_rt::{
    published::Published,
    time::{Instant, sleep},
};
use quorate_state::{Loads, View};
use quorate_telemetry::CoreCounters;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Where a core is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Accepts.
    Serving,
    /// Accepts, and closes each connection after its next answer: clients shall go elsewhere, and notice nothing.
    Leaving,
    /// Accepts nothing new; open requests finish, and their connections close.
    Draining,
    /// What is still open is cut.
    Halted,
}

/// Deadlines, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    pub header: u32,
    pub idle: u32,
    pub rest: u32,
    pub stall: u32,
    pub request: u32,
    pub pool_idle: u32,
}

/// One core's part of the data plane. Shared by its connections, and by nothing on another core.
pub(crate) struct Core {
    pub config: Arc<Config>,
    pub spans: Spans,
    pub counters: Arc<CoreCounters>,
    pub deadlines: Arc<Deadlines>,
    pub desk: Desk,
    pub dialer: Dialer,
    pub stamp: Stamp,
    pub freshness: Arc<Freshness>,
    pub view: Arc<Published<View>>,
    pub holds: Holds,
    pub waiting: Arc<Waiting>,
    pub tracer: Tracer,
    /// Bytes of requests' bodies that are kept to be sent again.
    pub kept_bytes: AtomicUsize,
    /// Copies of requests that are under way.
    pub copies: AtomicUsize,
    stage: AtomicU8,
    open: AtomicUsize,
    streams: AtomicUsize,
}

/// What all cores are made of.
pub(crate) struct Shared {
    pub config: Arc<Config>,
    pub view: Arc<Published<View>>,
    pub loads: Arc<Published<Loads>>,
    pub breakers: Breakers,
    pub local: Arc<Published<Local>>,
    pub freshness: Arc<Freshness>,
    pub dialer: Dialer,
    pub waiting: Arc<Waiting>,
    pub in_flight: InFlight,
    pub observations: Observations,
    pub key_traces: KeyTraces,
    pub ramps: Ramps,
}

/// What a core is asked by those who want to know what it does.
pub(crate) struct Questions {
    observations: mpsc::Receiver<observations::Question>,
    key_traces: mpsc::Receiver<key_trace::Question>,
}

impl Shared {
    /// What one more core will be asked.
    pub fn ask_core(&self) -> Questions {
        Questions { observations: self.observations.ask_core(), key_traces: self.key_traces.ask_core() }
    }
}

impl Core {
    /// Number `nth` of the node.
    pub fn new(shared: &Shared, nth: usize, counters: Arc<CoreCounters>) -> Arc<Self> {
        let config = shared.config.clone();
        let limits = &config.limits;
        let spans = Spans {
            header: ticks(limits.header_timeout),
            idle: ticks(limits.client_idle),
            rest: ticks(limits.client_rest).min(ticks(limits.client_idle)),
            stall: ticks(limits.client_stall),
            request: ticks(config.request_timeout),
            pool_idle: ticks(limits.pool_idle),
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let here = Here {
            zone: config.zone.as_ref().map(|zone| hash(zone.as_bytes())),
            core: (number(nth), number(config.threads)),
        };
        let soft = (&shared.loads, &shared.breakers, shared.ramps.add_core());
        let desk = Desk::new((&shared.view, &shared.local), soft, &counters, (PoolBounds::of(limits), here));
        let core = Arc::new(Self {
            spans,
            counters,
            deadlines: Deadlines::new(
                limits
                    .connections_max
                    .saturating_add(limits.http2_streams_of_core_max)
                    .saturating_add(mirror::COPIES_MAX),
            ),
            desk,
            dialer: shared.dialer.clone(),
            stamp: Stamp::new(&config.node_name),
            freshness: shared.freshness.clone(),
            view: shared.view.clone(),
            holds: Holds::default(),
            waiting: shared.waiting.clone(),
            tracer: Tracer::default(),
            kept_bytes: AtomicUsize::new(0),
            copies: AtomicUsize::new(0),
            stage: AtomicU8::new(Stage::Serving as u8),
            open: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            config,
        });
        shared.in_flight.add(&core);
        core
    }

    pub fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    /// Moves on to `stage`, never back, and lets every connection know.
    pub fn enter(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::Relaxed);
        self.deadlines.wake_all();
    }

    pub fn connection_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.counters.client_connected();
    }

    pub fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.counters.client_gone();
    }

    /// Takes a place for one more HTTP/2 stream. `false`: the core has as many as it takes.
    pub fn stream_opened(&self) -> bool {
        let is_room = self.streams.load(Ordering::Relaxed) < self.config.limits.http2_streams_of_core_max;
        if is_room {
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
        is_room
    }

    pub fn stream_closed(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sweeps deadlines and answers what is asked of it each tick, and sweeps the pool each second, for as long as the core
    /// lives.
    pub async fn sweep(self: Arc<Self>, mut questions: Questions) {
        const POOL_EVERY: u32 = 10;
        while !self.is(Stage::Halted) {
            let now = self.deadlines.tick().await;
            self.desk.note(now);
            while let Ok(question) = questions.observations.try_recv() {
                question.answer(&self.desk, now);
            }
            self.tracer.tick(&mut questions.key_traces, now);
            if now.is_multiple_of(POOL_EVERY) {
                self.desk.sweep(now, self.spans.pool_idle);
            }
        }
    }

    /// Lets open requests finish for at most `limit`, then cuts the rest. Returns when nothing is open.
    pub async fn drain(&self, limit: Duration) {
        let started = Instant::now();
        self.enter(Stage::Draining);
        while self.open.load(Ordering::Relaxed) > 0 && started.elapsed() < limit {
            sleep(TICK / 4).await;
        }
        self.enter(Stage::Halted);
        self.desk.clear();
        // The cut ones were woken; let them see it.
        let cut = Instant::now();
        while self.open.load(Ordering::Relaxed) > 0 && cut.elapsed() < TICK * 5 {
            sleep(TICK / 10).await;
        }
    }
}
