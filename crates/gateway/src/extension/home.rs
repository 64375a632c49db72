//! A session's place in presence: held, lost with the node's lease and asked for again, or gone to another node.

use crate::{
    cluster::{Lost, OpenError},
    drain::random_within,
    session::Session,
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_rt::time::{self, Duration};

/// All sessions of a node lapse at once; they ask again within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// And then within this time each.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// The place.
pub enum Home {
    /// The cluster knows it.
    Held(Box<Session>),
    /// The node has lost its lease: another epoch is asked for.
    Returning(BoxFuture<'static, (Box<Session>, Result<(), OpenError>)>),
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
    Asked(Box<Session>, Result<(), OpenError>),
}

/// Somebody else has the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced;

impl Home {
    /// Whether messages may be sent from here.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(session) if session.epoch().is_some())
    }

    /// Resolves once something has happened.
    pub async fn changes(&mut self) -> Change {
        match self {
            Self::Held(session) => Change::Lost(session.lost().await),
            Self::Returning(asked) => {
                let (session, asked) = asked.await;
                Change::Asked(session, asked)
            }
            Self::Moved(_) | Self::Over => std::future::pending().await,
        }
    }

    /// The lease is over.
    pub fn lapse(&mut self) {
        if let Self::Held(mut session) = std::mem::replace(self, Self::Over) {
            session.lapse();
            *self = returning(session, FIRST_WITHIN);
        }
    }

    /// Another node has taken it over.
    pub fn moved(&mut self) {
        if let Self::Held(session) = std::mem::replace(self, Self::Over) {
            *self = Self::Moved(session);
        }
    }

    /// The log has answered.
    pub fn back(&mut self, session: Box<Session>, asked: Result<(), OpenError>) -> Result<(), Replaced> {
        match asked {
            Ok(()) => *self = Self::Held(session),
            Err(OpenError::Taken(_)) => return Err(Replaced),
            Err(OpenError::Full(_) | OpenError::Unavailable(_)) => *self = returning(session, AGAIN_WITHIN),
        }
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

fn returning(session: Box<Session>, wait: Duration) -> Home {
    let asked = async move {
        let mut session = session;
        time::sleep(random_within(wait)).await;
        let asked = session.open_again().await;
        (session, asked)
    };
    Home::Returning(asked.boxed())
}
