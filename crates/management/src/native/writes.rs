//! Writes: a command is carried out, or only checked, and a refusal becomes a problem.

use crate::{
    answer::{Answer, Fault, decided, with_etag},
    cluster::Committed,
    server::App,
};
use axum::response::Response;
use quorate_api::{
    Problem, Query,
    answer::{Validated, VisibleBody, Written},
    query::Mode,
};
use quorate_model::{BootId, Command, Entry, LogIndex, NodeName, Origin, Proposal, Refusal, Reply};
use std::time::Duration;

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

/// The same, and with `visible` waits until all members have applied it.
pub(super) async fn write_seen(
    app: &App,
    command: Command,
    query: &Query,
) -> Result<(Outcome, Option<VisibleBody>), Fault> {
    let Some(within) = query.visible else { return Ok((write(app, command, query.mode).await?, None)) };
    // Before anything is changed: afterwards nobody can be told that there is no room to wait.
    let _place = app.places.waiting()?;
    let outcome = write(app, command, query.mode).await?;
    let visible = match &outcome {
        Outcome::Committed(Committed { index, .. }) => Some(seen(app, *index, within).await),
        Outcome::Valid(_) => None,
    };
    Ok((outcome, visible))
}

/// A node that is about to end asks nobody any more: the write is done here, and more is not known.
async fn seen(app: &App, index: LogIndex, within: Duration) -> VisibleBody {
    let members = app.places.unless_ending(app.cluster.applied_on(index, within)).await;
    let members = members.unwrap_or_else(|| {
        let standing = app.cluster.standing();
        let here = standing.node.clone();
        let unknown = |name: &NodeName| {
            (*name != here).then(|| "nobody has asked it: this node is about to end".into())
        };
        standing.members.iter().map(|member| (member.name.clone(), unknown(&member.name))).collect()
    });
    VisibleBody::new(members.into_iter().map(|(name, why)| (name.to_string(), why)))
}

/// The same of a word that may be said again and again: where it is so already, no entry is written. What this node has
/// applied may be old, so it does not say so before it has asked the leader how far the others are.
pub(super) async fn write_unless_so(
    app: &App,
    command: Command,
    query: &Query,
) -> Result<(Outcome, Option<VisibleBody>), Fault> {
    let may_be_so = query.mode == Mode::Commit && tried(app, command.clone()).1 == Reply::Unchanged;
    if may_be_so {
        app.cluster.read_barrier().await?;
        let (index, reply) = tried(app, command.clone());
        if reply == Reply::Unchanged {
            let visible = match query.visible {
                Some(within) => {
                    let _place = app.places.waiting()?;
                    Some(seen(app, index, within).await)
                }
                None => None,
            };
            return Ok((Outcome::Committed(Committed { index, reply }), visible));
        }
    }
    write_seen(app, command, query).await
}

fn check(app: &App, command: Command) -> Result<Outcome, Fault> {
    match tried(app, command) {
        (_, Reply::Refused(refusal)) => Err(refused(app, &refusal)),
        (index, _) => Ok(Outcome::Valid(index)),
    }
}

/// Applies `command` to a clone of the View, which costs nothing to make and is thrown away. Told with the View's index.
fn tried(app: &App, command: Command) -> (LogIndex, Reply) {
    let view = app.cluster.view();
    let mut state = (*view).clone();
    // No process has this boot id (they are random), so no earlier reply can be met.
    let origin = Origin { boot: BootId(0), sequence: 1 };
    let entry = Entry { at: view.now(), proposals: vec![Proposal { origin, command }] };
    let applied = state.apply(LogIndex(view.index().0 + 1), &entry);
    // One command, one reply.
    (view.index(), applied.replies.into_iter().next().unwrap_or(Reply::Done))
}

fn refused(app: &App, refusal: &Refusal) -> Fault {
    Fault::from(Problem::from(refusal)).hinting(app.cluster.standing().leader.as_ref())
}

/// With the record's new tag, if the write has changed it.
pub(super) fn tagged(answer: Response, committed: &Committed) -> Response {
    match committed.reply {
        Reply::Done => with_etag(answer, committed.index),
        // It was so before: its last change is older than this.
        Reply::Unchanged | Reply::Registered { .. } | Reply::Refused(_) | Reply::Sessions(_) => answer,
    }
}

/// The answer to a dry run.
pub(super) fn validated(index: LogIndex) -> Answer {
    Ok(decided(index, &Validated { dry_run: true, index: index.0 }))
}

/// The answer to a write that sets a record.
pub(super) fn set(outcome: Outcome, visible: Option<VisibleBody>) -> Answer {
    match outcome {
        Outcome::Valid(index) => validated(index),
        Outcome::Committed(committed) => {
            let unchanged = matches!(committed.reply, Reply::Unchanged);
            let answer = decided(committed.index, &Written { index: committed.index.0, unchanged, visible });
            Ok(tagged(answer, &committed))
        }
    }
}

/// The answer to a write that takes a record away: there is nothing left to be tagged.
pub(super) fn gone(outcome: Outcome, visible: Option<VisibleBody>) -> Answer {
    match outcome {
        Outcome::Valid(index) => validated(index),
        Outcome::Committed(Committed { index, reply }) => {
            let unchanged = matches!(reply, Reply::Unchanged);
            Ok(decided(index, &Written { index: index.0, unchanged, visible }))
        }
    }
}
