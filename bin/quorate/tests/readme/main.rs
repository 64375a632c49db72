//! Every block of the README, run as a reader would run it, in order.
//!
//! A block that starts with ```` ```sh ```` is run by one shell for all of them, against real processes of the
//! program under test; the block that follows, of `text` or `json`, is what it must print. What differs from run to
//! run (ports, process ids, log indexes, times) is compared by its shape: see `matching`. `sh eventually` marks what
//! may take a moment: it is asked again until it matches, within a bound.
//!
//! Not run, but known to exist: `cargo xtask ci`, which runs this test, and `cargo build --release`.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

mod blocks;
mod dev;
#[path = "../support/fences.rs"]
mod fences;
mod matching;
mod ports;
mod shell;

use blocks::{Asked, Block};
use matching::Learned;
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

const README: &str = include_str!("../../../../README.md");
const EXAMPLE: &str = include_str!("../../../../crates/client/examples/worker.rs");
const XTASK: &str = include_str!("../../../xtask/src/main.rs");
const CI: &str = include_str!("../../../xtask/src/ci.rs");

/// Far more than any block needs: machines of tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries of what may take a moment.
const PAUSE: Duration = Duration::from_millis(200);

#[test]
fn every_block_prints_what_the_readme_says() {
    let mut stage = Stage::empty();
    let blocks = blocks::parse(README).expect("a README that can be run");
    for block in &blocks {
        if let Err(why) = stage.play(block) {
            panic!("README.md:{}: {why}", block.line);
        }
    }
    assert!(stage.played >= 15, "only {} blocks were run: is the README still what it was?", stage.played);
    stage.dev.expect("the README starts with `dev`").interrupt();
}

/// What runs, and what was seen.
struct Stage {
    // First, so that the shell's nodes are gone before the folder is.
    shell: shell::Shell,
    dev: Option<dev::Dev>,
    offset: u16,
    /// Nobody else has the offset meanwhile.
    _claim: TcpListener,
    learned: Learned,
    played: usize,
}

impl Stage {
    fn empty() -> Self {
        let (offset, claim) = ports::free_offset(README);
        Self {
            shell: shell::Shell::start(),
            dev: None,
            offset,
            _claim: claim,
            learned: Learned::default(),
            played: 0,
        }
    }

    fn play(&mut self, block: &Block) -> Result<(), String> {
        self.played += 1;
        match &block.asked {
            Asked::Known(command) => known(command),
            Asked::Dev => {
                let lines = block.expected.lines().filter(|line| !line.trim().is_empty()).count();
                let (dev, said) = dev::Dev::start(self.offset, lines, PATIENCE)?;
                self.dev = Some(dev);
                self.compare(block, &said)
            }
            Asked::Once(script) => {
                let said = self.run(script)?;
                self.compare(block, &said)
            }
            Asked::Eventually(script) => self.ask_again(block, script),
        }
    }

    fn ask_again(&mut self, block: &Block, script: &str) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            // In a shell of its own: not to be reached yet is no reason to end.
            let said = self.run(&format!("(\n{script}\n) || true"))?;
            match self.compare(block, &said) {
                Err(why) if begun.elapsed() > PATIENCE => {
                    return Err(format!("not within {PATIENCE:?}: {why}"));
                }
                Err(_) => std::thread::sleep(PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn run(&mut self, script: &str) -> Result<String, String> {
        let script = self.learned.put_into(&ports::shift(script, i32::from(self.offset)));
        self.shell.run(&script, PATIENCE)
    }

    fn compare(&mut self, block: &Block, said: &str) -> Result<(), String> {
        let said = ports::shift(said, -i32::from(self.offset));
        self.learned
            .compare(&block.expected, &said)
            .map_err(|why| format!("{why}\n--- the README says\n{}\n--- it was\n{said}", block.expected))
    }
}

fn known(command: &str) -> Result<(), String> {
    if command == "cargo build --release" {
        return Ok(());
    }
    let name = command.strip_prefix("cargo xtask ").ok_or(format!("`{command}` is no command of cargo's"))?;
    if XTASK.contains(&format!("name: \"{name}\"")) {
        Ok(())
    } else {
        Err(format!("there is no xtask {name}"))
    }
}

#[test]
fn the_worker_in_rust_is_the_example_that_is_compiled() {
    let block = README.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(block, Some(EXAMPLE));
}

#[test]
fn the_last_line_of_ci_counts_its_steps() {
    let steps = CI.split("const STEPS").nth(1).and_then(|rest| rest.split("\n];").next()).expect("a table");
    let count = steps.matches("name: \"").count();
    assert!(README.contains(&format!("`{count} passed, 0 failed`")), "ci has {count} steps");
}
