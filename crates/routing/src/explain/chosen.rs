//! Which of a route's destinations.

use quorate_model::Ramping;

/// Which of a route's destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its place in the list, from 0.
    pub nth: usize,
    /// `service x`, `url http://...` or `keyspace x`.
    pub target: String,
    /// Its weight.
    pub weight: u32,
    /// All weights together.
    pub total: u64,
    /// Which step of a ramp says so.
    pub ramp: Option<String>,
    /// What keeps the request there, such as `header x-user`; `None`: chance. Where a route says it and the request
    /// does not have it, chance decides.
    pub by: Option<String>,
}

/// Where a ramp stands, in words.
pub(super) fn ramp(ramp: &Ramping) -> String {
    let (step, of) = (ramp.state.entered, ramp.steps);
    match (ramp.status(), step) {
        ("aborted", _) => "its ramp was aborted: the destinations' own weights".into(),
        (status, 0) => format!("before step 1 of {of} of its ramp, {status}: the destinations' own weights"),
        (status, step) => format!("step {step} of {of} of its ramp, {status}"),
    }
}
