//! What goes wrong. Each file is one kind of fault: it draws its details from the seed, strikes, waits, and takes
//! back what it did. The [`nemesis`] decides which kinds strike when, alone or together.
//!
//! Faults respect what the product promises to bear, and no more: disks keep what they synced, and only one of them
//! is lost at a time, until its node is a member again; nobody is sent away meanwhile. Everything else may coincide.

mod clock;
mod crash;
mod disk;
mod hand_over;
pub mod membership;
pub mod nemesis;
mod network;
mod partition;
mod pause;
mod wipe;

use crate::world::World;
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Processes are killed; their disks keep what was written.
    Kill,
    /// Machines lose power, and with it what was not synced.
    PowerLoss,
    /// A machine comes back with an empty disk.
    Wipe,
    /// A disk has no room for a while.
    FullDisk,
    /// A disk is slow.
    SlowDisk,
    /// The network falls apart, in some shape.
    Partition,
    /// The links of one node come and go, many times a second.
    FlakyLinks,
    /// Messages are slow, overtake each other, get lost.
    BadNetwork,
    /// Clocks run at different rates and jump.
    Clocks,
    /// A process stands still and comes back late.
    Pause,
    /// Leadership is handed over on request.
    HandOver,
    /// Machines join and leave.
    Membership,
}

impl Fault {
    /// All that strike in turn. [`Fault::Membership`] goes on all the while, in worlds whose machines come and go.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::PowerLoss,
        Self::Wipe,
        Self::FullDisk,
        Self::SlowDisk,
        Self::Partition,
        Self::FlakyLinks,
        Self::BadNetwork,
        Self::Clocks,
        Self::Pause,
        Self::HandOver,
    ];

    /// Strikes once, from the first symptom to the repair.
    pub async fn strike(self, world: &World) {
        match self {
            Self::Kill => crash::kill(world).await,
            Self::PowerLoss => crash::power_loss(world).await,
            Self::Wipe => wipe::strike(world).await,
            Self::FullDisk => disk::full(world).await,
            Self::SlowDisk => disk::slow(world).await,
            Self::Partition => partition::strike(world).await,
            Self::FlakyLinks => network::flaky_links(world).await,
            Self::BadNetwork => network::disturb(world).await,
            Self::Clocks => clock::strike(world).await,
            Self::Pause => pause::strike(world).await,
            Self::HandOver => hand_over::strike(world).await,
            Self::Membership => membership::strike(world).await,
        }
    }
}

/// A member: every other time the leader, else any.
fn victim(world: &World) -> usize {
    match world.leader() {
        Some(leader) if thread_rng().gen_bool(0.5) => leader,
        Some(_) | None => world.any(),
    }
}

/// Some machines: mostly one, sometimes all of them.
fn victims(world: &World) -> Vec<usize> {
    let all = world.machines.len();
    let count = match thread_rng().gen_range(0..10) {
        0..=5 => 1,
        6..=7 => thread_rng().gen_range(1..=all),
        _ => all,
    };
    let first = victim(world);
    let mut others: Vec<usize> = (0..all).filter(|i| *i != first).collect();
    others.shuffle(&mut thread_rng());
    std::iter::once(first).chain(others).take(count).collect()
}

/// Waits for a time between `from` and `to` milliseconds.
async fn some_time(from: u64, to: u64) {
    let time = thread_rng().gen_range(from..to);
    sleep(Duration::from_millis(time)).await;
}
