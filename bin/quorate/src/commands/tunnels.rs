//! `quorate tunnels`

use super::{block_on, operator};
use crate::{
    args::{TunnelsArgs, TunnelsVerb},
    failure::Failure,
    output::{Rows, show},
};
use quorate_client::operator::TunnelRecord;

pub fn run(args: &TunnelsArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            TunnelsVerb::List => {
                let told = operator.tunnels().await?;
                show(format, &told.json, || rows(&told.value))
            }
            TunnelsVerb::Get { name } => {
                let told = operator.tunnel(name).await?;
                show(format, &told.json, || rows(std::slice::from_ref(&told.value)))
            }
        }
    })
}

fn rows(tunnels: &[TunnelRecord]) -> Rows {
    let mut rows = Rows::new(["name", "node", "since", "epoch"]);
    for TunnelRecord { name, node, epoch, since } in tunnels {
        rows.push([name.clone(), node.clone(), since.clone(), epoch.to_string()]);
    }
    rows
}
