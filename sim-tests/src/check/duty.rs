//! A node sends no request to a worker that an operator took out of service, once it has applied that.
//!
//! An answer names the index of the View that decided. States of one index are equal on all nodes, so what any node
//! shows at that index tells who could be chosen.

use super::{Look, Reached};
use quorate_model::Duty;
use std::collections::{BTreeMap, BTreeSet};

/// Who was out of service, by index: only for indexes that some node has shown.
#[derive(Debug, Default)]
pub struct OutOfService {
    by_index: BTreeMap<u64, BTreeSet<String>>,
}

impl OutOfService {
    /// A node shows a state that nobody has shown before.
    pub fn looked(&mut self, look: &Look<'_>) {
        let out = look.view.workers().filter(|worker| worker.intent.duty != Duty::InService);
        self.by_index.insert(look.view.index().0, out.map(|worker| worker.id().to_string()).collect());
    }

    /// A worker answered.
    pub fn reached(&self, reached: &Reached) -> Result<(), String> {
        let Reached { worker, via, index, .. } = reached;
        match self.by_index.get(index) {
            Some(out) if out.contains(worker) => {
                Err(format!("{via} chose {worker} at index {index}, where an operator has it out of service"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{apply, look, registered},
        *,
    };
    use quorate_model::{Command, WorkerId};

    #[test]
    fn a_request_to_a_drained_worker_is_noticed() {
        let mut state = registered(&[(2, "w1", &[0], 1), (3, "w2", &[1], 2)]);
        let mut check = OutOfService::default();
        check.looked(&look("n1", &state, 0));
        let id = WorkerId::parse("w1").expect("a name");
        apply(&mut state, 4, Command::SetDuty { id, duty: Duty::Draining, if_index: None });
        check.looked(&look("n1", &state, 0));
        let reached = |worker: &str, index| {
            let (worker, via) = (worker.to_owned(), "n2".to_owned());
            check.reached(&Reached { worker, via, index, stale: false, sent_ms: 0 })
        };
        assert!(reached("w1", 3).is_ok(), "decided before");
        assert!(reached("w1", 4).is_err());
        assert!(reached("w2", 4).is_ok());
        assert!(reached("w1", 9).is_ok(), "nobody has shown that index: nothing is known");
    }
}
