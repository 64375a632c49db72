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
use crate::{cluster::OpenError, drain::random_within, hall::Mailbox, session::Session, wire::End};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_model::UserId;
use quorate_rt::time::{self, Duration};
use std::sync::Arc;

/// All sockets of a node lapse at once; they ask again within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// And then within this time each.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// What a client is.
pub(super) enum Standing {
    /// It has not said who it is.
    Nobody,
    /// The cluster knows it.
    Registered(Session),
    /// The node has lost its lease, and the session with it: it is asked for another one.
    Returning(Returning),
}

/// A session that asks the log for another epoch.
pub(super) struct Returning {
    user: UserId,
    mailbox: Arc<Mailbox>,
    asked: BoxFuture<'static, (Session, Result<(), OpenError>)>,
}

impl Returning {
    fn within(session: Session, wait: Duration) -> Self {
        let (user, mailbox) = (session.user().clone(), session.mailbox().clone());
        let asked = async move {
            let mut session = session;
            time::sleep(random_within(wait)).await;
            let asked = session.open_again().await;
            (session, asked)
        };
        Self { user, mailbox, asked: asked.boxed() }
    }
}

impl Standing {
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Nobody => None,
            Self::Registered(session) => Some(session.user()),
            Self::Returning(returning) => Some(&returning.user),
        }
    }

    pub fn is_registered(&self) -> bool {
        matches!(self, Self::Registered(session) if session.epoch().is_some())
    }

    pub fn mailbox(&self) -> Option<Arc<Mailbox>> {
        match self {
            Self::Nobody => None,
            Self::Registered(session) => Some(session.mailbox().clone()),
            Self::Returning(returning) => Some(returning.mailbox.clone()),
        }
    }

    /// Resolves once something is different without the client's doing.
    pub async fn changes(&mut self) -> Step {
        match self {
            Self::Nobody => std::future::pending().await,
            Self::Registered(session) => Step::Lost(session.lost().await),
            Self::Returning(returning) => {
                let (session, asked) = (&mut returning.asked).await;
                Step::Back(Box::new(session), asked)
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
        if let Self::Registered(mut session) = std::mem::replace(self, Self::Nobody) {
            session.lapse();
            *self = Self::Returning(Returning::within(session, FIRST_WITHIN));
        }
    }

    /// The log has answered.
    pub fn back(&mut self, session: Session, asked: Result<(), OpenError>) -> Result<(), End> {
        match asked {
            Ok(()) => *self = Self::Registered(session),
            Err(OpenError::Taken(_)) => return Err(End::Replaced),
            Err(OpenError::Full(_) | OpenError::Unavailable(_)) => {
                *self = Self::Returning(Returning::within(session, AGAIN_WITHIN));
            }
        }
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
