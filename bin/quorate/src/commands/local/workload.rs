//! `quorate sandboxes local --workload`: this machine answers for a local workload.

use super::{Hold, failure, nodes, note_silence, teller};
use crate::{args::Remote, failure::Failure, output::show_or, signals::Signals};
use quorate_client::{Operator, tunnel::Tunnel};
use quorate_model::ObjectId;
use serde_json::json;
use tokio::sync::{Notify, watch};

/// Holds the tunnel of a local workload. Its rules are the cluster's to make.
pub async fn answer_for(
    (operator, remote): (&Operator, &Remote),
    (workload, to): (&ObjectId, String),
    takeover: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    // Whoever has mistyped it is told, and not left waiting for requests.
    said_of(operator, workload).await?;
    let nodes = nodes(operator, remote).await?;
    let operator = Operator::new(nodes.clone(), remote.token.clone())?;
    let name = workload.tunnel().to_string();
    let tunnel = Tunnel { name, to: to.clone(), nodes, token: remote.token.clone(), takeover };
    note_silence(&to).await;
    let (held, mut hold) = watch::channel(Hold::NotYet);
    let stop = Notify::new();
    let running = tunnel.run(teller(&to, held), stop.notified());
    tokio::pin!(running);
    let told = async {
        // An error says that the tunnel has ended, which is told elsewhere.
        if hold.wait_for(|hold| matches!(hold, Hold::At(_))).await.is_ok() {
            let said = said_of(&operator, workload).await?;
            let id = format!("{}/{}", workload.namespace, workload.name);
            let told =
                json!({"workload": id, "tunnel": workload.tunnel().as_str(), "to": to, "message": said});
            show_or(remote.output, &told, &format!("{id}: {said}"))?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    let ended = tokio::select! {
        biased;
        ended = &mut running => return ended.map_err(failure),
        _ = signals.next() => Ok(()),
        failed = told => failed,
    };
    stop.notify_one();
    ended.and(running.await.map_err(failure))
}

/// Who is led to a local workload, as the cluster says it.
async fn said_of(operator: &Operator, workload: &ObjectId) -> Result<String, Failure> {
    let (namespace, name) = (workload.namespace.as_str(), workload.name.as_str());
    let found = operator.local_workload(namespace, name).await?;
    let missing = || Failure::NotFound(format!("there is no local workload {namespace}/{name}"));
    let told = found.ok_or_else(missing)?.value;
    Ok(told.ready().map_or_else(|| "it is there".into(), |ready| ready.message.clone()))
}
