//! What came by a channel or a topic, into the gateway.

use crate::envelope::{self, Received};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use quorate_gateway::{
    backplane::{Inbox, Message, Recipient, Taken},
    repeats::{Known, Repeat, Repeats},
};
use quorate_model::NodeName;
use std::sync::{Arc, Mutex, PoisonError};

/// Puts messages of others into a gateway. Clones share what was taken.
#[derive(Clone)]
pub(crate) struct Taker {
    me: NodeName,
    inbox: Arc<dyn Inbox>,
    repeats: Arc<Mutex<Repeats>>,
}

impl Taker {
    /// Into `inbox`, unless it is one of `me`'s own.
    pub fn new(me: &NodeName, inbox: Arc<dyn Inbox>) -> Self {
        Self { me: me.clone(), inbox, repeats: Arc::default() }
    }

    /// Reads a message, if it is one, and another gateway's.
    pub fn read(&self, bytes: &[u8]) -> Option<Arc<Message>> {
        match envelope::decode(bytes) {
            Ok(Received { gateway: Some(gateway), .. }) if gateway == self.me.as_str() => None,
            Ok(Received { message, .. }) => Some(Arc::new(message)),
            Err(error) => {
                tracing::warn!(%error, "what was published is no message, and is passed over");
                None
            }
        }
    }

    /// Takes a message that was read, and is in its place in the order when this returns. What becomes of it may be known
    /// only seconds later, where its recipient is about to register: who awaits it holds up nobody's messages but the same
    /// user's. A repeat of one that was taken is.
    pub fn put(&self, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        let repeat = message.id.clone().map(|id| Repeat { from: message.from.clone(), id, epoch: None });
        if let Some(repeat) = &repeat {
            match self.repeats.lock().unwrap_or_else(PoisonError::into_inner).begin(repeat) {
                Known::New => {}
                Known::Taken | Known::UnderWay => return ready(Taken::Delivered).boxed(),
            }
        }
        let taken = match message.to {
            Recipient::User(_) => self.inbox.take(None, message),
            Recipient::All | Recipient::Room(_) => {
                self.inbox.take_broadcast(message);
                ready(Taken::Delivered).boxed()
            }
        };
        let Some(repeat) = repeat else { return taken };
        let repeats = self.repeats.clone();
        async move {
            let taken = taken.await;
            let is_taken = taken == Taken::Delivered;
            repeats.lock().unwrap_or_else(PoisonError::into_inner).end(&repeat, is_taken);
            taken
        }
        .boxed()
    }

    /// A message that was kept for a user is kept no longer.
    pub fn give_up(&self) {
        self.inbox.give_up();
    }
}
