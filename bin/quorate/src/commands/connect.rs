//! `quorate connect`

mod gateways;
mod line;
mod patience;
mod shown;
mod talk;

use super::block_on;
use crate::{args::ConnectArgs, failure::Failure, output::say, signals::Signals};
use quorate_client::{
    Error, Url,
    socket::{Caller, Dialect, Listener, Talker, UNAVAILABLE},
};
use std::{io::IsTerminal as _, path::Path, time::Duration};
use talk::Talk;
use tokio::time::{Instant, sleep};

/// Between two attempts to be let in by a cluster that can't decide now.
const LET_IN_EVERY: Duration = Duration::from_secs(1);

pub fn run(args: &ConnectArgs) -> Result<(), Failure> {
    if args.user.is_empty() {
        return Err(Failure::Usage("--user: is empty; allowed: 1 to 256 bytes".into()));
    }
    let nodes = gateways::Nodes::of(args)?;
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let dialect = if args.legacy { Dialect::Legacy } else { Dialect::Quorate };
    block_on(async {
        let mut signals = Signals::listen()?;
        let connect = async {
            let caller = |gateways: Vec<Url>| Caller {
                user: args.user.clone(),
                gateways,
                token: token.map(Into::into),
                dialect,
            };
            // Whoever sits there may end it; whoever waits for the end of a pipe must get one.
            let is_patient = args.listen || std::io::stdin().is_terminal();
            connected(caller(nodes.gateways().await?), is_patient).await
        };
        let (talker, listener) = tokio::select! {
            biased;
            connected = connect => connected?,
            _ = signals.next() => return Ok(()),
        };
        Talk::new(args, talker, listener).run(signals).await
    })
}

/// A cluster without a quorum lets nobody in; it is asked again as a lost connection is dialled again.
async fn connected(caller: Caller, is_patient: bool) -> Result<(Talker, Listener), Failure> {
    let (start, mut is_told) = (Instant::now(), false);
    loop {
        let error = match caller.clone().connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let is_passing = error.problem().is_some_and(|problem| problem.code == UNAVAILABLE);
        if !is_passing {
            return Err(error.into());
        }
        if !is_patient && start.elapsed() >= patience::TRIED_FOR {
            return Err(Failure::NotReachable(given_up(&error)));
        }
        if !std::mem::replace(&mut is_told, true) {
            say(&format!("{error}; trying again"));
        }
        sleep(LET_IN_EVERY).await;
    }
}

fn given_up(error: &Error) -> String {
    format!("{error}; given up after {} s, nothing was sent", patience::TRIED_FOR.as_secs())
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--token-file {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then(|| token.to_owned()).ok_or_else(|| wrong("its first line is no token".into()))
}
