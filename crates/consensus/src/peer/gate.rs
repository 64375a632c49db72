//! The listener's side of the proof: what stands between a connection and consensus.
//!
//! Each connection has a gate of its own. Until its dialler has proved that it knows the secret, every request but
//! the two of the proof is refused, and the connection is closed [`PROVE_WITHIN`] after it was opened. Strangers
//! can't take the places of peers either: of more than [`UNPROVEN_MAX`] unproven connections the oldest is closed,
//! and a peer needs its place for two round trips only.

use super::{
    address_book::SelfId,
    complaints::Complaints,
    proof::{self, Exchange, Secret, Side, WrongProof},
    wire::{Challenge, Introduction, Mac},
};
use quorate_model::NodeId;
use quorate_rt::{http::Session, time};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// A connection that is not proven by then is closed.
pub const PROVE_WITHIN: Duration = Duration::from_secs(5);
/// Connections that may be unproven at once. When full, the oldest makes room.
pub const UNPROVEN_MAX: usize = 256;

/// Why a connection may not say what it said. Always 401.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Nothing is proved on this connection.
    #[error("this connection is not proven: the cluster has a secret, and it comes first")]
    Unproven,
    /// The proof is wrong.
    #[error(transparent)]
    Wrong(#[from] WrongProof),
    /// A proof without an introduction, or a second one of either: a connection has one try.
    #[error("a connection is introduced once, and proves itself once after that")]
    OutOfTurn,
    /// The other side has a secret and this one has not.
    #[error("this node has no cluster secret; start all nodes with the same --cluster-secret-file, or none")]
    NoSecret,
    /// It claims to be this very node.
    #[error("the introduction is from this very node, {0}")]
    Ourselves(NodeId),
    /// A request in the name of a node other than the one that proved itself.
    #[error("the connection was proven by node {0}, the request is from another one")]
    OtherSender(NodeId),
}

/// How far a connection is.
enum Stage {
    Silent,
    Challenged(Exchange),
    Proven(NodeId),
    Refused,
}

/// One connection's gate.
pub struct Gate {
    remote: IpAddr,
    complaints: Complaints,
    /// `None`: the node has no secret, and asks for no proof.
    guarded: Option<Guarded>,
}

struct Guarded {
    secret: Secret,
    stage: Mutex<Stage>,
    waiting: Waiting,
    place: u64,
}

/// The connections of one listener.
#[derive(Clone, Default)]
pub struct Gates {
    waiting: Waiting,
    complaints: Complaints,
}

impl Gates {
    /// The gate of a new connection.
    pub fn connected(&self, me: &SelfId, remote: SocketAddr) -> Session<Gate> {
        let (remote, complaints) = (remote.ip(), self.complaints.clone());
        let Some(secret) = me.secret.clone() else {
            return Session { service: Gate { remote, complaints, guarded: None }, dismissed: None };
        };
        let waiting = self.waiting.clone();
        let (place, proven) = waiting.enter();
        let leaves = Leaves { waiting: waiting.clone(), place };
        let guarded = Some(Guarded { secret, stage: Mutex::new(Stage::Silent), waiting, place });
        let service = Gate { remote, complaints, guarded };
        Session { service, dismissed: Some(Box::pin(unless_proven(proven, leaves))) }
    }
}

/// Resolves when an unproven connection has to go.
async fn unless_proven(proven: oneshot::Receiver<()>, leaves: Leaves) {
    if let Ok(Ok(())) = time::timeout(PROVE_WITHIN, proven).await {
        std::future::pending::<()>().await;
    }
    drop(leaves);
}

impl Gate {
    /// Answers an introduction.
    pub fn challenge(&self, me: &SelfId, introduction: Introduction) -> Result<Challenge, Denied> {
        let guarded = self.guarded.as_ref().ok_or(Denied::NoSecret)?;
        if introduction.from == me.id {
            return Err(Denied::Ourselves(me.id));
        }
        let mut stage = guarded.stage();
        let Stage::Silent = *stage else { return Err(Denied::OutOfTurn) };
        let challenge = Challenge { id: me.id, cluster: me.cluster.get().copied(), nonce: proof::nonce() };
        *stage = Stage::Challenged(Exchange { introduction, challenge });
        Ok(challenge)
    }

    /// Checks the dialler's proof and gives ours. A wrong one is the connection's last word.
    pub fn prove(&self, mac: &Mac) -> Result<Mac, Denied> {
        let guarded = self.guarded.as_ref().ok_or(Denied::NoSecret)?;
        let mut stage = guarded.stage();
        let Stage::Challenged(exchange) = *stage else { return Err(Denied::OutOfTurn) };
        *stage = Stage::Refused;
        guarded.secret.verify(Side::Dialler, &exchange, mac)?;
        *stage = Stage::Proven(exchange.introduction.from);
        guarded.waiting.proven(guarded.place);
        Ok(guarded.secret.prove(Side::Listener, &exchange))
    }

    /// Whether a request in the name of `from` may pass.
    pub fn pass(&self, from: Option<NodeId>) -> Result<(), Denied> {
        let Some(guarded) = &self.guarded else { return Ok(()) };
        match *guarded.stage() {
            Stage::Proven(peer) if from == Some(peer) => Ok(()),
            Stage::Proven(peer) => Err(Denied::OtherSender(peer)),
            Stage::Silent | Stage::Challenged(_) | Stage::Refused => Err(Denied::Unproven),
        }
    }

    /// Tells the operator, now and then. A node that looks who answers at its own address is no stranger.
    pub fn complain(&self, denied: &Denied) {
        if !matches!(denied, Denied::Ourselves(_)) && self.complaints.due(&self.remote.to_string()) {
            tracing::warn!(remote = %self.remote, %denied, "a connection to the peer listener was refused");
        }
    }
}

impl Guarded {
    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unproven connections. Clones share them.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Places>>);

/// A place for each, oldest first; a place that is dropped dismisses its connection.
#[derive(Default)]
struct Places {
    last: u64,
    taken: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Waiting {
    fn enter(&self) -> (u64, oneshot::Receiver<()>) {
        let (told, proven) = oneshot::channel();
        let mut places = self.lock();
        places.last += 1;
        let place = places.last;
        places.taken.insert(place, told);
        if places.taken.len() > UNPROVEN_MAX {
            places.taken.pop_first();
        }
        (place, proven)
    }

    fn take(&self, place: u64) -> Option<oneshot::Sender<()>> {
        self.lock().taken.remove(&place)
    }

    fn proven(&self, place: u64) {
        if let Some(told) = self.take(place) {
            // Nobody listens any more where the connection ends this moment.
            let _ = told.send(());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives an unproven connection's place back, however it ends.
struct Leaves {
    waiting: Waiting,
    place: u64,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        drop(self.waiting.take(self.place));
    }
}
