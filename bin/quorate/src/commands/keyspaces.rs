//! `quorate keyspaces`

use super::{block_on, operator};
use crate::{
    args::{HoldArgs, KeyspacesArgs, KeyspacesVerb, Source},
    failure::Failure,
    output::{Rows, done, or_dash, show},
};
use quorate_client::{
    Error, Operator,
    operator::{Keyspace, KeyspaceSettings, Partition},
};
use serde_json::Value;

pub fn run(args: &KeyspacesArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            KeyspacesVerb::List => {
                let told = operator.keyspaces().await?;
                show(format, &told.json, || rows(&told.value))
            }
            KeyspacesVerb::Get { name } => {
                let told = operator.keyspace(name).await?;
                show(format, &told.json, || rows(std::slice::from_ref(&told.value)))
            }
            KeyspacesVerb::Set { name, partitions, source, hold } => {
                let settings = KeyspaceSettings {
                    partitions: *partitions,
                    source: decided_by(*source),
                    ..KeyspaceSettings::default()
                };
                let told = unless_changed(async || set(&operator, name, settings, hold).await).await?;
                done(format, &told, &format!("set keyspace {name}"))
            }
            KeyspacesVerb::Partitions { name } => {
                let told = operator.partitions(name).await?;
                show(format, &told.json, || partition_rows(&told.value))
            }
        }
    })
}

/// What is not said about waiting stays as it stands.
async fn set(
    operator: &Operator,
    name: &str,
    settings: KeyspaceSettings<'_>,
    said: &HoldArgs,
) -> Result<Value, Error> {
    let (stands, changed) = match operator.standing_keyspace(name).await {
        Ok(keyspace) => (Some((keyspace.hold, keyspace.hold_waiting_max)), keyspace.changed_index),
        Err(Error::Refused(problem)) if problem.status == 404 => (None, Some(0)),
        Err(error) => return Err(error),
    };
    let (hold, hold_waiting_max) = held(said, stands);
    let settings = KeyspaceSettings { hold: hold.as_deref(), hold_waiting_max, ..settings };
    operator.set_keyspace(name, &settings, changed).await
}

/// How often what stands is read and written. Each time in vain means that somebody else has written.
const TRIES: u32 = 5;

/// Reads and writes, again if somebody has written in between: two operators at once must not undo each other.
pub async fn unless_changed(read_and_write: impl AsyncFn() -> Result<Value, Error>) -> Result<Value, Error> {
    for _ in 1..TRIES {
        match read_and_write().await {
            Err(Error::Refused(problem)) if problem.status == 412 => {}
            result => return result,
        }
    }
    read_and_write().await
}

/// How requests wait from now on: as is said, else as it stands.
pub fn held(said: &HoldArgs, stands: Option<(Option<String>, Option<u32>)>) -> (Option<String>, Option<u32>) {
    let (hold, waiting_max) = stands.unwrap_or_default();
    match said.hold.as_deref() {
        // Together with a number that means nothing then, which the router says.
        Some("off") => (None, said.hold_waiting_max),
        Some(wait) => (Some(wait.to_owned()), said.hold_waiting_max.or(waiting_max)),
        None => (hold, said.hold_waiting_max.or(waiting_max)),
    }
}

/// Whoever gives a count means it to stay.
fn decided_by(source: Option<Source>) -> &'static str {
    match source {
        Some(Source::Static) | None => "static",
        Some(Source::Kafka) => "kafka",
    }
}

fn rows(keyspaces: &[Keyspace]) -> Rows {
    let mut rows = Rows::new(["name", "partitions", "source"]);
    for keyspace in keyspaces {
        rows.push([keyspace.name.clone(), or_dash(keyspace.partitions), keyspace.source.clone()]);
    }
    rows
}

fn partition_rows(partitions: &[Partition]) -> Rows {
    let mut rows = Rows::new(["partition", "owner", "epoch", "status"]);
    for partition in partitions {
        rows.push([
            partition.partition.to_string(),
            or_dash(partition.owner.as_ref()),
            or_dash(partition.epoch),
            or_dash(partition.status.as_ref()),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_about_waiting_stays() {
        let said = |hold: Option<&str>, max| HoldArgs { hold: hold.map(Into::into), hold_waiting_max: max };
        let stands = || Some((Some("5s".to_owned()), Some(10)));
        assert_eq!(held(&said(None, None), stands()), (Some("5s".into()), Some(10)));
        assert_eq!(held(&said(Some("2s"), None), stands()), (Some("2s".into()), Some(10)));
        assert_eq!(held(&said(None, Some(7)), stands()), (Some("5s".into()), Some(7)));
        assert_eq!(held(&said(Some("off"), None), stands()), (None, None));
        assert_eq!(held(&said(Some("2s"), None), None), (Some("2s".into()), None));
        assert_eq!(held(&said(None, None), None), (None, None));
    }
}
