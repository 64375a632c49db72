//! How a message comes to the gateway that holds its recipient.
//!
//! The cluster's own way ([direct](Backplane)) asks presence who holds the recipient, and the owner acknowledges. The
//! others publish as the original did, and nobody acknowledges.

use crate::cluster::{Place, Presence};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_model::{ConnectionId, NodeName, UserId};
use quorate_rt::time::Duration;
use std::sync::Arc;

/// Longest question and longest answer between two gateways, in bytes.
pub const ASK_BYTES_MAX: usize = 16 << 20;

/// A way between gateways.
pub trait Backplane: Send + Sync + 'static {
    /// Begins to take what others send, into `inbox`. Resolves once it would miss nothing any more, or after some seconds
    /// in which a server that it needs did not answer: it goes on trying then. An error: it can never start like this.
    fn start(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>>;

    /// Brings a message to the gateway at `place`. Messages of one caller to one place arrive in the order of the calls,
    /// whether or not their futures are polled.
    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>>;

    /// The same where the message goes to several gateways, `all` of which are given it: whoever has it does not bring it
    /// to another one of them. Called where this way reaches whole gateways.
    fn send_among(
        &self,
        place: Place,
        all: &[NodeName],
        message: Arc<Message>,
    ) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        let _ = all;
        self.send(place, message)
    }

    /// Whom [`Self::send`] reaches.
    fn reach(&self) -> Reach {
        Reach::Session
    }

    /// Brings a message to a user whom no gateway of this cluster holds, where this way leads to others.
    /// [`Taken::NotHere`]: nobody that it knows of holds them. Order is that of [`Self::send`].
    fn send_outside(&self, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        drop(message);
        std::future::ready(Ok(Taken::NotHere { index: 0 })).boxed()
    }

    /// Brings a message to all other gateways; resolves once each that answers has it, and within a few seconds whoever
    /// does not. Order is that of [`Self::send`].
    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>>;

    /// Asks the gateway of another node about a session that it holds; only the cluster's own way can. What question and
    /// answer say is the gateway's affair, and so is their version. At most [`ASK_BYTES_MAX`] each. Without an answer
    /// within that time the next question goes another way there, where there is one.
    fn ask(
        &self,
        node: NodeName,
        question: Vec<u8>,
        within: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>>;

    /// Takes nothing any more, and sends what is under way.
    fn stop(&self) -> BoxFuture<'static, ()>;
}

/// By what a gateway finds users, and reaches other gateways.
pub struct Ways {
    /// This gateway's node.
    pub me: NodeName,
    /// The other nodes of the cluster, now.
    pub others: Arc<dyn Fn() -> Vec<NodeName> + Send + Sync>,
    /// Who is where.
    pub presence: Arc<dyn Presence>,
    /// How messages travel.
    pub backplane: Arc<dyn Backplane>,
}

/// Puts other ways in the place of the cluster's own. The cluster's own go on being used for what others can't.
pub type Detour = Box<dyn FnOnce(Ways) -> Ways + Send>;

/// A gateway, as a backplane sees it.
pub trait Inbox: Send + Sync + 'static {
    /// A message for a user whose session has this epoch (`None`: any of the user's, the sender could not tell).
    /// Messages are in the order of the calls, whether or not their futures are polled: put it into the recipient's queue
    /// within the call, and wait afterwards for what has to be waited for.
    fn take(&self, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken>;

    /// A message for all.
    fn take_broadcast(&self, message: Arc<Message>);

    /// A message for a user was kept until the user came, and is kept no longer.
    fn give_up(&self) {}

    /// The gateway of another node asks about a session.
    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>>;
}

/// Whom a message reaches that is sent to a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The session there, by its epoch.
    #[default]
    Session,
    /// Every session of the user on the gateway there: this way knows no epochs. One message to each gateway is enough.
    Gateway,
}

/// What became of a message where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the recipient's queue.
    Delivered,
    /// The recipient has no such session there; `index`: as of which entry of the log.
    NotHere {
        /// How far that node has applied the log.
        index: u64,
    },
    /// The recipient takes its messages too slowly.
    Full,
    /// Nobody says: this backplane does not acknowledge.
    Published,
}

/// What one user says to another, or to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub from: UserId,
    /// To whom.
    pub to: Recipient,
    /// What.
    pub content: Arc<str>,
    /// Where the client named it. A message with a name may be sent twice when nobody knows whether it arrived: the
    /// owner of the recipient takes it once.
    pub id: Option<MessageId>,
    /// Which one of its sender's session it is, counted from 1 through all sockets and nodes; 0: not counted. Of one that
    /// is said again each try has its own. What comes behind a later one to the same user was given up, and is not taken.
    pub nth: u64,
}

/// By what a message is told apart from every other one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The connection by which the sender's session began.
    pub session: ConnectionId,
    /// As the client named it: not twice in one session.
    pub name: Arc<str>,
}

/// To whom a message is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// One user.
    User(UserId),
    /// All.
    All,
    /// All who have joined a room.
    Room(Arc<str>),
}

/// Why a message could not be brought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackplaneError {
    /// The other side does not answer. Whether it has the message nobody knows.
    #[error("{0} does not answer: {1}")]
    Unreachable(Arc<str>, Arc<str>),
    /// The other side can't be reached, and nothing was sent.
    #[error("{0} can't be reached: {1}")]
    NotSent(Arc<str>, Arc<str>),
    /// Too much is under way already.
    #[error("too much is under way to {0}")]
    Busy(Arc<str>),
}
