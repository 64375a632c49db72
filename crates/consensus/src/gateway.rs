//! This node as a gateway: what it holds, by a lease that it opens when it first holds something.
//!
//! The lease is kept by being heard ([`crate::gateway_keeper`]): a node that hears the leader is heard by it, or is told
//! by the log that it was not. What remains is a node that hears nobody. It can't know whether its lease still stands,
//! and somebody else may hold by now what it holds; so after as long as the leader waits it lets everything go by
//! itself, and begins with another lease once there is a leader again.

use crate::{
    consensus::Consensus,
    forward::Unavailable,
    gateway_keeper::GatewayKeeper,
    holdings::{Holdings, TunnelHold},
    lease::Millis,
    liveness::Vessel,
    options::TICK,
    proposer::Proposer,
};
use futures_util::future::join_all;
use openraft::{Instant, async_runtime::WatchReceiver};
use quorate_model::{Command, Epoch, GatewayEnd, NodeName, PresenceCommand, Refusal, Reply, TunnelName};
use quorate_rt::{
    planted::{self, Bug},
    shutdown::Shutdown,
    time,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Goodbyes of orphans that are proposed together.
const ORPHANS_AT_ONCE: usize = 500;
/// A lease that ends while a tunnel is opened by it is opened anew this often.
const TRIES: usize = 3;

/// Why a tunnel was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenTunnelError {
    /// The cluster refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster can't be changed now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Consensus {
    /// Takes a tunnel in that has come to this node. Whoever held the name before is told that it does no longer.
    pub async fn open_tunnel(&self, name: &TunnelName) -> Result<TunnelHold, OpenTunnelError> {
        let opening = self.holdings().begin(self.view(), name);
        let mut gateway = self.open_gateway().await?;
        for _ in 1..TRIES {
            match self.ask_for_tunnel(name, gateway).await? {
                Ok(epoch) => return Ok(opening.granted(gateway, epoch)),
                Err(Refusal::GatewayEnded { epoch }) => self.holdings().let_go_of(epoch),
                Err(refusal) => return Err(refusal.into()),
            }
            gateway = self.open_gateway().await?;
        }
        let epoch = self.ask_for_tunnel(name, gateway).await??;
        Ok(opening.granted(gateway, epoch))
    }

    /// Says goodbye for a tunnel; answers once that is in the log. Void if it is lost.
    pub async fn close_tunnel(&self, hold: TunnelHold) -> Result<(), Unavailable> {
        let (name, epoch) = (hold.name().clone(), hold.epoch());
        let close = Command::Presence(PresenceCommand::CloseTunnel { name, epoch });
        // Not before it is known: what fails here is tried again, since `hold` is dropped then.
        self.propose(close).await.map(drop)
    }

    /// The lease by which this node holds what it holds, as long as it may rely on it.
    pub fn gateway_standing(&self) -> watch::Receiver<Option<Epoch>> {
        self.holdings().watch_standing()
    }

    /// This node is about to end: everything that it holds is gone for the cluster, in one entry, and no more is taken
    /// in. Where the cluster can't be told, the lease ends by itself.
    pub async fn close_gateway(&self) {
        if let Some(epoch) = self.holdings().close() {
            let node = self.shared().me.name.clone();
            let ended = vec![GatewayEnd { node, epoch }];
            if let Err(error) = self.propose(Command::Presence(PresenceCommand::EndGateways(ended))).await {
                tracing::warn!(%error, "the gateway's lease could not be ended: it ends by itself");
            }
        }
        self.holdings().let_go();
    }

    pub(crate) fn holdings(&self) -> &Arc<Holdings> {
        self.shared().applied.holdings()
    }

    /// The lease, opened if there is none.
    pub(crate) async fn open_gateway(&self) -> Result<Epoch, OpenTunnelError> {
        // One at a time: a second lease would end the first.
        let _turn = self.holdings().turn().await;
        for _ in 0..TRIES {
            if self.holdings().is_closed() {
                break;
            }
            if let Some(standing) = self.holdings().standing() {
                return Ok(standing);
            }
            let (node, boot) = (self.shared().me.name.clone(), self.shared().options.record.boot);
            let open = Command::Presence(PresenceCommand::OpenGateway { node, boot });
            let granted = granted(self.propose(open).await?.reply)?;
            if self.holdings().stand(self.view(), granted) {
                return Ok(granted);
            }
        }
        Err(Unavailable::ShuttingDown.into())
    }

    async fn ask_for_tunnel(
        &self,
        name: &TunnelName,
        gateway: Epoch,
    ) -> Result<Result<Epoch, Refusal>, Unavailable> {
        let open = PresenceCommand::OpenTunnel { name: name.clone(), gateway };
        Ok(granted(self.propose(Command::Presence(open)).await?.reply))
    }
}

fn granted(reply: Reply) -> Result<Epoch, Refusal> {
    match reply {
        Reply::Registered { epoch } => Ok(epoch),
        Reply::Refused(refusal) => Err(refusal),
        // No state answers so to an opening: as good as not known.
        Reply::Done | Reply::Unchanged | Reply::Sessions(_) => Err(Refusal::Forgotten),
    }
}

/// What a gateway does by itself, until the shutdown.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    let (let_go, former) = watch::channel(None);
    tokio::select! {
        biased;
        () = shutdown.wait() => {}
        () = fence(&consensus, let_go) => {}
        () = end_former(&consensus, former) => {}
        () = close_orphans(&consensus) => {}
    }
}

/// Lets everything go once no leader was heard for as long as a leader waits.
async fn fence(consensus: &Consensus, let_go: watch::Sender<Option<Epoch>>) {
    let ttl = consensus.shared().options.gateway_ttl;
    loop {
        time::sleep(TICK).await;
        let holdings = consensus.holdings();
        let standing = holdings.standing();
        if standing.is_some() && consensus.is_silent(ttl) && !planted::is(Bug::CutOffHoldsOn) {
            tracing::warn!(
                ?ttl,
                "no leader was heard for the lease's time: this node holds nothing any more"
            );
            holdings.let_go();
            let_go.send_replace(standing);
        }
    }
}

/// A lease that this node has let go may stand all the same: as soon as there is a leader, the log is to say that it
/// does not. Otherwise it would name this node for what it holds no longer, for as long as it is heard.
async fn end_former(consensus: &Consensus, mut former: watch::Receiver<Option<Epoch>>) {
    while former.changed().await.is_ok() {
        loop {
            let Some(epoch) = *former.borrow_and_update() else { break };
            let node = consensus.shared().me.name.clone();
            let ended = PresenceCommand::EndGateways(vec![GatewayEnd { node, epoch }]);
            if consensus.propose(Command::Presence(ended)).await.is_ok() {
                break;
            }
            time::sleep(TICK).await;
        }
    }
}

/// Says goodbye for what nobody has.
async fn close_orphans(consensus: &Consensus) {
    let holdings = consensus.holdings();
    loop {
        let orphans = holdings.take_orphans(ORPHANS_AT_ONCE);
        if orphans.is_empty() {
            holdings.orphaned().await;
            continue;
        }
        let goodbyes = orphans.into_iter().map(|(name, epoch)| async move {
            let close = PresenceCommand::CloseTunnel { name: name.clone(), epoch };
            if consensus.propose(Command::Presence(close)).await.is_err() {
                holdings.put_back(name, epoch);
            }
        });
        join_all(goodbyes).await;
        // Where that failed it is tried again, and not at once.
        time::sleep(TICK).await;
    }
}

/// One tick of a leader: gateways that it has not heard for too long have ended.
pub(crate) async fn round(
    vessel: &Vessel,
    proposer: &Proposer,
    keeper: &mut GatewayKeeper,
) -> Result<(), Unavailable> {
    let view = vessel.applied.view().get();
    let now = vessel.applied.now();
    let ttl = Millis::try_from(vessel.gateway_ttl.as_millis()).unwrap_or(Millis::MAX / 2);
    let heard = heard(vessel, now);
    let last = |node: &NodeName| heard.get(node.as_str()).copied();
    let ended = keeper.silent(view.tunnels(), last, (now, ttl));
    if ended.is_empty() {
        return Ok(());
    }
    // An error means that the next tick proposes what still holds.
    proposer.propose_here(Command::Presence(PresenceCommand::EndGateways(ended))).await
}

/// When each member answered last to what this leader had sent, by the time of sending.
fn heard(vessel: &Vessel, now: Millis) -> BTreeMap<String, Millis> {
    let metrics = vessel.forwarder.raft.metrics();
    let metrics = metrics.borrow_watched();
    let answered = |id: u64| {
        let at = metrics.heartbeat.as_ref()?.get(&id)?.as_ref()?;
        Some(now - Millis::try_from(Instant::elapsed(&**at).as_millis()).ok()?)
    };
    let members = metrics.membership_config.membership().nodes();
    let last = |id: u64| if id == vessel.forwarder.id.0 { Some(now) } else { answered(id) };
    members.filter_map(|(id, member)| Some((member.name.clone(), last(*id)?))).collect()
}
