//! `quorate workers`

use super::{block_on, operator};
use crate::{
    args::{WorkersArgs, WorkersVerb},
    failure::Failure,
    output::{Rows, done, or_dash, ranges, show},
};
use quorate_client::operator::WorkerRecord;

pub fn run(args: &WorkersArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            WorkersVerb::List => {
                let told = operator.workers().await?;
                show(format, &told.json, || rows(&told.value))
            }
            WorkersVerb::Get { id } => {
                let told = operator.worker(id).await?;
                show(format, &told.json, || rows(std::slice::from_ref(&told.value)))
            }
            WorkersVerb::Remove { ids } => {
                for id in ids {
                    let told = operator.remove_worker(id).await?;
                    done(format, &told, &format!("removed worker {id}"))?;
                }
                Ok(())
            }
        }
    })
}

fn rows(workers: &[WorkerRecord]) -> Rows {
    let mut rows = Rows::new(["id", "status", "epoch", "keyspace", "partitions", "address"]);
    for worker in workers {
        rows.push([
            worker.id.clone(),
            worker.status.clone(),
            worker.epoch.to_string(),
            or_dash(worker.keyspace.as_ref()),
            ranges(&worker.partitions),
            worker.address.clone(),
        ]);
    }
    rows
}
