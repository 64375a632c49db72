//! Real processes under real faults: cut networks, paused and killed processes, clocks that lie, disks that forget,
//! fill up and change bits. Each test is named after its row of the table in `docs/testing.md`.
//!
//! What a machine can't do is skipped, with the reason printed; `QUORATE_FAULTS=require` makes that a failure.
//! `QUORATE_FAULTS_SECONDS` and `QUORATE_FAULTS_ROUNDS` make the runs longer.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/fencing.rs"]
mod fencing;
#[path = "faults/full_disks.rs"]
mod full_disks;
#[path = "../../../sim-tests/src/check/history.rs"]
mod history;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/machine.rs"]
mod machine;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/partitions.rs"]
mod partitions;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/power_loss.rs"]
mod power_loss;
#[path = "faults/registers.rs"]
mod registers;
#[path = "faults/reigns.rs"]
mod reigns;
#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;
#[path = "faults/writers.rs"]
mod writers;
