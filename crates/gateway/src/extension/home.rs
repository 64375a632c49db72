//! A session's place in presence: held, lost with the node's lease and asked for again, or gone to another node.

use crate::{
    cluster::Lost,
    returning::{Asked, Returned, Returning},
    session::Session,
};

/// The place.
pub enum Home {
    /// The cluster knows it.
    Held(Box<Session>),
    /// The node has lost its lease: another epoch is asked for.
    Returning(Returning),
    /// Another node holds it now. What came here before that is still here.
    Moved(Box<Session>),
    /// Nobody holds it.
    Over,
}

/// What happened to it without its doing.
pub enum Change {
    /// It is over.
    Lost(Lost),
    /// The log has answered.
    Asked(Box<Session>, Asked),
}

/// Somebody else has the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced;

impl Home {
    /// Whether messages may be sent from here.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(session) if session.epoch().is_some())
    }

    /// Its number in the log, where it has one now.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Held(session) => session.epoch().map(|epoch| epoch.0),
            Self::Returning(_) | Self::Moved(_) | Self::Over => None,
        }
    }

    /// Resolves once something has happened.
    pub async fn changes(&mut self) -> Change {
        match self {
            Self::Held(session) => Change::Lost(session.lost().await),
            Self::Returning(returning) => {
                let (session, asked) = returning.answer().await;
                Change::Asked(session, asked)
            }
            Self::Moved(_) | Self::Over => std::future::pending().await,
        }
    }

    /// The lease is over.
    pub fn lapse(&mut self) {
        if let Self::Held(session) = std::mem::replace(self, Self::Over) {
            *self = Self::Returning(Returning::lapsed(session));
        }
    }

    /// Another node has taken it over.
    pub fn moved(&mut self) {
        if let Self::Held(session) = std::mem::replace(self, Self::Over) {
            *self = Self::Moved(session);
        }
    }

    /// It is not given to the one that holds it now: another epoch is asked for, in its place.
    pub fn take_back(&mut self) {
        *self = match std::mem::replace(self, Self::Over) {
            Self::Moved(session) => Self::Returning(Returning::at_once(session)),
            other => other,
        };
    }

    /// Whether another node holds it, and has not got the rest.
    pub fn is_moved(&self) -> bool {
        matches!(self, Self::Moved(_))
    }

    /// The log has answered.
    pub fn back(&mut self, session: Box<Session>, asked: Asked) -> Result<(), Replaced> {
        *self = match Returning::answered(session, asked) {
            Returned::Back(session) => Self::Held(session),
            Returned::NotYet(returning) => Self::Returning(returning),
            Returned::Replaced => return Err(Replaced),
        };
        Ok(())
    }

    /// Ends it: the log knows, as far as it can be asked.
    pub async fn end(&mut self) {
        match std::mem::replace(self, Self::Over) {
            Self::Held(mut session) | Self::Moved(mut session) => session.end().await,
            Self::Returning(_) | Self::Over => {}
        }
    }
}
