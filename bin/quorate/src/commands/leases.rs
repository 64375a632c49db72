//! `quorate leases`

use super::{block_on, operator};
use crate::{
    args::{LeasesArgs, LeasesVerb},
    failure::Failure,
    output::{Rows, or_dash, show},
};

pub fn run(args: &LeasesArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    match &args.verb {
        LeasesVerb::List => block_on(async {
            let told = operator.leases().await?;
            show(format, &told.json, || {
                let mut rows = Rows::new(["holder", "status", "remaining", "ttl", "epoch"]);
                for lease in &told.value {
                    rows.push([
                        lease.holder.clone(),
                        lease.status.clone(),
                        lease.remaining.clone(),
                        lease.ttl.clone(),
                        or_dash(lease.epoch),
                    ]);
                }
                rows
            })
        }),
    }
}
