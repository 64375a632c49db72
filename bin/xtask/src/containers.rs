//! `cargo xtask containers`: the image, and a cluster of three containers that lives through what happens to
//! containers, on a real Docker engine.
//!
//! The engine is our own (`engine`), in namespaces of our own (`namespace`); no registry is asked, since the base
//! image of the Dockerfile is made here (`base`). Clients behave as behind a Kubernetes Service (`service`, `load`):
//! they send to ready nodes only and retry nothing. What they see is written down (`ledger`), and so is what nodes
//! say of the membership all the while (`watch`). `scenario` is the order of events.

mod bad_input;
mod base;
mod clock;
mod cluster;
mod compose;
mod engine;
mod faults;
mod http;
mod image;
mod ledger;
mod load;
mod machine;
mod maintenance;
mod namespace;
mod scenario;
mod service;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU8;

use crate::workspace::{Done, Failure, Workspace};
use cluster::Cluster;
use compose::Compose;
use engine::Engine;
use ledger::Ledger;
use namespace::{Scratch, Talk};
use service::Service;
use watch::Watch;

/// `require`: where no engine can run, that is a failure.
const VARIABLE: &str = "QUORATE_CONTAINERS";

/// What to put into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Program {
    /// Built by the Dockerfile, less optimised.
    Quick,
    /// Built by the Dockerfile as it is released.
    Released,
    /// One that is there already.
    Built(PathBuf),
}

enum Mode {
    Test(Program),
    /// Only whether an engine can run.
    Probe,
    /// Both again, inside of the namespaces, with the folder to work in.
    Inside(Program, PathBuf),
    InsideProbe(PathBuf),
}

/// `cargo xtask containers`.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    match parse(args)? {
        Mode::Test(program) => {
            if let Done::Skipped(why) = test(workspace, &program)? {
                println!("containers: skipped: {why}");
            }
            Ok(())
        }
        Mode::Probe => match machine::lacks(&Scratch::new(&base::cache_folder())?.folder)? {
            None => Ok(()),
            Some(why) => Err(Failure::Check(why)),
        },
        Mode::Inside(program, folder) => inside(workspace, &program, &folder),
        Mode::InsideProbe(folder) => machine::probe(&folder),
    }
}

/// As a step of CI.
pub fn step(workspace: &Workspace) -> Result<Done, Failure> {
    test(workspace, &Program::Quick)
}

fn parse(args: &[String]) -> Result<Mode, Failure> {
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let (inside, rest) = match words.as_slice() {
        ["--probe"] => return Ok(Mode::Probe),
        ["--inside-probe", folder] => return Ok(Mode::InsideProbe(folder.into())),
        ["--inside", folder, rest @ ..] => (Some(PathBuf::from(folder)), rest),
        rest => (None, rest),
    };
    let program = match rest {
        [] => Program::Quick,
        ["--released"] => Program::Released,
        ["--binary", file] => Program::Built(file.into()),
        _ => {
            let known = "allowed: nothing, `--released`, `--binary FILE`, or `--probe`";
            return Err(Failure::Usage(format!("`containers` does not take `{}`; {known}", words.join(" "))));
        }
    };
    Ok(inside.map_or(Mode::Test(program.clone()), |folder| Mode::Inside(program, folder)))
}

fn test(workspace: &Workspace, program: &Program) -> Result<Done, Failure> {
    let required = std::env::var_os(VARIABLE).is_some_and(|value| value == "require");
    let scratch = Scratch::new(&base::cache_folder())?;
    if let Some(why) = machine::lacks(&scratch.folder)? {
        if required {
            return Err(Failure::Check(format!("{VARIABLE}=require, but {why}")));
        }
        return Ok(Done::Skipped(why));
    }
    // What takes a network comes before there is none.
    base::fetch(workspace)?;
    let mut args = vec!["containers".to_owned(), "--inside".into(), scratch.folder.display().to_string()];
    match program {
        Program::Quick => {}
        Program::Released => args.push("--released".into()),
        Program::Built(file) => args.extend(["--binary".into(), file.display().to_string()]),
    }
    let (status, _) = namespace::inside(&args, &Talk::Shown)?;
    if status.success() {
        return Ok(Done::Passed);
    }
    Err(Failure::Check(format!("the container test failed ({status})")))
}

fn inside(workspace: &Workspace, program: &Program, folder: &Path) -> Result<(), Failure> {
    namespace::settle()?;
    let engine = Engine::start(folder)?;
    let result = scenario_on(&engine, workspace, program, folder);
    engine.stop();
    result
}

fn scenario_on(
    engine: &Engine,
    workspace: &Workspace,
    program: &Program,
    folder: &Path,
) -> Result<(), Failure> {
    let compose = Compose::read(workspace)?;
    let (size, took) = clock::timed(|| image(engine, workspace, program, folder));
    let size = size?;
    eprintln!("containers: the image is built in {:.0} s", took.as_secs_f64());
    image::check(engine)?;

    let service = Service::default();
    let (ledger, watch) = (Ledger::default(), Watch::default());
    let (files, unused) = (folder.to_owned(), AtomicU8::new(10));
    let cluster = Cluster { engine, compose: &compose, service: &service, folder: files, unused };
    cluster.prepare()?;
    Compose::validate(engine, workspace, &cluster.secret())?;
    let result = scenario::run(&cluster, &ledger, &watch);
    let figures = match result {
        Ok(figures) => figures,
        Err(failure) => {
            cluster.tell_logs();
            return Err(Failure::Check(format!("{failure}\n{}", ledger.forbidden().join("\n"))));
        }
    };
    println!("{}", ledger.table());
    println!("image           {:.1} MB", size as f64 / 1e6);
    println!("formed          {:.1} s after the first start", figures.formed.as_secs_f64());
    let restarts: Vec<_> = figures.restarts.iter().map(|took| format!("{:.1}", took.as_secs_f64())).collect();
    println!("start to ready  {} s", restarts.join(", "));
    judge(&cluster, &ledger, &watch)
}

fn image(engine: &Engine, workspace: &Workspace, program: &Program, folder: &Path) -> Result<u64, Failure> {
    let debian = base::debian(folder)?;
    let profile = match program {
        Program::Quick => image::Profile::Quick,
        Program::Released => image::Profile::Released,
        Program::Built(binary) => {
            base::provide_built(engine, folder, &debian, binary)?;
            return image::build(engine, workspace, &image::Profile::Quick);
        }
    };
    base::provide(engine, &debian)?;
    image::build(engine, workspace, &profile)
}

/// What clients saw and what the membership looked like must be without fault too.
fn judge(cluster: &Cluster<'_>, ledger: &Ledger, watch: &Watch) -> Result<(), Failure> {
    let wrong = [ledger.forbidden(), watch.verdict()].concat();
    if wrong.is_empty() {
        return Ok(());
    }
    cluster.tell_logs();
    let shown = wrong.iter().take(40).map(|what| format!("\n  {what}")).collect::<String>();
    Err(Failure::Check(format!("{} things must not happen:{shown}", wrong.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(args: &[&str]) -> Option<Program> {
        match parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()) {
            Ok(Mode::Test(program)) => Some(program),
            _ => None,
        }
    }

    #[test]
    fn arguments_choose_the_program_and_unknown_ones_are_refused() {
        assert_eq!(program(&[]), Some(Program::Quick));
        assert_eq!(program(&["--released"]), Some(Program::Released));
        assert_eq!(program(&["--binary", "q"]), Some(Program::Built("q".into())));
        let failure = parse(&["--fast".to_owned()]).err().expect("there is no such argument");
        assert_eq!(failure.exit_code(), 2);
    }
}
