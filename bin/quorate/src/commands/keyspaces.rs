//! `quorate keyspaces`

use super::{block_on, operator};
use crate::{
    args::{KeyspacesArgs, KeyspacesVerb, Source},
    failure::Failure,
    output::{Rows, done, or_dash, show},
};
use quorate_client::operator::{Keyspace, Partition};

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
            KeyspacesVerb::Set { name, partitions, source } => {
                let told = operator.set_keyspace(name, *partitions, decided_by(*source)).await?;
                done(format, &told, &format!("set keyspace {name}"))
            }
            KeyspacesVerb::Partitions { name } => {
                let told = operator.partitions(name).await?;
                show(format, &told.json, || partition_rows(&told.value))
            }
        }
    })
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
