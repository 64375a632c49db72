//! Changes of many objects at once: first what would change is shown, then it is carried out against just that.

use super::{diff, document::Documents};
use crate::{
    args::{Format, HowArgs},
    failure::Failure,
    output::{Rows, counted, print, say, show},
};
use quorate_client::{
    Error, Operator,
    operator::{Carry, Declared, Others, Told},
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// So often somebody else may be faster.
const ATTEMPTS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A change of many objects.
pub enum Change {
    /// To what files say.
    Documents {
        /// What they say.
        documents: Documents,
        /// What becomes of what they do not name.
        others: Others,
    },
    /// To what stood before.
    Back {
        /// After which log entry.
        to: u64,
    },
}

impl Change {
    async fn send(
        &self,
        operator: &Operator,
        carry: Carry,
        if_match: Option<u64>,
    ) -> Result<Told<Declared>, Error> {
        match self {
            Self::Documents { documents, others } => {
                operator.declare(&documents.value, *others, carry, if_match).await
            }
            Self::Back { to } => operator.roll_back(*to, carry, if_match).await,
        }
    }

    fn failure(&self, error: Error) -> Failure {
        match self {
            Self::Documents { documents, .. } => documents.failure(error),
            Self::Back { .. } => error.into(),
        }
    }
}

/// Shows what changes and, unless that is all that is wanted, carries it out: in one entry, and only if what it was
/// shown against still stands. Where somebody else was faster, what changes is shown anew.
pub async fn carry_out(
    operator: &Operator,
    change: &Change,
    how: &HowArgs,
    format: Format,
) -> Result<(), Failure> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            say("somebody else has changed something since; what changes now:");
        }
        let checked = change.send(operator, Carry::Check, how.if_match).await;
        let checked = checked.map_err(|error| change.failure(error))?;
        if format == Format::Table {
            print(&diff::text(&checked.value.changes))?;
        }
        let count = counted(checked.value.changes.len() as u64, "change");
        if how.dry_run {
            show_answer(format, &checked.json)?;
            say(&format!("{count} would be made; nothing was changed"));
            return Ok(());
        }
        if checked.value.changes.is_empty() {
            show_answer(format, &checked.json)?;
            say("nothing is otherwise; nothing was changed");
            return served(operator, checked.value.index, how.wait).await;
        }
        let base = how.if_match.or(checked.value.base_index);
        match change.send(operator, Carry::Out, base).await {
            Ok(mut done) => {
                // The write was bound to what was checked, so this is what it has changed.
                done.json["changes"] = checked.json["changes"].clone();
                show_answer(format, &done.json)?;
                say(&format!("{count} at index {}", done.value.index));
                return served(operator, done.value.index, how.wait).await;
            }
            Err(Error::Refused(problem)) if problem.status == 412 && how.if_match.is_none() => {}
            Err(error) => return Err(change.failure(error)),
        }
    }
    Err(Failure::Failed(format!("somebody else was faster {ATTEMPTS} times; nothing was changed")))
}

fn show_answer(format: Format, json: &Value) -> Result<(), Failure> {
    match format {
        Format::Table => Ok(()),
        Format::Json | Format::Yaml => show(format, json, || Rows::new([])),
    }
}

/// Ends once every node that answers has got to `index`; those that do not answer are named.
async fn served(operator: &Operator, index: u64, within: Option<Duration>) -> Result<(), Failure> {
    let Some(within) = within else { return Ok(()) };
    let begun = Instant::now();
    loop {
        let why = match operator.cluster().await {
            Ok(told) => {
                let (answer, silent): (Vec<_>, Vec<_>) =
                    told.value.nodes.iter().partition(|node| node.reachable != Some(false));
                let late = answer.iter().filter(|node| node.applied_index.is_none_or(|at| at < index));
                let late: Vec<_> = late.map(|node| node.name.as_str()).collect();
                if late.is_empty() {
                    for node in &silent {
                        say(&format!("node {} does not answer; it serves this once it is back", node.name));
                    }
                    say(&format!("{} at index {index} or later", counted(answer.len() as u64, "node")));
                    return Ok(());
                }
                format!("not at index {index} within {within:?}: {}", late.join(", "))
            }
            Err(error) => format!("whether all nodes are at index {index} is not known: {error}"),
        };
        let left = within.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(Failure::Failed(format!("{why}. It is carried out all the same")));
        }
        tokio::time::sleep(LOOK_EVERY.min(left)).await;
    }
}
