//! Writes: a command is carried out, or only checked, and a refusal becomes a problem.

use crate::{
    answer::{Answer, Fault, decided},
    cluster::Committed,
    server::App,
};
use quorate_api::{Problem, answer::Validated, query::Mode};
use quorate_model::{BootId, Command, Entry, LogIndex, Origin, Proposal, Refusal, Reply};

/// What became of a write that was not refused.
pub(super) enum Outcome {
    /// Carried out.
    Committed(Committed),
    /// It would be carried out, by the View at this index.
    Valid(LogIndex),
}

/// Carries out `command`, or only checks it.
pub(super) async fn write(app: &App, command: Command, mode: Mode) -> Result<Outcome, Fault> {
    let outcome = match mode {
        Mode::Commit => Outcome::Committed(app.cluster.propose(command).await?),
        Mode::Validate => return check(app, command),
    };
    match &outcome {
        Outcome::Committed(Committed { reply: Reply::Refused(refusal), .. }) => Err(refused(app, refusal)),
        Outcome::Committed(_) | Outcome::Valid(_) => Ok(outcome),
    }
}

/// Applies `command` to a clone of the View, which costs nothing to make and is thrown away.
fn check(app: &App, command: Command) -> Result<Outcome, Fault> {
    let view = app.cluster.view();
    let mut state = (*view).clone();
    // No process has this boot id (they are random), so no earlier reply can be met.
    let origin = Origin { boot: BootId(0), sequence: 1 };
    let entry = Entry { at: view.now(), proposals: vec![Proposal { origin, command }] };
    let applied = state.apply(LogIndex(view.index().0 + 1), &entry);
    match applied.replies.first() {
        Some(Reply::Refused(refusal)) => Err(refused(app, refusal)),
        Some(_) | None => Ok(Outcome::Valid(view.index())),
    }
}

fn refused(app: &App, refusal: &Refusal) -> Fault {
    Fault::from(Problem::from(refusal)).hinting(app.cluster.standing().leader.as_ref())
}

/// The answer to a dry run.
pub(super) fn validated(index: LogIndex) -> Answer {
    Ok(decided(index, &Validated { dry_run: true, index: index.0 }))
}
