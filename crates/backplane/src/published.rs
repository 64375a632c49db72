//! What came by a channel or a topic, into the gateway.

use crate::envelope::{self, Received};
use quorate_gateway::backplane::{Inbox, Recipient, Taken};
use quorate_model::NodeName;
use std::sync::Arc;

/// Puts a message into `inbox`, unless it is one of `me`'s own. What became of it: `None`, nothing, for nobody awaits it.
pub(crate) async fn take(me: &NodeName, inbox: &Arc<dyn Inbox>, bytes: &[u8]) -> Option<Taken> {
    let Received { message, gateway } = match envelope::decode(bytes) {
        Ok(received) => received,
        Err(error) => {
            tracing::warn!(%error, "what was published is no message, and is passed over");
            return None;
        }
    };
    if gateway.is_some_and(|gateway| gateway == me.as_str()) {
        return None;
    }
    let message = Arc::new(message);
    match message.to {
        Recipient::User(_) => Some(inbox.take(None, message).await),
        Recipient::All | Recipient::Room(_) => {
            inbox.take_broadcast(message);
            Some(Taken::Delivered)
        }
    }
}
