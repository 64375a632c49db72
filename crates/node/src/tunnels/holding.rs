//! A tunnel's life on this node: opened in the log, its connection made, let go.

use super::{
    hall::{Hall, Hook},
    tokens::Pass,
};
use quorate_consensus::{Consensus, OpenTunnelError, TunnelHold};
use quorate_model::{Epoch, NodeName, TunnelName};
use quorate_proxy::tunnel::{
    Stream,
    line::{Line, Parting},
};
use quorate_rt::{
    shutdown::{self, Shutdown, Trigger},
    time::{self, Duration},
};
use std::sync::Arc;

/// How long what is under way on a tunnel that was replaced may take.
const LINGER: Duration = Duration::from_secs(30);
/// How often it is looked whether something is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A client that was told to go to another node is there by then, or waits for the next lease.
const MOVED_WITHIN: Duration = Duration::from_secs(3);

/// The tunnels of this node. Clones share them.
#[derive(Clone)]
pub(crate) struct Holding {
    me: NodeName,
    consensus: Consensus,
    hall: Hall,
    cut: Arc<Trigger>,
    cutting: Shutdown,
}

/// A tunnel that stands and has no connection yet. Dropped, it is closed.
pub(super) struct Standing {
    // In this order: it is closed before its place is given to another.
    hold: TunnelHold,
    hook: Hook,
    holding: Holding,
    /// What let it in, if that can end; then it does, too.
    pass: Option<Pass>,
}

impl Holding {
    pub fn new(me: &NodeName, consensus: &Consensus) -> Self {
        let (cut, cutting) = shutdown::channel();
        let (me, consensus) = (me.clone(), consensus.clone());
        Self { me, consensus, hall: Hall::default(), cut: Arc::new(cut), cutting }
    }

    pub fn hall(&self) -> &Hall {
        &self.hall
    }

    /// Opens it in the log.
    pub(super) async fn open(
        &self,
        name: &TunnelName,
        (hook, pass): (Hook, Option<Pass>),
    ) -> Result<Standing, OpenTunnelError> {
        let hold = self.consensus.open_tunnel(name).await?;
        Ok(Standing { hold, hook, holding: self.clone(), pass })
    }

    /// Takes no more tunnels, and sends those that hang here elsewhere; resolves when they are there, or had the time.
    pub async fn leave(&self) {
        self.hall.close();
        let moved = async {
            while self.hall.taken().iter().any(|(name, epoch)| self.stands(name, *epoch)) {
                time::sleep(LOOK_EVERY).await;
            }
        };
        if time::timeout(MOVED_WITHIN, moved).await.is_err() {
            tracing::info!(node = %self.me, "some tunnels have found no other node yet");
        }
    }

    fn stands(&self, name: &str, epoch: Epoch) -> bool {
        self.consensus.view().get().tunnels().get(name).is_some_and(|holder| holder.epoch == epoch)
    }

    /// Waits until they have gone, with all that is under way on them, for at most `limit`; then cuts the rest.
    pub async fn drain(&self, limit: Duration) {
        let gone = async {
            while self.hall.count() > 0 {
                time::sleep(LOOK_EVERY).await;
            }
        };
        if time::timeout(limit, gone).await.is_err() {
            tracing::info!(node = %self.me, tunnels = self.hall.count(), "tunnels are cut: the drain limit is over");
        }
        self.cut.fire();
    }
}

impl Standing {
    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.hold.epoch()
    }

    /// Holds the connection until it ends, or has to go.
    pub async fn hold(mut self, socket: Stream) {
        let (name, epoch) = (self.hold.name().clone(), self.hold.epoch());
        tracing::info!(tunnel = %name, %epoch, "a tunnel hangs on this node");
        let why = self.until_end(socket).await;
        self.hook.take_down(epoch);
        tracing::info!(tunnel = %name, %epoch, why, "a tunnel is gone");
        let Self { hold, hook, holding, .. } = self;
        if !hold.is_lost()
            && let Err(error) = holding.consensus.close_tunnel(hold).await
        {
            tracing::debug!(tunnel = %name, %error, "its end is not written yet, and will be");
        }
        drop(hook);
    }

    async fn until_end(&mut self, socket: Stream) -> String {
        let (line, hanging) = match Line::hang(socket, self.holding.hall.room()).await {
            Ok(hung) => hung,
            Err(error) => return error.to_string(),
        };
        self.hook.hang(self.hold.epoch(), &line);
        let mut cutting = self.holding.cutting.clone();
        tokio::select! {
            ended = hanging.ended() => ended.to_string(),
            why = self.part(line.clone()) => why.into(),
            why = self.expelled(&line) => why.into(),
            () = cutting.wait() => "this node ends".into(),
        }
    }

    /// Tells the other end when nobody would let it in any more. What is under way ends with it.
    async fn expelled(&self, line: &Line) -> &'static str {
        match &self.pass {
            Some(pass) => pass.revoked().await,
            None => std::future::pending().await,
        }
        self.hook.take_down(self.hold.epoch());
        line.say(Parting::Revoked).await;
        "its token is not good any more"
    }

    /// Tells the other end when it has to go, and resolves when it has had its time.
    async fn part(&self, line: Line) -> &'static str {
        tokio::select! {
            biased;
            () = self.hold.lost() => {}
            () = self.holding.hall.closed() => line.say(Parting::Draining).await,
        }
        self.hold.lost().await;
        let epoch = self.hold.epoch();
        self.hook.take_down(epoch);
        if self.holding.hall.is_closed() {
            // The drain limit bounds it.
            idle(&line).await;
            return "this node is about to end";
        }
        let view = self.holding.consensus.view().get();
        if view.tunnels().get(self.hold.name().as_str()).is_some_and(|holder| holder.epoch > epoch) {
            line.say(Parting::Replaced).await;
            linger(&line).await;
            return "another one has its name";
        }
        line.say(Parting::Fenced).await;
        "this node may hold nothing any more"
    }
}

/// Until nothing is under way any more.
async fn idle(line: &Line) {
    while line.streams() > 0 {
        time::sleep(LOOK_EVERY).await;
    }
}

/// The same, for as long as a tunnel may have that is nobody's any more.
async fn linger(line: &Line) {
    // What takes longer is cut with the connection.
    let _ = time::timeout(LINGER, idle(line)).await;
}
