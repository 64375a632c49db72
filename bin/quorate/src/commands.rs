//! One file per command, and what those that talk to a cluster have in common.

pub mod agent;
pub mod apply;
pub mod cluster;
pub mod completions;
pub mod config;
pub mod connect;
mod declare;
pub mod demo_worker;
pub mod dev;
mod diff;
mod document;
pub mod explain;
pub mod healthcheck;
mod key_trace;
pub mod keyspaces;
pub mod leases;
mod local;
mod observations;
pub mod presence;
mod ramps;
pub mod recover;
pub mod routes;
pub mod sandboxes;
pub mod secret;
pub mod serve;
pub mod services;
pub mod snapshot;
pub mod status;
pub mod tunnels;
pub mod watch;
pub mod workers;

use crate::{args::Remote, failure::Failure};
use quorate_client::Operator;
use std::{future::Future, time::Duration};

/// Blocking work that is still under way at the end, such as a name being resolved, is left behind.
const LEFTOVERS_LIMIT: Duration = Duration::from_millis(100);

/// Runs `work` on a runtime of its own, which ends with it.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed("cannot start", e))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFTOVERS_LIMIT);
    done
}

fn operator(remote: &Remote) -> Result<Operator, Failure> {
    let urls = quorate_client::routers(&remote.server)
        .map_err(|e| Failure::Usage(format!("--server (or QUORATE_SERVER): {e}")))?;
    Ok(Operator::new(urls, remote.token.clone())?)
}
