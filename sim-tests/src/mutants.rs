//! The suite's own test: every planted bug must be noticed, and by whom is told.

use crate::{harness, planted::Planted};
use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A bug that is not noticed within so many seeds makes the suite fail.
const SEEDS_MAX: u64 = 500;

/// Looks for every bug, or for one.
pub fn run(only: Planted) -> ExitCode {
    let bugs = if only == Planted::Nothing { Planted::all() } else { vec![only] };
    let count = bugs.len();
    let missed = bugs.into_iter().filter(|bug| !noticed(*bug)).count();
    println!("sim: {} planted bugs noticed, {missed} missed", count - missed);
    ExitCode::from(u8::from(missed > 0))
}

fn noticed(bug: Planted) -> bool {
    let (next, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let found = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS_MAX {
                        return;
                    }
                    let scenario = bug.scenario(seed);
                    if let Err(why) = harness::simulate(seed, scenario, bug, false) {
                        over.store(true, Ordering::Relaxed);
                        found.lock().unwrap_or_else(PoisonError::into_inner).push((seed, scenario, why));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    match found.into_iter().min_by_key(|(seed, ..)| *seed) {
        Some((seed, scenario, why)) => {
            println!("{}: noticed at seed {seed} ({}): {why}", bug.name(), scenario.name());
            true
        }
        None => {
            println!("{}: NOT noticed within {SEEDS_MAX} seeds: the checks are blind", bug.name());
            false
        }
    }
}
