//! `quorate completions`

use crate::{
    args::{Cli, CompletionsArgs},
    failure::Failure,
    output,
};
use clap::CommandFactory as _;

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "quorate", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
