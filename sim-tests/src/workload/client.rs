//! Operators and tools: keyspaces change, records are read, consistently or not.

use super::{Caller, KEYSPACES, Phase, Workload};
use crate::check::{Ask, Reading};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};

pub async fn work(load: &Workload<'_>) -> Result<(), String> {
    let mut caller = Caller::new(load);
    while load.phase() != Phase::Over {
        let ask = next(load);
        caller.persist(&ask).await;
        let pause = thread_rng().gen_range(5..200);
        sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}

fn next(load: &Workload<'_>) -> Ask {
    let mut rng = thread_rng();
    let name = KEYSPACES[rng.gen_range(0..KEYSPACES.len())].to_owned();
    let worker = format!("w{}", rng.gen_range(1..=load.world.workers.len()));
    let reading = if rng.gen_bool(0.7) { Reading::Consistent } else { Reading::Local };
    match rng.gen_range(0..10) {
        0..=3 => Ask::SetKeyspace { name, partitions: load.next_value() },
        4..=7 => Ask::ReadKeyspace { name, reading },
        _ => Ask::ReadWorker { worker, reading },
    }
}
