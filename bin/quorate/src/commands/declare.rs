//! Changes of many objects at once: first what would change is shown, then it is carried out against just that.

use super::{diff, document::Documents};
use crate::{
    args::{Format, HowArgs},
    failure::Failure,
    output::{Rows, counted, print, say, show},
};
use quorate_client::{
    Error, Operator,
    operator::{Carry, Declared, DeclaredChange, Others, Told},
};
use serde_json::Value;
use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

/// So often somebody else may have changed the same objects.
const ATTEMPTS: usize = 5;
/// For so long others may be faster who change other objects: what was shown still is what changes.
const CROWD_FOR: Duration = Duration::from_secs(60);
/// How long is waited at first where others are faster, and at most. By chance up to that, so that those who met once do
/// not meet again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
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
/// shown against still stands. Where somebody else was faster and it changes something else now, that is shown anew.
pub async fn carry_out(
    operator: &Operator,
    change: &Change,
    how: &HowArgs,
    format: Format,
) -> Result<(), Failure> {
    let mut race = Race::new();
    loop {
        let checked = change.send(operator, Carry::Check, how.if_match).await;
        let checked = checked.map_err(|error| change.failure(error))?;
        match race.comes_to(&checked.value.changes)? {
            Seen::First => show_changes(format, &checked.value.changes)?,
            Seen::Other => {
                say("somebody else has changed some of it since; what changes now:");
                show_changes(format, &checked.value.changes)?;
            }
            Seen::Same => {}
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
                say_ends(operator, &checked.value.changes).await;
                return served(operator, done.value.index, how.wait).await;
            }
            Err(Error::Refused(problem)) if problem.status == 412 && how.if_match.is_none() => {
                tokio::time::sleep(race.pause(RandomState::new().hash_one(race.lost))).await;
            }
            Err(error) => return Err(change.failure(error)),
        }
    }
}

/// Others who change what is declared meanwhile. Most of them change other objects: then what was shown is still what
/// changes, and it is only a matter of time.
struct Race {
    begun: Instant,
    /// For how long others may be in the way.
    crowd_for: Duration,
    shown: Option<Vec<DeclaredChange>>,
    /// How often something else was to be changed than was shown before.
    others: usize,
    /// How often somebody was faster.
    lost: u32,
}

/// What is to be changed, compared to what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    First,
    Same,
    Other,
}

impl Race {
    fn new() -> Self {
        Self { begun: Instant::now(), crowd_for: CROWD_FOR, shown: None, others: 0, lost: 0 }
    }

    fn comes_to(&mut self, changes: &[DeclaredChange]) -> Result<Seen, Failure> {
        let seen = match &self.shown {
            None => Seen::First,
            Some(shown) if shown == changes => Seen::Same,
            Some(_) => Seen::Other,
        };
        if seen == Seen::Other {
            self.others += 1;
            if self.others >= ATTEMPTS {
                let who = format!("somebody else changed the same objects {ATTEMPTS} times");
                return Err(Failure::Failed(format!("{who}; nothing was changed")));
            }
        } else if self.begun.elapsed() >= self.crowd_for {
            let who = format!("others have changed something else without a pause for {CROWD_FOR:?}");
            return Err(Failure::Failed(format!("{who}; nothing was changed")));
        }
        self.shown = Some(changes.to_vec());
        Ok(seen)
    }

    /// `chance`: any number.
    fn pause(&mut self, chance: u64) -> Duration {
        let most = PAUSE.1.min(PAUSE.0 * 2_u32.pow(self.lost.min(10)));
        self.lost += 1;
        Duration::from_micros(chance % (u64::try_from(most.as_micros()).unwrap_or(u64::MAX) + 1))
    }
}

fn show_changes(format: Format, changes: &[DeclaredChange]) -> Result<(), Failure> {
    if format == Format::Table { print(&diff::text(changes)) } else { Ok(()) }
}

/// Setting a sandbox gives it its time anew, also where it had been given more: until when, nobody should have to ask.
async fn say_ends(operator: &Operator, changes: &[DeclaredChange]) {
    /// More are a list of their own: `quorate sandboxes list`.
    const TOLD_MAX: usize = 20;
    let set = changes.iter().filter(|one| one.kind == "sandbox" && one.change != "removed");
    for one in set.take(TOLD_MAX) {
        // It is carried out, whether or not that can be told.
        let Ok(told) = operator.sandbox(&one.name).await else { continue };
        if let Some(ends) = told.value.ends_at {
            say(&format!("sandbox {} stands until {ends}", one.name));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, after: u64) -> DeclaredChange {
        let (kind, change, after) = ("route".into(), "changed".into(), Some(after.into()));
        DeclaredChange { kind, name: name.into(), change, before: None, after }
    }

    /// Eight who set a route each: all of them get through. Who changes the same route again and again ends it.
    #[test]
    fn only_who_changes_the_same_objects_ends_it() {
        let mut race = Race::new();
        assert_eq!(race.comes_to(&[change("a", 1)]).ok(), Some(Seen::First));
        for _ in 0..100 {
            assert_eq!(race.comes_to(&[change("a", 1)]).ok(), Some(Seen::Same));
        }
        for nth in 2..1 + ATTEMPTS as u64 {
            assert_eq!(race.comes_to(&[change("a", nth)]).ok(), Some(Seen::Other));
        }
        let Err(Failure::Failed(why)) = race.comes_to(&[change("a", 9)]) else { panic!("it goes on") };
        assert!(why.contains("the same objects 5 times"), "{why}");
    }

    #[test]
    fn a_crowd_ends_it_after_a_while() {
        let mut race = Race::new();
        race.crowd_for = Duration::ZERO;
        assert!(race.comes_to(&[change("a", 1)]).is_err());
    }

    #[test]
    fn pauses_grow_within_bounds_and_are_by_chance() {
        let mut race = Race::new();
        let longest: Vec<_> = (0..12).map(|_| race.pause(u64::MAX / 2)).collect();
        assert!(longest.iter().all(|pause| *pause <= PAUSE.1), "{longest:?}");
        assert_eq!(Race::new().pause(0), Duration::ZERO);
        assert_eq!(Race::new().pause(50_000), PAUSE.0);
        race.lost = 40;
        assert_eq!(race.pause(2_000_000), PAUSE.1);
    }
}
