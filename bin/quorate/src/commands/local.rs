//! `quorate sandboxes local`: the requests of a key come to this machine, or those of a local workload.

mod keeping;
mod naming;
mod workload;

pub(super) use naming::plain_name;

use crate::{
    args::{LocalArgs, Remote},
    failure::Failure,
    output::{counted, printable, say},
    signals::Signals,
};
use keeping::Kept;
use quorate_client::{
    Operator, Url,
    tunnel::{self, Error, News, Tunnel},
};
use tokio::sync::{Notify, watch};

/// Whether the tunnel's name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It has not hung anywhere.
    NotYet,
    /// By the tunnel of this epoch it was, as far as we know.
    At(u64),
    /// It was, by this one, and another machine has taken it.
    Taken(u64),
}

pub async fn run(operator: &Operator, remote: &Remote, args: &LocalArgs) -> Result<(), Failure> {
    let to = naming::target(&args.to)?;
    let Some(key) = &args.key else {
        let workload = naming::workload(args.workload.as_deref().unwrap_or_default())?;
        return workload::answer_for((operator, remote), (&workload, to), args.takeover).await;
    };
    let rule = naming::rule(args, key)?;
    let mut signals = Signals::listen()?;
    let nodes = nodes(operator, remote).await?;
    let operator = Operator::new(nodes.clone(), remote.token.clone())?;
    let tunnel = Tunnel {
        name: rule.tunnel.clone(),
        to: to.clone(),
        nodes,
        token: remote.token.clone(),
        takeover: args.takeover,
    };
    note_silence(&to).await;
    let (told, mut hold) = watch::channel(Hold::NotYet);
    let stop = Notify::new();
    let running = tunnel.run(teller(&to, told), stop.notified());
    tokio::pin!(running);
    let mut kept = Kept::new(&operator, rule, (args, &to, remote.output));
    let served = tokio::select! {
        biased;
        ended = &mut running => Err(ended),
        served = kept.serve(&mut hold, &mut signals) => Ok(served),
    };
    match served {
        Ok(served) => {
            stop.notify_one();
            let ended = running.await.map_err(failure);
            served.and(ended)
        }
        Err(ended) => {
            let last = match (&ended, *hold.borrow()) {
                (Err(Error::Replaced { .. }), Hold::At(epoch)) => Hold::Taken(epoch),
                (_, last) => last,
            };
            // Why the tunnel has ended says more than why its rule could not be taken out.
            if let Err(why) = kept.leave(last).await {
                why.tell();
            }
            ended.map_err(failure)
        }
    }
}

/// Says so, where nothing answers yet at the tunnel's end.
async fn note_silence(to: &str) {
    if let Err(why) = tunnel::answers(to).await {
        say(&printable(&format!(
            "nothing answers at {to} yet ({why}): no request gets there before something does"
        )));
    }
}

/// Tells people what happens to the tunnel, and us whether its name is ours.
fn teller(to: &str, hold: watch::Sender<Hold>) -> impl FnMut(News) + use<> {
    let to = to.to_owned();
    move |news| {
        let line = match news {
            News::Hangs { node, epoch } => {
                hold.send_replace(Hold::At(epoch));
                format!("the tunnel to {to} hangs on {node} (epoch {epoch})")
            }
            News::MustGo { node } => format!("{node} is about to end: hanging on another node"),
            News::Lost { node, why } => format!("the tunnel on {node} is gone: {why}; dialling again"),
            News::Taken { node } => {
                hold.send_modify(|hold| {
                    if let Hold::At(epoch) = *hold {
                        *hold = Hold::Taken(epoch);
                    }
                });
                format!("the tunnel on {node} is gone: another machine opened it; taking it back")
            }
            News::NotAnswered { why, count } => {
                format!("nothing answers at {why} ({} since that was said last)", counted(count, "request"))
            }
            News::NotTaken { node, why } => format!("{node} did not take the tunnel: {why}"),
        };
        say(&printable(&line));
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Replaced { .. } => Failure::Failed(error.to_string()),
        Error::Refused { node, source } => match Failure::from(source) {
            Failure::Failed(why) => Failure::Failed(format!("{node}: {why}")),
            other => other,
        },
        Error::Setup(source) => source.into(),
    }
}

/// Those that were named, and those that they name: the tunnel and its sandbox outlive each of them.
async fn nodes(operator: &Operator, remote: &Remote) -> Result<Vec<Url>, Failure> {
    let mut nodes = quorate_client::routers(&remote.server)
        .map_err(|e| Failure::Usage(format!("--server (or QUORATE_SERVER): {e}")))?;
    let cluster = operator.cluster().await?.value;
    let scheme = nodes.first().map_or("http", |url| url.scheme()).to_owned();
    let others = cluster.nodes.into_iter().filter_map(|node| node.management).filter(|at| !at.is_empty());
    for other in others.filter_map(|at| Url::parse(&format!("{scheme}://{at}")).ok()) {
        if !nodes.contains(&other) && nodes.len() < 64 {
            nodes.push(other);
        }
    }
    Ok(nodes)
}
