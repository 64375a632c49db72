//! A command is applied at most once, however often it was sent. Registrations carry their operation's number as a
//! label, so a second grant of one operation shows as a second incarnation.

use super::{Answer, Look, OP_LABEL, OpId, Operation};
use quorate_model::Worker;
use std::collections::BTreeMap;

/// The grant of each registration.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    grants: BTreeMap<OpId, u64>,
}

/// The operation that wrote a record.
pub fn written_by(worker: &Worker) -> Option<OpId> {
    worker.registration.labels.get(OP_LABEL)?.parse().ok().map(OpId)
}

impl ExactlyOnce {
    /// A client was told its grant.
    pub fn answered(&mut self, op: OpId, operation: &Operation) -> Result<(), String> {
        match &operation.answered {
            Some((_, Answer::Registered { incarnation, .. })) => self.granted(op, *incarnation),
            _ => Ok(()),
        }
    }

    /// A node shows its records.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        for worker in look.view.workers() {
            if let Some(op) = written_by(worker) {
                self.granted(op, worker.incarnation.0)?;
            }
        }
        Ok(())
    }

    fn granted(&mut self, op: OpId, incarnation: u64) -> Result<(), String> {
        let first = *self.grants.entry(op).or_insert(incarnation);
        if first == incarnation {
            Ok(())
        } else {
            Err(format!("registration {} was granted twice, as {first} and as {incarnation}", op.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{look, registered},
        *,
    };

    #[test]
    fn a_second_grant_of_one_registration_is_noticed() {
        let mut once = ExactlyOnce::default();
        let first = registered(&[(5, "w1", &[0], 7)]);
        let twice = registered(&[(5, "w1", &[0], 7), (6, "w1", &[0], 7)]);
        let anew = registered(&[(5, "w1", &[0], 7), (6, "w1", &[0], 8)]);
        assert!(once.looked(&look("n1", &first, 0)).is_ok());
        assert!(once.looked(&look("n1", &anew, 0)).is_ok(), "another registration");
        assert!(once.looked(&look("n2", &twice, 0)).is_err());
    }
}
