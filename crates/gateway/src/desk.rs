//! What the sessions of one gateway share.

use crate::{
    backplane::{Message, Recipient},
    cluster::Presence,
    drain::Drain,
    hall::Hall,
    settings::Settings,
};
use futures_util::future::BoxFuture;
use quorate_model::{NodeName, UserId};
use quorate_telemetry::gateway::GatewayCounters;
use std::sync::Arc;

/// Shared by all sessions.
pub struct Desk {
    /// This gateway.
    pub node: NodeName,
    /// What the operator has decided.
    pub settings: Settings,
    /// Who is where.
    pub presence: Arc<dyn Presence>,
    /// Who is here.
    pub hall: Arc<Hall>,
    /// Brings what they say.
    pub post: Arc<dyn Post>,
    /// What is counted.
    pub counters: Arc<GatewayCounters>,
    /// Whether the node is about to end.
    pub drain: Drain,
}

/// Brings messages to wherever their recipients are.
pub trait Post: Send + Sync + 'static {
    /// Messages of one sender to one recipient arrive in the order of the calls.
    fn send(&self, message: Message) -> BoxFuture<'static, Sent>;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has come as far as its recipient's queue, or was published where nobody acknowledges.
    Delivered,
    /// It has not, or nobody knows.
    Failed,
}

impl Desk {
    /// Brings a message of one user to another one.
    pub fn send(&self, from: &UserId, to: UserId, content: Arc<str>) -> BoxFuture<'static, Sent> {
        self.post.send(Message { from: from.clone(), to: Recipient::User(to), content, id: None })
    }
}
