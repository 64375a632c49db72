//! The operators' pages, run as a reader would run them, in order.
//!
//! A block ```` ```sh on n2 ```` is run by a shell on the machine `n2` (without a name: `n1`), against real processes
//! of the program under test. A block `text` right after it is what it must print; `…` stands there for one word that
//! differs from run to run. `eventually` marks what may take a moment: it is asked again until it matches. A block
//! `text by hand` is not run; everything else is, or the test fails.
//!
//! The machines are folders and loopback addresses: see `machines`. Every page but the first begins where that one
//! ends, with the cluster that its blocks have made.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

mod blocks;
#[path = "../support/fences.rs"]
mod fences;
mod machines;

use blocks::Block;
use machines::Machines;
use std::time::{Duration, Instant};

/// Far more than any block needs: machines of tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries of what may take a moment.
const PAUSE: Duration = Duration::from_millis(200);

const BARE_MACHINES: (&str, &str) =
    ("docs/bare-machines.md", include_str!("../../../../docs/bare-machines.md"));
const UPGRADE: (&str, &str) =
    ("docs/operate/upgrade.md", include_str!("../../../../docs/operate/upgrade.md"));
const BACKUP: (&str, &str) = ("docs/operate/backup.md", include_str!("../../../../docs/operate/backup.md"));
const REPLACE: (&str, &str) =
    ("docs/operate/replace-a-node.md", include_str!("../../../../docs/operate/replace-a-node.md"));
const SCALE: (&str, &str) = ("docs/operate/scale.md", include_str!("../../../../docs/operate/scale.md"));
const SANDBOXES: (&str, &str) = ("docs/sandboxes.md", include_str!("../../../../docs/sandboxes.md"));
const SANDBOX_API: (&str, &str) = ("docs/sandbox-api.md", include_str!("../../../../docs/sandbox-api.md"));
const LOST: (&str, &str) =
    ("docs/operate/lost-majority.md", include_str!("../../../../docs/operate/lost-majority.md"));

/// Runs a page on the cluster of the first one; how many blocks were run.
fn follow(page: Option<(&str, &str)>, number: u8) {
    let mut machines = Machines::new(number);
    for (name, text) in std::iter::once(BARE_MACHINES).chain(page) {
        let blocks = blocks::parse(text).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(blocks.len() >= 5, "{name} has only {} blocks that are run", blocks.len());
        for block in &blocks {
            if let Err(why) = play(&mut machines, block) {
                panic!("{name}:{}: {why}\n{}", block.line, machines.logs());
            }
        }
    }
}

fn play(machines: &mut Machines, block: &Block) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let said = machines.run(&block.machine, &block.script, PATIENCE);
        let met = said.and_then(|said| match &block.expected {
            Some(expected) => blocks::compare(expected, &said),
            None => Ok(()),
        });
        match met {
            Ok(()) => return Ok(()),
            Err(why) if !block.eventually || begun.elapsed() > PATIENCE => return Err(why),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[test]
fn three_bare_machines_become_a_cluster() {
    follow(None, 1);
}

#[test]
fn a_cluster_is_upgraded() {
    follow(Some(UPGRADE), 2);
}

#[test]
fn a_cluster_is_backed_up_and_restored() {
    follow(Some(BACKUP), 3);
}

#[test]
fn a_node_is_replaced() {
    follow(Some(REPLACE), 4);
}

#[test]
fn a_cluster_is_scaled_up_and_down() {
    follow(Some(SCALE), 5);
}

#[test]
fn a_sandbox_is_set_extended_and_taken_away() {
    follow(Some(SANDBOXES), 7);
}

#[test]
fn objects_of_the_sandbox_api_are_put_and_taken_away() {
    follow(Some(SANDBOX_API), 8);
}

#[test]
fn a_cluster_outlives_the_loss_of_its_majority() {
    follow(Some(LOST), 6);
}
