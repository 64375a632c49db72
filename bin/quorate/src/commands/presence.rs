//! `quorate presence`

use super::{block_on, operator};
use crate::{
    args::{PresenceArgs, PresenceVerb},
    failure::Failure,
    output::{Rows, show},
};
use quorate_client::operator::SessionRecord;

pub fn run(args: &PresenceArgs) -> Result<(), Failure> {
    let (operator, format) = (operator(&args.remote)?, args.remote.output);
    block_on(async {
        match &args.verb {
            PresenceVerb::List { gateway } => {
                let told = operator.presence(gateway.as_deref()).await?;
                show(format, &told.json, || rows(&told.value))
            }
            PresenceVerb::Get { user } => {
                let told = operator.user(user).await?;
                show(format, &told.json, || rows(&told.value.sessions))
            }
        }
    })
}

fn rows(sessions: &[SessionRecord]) -> Rows {
    let mut rows = Rows::new(["user", "node", "since", "connection", "epoch"]);
    for SessionRecord { user, node, connection, epoch, since } in sessions {
        rows.push([user.clone(), node.clone(), since.clone(), connection.clone(), epoch.to_string()]);
    }
    rows
}
