//! `quorate presence`

use super::{block_on, operator};
use crate::{
    args::{PresenceArgs, PresenceVerb},
    failure::Failure,
    output::{Rows, say, show},
};
use quorate_client::operator::{SessionRecord, Stale};

pub fn run(args: &PresenceArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            PresenceVerb::List { gateway } => {
                let told = operator.presence(gateway.as_deref()).await?;
                warn(told.stale.as_ref());
                show(format, &told.json, || rows(&told.value))
            }
            PresenceVerb::Get { user } => {
                let told = operator.user(user).await?;
                warn(told.stale.as_ref());
                show(format, &told.json, || rows(&told.value.sessions))
            }
        }
    })
}

/// Users come and go all the time: what a node knew is soon wrong.
fn warn(stale: Option<&Stale>) {
    if let Some(Stale { node, seconds }) = stale {
        say(&format!(
            "{node} has heard no leader for {seconds} s: who has come or gone since, it can't tell"
        ));
    }
}

fn rows(sessions: &[SessionRecord]) -> Rows {
    let mut rows = Rows::new(["user", "node", "since", "connection", "epoch"]);
    for SessionRecord { user, node, connection, epoch, since } in sessions {
        rows.push([user.clone(), node.clone(), since.clone(), connection.clone(), epoch.to_string()]);
    }
    rows
}
