//! A late message undoes nothing newer: a life of a worker ends by a goodbye only if somebody said goodbye to that
//! life, or to whichever stands.

use super::{Ask, Look, OpId, Operation, exactly_once::written_by};
use quorate_model::Lifecycle;
use std::collections::BTreeMap;

/// A node shows its records.
pub fn looked(look: &Look<'_>, operations: &BTreeMap<OpId, Operation>) -> Result<(), String> {
    let said_goodbye = |id: &str, life: u64| {
        operations.values().any(|operation| match &operation.ask {
            Ask::Unregister { worker, incarnation } => {
                worker == id && incarnation.is_none_or(|named| named == life)
            }
            _ => false,
        })
    };
    for worker in look.view.workers() {
        let gone = matches!(worker.lifecycle, Lifecycle::Unregistered { .. });
        let (id, life) = (worker.id().as_str(), worker.incarnation.0);
        if gone && written_by(worker).is_some() && !said_goodbye(id, life) {
            return Err(format!("lease {life} of {id} was ended by a goodbye that was not meant for it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{look, registered, unregister},
        *,
    };

    #[test]
    fn a_goodbye_of_a_former_life_that_ends_the_new_one_is_noticed() {
        let mut state = registered(&[(5, "w1", &[0], 1), (8, "w1", &[0], 2)]);
        unregister(&mut state, 9, "w1");
        let asked = |incarnation| {
            let ask = Ask::Unregister { worker: "w1".into(), incarnation };
            BTreeMap::from([(OpId(3), Operation { asked_ms: 0, ask, answered: None })])
        };
        assert!(looked(&look("n1", &state, 0), &asked(Some(8))).is_ok());
        assert!(looked(&look("n1", &state, 0), &asked(None)).is_ok());
        assert!(looked(&look("n1", &state, 0), &asked(Some(5))).is_err());
    }
}
