//! `quorate dev`: a cluster to play with, made of real processes, so that killing one is the real thing.
//!
//! Each child is this program again. A child never outlives this process, not even after `kill -9`: it watches
//! its stdin, whose other end only we hold. The children are in process groups of their own, so that Ctrl-C
//! reaches us alone and they end in an order: workers first, while there are still nodes to say goodbye to.

mod children;
mod folder;
mod plan;
mod ready;

use super::block_on;
use crate::{
    args::DevArgs,
    failure::Failure,
    output::{print, say},
    signals::Signals,
};
use children::Children;
use folder::Folder;
use plan::Plan;
use std::{future::Future, path::Path, time::Duration};

/// A cluster that is not ready by then will not be.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Children of one kind that still run after this are killed.
const END_LIMIT: Duration = Duration::from_secs(5);

pub fn run(args: &DevArgs) -> Result<(), Failure> {
    let plan = Plan::new(args.base_port_offset);
    plan.check_ports()?;
    let folder = Folder::make(&std::env::temp_dir());
    let folder = folder.map_err(|e| Failure::failed("cannot make a temporary folder", e))?;
    block_on(play(&plan, folder.path()))
}

async fn play(plan: &Plan, folder: &Path) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut nodes = Children::start(folder, plan.nodes.iter().map(|node| node.command(plan, folder)))?;
    let mut workers = Children::none();
    tokio::select! {
        biased;
        _ = signals.next() => {}
        failure = watch(plan, folder, &mut nodes, &mut workers) => return Err(failure),
    }
    say("ending; Ctrl-C once more ends at once");
    tokio::select! {
        biased;
        number = signals.next() => Err(Failure::Signal(number)),
        () = async { workers.end(END_LIMIT).await; nodes.end(END_LIMIT).await } => Ok(()),
    }
}

/// Returns only where there is nothing to play with: otherwise the user decides when it is over.
async fn watch(plan: &Plan, folder: &Path, nodes: &mut Children, workers: &mut Children) -> Failure {
    if let Err(failure) = get_ready(plan, folder, nodes, workers).await {
        return failure;
    }
    if let Err(failure) = print(&plan.words(folder, &nodes.pids(), &workers.pids())) {
        return failure;
    }
    while !(nodes.is_empty() && workers.is_empty()) {
        let exit = tokio::select! {
            biased;
            exit = nodes.next_exit() => exit,
            exit = workers.next_exit() => exit,
        };
        say(&format!("{} has ended ({}); the others go on", exit.name, exit.how));
    }
    Failure::Failed("no child is left".into())
}

/// Workers come last: whoever asks a cluster that is not formed yet only waits longer in the end.
async fn get_ready(
    plan: &Plan,
    folder: &Path,
    nodes: &mut Children,
    workers: &mut Children,
) -> Result<(), Failure> {
    until(ready::formed(plan), nodes, workers).await?;
    *workers = Children::start(folder, plan.workers.iter().map(|worker| worker.command(plan)))?;
    until(ready::registered(plan), nodes, workers).await
}

/// Waits, as long as all children live.
async fn until(
    ready: impl Future<Output = Result<(), Failure>>,
    nodes: &mut Children,
    workers: &mut Children,
) -> Result<(), Failure> {
    tokio::select! {
        biased;
        exit = nodes.next_exit() => Err(exit.failure()),
        exit = workers.next_exit() => Err(exit.failure()),
        ready = tokio::time::timeout(READY_LIMIT, ready) => ready.unwrap_or_else(|_| {
            let log = nodes.end_of_first_log();
            Err(Failure::failed(format!("the cluster is not ready within {READY_LIMIT:?}"), log))
        }),
    }
}
