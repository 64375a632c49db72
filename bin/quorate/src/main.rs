//! `quorate`: the router itself, a cluster to play with, and the tool to operate any cluster.
//!
//! What each command does stands in `commands`; this file only chooses one and turns its outcome into an exit
//! code. Data goes to stdout, talk to stderr, so that every answer can be piped.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is what lies outside of the simulated node: here tokio and the clock are the real ones"
)]

mod agent_args;
mod args;
mod backplane;
mod commands;
mod failure;
mod kafka;
mod output;
mod parent;
mod registry_args;
mod serve_args;
mod signals;
mod supervisor;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// Worth 1 to 3 % of the CPU per request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Wrong usage ends here, with code 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => commands::serve::run(&args),
        Command::Dev(args) => commands::dev::run(&args),
        Command::Agent(args) => commands::agent::run(&args),
        Command::DemoWorker(args) => commands::demo_worker::run(&args),
        Command::Status(remote) => commands::status::run(&remote),
        Command::Workers(args) => commands::workers::run(&args),
        Command::Services(args) => commands::services::run(&args),
        Command::Routes(args) => commands::routes::run(&args),
        Command::Sandboxes(args) => commands::sandboxes::run(&args),
        Command::Tunnels(args) => commands::tunnels::run(&args),
        Command::Presence(args) => commands::presence::run(&args),
        Command::Config(args) => commands::config::run(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Keyspaces(args) => commands::keyspaces::run(&args),
        Command::Cluster(args) => commands::cluster::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Connect(args) => commands::connect::run(&args),
        Command::Leases(args) => commands::leases::run(&args),
        Command::Snapshot(args) => commands::snapshot::run(&args),
        Command::Healthcheck(args) => commands::healthcheck::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
    }
}
