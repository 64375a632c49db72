//! The cluster's own way between gateways: a stream from each node to each other one, and every message answered.
//!
//! To whom a message goes is in presence, so nothing is published to those whom it does not concern, and whoever sent it
//! learns whether it is in the recipient's queue. A gateway that is gone answers nothing: what was sent to it has failed
//! at once, not after its presence has run out.
//!
//! What a link holds is bounded in messages and bytes, unanswered ones included; beyond that it is
//! [`Busy`](BackplaneError::Busy). A link that breaks answers for everything on it at once: what had left is unknown, the
//! rest was not sent.

mod door;
mod link;

use door::GatewayDoor;
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use link::Link;
use quorate_codec::peer::To;
use quorate_consensus::{Consensus, peer::client::CallError};
use quorate_gateway::{
    backplane::{ASK_BYTES_MAX, Backplane, BackplaneError, Inbox, Message, Recipient, Taken},
    cluster::Place,
};
use quorate_model::NodeName;
use quorate_rt::time;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What is under way when the node ends is answered by then, or given up.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// See the module.
pub struct Direct {
    consensus: Consensus,
    links: Mutex<Links>,
    door: Arc<GatewayDoor>,
}

#[derive(Default)]
struct Links {
    by_node: BTreeMap<NodeName, Arc<Link>>,
    /// The node is about to end: no link is made any more that would carry anything.
    are_closed: bool,
}

impl Direct {
    /// Between the members of this cluster. Nothing is taken before [`Backplane::start`].
    pub fn new(consensus: &Consensus) -> Self {
        let door = Arc::new(GatewayDoor::new(consensus.view().clone()));
        Self { consensus: consensus.clone(), links: Mutex::default(), door }
    }

    /// The link to a node; there is one from the first message on.
    fn link(&self, node: &NodeName) -> Arc<Link> {
        let mut links = self.lock();
        if let Some(link) = links.by_node.get(node) {
            return link.clone();
        }
        let link = Arc::new(Link::new(node.clone()));
        if links.are_closed {
            link.close();
        } else {
            links.by_node.insert(node.clone(), link.clone());
            quorate_rt::spawn(link.clone().keep(self.consensus.clone()));
        }
        link
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backplane for Direct {
    fn start(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        self.door.open(inbox);
        self.consensus.deliver_by(self.door.clone());
        ready(Ok(())).boxed()
    }

    fn send(&self, place: Place, message: Arc<Message>) -> BoxFuture<'static, Result<Taken, BackplaneError>> {
        self.link(&place.node).send(Some(place.epoch.0), &message)
    }

    fn broadcast(&self, message: Arc<Message>) -> BoxFuture<'static, Result<(), BackplaneError>> {
        // Whose lease does not stand has no users: there is nobody to be reached, nor to be waited for.
        let nodes = self.consensus.other_gateways();
        let sent: Vec<_> = nodes.iter().map(|node| self.link(node).send_to_many(&message)).collect();
        async move {
            for error in join_all(sent).await.into_iter().filter_map(Result::err) {
                tracing::debug!(%error, "a gateway did not get a message for all");
            }
            Ok(())
        }
        .boxed()
    }

    fn ask(
        &self,
        node: NodeName,
        question: Vec<u8>,
        within: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, BackplaneError>> {
        let consensus = self.consensus.clone();
        async move {
            if question.len() > ASK_BYTES_MAX {
                let why = format!("a question of {} bytes; at most {ASK_BYTES_MAX}", question.len());
                return Err(BackplaneError::NotSent(node.as_str().into(), why.into()));
            }
            let answered = consensus.ask_gateway(&node, question, within).await;
            answered.map(Vec::from).map_err(|error| not_answered(&node, &error))
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        self.door.close();
        let links: Vec<_> = {
            let mut links = self.lock();
            links.are_closed = true;
            links.by_node.values().cloned().collect()
        };
        async move {
            let answered = join_all(links.iter().map(|link| link.until_empty()));
            if time::timeout(STOPPED_WITHIN, answered).await.is_err() {
                tracing::warn!(after = ?STOPPED_WITHIN, "messages to other gateways are given up");
            }
            links.iter().for_each(|link| link.close());
        }
        .boxed()
    }
}

/// Whether the other side may have the question.
fn not_answered(node: &NodeName, error: &CallError) -> BackplaneError {
    let (node, why) = (node.as_str().into(), error.to_string().into());
    match error {
        CallError::Unreachable { .. } | CallError::Unproven { .. } | CallError::Refused { .. } => {
            BackplaneError::NotSent(node, why)
        }
        CallError::Broken { .. } | CallError::Timeout { .. } => BackplaneError::Unreachable(node, why),
    }
}

fn recipient(to: To) -> Recipient {
    match to {
        To::User(user) => Recipient::User(user),
        To::All => Recipient::All,
        To::Room(room) => Recipient::Room(room),
    }
}

fn carried(to: &Recipient) -> To {
    match to {
        Recipient::User(user) => To::User(user.clone()),
        Recipient::All => To::All,
        Recipient::Room(room) => To::Room(room.clone()),
    }
}
