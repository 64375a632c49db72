//! Bugs that are put in on purpose: the suite must notice each.

use crate::scenario::Scenario;
use quorate_rt::planted::{self as product, Bug};
use std::cell::Cell;

/// The bug of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// Disks report writes as durable that are not.
    LyingFsync,
    /// Clients that ask for consistent reads are given local ones.
    StaleReads,
    /// One of the product.
    Product(Bug),
}

impl Planted {
    /// Every bug.
    pub fn all() -> Vec<Self> {
        let product = Bug::ALL.into_iter().map(Self::Product);
        [Self::LyingFsync, Self::StaleReads].into_iter().chain(product).collect()
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::LyingFsync => "lying-fsync",
            Self::StaleReads => "stale-reads",
            Self::Product(bug) => bug.name(),
        }
    }

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|bug| bug.name() == name)
    }

    /// The scenario in which seed `seed` looks for it: what provokes it soonest, and the suite every other time.
    pub fn scenario(self, seed: u64) -> Scenario {
        let focused = match self {
            Self::LyingFsync | Self::Product(Bug::AckBeforeFsync | Bug::VoteNotSaved) => Scenario::Power,
            Self::StaleReads | Self::Product(Bug::ReadsWithoutQuorum) => Scenario::Partition,
            Self::Product(Bug::SuspectsStartOver) => Scenario::Elections,
            Self::Product(Bug::NoDedupe) => Scenario::LostAnswers,
            Self::Product(Bug::NoFailover) => Scenario::Services,
            Self::Product(Bug::RetryPosts | Bug::CutPassesForWhole) => Scenario::DataPlane,
            Self::Product(Bug::ForgetsWhoWasTried | Bug::KeptIsRepeated | Bug::RouteStays) => {
                Scenario::Routes
            }
            Self::Product(Bug::TrailersLost) => Scenario::Http2,
            Self::Product(Bug::UnconfirmedVerdict | Bug::KnownVerdictsWritten) => Scenario::Health,
            Self::Product(Bug::CutOffHoldsOn) => Scenario::Gateways,
            Self::Product(Bug::NothingIsReplayed | Bug::UntakenIsAcked | Bug::SaidAgainIsNew) => {
                Scenario::Resume
            }
            Self::Nothing | Self::Product(Bug::FollowersExpire | Bug::NoEpochCheck) => Scenario::Suite,
        };
        if seed % 2 == 1 { focused } else { Scenario::Suite }
    }
}

// One thread is one run.
thread_local! { static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) }; }

/// Plants a bug in this thread's run.
pub fn plant(planted: Planted) {
    PLANTED.with(|p| p.set(planted));
    product::plant(match planted {
        Planted::Product(bug) => Some(bug),
        Planted::Nothing | Planted::LyingFsync | Planted::StaleReads => None,
    });
}

/// The bug of this thread's run.
pub fn planted() -> Planted {
    PLANTED.with(Cell::get)
}
