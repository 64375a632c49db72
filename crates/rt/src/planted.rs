//! Bugs that are put in on purpose, so that the simulator can show that it would find them.
//!
//! Only a simulated run can switch one on (`cfg(madsim)`). In every other build [`is`] is a constant, so that the
//! compiler removes the branches with the bugs in them; the program that users run has none of them.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Appends are acknowledged before they are on the disk.
    AckBeforeFsync,
    /// A node forgets whom it has voted for when it stops.
    VoteNotSaved,
    /// Followers expire leases, too, by what they heard themselves: nothing.
    FollowersExpire,
    /// A new leader gives suspects their full time again, so that elections make them immortal.
    SuspectsStartOver,
    /// A change of a lease, or a goodbye, is carried out whatever life of the worker it was about.
    NoEpochCheck,
    /// A repeated proposal is applied again.
    NoDedupe,
    /// A leader answers reads without asking whether it still leads.
    ReadsWithoutQuorum,
    /// A worker of a service that fails is followed by none.
    NoFailover,
    /// Requests that may not be repeated are.
    RetryPosts,
    /// An answer that breaks off passes for a whole one.
    CutPassesForWhole,
    /// A request that is given to somebody else may be given again to whom it was given before.
    ForgetsWhoWasTried,
    /// What is kept of a request is sent again, also where it may not be.
    KeptIsRepeated,
    /// A route that has changed goes on as it was.
    RouteStays,
    /// What follows an answer's body is lost.
    TrailersLost,
    /// What one node finds of a worker's health is written without a second one's word.
    UnconfirmedVerdict,
    /// What is found of a worker's health is written also where it is what was known.
    KnownVerdictsWritten,
    /// A gateway that is cut off holds on to what it holds.
    CutOffHoldsOn,
    /// A session of the gateway that gets another socket is not sent what it missed.
    NothingIsReplayed,
    /// A message that nobody took is acknowledged to its sender.
    UntakenIsAcked,
    /// A message that is said again under its id is delivered again.
    SaidAgainIsNew,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::AckBeforeFsync,
        Self::VoteNotSaved,
        Self::FollowersExpire,
        Self::SuspectsStartOver,
        Self::NoEpochCheck,
        Self::NoDedupe,
        Self::ReadsWithoutQuorum,
        Self::NoFailover,
        Self::RetryPosts,
        Self::CutPassesForWhole,
        Self::ForgetsWhoWasTried,
        Self::KeptIsRepeated,
        Self::RouteStays,
        Self::TrailersLost,
        Self::UnconfirmedVerdict,
        Self::KnownVerdictsWritten,
        Self::CutOffHoldsOn,
        Self::NothingIsReplayed,
        Self::UntakenIsAcked,
        Self::SaidAgainIsNew,
    ];

    /// As on the simulator's command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeFsync => "ack-before-fsync",
            Self::VoteNotSaved => "vote-not-saved",
            Self::FollowersExpire => "followers-expire",
            Self::SuspectsStartOver => "suspects-start-over",
            Self::NoEpochCheck => "no-epoch-check",
            Self::NoDedupe => "no-dedupe",
            Self::ReadsWithoutQuorum => "reads-without-quorum",
            Self::NoFailover => "no-failover",
            Self::RetryPosts => "retry-posts",
            Self::CutPassesForWhole => "cut-passes-for-whole",
            Self::ForgetsWhoWasTried => "forgets-who-was-tried",
            Self::KeptIsRepeated => "kept-is-repeated",
            Self::RouteStays => "route-stays",
            Self::TrailersLost => "trailers-lost",
            Self::UnconfirmedVerdict => "unconfirmed-verdict",
            Self::KnownVerdictsWritten => "known-verdicts-written",
            Self::CutOffHoldsOn => "cut-off-holds-on",
            Self::NothingIsReplayed => "nothing-is-replayed",
            Self::UntakenIsAcked => "untaken-is-acked",
            Self::SaidAgainIsNew => "said-again-is-new",
        }
    }
}

#[cfg(madsim)]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    // One thread is one simulated run.
    thread_local! { static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) }; }

    /// Plants a bug, or none, in this thread's run.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.with(|planted| planted.set(bug));
    }

    /// Whether this run has this bug.
    pub fn is(bug: Bug) -> bool {
        PLANTED.with(Cell::get) == Some(bug)
    }
}

#[cfg(not(madsim))]
mod switch {
    use super::Bug;

    /// No: this is not a simulation.
    pub const fn is(_: Bug) -> bool {
        false
    }
}

pub use switch::*;
