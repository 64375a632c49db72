//! One seed, one fresh thread.
//!
//! The order is what makes a run repeat: madsim seeds the thread's hash-map keys when its runtime is made, so it
//! comes first; tokio's own channels draw from a thread-local generator that only a seeded tokio runtime around
//! everything makes repeatable.

use crate::{
    args::Args,
    planted::{self, Planted},
    regressions,
    scenario::Scenario,
    trace::{self, Finished},
};
use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::runtime::{Builder, Handle, RngSeed};

/// A run that takes longer than this in simulated time hangs.
const SIMULATED_MAX: Duration = Duration::from_secs(900);
const STACK_BYTES: usize = 64 << 20;

/// Runs all seeds on two threads; fails if one of them does. With a planted bug it is the other way round.
pub fn run(args: &Args) -> ExitCode {
    let runs = runs(args);
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while let Some((seed, scenario)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = one(*seed, *scenario, args) {
                        report(*seed, *scenario, &why);
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("sim: {} passed, {failed} failed", runs.len() - failed);
    match args.planted {
        Planted::Nothing => ExitCode::from(u8::from(failed > 0)),
        _ if failed > 0 => {
            println!("the planted bug was noticed");
            ExitCode::SUCCESS
        }
        _ => {
            println!("the planted bug was NOT noticed: the checks are blind");
            ExitCode::FAILURE
        }
    }
}

/// What to run: with all scenarios and no planted bug, the seeds that once failed first.
fn runs(args: &Args) -> Vec<(u64, Scenario)> {
    let mut runs = Vec::new();
    if args.scenario.is_none() && args.planted == Planted::Nothing {
        runs.extend(regressions::SEEDS.map(|(seed, scenario, _)| (seed, scenario)));
    }
    let seeds = args.start..args.start.saturating_add(args.seeds);
    runs.extend(seeds.map(|seed| (seed, args.scenario.unwrap_or_else(|| Scenario::of_seed(seed)))));
    runs
}

fn report(seed: u64, scenario: Scenario, why: &str) {
    println!("seed {seed} ({}) FAILED: {why}", scenario.name());
    println!("replay: cargo xtask sim --start {seed} --seeds 1 --scenario {} --trace", scenario.name());
}

fn one(seed: u64, scenario: Scenario, args: &Args) -> Result<(), String> {
    let first = simulate(seed, scenario, args.planted, args.trace)?;
    if !args.check_determinism {
        return Ok(());
    }
    let second = simulate(seed, scenario, args.planted, false)?;
    if first.hash == second.hash {
        return Ok(());
    }
    let differs = first.lines.iter().zip(&second.lines).position(|(a, b)| a != b).unwrap_or(0);
    let line = |run: &Finished| run.lines.get(differs).cloned().unwrap_or_default();
    Err(format!("two runs differ at event {differs}:\n  {}\n  {}", line(&first), line(&second)))
}

/// Runs one seed.
pub fn simulate(seed: u64, scenario: Scenario, planted: Planted, print: bool) -> Result<Finished, String> {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let run = thread.spawn(move || {
        trace::start(print);
        quorate_rt::clock_skew::clear();
        planted::plant(planted);
        let _logging = print.then(log);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| seeded(seed, scenario)));
        let finished = trace::finish();
        let outcome = outcome.unwrap_or_else(|panic| Err(message(&*panic)));
        outcome.map(|()| finished)
    });
    let run = run.map_err(|e| format!("no thread: {e}"))?;
    run.join().unwrap_or_else(|panic| Err(message(&*panic)))
}

/// With `--trace`, the nodes' own log lines too, filtered by `QUORATE_SIM_LOG` (such as `quorate=debug`).
fn log() -> tracing::subscriber::DefaultGuard {
    let filter = std::env::var("QUORATE_SIM_LOG").unwrap_or_else(|_| "off".into());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false);
    tracing::subscriber::set_default(lines.with_writer(std::io::stdout).finish())
}

fn seeded(seed: u64, scenario: Scenario) -> Result<(), String> {
    let mut simulation = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
    simulation.set_time_limit(SIMULATED_MAX + scenario.lasts());
    let outer = Builder::new_current_thread().rng_seed(RngSeed::from_bytes(&seed.to_le_bytes())).build();
    let outer = outer.map_err(|e| e.to_string())?;
    outer.block_on(tokio::task::unconstrained(async move {
        let outcome = simulation.block_on(async {
            let outcome = scenario.run().await;
            // The tasks of machines that are gone are dropped when their turn comes.
            madsim::time::sleep(Duration::from_millis(1)).await;
            outcome
        });
        // A real `tokio::spawn` inside the simulation would silently never run.
        let stray = Handle::current().metrics().num_alive_tasks();
        if stray == 0 { outcome } else { Err(format!("{stray} tasks were spawned past quorate-rt")) }
    }))
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "panicked".into())
}
