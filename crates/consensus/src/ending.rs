//! Sandboxes whose time is over, those of routing keys and those of the sandbox API: the leader says so, the log ends them.
//!
//! No node ends one by its own clock: requests would find a sandbox at one node and not at another. The leader proposes
//! the end once its clock is past it, and each node applies it at one index. The proposal names epochs, and `apply`
//! looks at the time of the entry: one that was extended or made anew in the meantime stays. A leader that falls
//! leaves nothing undone, since the end is in the state: its successor finds it at its first tick.

use crate::{forward::Unavailable, liveness::Vessel, proposer::Proposer};
use quorate_model::{Command, LogTime, ObjectCommand};
use quorate_rt::time;

/// One tick: what is over is proposed, as much as one command takes.
pub(crate) async fn round(vessel: &Vessel, proposer: &Proposer) -> Result<(), Unavailable> {
    let view = vessel.applied.view().get();
    // Log time may be ahead of this leader's clock: another one's was.
    let now = view.now().max(LogTime(time::wall_ms()));
    let (ended, objects) = (view.sandboxes().over(now), view.objects().over(now));
    // An error means that the next tick proposes what still holds.
    if !ended.is_empty() {
        proposer.propose_here(Command::EndSandboxes(ended)).await?;
    }
    if !objects.is_empty() {
        proposer.propose_here(Command::Object(ObjectCommand::End(objects))).await?;
    }
    Ok(())
}
