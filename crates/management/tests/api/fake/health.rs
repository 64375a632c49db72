//! What health checks find.

use super::{Fake, worker};
use quorate_model::{Command, HealthChange, ServiceName, Verdict};

/// Health checks find how a worker is that offers `upload`.
pub fn found(fake: &Fake, id: &str, verdict: Verdict) {
    let incarnation = fake.state().worker(id).expect("registered").incarnation;
    let service = ServiceName::parse("upload").expect("a name");
    fake.apply(Command::ChangeHealth(vec![HealthChange {
        service,
        worker: worker(id),
        incarnation,
        verdict,
    }]));
}
