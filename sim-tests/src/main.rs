//! `quorate-sim`: runs the real nodes in the deterministic simulator, one seed after the other.
//!
//! It only means anything when built with `--cfg madsim`; `cargo xtask sim` does that. A seed decides everything:
//! interleavings, delays, faults, random numbers. A failing one is printed with the line that replays it.

#[cfg(madsim)]
mod args;
#[cfg(any(madsim, test))]
mod check;
#[cfg(madsim)]
mod fault;
#[cfg(madsim)]
mod harness;
#[cfg(madsim)]
mod mutants;
#[cfg(madsim)]
mod planted;
#[cfg(madsim)]
mod regressions;
#[cfg(madsim)]
mod scenario;
#[cfg(madsim)]
mod trace;
#[cfg(madsim)]
mod workload;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    match args::Args::parse(std::env::args().skip(1)) {
        Ok(args) => {
            // A seed that fails is reported once, by whoever runs it.
            std::panic::set_hook(Box::new(|_| ()));
            if args.mutants { mutants::run(args.planted) } else { harness::run(&args) }
        }
        Err(why) => {
            eprintln!("{why}\n\n{}", args::USAGE);
            std::process::ExitCode::from(2)
        }
    }
}

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    eprintln!("this program only runs in simulation: use `cargo xtask sim`");
    std::process::ExitCode::from(2)
}
