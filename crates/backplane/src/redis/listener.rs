//! Hears what others publish, and dials anew when the connection breaks.
//!
//! It waits for nobody: a message is in its place when the gateway has been given it, and whether its recipient takes it
//! is found out beside. While there is no connection, and while Redis has not been told again what to send, nothing is
//! heard, and Redis keeps nothing: that gap is in the log, and is the original's too.

use super::{BROADCAST, Line, channel, inlet::Level};
use crate::{RESTS, published::Taker};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quorate_gateway::backplane::Taken;
use quorate_model::NodeName;
use quorate_rt::{rest::Rest, time};
use redis::{Msg, aio::PubSub};
use std::{pin::pin, sync::Arc};
use tokio::sync::watch;

/// Messages whose recipients are about to come, and of which it is to be known whether they do. Of those beyond it is not
/// known: a repeat of one is taken for it.
const UNDECIDED_MAX: usize = 16_384;

/// So many messages, and others of the thread have a turn.
const TURN: usize = 64;

/// See the module.
pub(super) struct Listener {
    me: NodeName,
    line: Arc<Line>,
    taker: Taker,
    listening: watch::Sender<bool>,
    undecided: FuturesUnordered<BoxFuture<'static, Taken>>,
}

impl Listener {
    /// Tells `listening` whether it does.
    pub fn new(me: NodeName, line: Arc<Line>, taker: Taker, listening: watch::Sender<bool>) -> Self {
        Self { me, line, taker, listening, undecided: FuturesUnordered::new() }
    }

    /// Until `stop`.
    pub async fn listen(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.listen_for_ever() => {}
        }
    }

    async fn listen_for_ever(&mut self) {
        let channels = [channel(self.me.as_str()), BROADCAST.to_owned()];
        let (mut rest, mut is_told, mut was_brief) = (Rest::default(), false, false);
        loop {
            match self.line.server().listen(&channels).await {
                Ok((listener, level)) => {
                    self.listening.send_replace(true);
                    let is_repeat = was_brief;
                    was_brief = self.hear_as_long_as_it_lasts(listener, &level, is_repeat).await;
                    self.listening.send_replace(false);
                    if !(was_brief && is_repeat) {
                        tracing::warn!(
                            "the connection to Redis is gone: what others publish meanwhile is lost"
                        );
                    }
                    if !was_brief {
                        rest.over();
                        is_told = false;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(redis = %self.line.server().address, %error, "other gateways can't be heard");
                    }
                }
            }
            time::sleep(rest.next(RESTS)).await;
        }
    }

    /// Whether it was brief. A Redis that takes connections and drops them is dialled as rarely as one that takes none,
    /// and it is not told each time: `is_repeat`, the one before was brief, too.
    async fn hear_as_long_as_it_lasts(&mut self, listener: PubSub, level: &Level, is_repeat: bool) -> bool {
        let line = self.line.clone();
        let say = || tracing::info!(redis = %line.server().address, "listening to other gateways");
        if !is_repeat {
            say();
        }
        let mut hearing = pin!(self.hear(listener, level));
        if time::timeout(RESTS.longest, &mut hearing).await.is_ok() {
            return true;
        }
        if is_repeat {
            say();
        }
        hearing.await;
        false
    }

    /// Until the connection is gone.
    async fn hear(&mut self, mut listener: PubSub, level: &Level) {
        let mut messages = listener.on_message();
        for number in 1_usize.. {
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
            let read = level.read();
            // Not the runtime's answer, which after a while is that nothing is there, so that others have a turn.
            let message = match tokio::task::unconstrained(messages.next()).now_or_never() {
                Some(message) => message,
                None => {
                    level.is_empty_since(read);
                    tokio::select! {
                        biased;
                        Some(_) = self.undecided.next(), if !self.undecided.is_empty() => continue,
                        message = messages.next() => message,
                    }
                }
            };
            level.is_busy();
            let Some(message) = message else { return };
            self.take(&message);
        }
    }

    fn take(&mut self, message: &Msg) {
        let Some(message) = self.taker.read(message.get_payload_bytes()) else { return };
        while let Some(Some(_)) = self.undecided.next().now_or_never() {}
        let mut taken = self.taker.put(message);
        if (&mut taken).now_or_never().is_none() && self.undecided.len() < UNDECIDED_MAX {
            self.undecided.push(taken);
        }
    }
}
