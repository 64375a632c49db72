//! What came by a channel or a topic, into the gateway.

use crate::envelope::{self, Received};
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

    /// Takes a message as it was published; nobody awaits what becomes of it.
    pub async fn take(&self, bytes: &[u8]) {
        if let Some(message) = self.read(bytes) {
            self.put(message).await;
        }
    }

    /// Takes a message that was read. A repeat of one that was taken is.
    pub async fn put(&self, message: Arc<Message>) -> Taken {
        let repeat = message.id.clone().map(|id| Repeat { from: message.from.clone(), id, epoch: None });
        if let Some(repeat) = &repeat {
            match self.repeats.lock().unwrap_or_else(PoisonError::into_inner).begin(repeat) {
                Known::New => {}
                Known::Taken | Known::UnderWay => return Taken::Delivered,
            }
        }
        let taken = match message.to {
            Recipient::User(_) => self.inbox.take(None, message).await,
            Recipient::All | Recipient::Room(_) => {
                self.inbox.take_broadcast(message);
                Taken::Delivered
            }
        };
        if let Some(repeat) = &repeat {
            let is_taken = taken == Taken::Delivered;
            self.repeats.lock().unwrap_or_else(PoisonError::into_inner).end(repeat, is_taken);
        }
        taken
    }
}
