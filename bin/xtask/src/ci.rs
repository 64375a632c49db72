//! `cargo xtask ci`: the steps of CI, cheapest first, so that the most common mistakes are told in seconds.
//!
//! The first failure ends the run: what follows a broken build is noise. The very last line on stdout is
//! `N passed, N failed`, counted over steps, for machines that read only that.

use std::fmt::Write as _;
use std::time::Duration;

use crate::workspace::{Done, Failure, Workspace};
use crate::{containers, layers, manifests, sim, tidy};

/// Many enough that each kind of fault meets several others; few enough to wait for.
const SIM_SEEDS: &str = "200";
/// Every seed runs twice here and must leave the same trace; ten find a stray clock or map at once.
const DETERMINISM_SEEDS: &str = "10";

struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Done, Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: |workspace| made(workspace.cargo(["fmt", "--all", "--check"]).run()) },
    Step { name: "tidy", run: |workspace| made(tidy::run(workspace, &[])) },
    Step { name: "layers", run: |workspace| made(layers::run(workspace, &[])) },
    Step { name: "manifests", run: manifests::step },
    Step { name: "clippy", run: |workspace| made(crate::lint(workspace, &[])) },
    Step { name: "test", run: |workspace| made(crate::test(workspace, &[])) },
    Step { name: "sim", run: |workspace| simulate(workspace, &["--seeds", SIM_SEEDS]) },
    Step {
        name: "sim determinism",
        run: |workspace| simulate(workspace, &["--seeds", DETERMINISM_SEEDS, "--check-determinism"]),
    },
    // The suite must be able to fail: of each bug put in on purpose, some seed has to notice it.
    Step { name: "sim mutants", run: |workspace| simulate(workspace, &["--mutants"]) },
    // After everything that is cheaper: it builds the program once more, in a container.
    Step { name: "containers", run: containers::step },
];

/// Runs every step in order up to the first that fails, then prints the summary.
pub fn run(workspace: &Workspace, _: &[String]) -> Result<(), Failure> {
    let (outcomes, failure) = run_steps(STEPS, workspace);
    // Before the summary, whose last line must stay the last.
    if let Some(failure) = &failure {
        let step = STEPS[outcomes.len() - 1].name;
        eprintln!("xtask: step `{step}` failed: {failure}");
    }
    print!("{}", summary(STEPS, &outcomes));
    match failure {
        None => Ok(()),
        Some(failure) => Err(Failure::Reported { code: failure.exit_code() }),
    }
}

fn simulate(workspace: &Workspace, args: &[&str]) -> Result<Done, Failure> {
    made(sim::run(workspace, &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()))
}

/// A step that any machine can make.
fn made(result: Result<(), Failure>) -> Result<Done, Failure> {
    result.map(|()| Done::Passed)
}

enum Outcome {
    Passed(Duration),
    /// Not made on this machine, and why: neither passed nor failed.
    Skipped(String),
    Failed(Duration),
}

/// The outcomes of the steps that ran, and the failure of the last of them, if it failed.
fn run_steps(steps: &[Step], workspace: &Workspace) -> (Vec<Outcome>, Option<Failure>) {
    let mut outcomes = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        eprintln!("== {} ({} of {})", step.name, nth + 1, steps.len());
        let (result, took) = timed(|| (step.run)(workspace));
        let seconds = took.as_secs_f64();
        match result {
            Ok(Done::Passed) => {
                eprintln!("== {} passed in {seconds:.1} s", step.name);
                outcomes.push(Outcome::Passed(took));
            }
            Ok(Done::Skipped(why)) => {
                eprintln!("== {} skipped: {why}", step.name);
                outcomes.push(Outcome::Skipped(why));
            }
            Err(failure) => {
                eprintln!("== {} failed after {seconds:.1} s", step.name);
                outcomes.push(Outcome::Failed(took));
                return (outcomes, Some(failure));
            }
        }
    }
    (outcomes, None)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step took is shown to people; nothing is decided by it"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn summary(steps: &[Step], outcomes: &[Outcome]) -> String {
    let mut text = format!("\n{:<16} {:<8} {:>8}\n", "step", "result", "seconds");
    let (mut passed, mut failed) = (0, 0);
    for (nth, step) in steps.iter().enumerate() {
        let seconds = |took: &Duration| format!("{:.1}", took.as_secs_f64());
        let (result, rest) = match outcomes.get(nth) {
            Some(Outcome::Passed(took)) => {
                passed += 1;
                ("passed", format!("{:>8}", seconds(took)))
            }
            Some(Outcome::Failed(took)) => {
                failed += 1;
                ("failed", format!("{:>8}", seconds(took)))
            }
            Some(Outcome::Skipped(why)) => ("skipped", format!("{:>8}  {why}", "-")),
            None => ("not run", format!("{:>8}", "-")),
        };
        writeln!(text, "{:<16} {result:<8} {rest}", step.name).expect("a String takes everything");
    }
    writeln!(text, "\n{passed} passed, {failed} failed").expect("a String takes everything");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Step = Step { name: "good", run: |_| Ok(Done::Passed) };
    const ELSEWHERE: Step = Step { name: "elsewhere", run: |_| Ok(Done::Skipped("no engine".to_owned())) };
    const BAD: Step = Step { name: "bad", run: |_| Err(Failure::Check("found one".to_owned())) };

    fn lasting(outcomes: &[Outcome]) -> Vec<Outcome> {
        let second = Duration::from_secs(1);
        let same = |outcome: &Outcome| match outcome {
            Outcome::Passed(_) => Outcome::Passed(second),
            Outcome::Failed(_) => Outcome::Failed(second),
            Outcome::Skipped(why) => Outcome::Skipped(why.clone()),
        };
        outcomes.iter().map(same).collect()
    }

    #[test]
    fn the_first_failure_ends_the_run_and_is_counted() {
        let steps = [GOOD, BAD, GOOD];
        let (outcomes, failure) = run_steps(&steps, &Workspace::at("/clone"));
        assert_eq!(failure.expect("the second step fails").to_string(), "found one");
        let expected = "
step             result    seconds
good             passed        1.0
bad              failed        1.0
good             not run         -

1 passed, 1 failed
";
        assert_eq!(summary(&steps, &lasting(&outcomes)), expected);
    }

    #[test]
    fn the_last_line_counts_steps_when_all_pass() {
        let steps = [GOOD, GOOD];
        let (outcomes, failure) = run_steps(&steps, &Workspace::at("/clone"));
        assert!(failure.is_none());
        assert_eq!(summary(&steps, &outcomes).lines().last(), Some("2 passed, 0 failed"));
    }

    #[test]
    fn a_step_that_is_skipped_says_why_and_counts_as_neither() {
        let steps = [GOOD, ELSEWHERE, GOOD];
        let (outcomes, failure) = run_steps(&steps, &Workspace::at("/clone"));
        assert!(failure.is_none());
        let expected = "
step             result    seconds
good             passed        1.0
elsewhere        skipped         -  no engine
good             passed        1.0

2 passed, 0 failed
";
        assert_eq!(summary(&steps, &lasting(&outcomes)), expected);
    }

    #[test]
    fn ci_runs_these_steps_in_this_order() {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        let first =
            ["fmt", "tidy", "layers", "manifests", "clippy", "test", "sim", "sim determinism", "sim mutants"];
        assert_eq!(names, [&first[..], &["containers"]].concat());
    }
}
