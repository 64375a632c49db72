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
                let stands = standing(&operator, name).await?;
                let (wait, waiting_max) =
                    held(hold, stands.as_ref().map(|k| (k.hold.clone(), k.hold_waiting_max)));
                let settings = KeyspaceSettings {
                    partitions: *partitions,
                    source: decided_by(*source),
                    hold: wait.as_deref(),
                    hold_waiting_max: waiting_max,
                };
                let told = operator.set_keyspace(name, &settings).await?;
                done(format, &told, &format!("set keyspace {name}"))
            }
            KeyspacesVerb::Partitions { name } => {
                let told = operator.partitions(name).await?;
                show(format, &told.json, || partition_rows(&told.value))
            }
        }
    })
}

/// What stands; `None`: there is no such keyspace yet.
async fn standing(operator: &Operator, name: &str) -> Result<Option<Keyspace>, Failure> {
    match operator.keyspace(name).await {
        Ok(told) => Ok(Some(told.value)),
        Err(Error::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
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
