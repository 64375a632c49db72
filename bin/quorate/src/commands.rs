//! One file per command, and what those that talk to a cluster have in common.

pub mod cluster;
pub mod completions;
pub mod demo_worker;
pub mod dev;
pub mod healthcheck;
pub mod keyspaces;
pub mod leases;
pub mod recover;
pub mod secret;
pub mod serve;
pub mod services;
pub mod snapshot;
pub mod status;
pub mod watch;
pub mod workers;

use crate::{args::Remote, failure::Failure};
use quorate_client::Operator;
use std::future::Future;

/// Runs `work` on a runtime of its own, which ends with it.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::failed("cannot start", e))?.block_on(work)
}

fn operator(remote: &Remote) -> Result<Operator, Failure> {
    let urls = quorate_client::routers(&remote.server)
        .map_err(|e| Failure::Usage(format!("--server (or QUORATE_SERVER): {e}")))?;
    Ok(Operator::new(urls, remote.token.clone())?)
}
