//! Messages of users on their way between gateways. `S` is borrowed to write and owned to read: the bytes are the same.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Sent<S> {
    pub(crate) number: u64,
    pub(crate) epoch: Option<u64>,
    pub(crate) from: S,
    pub(crate) to: To<S>,
    pub(crate) content: S,
    pub(crate) id: Option<MessageId<S>>,
    pub(crate) nth: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MessageId<S> {
    pub(crate) session: u128,
    pub(crate) name: S,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum To<S> {
    User(S),
    All,
    Room(S),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) number: u64,
    pub(crate) answer: Answer,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Delivered,
    NotHere { index: u64 },
    Full,
}
