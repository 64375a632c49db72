//! What a gateway asks of the cluster: who is where.

use futures_util::future::BoxFuture;
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use std::sync::Arc;

/// Who is where, as the log has decided.
pub trait Presence: Send + Sync + 'static {
    /// Registers a connection of this node. Answers once the log has decided.
    fn open(
        &self,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>>;

    /// The sessions of a user, as this node knows them now, the newest first.
    fn find(&self, user: &UserId) -> Vec<Place>;

    /// Waits until this node has applied the log up to where `find` answered for another node, at most a second.
    fn caught_up(&self, index: u64) -> BoxFuture<'static, bool>;

    /// How far this node has applied the log.
    fn index(&self) -> u64;

    /// Which of these users are online, all as of one entry of the log, and that entry's index.
    fn look(&self, users: &[UserId]) -> (u64, Vec<bool>) {
        let index = self.index();
        (index, users.iter().map(|user| !self.find(user).is_empty()).collect())
    }

    /// Waits until this node has applied an entry behind `after` that may change who is online, and says whom. What is
    /// said may be too much, never too little. Without: nobody is told of changes.
    fn touched(&self, after: u64) -> BoxFuture<'static, Touched> {
        let _ = after;
        Box::pin(std::future::pending())
    }
}

/// Who may be online, or offline, that was not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Up to which entry of the log.
    pub index: u64,
    /// Whom it concerns.
    pub users: Whom,
}

/// Users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// These.
    These(Vec<UserId>),
    /// Any: a gateway has ended, or what happened is forgotten.
    Any,
}

/// A session that this node holds. Dropping it ends it, sooner or later.
pub trait Hold: Send + Sync + 'static {
    /// Its fencing token.
    fn epoch(&self) -> Epoch;

    /// Whether it is over without this node's doing.
    fn lost(&self) -> Option<Lost>;

    /// Resolves once it is.
    fn until_lost(&self) -> BoxFuture<'_, Lost>;

    /// Ends it, and waits until the log knows that, or the cluster can't be asked.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Where a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node whose gateway holds it.
    pub node: NodeName,
    /// The epoch of that node's lease.
    pub gateway: Epoch,
    /// Its own.
    pub epoch: Epoch,
    /// Its connection.
    pub connection: ConnectionId,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The user has logged in elsewhere.
    Replaced,
    /// The node can't be sure that it still holds anything.
    LeaseOver,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The user is connected already, and the gateway lets nobody in a second time.
    #[error("{0} is connected already")]
    Taken(UserId),
    /// There are too many.
    #[error("no room for another session: {0} stand")]
    Full(usize),
    /// The log could not be asked; whether it is open nobody knows, and it is closed soon if it is.
    #[error("the cluster can't be asked: {0}")]
    Unavailable(Arc<str>),
}
