//! `quorate agent`: the worker of a machine whose services can't register themselves.
//!
//! It looks for services, registers those that it finds, and keeps the lease; where services come and go it registers
//! anew under the same id. It never ends because routers are away, and its own end takes nothing away from a request
//! that is under way.
//!
//! | module | what |
//! |---|---|
//! | `config`, `file`, `services` | what it is told |
//! | `identity` | under which id it registers |
//! | `service` | how a service is looked for, and where the nodes reach it |
//! | `delegate` | whether it sends the heartbeats of its group |
//! | `presence` | which services are there, as a pure table |
//! | `survey` | one look at all of them |
//! | `tunnels` | how nodes reach a machine that they can't dial |
//! | `machine` | what the machine can do |
//! | `mark` | whether a drain that stands was the agent's own |
//! | `live` | the process, from its start to its signal |
//! | `once` | what it would register, printed |

mod config;
mod delegate;
mod file;
mod identity;
mod live;
mod machine;
mod mark;
mod once;
mod presence;
mod service;
mod services;
mod survey;
mod tunnels;

use super::{block_on, serve};
use crate::{
    agent_args::{AgentArgs, VARIABLES},
    failure::Failure,
};
use clap::Args as _;
use config::{Config, Surroundings};
use std::io::IsTerminal as _;

pub fn run(args: &AgentArgs) -> Result<(), Failure> {
    let file = args.config.as_deref().map(serve::read).transpose()?;
    let surroundings = Surroundings {
        coordinator_url: std::env::var("COORDINATOR_URL").ok().filter(|url| !url.is_empty()),
        terminal: std::io::stderr().is_terminal(),
    };
    let config = Config::load(args, file.as_ref(), &surroundings)
        .map_err(|errors| Failure::Usage(format!("the configuration is wrong\n{errors}")))?;
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if args.once {
        return block_on(once::run(&config, &host_name, args.output));
    }
    block_on(live::run(config, &host_name, args.until_stdin_closes))
}

/// Variables that look like settings of the agent and are none: a mistyped one would be missed in silence.
fn unknown_variables() -> Vec<String> {
    let command = AgentArgs::augment_args(clap::Command::new("agent"));
    let known: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(VARIABLES) && !known.contains(&name.as_str())).collect()
}
