//! One registered connection of a user, from the log's decision to its end.
//!
//! It is apart from its socket: the extended dialect keeps it for a while when the socket is gone.

use crate::{
    cluster::{Hold, Lost, OpenError},
    desk::Desk,
    hall::{Mailbox, Seat},
};
use quorate_model::{ConnectionId, Epoch, SecondLogin, UserId};
use quorate_rt::time::{self, Duration};
use quorate_telemetry::gateway::Registered;
use std::sync::Arc;
use tokio::sync::Notify;

/// The log is asked no longer than this.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// A goodbye waits no longer than this; the lease's end says it otherwise.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A session.
pub struct Session {
    user: UserId,
    connection: ConnectionId,
    /// `None`: it had one and lost it, or the goodbye has been said.
    hold: Option<Box<dyn Hold>>,
    mailbox: Arc<Mailbox>,
    seat: Seat,
    desk: Arc<Desk>,
}

impl Session {
    /// Registers a user.
    pub async fn open(
        desk: &Arc<Desk>,
        user: UserId,
        connection: ConnectionId,
        second: SecondLogin,
    ) -> Result<Self, OpenError> {
        let mailbox = Arc::new(Mailbox::new(desk.settings.queue));
        let seat = desk.hall.expect(&user, &mailbox);
        let mut session = Self { user, connection, hold: None, mailbox, seat, desk: desk.clone() };
        let asked = session.ask(second).await;
        desk.counters.count_registered(match &asked {
            Ok(()) => Registered::Opened,
            Err(OpenError::Taken(_)) => Registered::Taken,
            Err(OpenError::Full(_)) => Registered::Full,
            Err(OpenError::Unavailable(_)) => Registered::Unavailable,
        });
        asked.map(|()| session)
    }

    /// Asks the log again, after the node's lease was over: only where nobody else has come meanwhile. This socket is older
    /// than whoever has, and must not take that one's place.
    pub async fn open_again(&mut self) -> Result<(), OpenError> {
        self.seat.rise();
        let second = match self.desk.settings.second_login {
            SecondLogin::Many => SecondLogin::Many,
            SecondLogin::Replace | SecondLogin::Reject => SecondLogin::Reject,
        };
        let asked = self.ask(second).await;
        if asked.is_err() {
            self.seat.be_away();
        }
        asked
    }

    async fn ask(&mut self, second: SecondLogin) -> Result<(), OpenError> {
        let asked = self.desk.presence.open(self.user.clone(), self.connection, second);
        let late = |_| OpenError::Unavailable("the log did not answer in time".into());
        let hold = time::timeout(OPEN_WITHIN, asked).await.map_err(late)??;
        self.seat.arrive(hold.epoch());
        self.hold = Some(hold);
        Ok(())
    }

    /// Whose.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Which.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Its fencing token; `None`: it is not registered now.
    pub fn epoch(&self) -> Option<Epoch> {
        self.hold.as_ref().filter(|hold| hold.lost().is_none()).map(|hold| hold.epoch())
    }

    /// What others bring for it.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Resolves once it is over without this socket's doing. Never, where it is not registered.
    pub async fn lost(&self) -> Lost {
        match &self.hold {
            Some(hold) => hold.until_lost().await,
            None => std::future::pending().await,
        }
    }

    /// Lets go of what is lost.
    pub fn lapse(&mut self) {
        self.seat.be_away();
        self.hold = None;
    }

    /// Ends it: nothing is taken any more, and the log knows that, as far as it can be asked now. What waits can still be
    /// taken out of the mailbox.
    pub async fn end(&mut self) {
        self.mailbox.queue.close();
        if let Some(hold) = self.hold.take() {
            // In vain only where the cluster can't be asked; then the lease's end says it.
            let _ = time::timeout(CLOSE_WITHIN, hold.close()).await;
        }
        self.seat.be_away();
    }
}

impl Mailbox {
    /// Empty.
    pub fn new(limits: crate::settings::QueueLimits) -> Self {
        Self {
            queue: crate::queue::Queue::new(limits),
            overflowed: Notify::new(),
            refused: Default::default(),
        }
    }
}
