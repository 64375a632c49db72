//! What is done to the cluster. Each scenario draws its details from the seed.

mod chaos;
mod data_plane;
mod elections;
mod fleet;
mod forms;
mod gateways;
mod health;
mod leader;
mod leases;
mod lost_answers;
mod members;
mod objects;
mod partition;
mod power;
mod ramps;
mod resume;
mod sandboxes;
mod services;
mod sockets;
mod suite;
mod writes;

use crate::world::{World, client};
use data_plane::Kind;
use fleet::Fleet;
use std::time::Duration;

/// One seed of so many runs a focused scenario.
const FOCUSED_EVERY: u64 = 4;
/// One seed of so many, between those, runs a scenario of the data plane.
const DATA_PLANE_EVERY: u64 = 8;
/// One seed of so many, between those, runs the sandboxes, and another one the gateways.
const SANDBOXES_EVERY: u64 = 16;
/// One seed of so many, between those, runs the ramps, and others the objects of the sandbox API, and the sockets.
const RAMPS_EVERY: u64 = 32;

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A cluster at work, every kind of fault, and peace at the end.
    Suite,
    /// A cluster forms, whatever the order and times of the starts.
    Forms,
    /// Writes through any node, read back linearizably.
    Writes,
    /// The leader is killed and restarted, again and again.
    Leader,
    /// The network falls apart and heals.
    Partition,
    /// All machines lose power at once, and unsynced writes with it.
    Power,
    /// All of it together.
    Chaos,
    /// A worker is silent while leaders come and go.
    Elections,
    /// The leader's answers to a follower are lost.
    LostAnswers,
    /// Three nodes become five and three again, under registrations, while leaders die.
    Members,
    /// Workers of a service die and come back, and no idempotent request is lost.
    Services,
    /// Requests of all kinds, while workers are unwell in every way and nodes crash.
    DataPlane,
    /// The same by routes, one of which changes all the while.
    Routes,
    /// The same by HTTP/2, from clients and to workers.
    Http2,
    /// Workers fall ill and recover, and nodes lose sight of them.
    Health,
    /// A sandbox ends and another one is given more time, while leaders die.
    Sandboxes,
    /// Tunnels open, move and close on nodes that die and are cut off.
    Gateways,
    /// Users connect, move, speak and leave at nodes that die and are cut off.
    Sockets,
    /// Shares change step by step, and stand still for a while, while leaders die.
    Ramps,
    /// Objects of the sandbox API come, change and end on nodes that die and are cut off.
    Objects,
    /// Sessions of `quorate.v1` outlive their sockets, and move between nodes that die, end and are cut off.
    Resume,
    /// A healthy fleet beats, and nothing is written.
    Fleet,
    /// The same with a thousand workers for an hour: only when asked for.
    FleetHour,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Suite,
        Self::Forms,
        Self::Writes,
        Self::Leader,
        Self::Partition,
        Self::Power,
        Self::Chaos,
        Self::Elections,
        Self::LostAnswers,
        Self::Members,
        Self::Services,
        Self::Fleet,
        Self::FleetHour,
        Self::DataPlane,
        Self::Routes,
        Self::Http2,
        Self::Health,
        Self::Sandboxes,
        Self::Gateways,
        Self::Sockets,
        Self::Ramps,
        Self::Objects,
        Self::Resume,
    ];
    /// Those that every fourth seed runs, in turn.
    const FOCUSED: [Self; 11] = [
        Self::Forms,
        Self::Writes,
        Self::Leader,
        Self::Partition,
        Self::Power,
        Self::Chaos,
        Self::Elections,
        Self::LostAnswers,
        Self::Members,
        Self::Services,
        Self::Fleet,
    ];
    /// Those of the data plane, whose seeds would be the suite's otherwise: the others keep theirs.
    const OF_DATA_PLANE: [Self; 4] = [Self::DataPlane, Self::Health, Self::Routes, Self::Http2];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suite => "suite",
            Self::Forms => "forms",
            Self::Writes => "writes",
            Self::Leader => "leader",
            Self::Partition => "partition",
            Self::Power => "power-loss",
            Self::Chaos => "chaos",
            Self::Elections => "elections",
            Self::LostAnswers => "lost-answers",
            Self::Members => "members",
            Self::Services => "services",
            Self::DataPlane => "data-plane",
            Self::Routes => "data-plane-routes",
            Self::Http2 => "data-plane-http2",
            Self::Health => "health",
            Self::Sandboxes => "sandboxes",
            Self::Gateways => "gateways",
            Self::Sockets => "sockets",
            Self::Ramps => "ramps",
            Self::Objects => "objects",
            Self::Resume => "resume",
            Self::Fleet => "fleet",
            Self::FleetHour => "fleet-hour",
        }
    }

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Mostly the whole suite; every fourth seed goes to the others, in turn, and every eighth to the data plane, and
    /// every sixteenth to the sandboxes, and to the gateways; every thirty-second to the ramps, to the objects,
    /// to the sockets, and to the sessions that come back.
    pub fn of_seed(seed: u64) -> Self {
        let turn = |all: &[Self], every: u64| all[usize::try_from(seed / every).unwrap_or(0) % all.len()];
        if seed.is_multiple_of(FOCUSED_EVERY) {
            turn(&Self::FOCUSED, FOCUSED_EVERY)
        } else if seed % DATA_PLANE_EVERY == DATA_PLANE_EVERY / 2 + 2 {
            turn(&Self::OF_DATA_PLANE, DATA_PLANE_EVERY)
        } else if seed % SANDBOXES_EVERY == SANDBOXES_EVERY / 2 + 1 {
            Self::Sandboxes
        } else if seed % SANDBOXES_EVERY == SANDBOXES_EVERY / 2 + 3 {
            Self::Gateways
        } else if seed % RAMPS_EVERY == RAMPS_EVERY / 2 - 3 {
            Self::Sockets
        } else if seed % RAMPS_EVERY == RAMPS_EVERY / 2 + 7 {
            Self::Ramps
        } else if seed % RAMPS_EVERY == RAMPS_EVERY / 2 + 13 {
            Self::Objects
        } else if seed % RAMPS_EVERY == RAMPS_EVERY / 2 + 3 {
            Self::Resume
        } else {
            Self::Suite
        }
    }

    /// How long it goes on in good order, where that is longer than others take.
    pub fn lasts(self) -> Duration {
        if self == Self::FleetHour { Fleet::HOUR.lasts } else { Duration::ZERO }
    }

    /// Runs it to its end.
    pub async fn run(self) -> Result<(), String> {
        match self {
            Self::Suite => suite::run().await,
            Self::Forms => forms::run().await,
            Self::Writes => writes::run().await,
            Self::Leader => leader::run().await,
            Self::Partition => partition::run().await,
            Self::Power => power::run().await,
            Self::Chaos => chaos::run().await,
            Self::Elections => elections::run().await,
            Self::LostAnswers => lost_answers::run().await,
            Self::Members => members::run().await,
            Self::Services => services::run().await,
            Self::DataPlane => data_plane::run(Kind::Services).await,
            Self::Routes => data_plane::run(Kind::Routes).await,
            Self::Http2 => data_plane::run(Kind::Http2).await,
            Self::Health => health::run().await,
            Self::Sandboxes => sandboxes::run().await,
            Self::Gateways => gateways::run().await,
            Self::Sockets => sockets::run().await,
            Self::Ramps => ramps::run().await,
            Self::Objects => objects::run().await,
            Self::Resume => resume::run().await,
            Self::Fleet => fleet::run(Fleet::SMALL).await,
            Self::FleetHour => fleet::run(Fleet::HOUR).await,
        }
    }
}

/// A formed cluster of three nodes, and three workers that share the twelve partitions.
async fn formed() -> Result<World, String> {
    let world = serving(3, 3).await?;
    for worker in 1..=3 {
        let partitions: Vec<i32> = (0..12).filter(|p| p % 3 + 1 == worker).collect();
        let node = world.any();
        let number = usize::try_from(worker).unwrap_or(1);
        client::register(&world, node, number, &partitions)
            .await
            .ok_or("a whole cluster refuses a worker")?;
    }
    for node in 0..3 {
        client::barrier(&world, node).await?;
    }
    Ok(world)
}

/// A formed cluster, and machines for workers.
async fn serving(nodes: usize, workers: usize) -> Result<World, String> {
    serving_with(nodes, None, workers).await
}

/// The same with machines that wait to join.
async fn serving_with(nodes: usize, spares: Option<usize>, workers: usize) -> Result<World, String> {
    let world = World::with_spares(nodes, spares, workers);
    world
        .until("the cluster is formed and serves", Duration::from_secs(30), |machines| {
            machines.iter().all(|m| m.serves() && m.view().is_some_and(|v| v.nodes().count() == nodes))
        })
        .await?;
    Ok(world)
}
