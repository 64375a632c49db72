//! Who is where, as the log has decided: what the gateway asks of the cluster, answered by this node's consensus.

use futures_util::{FutureExt, future::BoxFuture};
use quorate_consensus::{Consensus, Lost as Over, OpenSessionError, SessionHold};
use quorate_gateway::cluster::{Hold, Lost, OpenError, Place, Presence, Touched, Whom};
use quorate_model::{ConnectionId, Epoch, Kind, LogIndex, Position, SecondLogin, Session, UserId, What};
use std::{collections::BTreeSet, time::Duration};

/// How long somebody waits for an entry that another node has applied already.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);
/// Changes that are read at once.
const AT_ONCE: usize = 1_024;
/// However quiet it is.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Presence by the log.
#[derive(Clone)]
pub struct LogPresence {
    consensus: Consensus,
}

impl LogPresence {
    /// Of this node.
    pub fn new(consensus: Consensus) -> Self {
        Self { consensus }
    }
}

impl Presence for LogPresence {
    fn open(
        &self,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        let consensus = self.consensus.clone();
        async move {
            match consensus.open_session(user, connection, second).await {
                Ok(hold) => Ok(Box::new(LogHold { hold, consensus }) as Box<dyn Hold>),
                Err(OpenSessionError::Taken(user)) => Err(OpenError::Taken(user)),
                Err(OpenSessionError::Full { stand }) => {
                    Err(OpenError::Full(usize::try_from(stand).unwrap_or(usize::MAX)))
                }
                Err(error @ (OpenSessionError::Refused(_) | OpenSessionError::Unavailable(_))) => {
                    Err(OpenError::Unavailable(error.to_string().into()))
                }
            }
        }
        .boxed()
    }

    fn find(&self, user: &UserId) -> Vec<Place> {
        let view = self.consensus.view().get();
        view.sessions().of(user.as_str()).map(|session| place(session)).collect()
    }

    fn caught_up(&self, index: u64) -> BoxFuture<'static, bool> {
        let consensus = self.consensus.clone();
        async move { consensus.wait_for(LogIndex(index), CATCH_UP_WITHIN).await }.boxed()
    }

    fn index(&self) -> u64 {
        self.consensus.view().get().index().0
    }

    fn look(&self, users: &[UserId]) -> (u64, Vec<bool>) {
        let view = self.consensus.view().get();
        let sessions = view.sessions();
        (view.index().0, users.iter().map(|user| sessions.is_connected(user.as_str())).collect())
    }

    fn touched(&self, after: u64) -> BoxFuture<'static, Touched> {
        touched(self.consensus.clone(), after).boxed()
    }
}

/// Reads on in what happened. Where that is forgotten, anybody may have come or gone.
async fn touched(consensus: Consensus, after: u64) -> Touched {
    let (mut at, mut users) = (Position::end_of(LogIndex(after)), BTreeSet::new());
    loop {
        let Ok(since) = consensus.changes_about(Some(&[Kind::Presence, Kind::Gateway]), at, AT_ONCE) else {
            return Touched { index: consensus.view().get().index().0, users: Whom::Any };
        };
        for change in &since.changes {
            match &change.what {
                What::Presence(changed) => {
                    let all = changed.opened.iter().chain(changed.closed.iter());
                    users.extend(all.map(|session| session.user.clone()));
                }
                // Those of a gateway that ends are not told one by one.
                What::Gateway { .. } | What::Replaced => {
                    return Touched { index: since.upto.index.0, users: Whom::Any };
                }
                _ => {}
            }
        }
        at = since.upto;
        if since.changes.len() == AT_ONCE {
            // There may be more of the same entry.
            continue;
        }
        if !users.is_empty() {
            return Touched { index: at.index.0, users: Whom::These(users.into_iter().collect()) };
        }
        let _ = consensus.wait_for(LogIndex(at.index.0.saturating_add(1)), LOOK_EVERY).await;
    }
}

fn place(session: &Session) -> Place {
    let Session { user: _, gateway, connection, epoch, since: _ } = session;
    Place { node: gateway.node.clone(), gateway: gateway.epoch, epoch: *epoch, connection: *connection }
}

/// A session that this node holds.
struct LogHold {
    hold: SessionHold,
    consensus: Consensus,
}

impl Hold for LogHold {
    fn epoch(&self) -> Epoch {
        self.hold.epoch()
    }

    fn lost(&self) -> Option<Lost> {
        self.hold.is_lost().map(lost)
    }

    fn until_lost(&self) -> BoxFuture<'_, Lost> {
        self.hold.lost().map(lost).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { hold, consensus } = *self;
        async move {
            if let Err(error) = consensus.close_session(hold).await {
                tracing::debug!(%error, "a session could not be closed: it is closed later, or ends with the lease");
            }
        }
        .boxed()
    }
}

fn lost(over: Over) -> Lost {
    match over {
        Over::Replaced => Lost::Replaced,
        Over::LeaseOver => Lost::LeaseOver,
    }
}
