//! A session that has lapsed with its node's lease, and asks the log for another epoch.

use crate::{cluster::OpenError, drain::random_within, hall::Mailbox, session::Session};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_model::UserId;
use quorate_rt::time::{self, Duration};
use std::sync::Arc;

/// All sessions of a node lapse at once; they ask again within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// And then within this time each.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// What the log has answered to a session.
pub type Asked = Result<(), OpenError>;

/// See the module.
pub struct Returning {
    user: UserId,
    mailbox: Arc<Mailbox>,
    asked: BoxFuture<'static, (Box<Session>, Asked)>,
}

/// What has become of a session that asked.
pub enum Returned {
    /// It has another epoch.
    Back(Box<Session>),
    /// Not now: it asks again.
    NotYet(Returning),
    /// Somebody else has its place.
    Replaced,
}

impl Returning {
    /// The lease of a session is over.
    pub fn lapsed(mut session: Box<Session>) -> Self {
        session.lapse();
        Self::within(session, FIRST_WITHIN)
    }

    /// Its client is waiting for it, and it is alone with that.
    pub fn at_once(mut session: Box<Session>) -> Self {
        session.lapse();
        Self::within(session, Duration::ZERO)
    }

    fn within(mut session: Box<Session>, wait: Duration) -> Self {
        let (user, mailbox) = (session.user().clone(), session.mailbox().clone());
        let asked = async move {
            time::sleep(random_within(wait)).await;
            let asked = session.open_again().await;
            (session, asked)
        };
        Self { user, mailbox, asked: asked.boxed() }
    }

    /// Whose session it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// What waits for its client.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Resolves once the log has answered.
    pub async fn answer(&mut self) -> (Box<Session>, Asked) {
        (&mut self.asked).await
    }

    /// What follows from the answer.
    pub fn answered(session: Box<Session>, asked: Asked) -> Returned {
        match asked {
            Ok(()) => Returned::Back(session),
            Err(OpenError::Taken(_)) => Returned::Replaced,
            Err(OpenError::Full(_) | OpenError::Unavailable(_)) => {
                Returned::NotYet(Self::within(session, AGAIN_WITHIN))
            }
        }
    }
}
