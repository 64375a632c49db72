//! Whether a client is registered, was, or is again.
//!
//! ```text
//!              register                 the lease is over
//!   nobody ───────────────► registered ───────────────────► lapsed ◄─┐ not now
//!                               ▲                              │     │
//!                               │        nobody else           ▼     │
//!                               └────────────────────────── returning┘
//!                                                              │ somebody else: the socket is closed, 4001
//! ```

use super::Step;
use crate::{
    hall::Mailbox,
    returning::{Asked, Returned, Returning},
    session::Session,
    wire::End,
};
use quorate_model::UserId;
use std::sync::Arc;

/// What a client is.
pub(super) enum Standing {
    /// It has not said who it is.
    Nobody,
    /// The cluster knows it.
    Registered(Session),
    /// The node has lost its lease, and the session with it: it is asked for another one.
    Returning(Returning),
}

impl Standing {
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Nobody => None,
            Self::Registered(session) => Some(session.user()),
            Self::Returning(returning) => Some(returning.user()),
        }
    }

    pub fn is_registered(&self) -> bool {
        matches!(self, Self::Registered(session) if session.epoch().is_some())
    }

    pub fn mailbox(&self) -> Option<Arc<Mailbox>> {
        match self {
            Self::Nobody => None,
            Self::Registered(session) => Some(session.mailbox().clone()),
            Self::Returning(returning) => Some(returning.mailbox().clone()),
        }
    }

    /// Resolves once something is different without the client's doing.
    pub async fn changes(&mut self) -> Step {
        match self {
            Self::Nobody => std::future::pending().await,
            Self::Registered(session) => Step::Lost(session.lost().await),
            Self::Returning(returning) => {
                let (session, asked) = returning.answer().await;
                Step::Back(session, asked)
            }
        }
    }

    /// The client has registered. Answers with the session that it had.
    pub fn registered(&mut self, session: Session) -> Option<Session> {
        match std::mem::replace(self, Self::Registered(session)) {
            Self::Registered(former) => Some(former),
            Self::Nobody | Self::Returning(_) => None,
        }
    }

    /// The lease is over.
    pub fn lapse(&mut self) {
        if let Self::Registered(session) = std::mem::replace(self, Self::Nobody) {
            *self = Self::Returning(Returning::lapsed(Box::new(session)));
        }
    }

    /// The log has answered.
    pub fn back(&mut self, session: Box<Session>, asked: Asked) -> Result<(), End> {
        *self = match Returning::answered(session, asked) {
            Returned::Back(session) => Self::Registered(*session),
            Returned::NotYet(returning) => Self::Returning(returning),
            Returned::Replaced => return Err(End::Replaced),
        };
        Ok(())
    }

    /// Ends the session, if there is one. Its mailbox can still be emptied.
    pub async fn end(&mut self) {
        match self {
            Self::Nobody | Self::Returning(_) => {}
            Self::Registered(session) => session.end().await,
        }
    }
}
