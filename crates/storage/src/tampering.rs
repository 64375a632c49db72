//! Planted bugs of `apply`, put into the entry instead of into the state.
//!
//! The state is pure and knows no switch. But a check that it makes can be made vain from outside: an entry that names
//! the epochs that happen to stand is carried out as if epochs were not checked, and one whose origins nobody has
//! used before as if repeats were not recognised. Every node does the same to the same entry, as with a real bug.

use quorate_model::{BootId, Command, Entry, LogIndex, Origin};
use quorate_rt::planted::{self, Bug};
use quorate_state::State;

/// The entry, as a state with the planted bug would understand it. Outside simulation: the entry.
pub(crate) fn tampered(mut entry: Entry, state: &State, index: LogIndex) -> Entry {
    if planted::is(Bug::NoDedupe) {
        for (proposal, sequence) in entry.proposals.iter_mut().zip(1..) {
            proposal.origin = Origin { boot: BootId(index.0), sequence };
        }
    }
    if planted::is(Bug::NoEpochCheck) {
        for proposal in &mut entry.proposals {
            name_who_stands(&mut proposal.command, state);
        }
    }
    entry
}

fn name_who_stands(command: &mut Command, state: &State) {
    match command {
        Command::ChangeLeases(changes) => {
            for change in changes {
                change.epoch = state.worker(change.id.as_str()).map_or(change.epoch, |worker| worker.epoch);
            }
        }
        Command::UnregisterWorker { epoch, .. } => *epoch = None,
        _ => {}
    }
}
