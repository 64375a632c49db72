//! An answer that was worth another attempt, while that is made.
//!
//! When the last attempt ends without an answer, a worker's own word says more than ours: its body may have the reason.
//! So the answer is held, unread, until another one has come. That costs no memory that it had not taken already. A
//! small one, which came with its head, has its connection back in the pool by now; a larger one keeps its connection,
//! which no worker but this one, that gets the request no more, could have had.
//!
//! Two things are not held. Where some of the request's body is still on its way, the connection would go on reading
//! what the next attempt reads. And whoever waits in line for another worker's connections keeps none of this one's:
//! two requests, each with the connection that the other one waits for, would wait for nothing.

use super::{Arrived, Forwarded, Forwarding};
use crate::{
    client::{Client, Upload},
    decide::Destination,
    http1::AnswerBody,
    routes::Finish,
};
use http::{HeaderValue, Response};
use std::sync::{Arc, PoisonError};

/// The answer, ready to be passed on.
pub(super) struct Held {
    answer: Response<AnswerBody>,
    index: HeaderValue,
    finish: Finish,
}

impl Held {
    /// What came of an attempt at `from`, decided at an index; `None`: it is given up.
    pub fn of(
        arrived: Arrived,
        (from, index): (Destination, HeaderValue),
        client: &Arc<Client>,
    ) -> Option<Box<Self>> {
        if client.upload_is(Upload::Running) || arrived.is_sending() {
            return None;
        }
        let finish = from.by.finish();
        Some(Box::new(Self { answer: arrived.passed_on(from, client), index, finish }))
    }
}

impl Arrived {
    /// Whether its connection has still to write some of the request.
    fn is_sending(&self) -> bool {
        matches!(self, Self::Own(_, upstream) if upstream.is_sending())
    }
}

impl From<Box<Held>> for Forwarded {
    fn from(held: Box<Held>) -> Self {
        let Held { answer, index, finish } = *held;
        Self { answer: Ok(answer), index, finish }
    }
}

impl Forwarding<'_> {
    /// Gives up a held answer that keeps a connection.
    pub(super) fn let_go(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|held| held.answer.body().is_arriving());
    }
}
