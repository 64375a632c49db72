//! Looks at the fake's state past the API.

use crate::fake::Fake;
use quorate_model::{Epoch, Status};

/// Status and epoch of a worker, by the state itself.
pub fn lease_of(fake: &Fake, id: &str) -> (Status, Epoch) {
    let state = fake.state();
    let worker = state.worker(id).expect("a record");
    (worker.status(), worker.epoch)
}

/// The partitions that a worker holds, by the state itself.
pub fn held_by(fake: &Fake, id: &str) -> Vec<i32> {
    let state = fake.state();
    state.worker(id).map(|w| w.registration.partitions.iter().map(|p| p.0).collect()).unwrap_or_default()
}

/// Who holds a partition of the default keyspace, if it is routable.
pub fn owner_of(fake: &Fake, partition: u32) -> Option<String> {
    let state = fake.state();
    let owner = state.default_keyspace()?.claimant(partition)?;
    owner.is_routable().then(|| owner.id().to_string())
}
