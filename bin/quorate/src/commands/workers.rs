//! `quorate workers`

mod drain;

use super::{block_on, operator};
use crate::{
    args::{Weight, WorkersArgs, WorkersVerb},
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
            WorkersVerb::Drain { ids, wait, timeout } => {
                let mut drained = Vec::new();
                for id in ids {
                    let told = operator.drain_worker(id).await?;
                    done(format, &told, &format!("draining worker {id}"))?;
                    drained.push((id.as_str(), told["index"].as_u64().unwrap_or(0)));
                }
                if *wait { drain::finished(&operator, &drained, *timeout).await } else { Ok(()) }
            }
            WorkersVerb::Resume { ids } => {
                for id in ids {
                    let told = operator.resume_worker(id).await?;
                    done(format, &told, &format!("worker {id} is in service"))?;
                }
                Ok(())
            }
            WorkersVerb::Offline { ids } => {
                for id in ids {
                    let told = operator.take_worker_offline(id).await?;
                    done(format, &told, &format!("worker {id} is offline"))?;
                }
                Ok(())
            }
            WorkersVerb::Weight { id, weight } => {
                let (weight, words) = match weight {
                    Weight::Registered => (None, "as it registers".to_owned()),
                    Weight::Is(weight) => (Some(*weight), weight.to_string()),
                };
                let told = operator.weigh_worker(id, weight).await?;
                done(format, &told, &format!("the weight of worker {id} is {words}"))
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
            status(worker),
            worker.epoch.to_string(),
            or_dash(worker.keyspace.as_ref()),
            ranges(&worker.partitions),
            worker.address.clone(),
        ]);
    }
    rows
}

/// With an operator's word about it, where there is one.
fn status(worker: &WorkerRecord) -> String {
    match worker.duty.as_deref() {
        None | Some("in_service") => worker.status.clone(),
        Some(duty) => format!("{}, {duty}", worker.status),
    }
}
