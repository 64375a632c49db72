//! The stream to one other node: what waits for it, what is on it, and what became of that.
//!
//! Callers put their messages into the queue; whoever carries the stream's bytes takes out all that there are, in one
//! piece. So an idle link sends a message at once, and a busy one many at a time, and no task stands in between.

mod many;
mod queued;

use super::carried;
use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, ready},
    stream,
};
use queued::{OnTheWay, Queued};
use quorate_codec::peer::{Answer, Sent, decode_answered, encode_sent};
use quorate_consensus::{
    Consensus,
    delivering::{Frames, frame},
    peer::client::CallError,
};
use quorate_gateway::backplane::{BackplaneError, Message, Taken};
use quorate_model::NodeName;
use quorate_rt::{
    rest::{Bounds, Rest},
    time::{self, Instant},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// A message is answered by then, or nobody knows what became of it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Messages that wait or are not answered. When full: busy.
const MESSAGES_MAX: usize = 16_384;
/// The same in bytes. One message always has room.
const BYTES_MAX: usize = 32 << 20;
/// No more than this is sent in one piece, one message apart.
const CHUNK_BYTES: usize = 64 << 10;
/// After a node that could not be reached, it is tried again not before a random time of this order; twice as long each
/// time, up to the longest.
const RESTS: Bounds = Bounds { shortest: Duration::from_millis(50), longest: Duration::from_secs(2) };

type Result<T> = std::result::Result<T, BackplaneError>;

/// See the module.
pub(super) struct Link {
    to: Arc<str>,
    node: NodeName,
    number: AtomicU64,
    stand: Mutex<Stand>,
    /// There is something to send, or an end to be made.
    wanted: Notify,
    /// Nothing waits any more.
    empty: Notify,
}

#[derive(Default)]
struct Stand {
    line: Line,
    waiting: VecDeque<Queued>,
    unanswered: BTreeMap<u64, OnTheWay>,
    /// Of both.
    bytes: usize,
    /// Between dials that fail.
    rest: Rest,
}

#[derive(Default)]
enum Line {
    /// Dialled when there is something to send.
    #[default]
    Idle,
    /// What is sent meanwhile waits. Who carries the bytes, if it has asked already.
    Dialling(Option<Waker>),
    /// Who carries the bytes, while there are none.
    Open(Option<Waker>),
    /// Not dialled before.
    Resting { until: Instant, why: Arc<str> },
    /// The node is about to end.
    Closed,
}

impl Link {
    /// To this node.
    pub fn new(node: NodeName) -> Self {
        Self {
            to: node.as_str().into(),
            node,
            number: AtomicU64::new(0),
            stand: Mutex::default(),
            wanted: Notify::new(),
            empty: Notify::new(),
        }
    }

    /// Sends; what comes first is sent first.
    pub fn send(&self, epoch: Option<u64>, message: &Message) -> BoxFuture<'static, Result<Taken>> {
        match self.put(epoch, message) {
            Ok(answered) => wait(self.to.clone(), answered, ANSWERED_WITHIN).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn put(&self, epoch: Option<u64>, message: &Message) -> Result<oneshot::Receiver<Result<Taken>>> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let id = message.id.as_ref().map(|id| (id.session, id.name.clone()));
        let (from, to, content) = (message.from.clone(), carried(&message.to), message.content.clone());
        let sent = Sent { number, epoch, from, to, content, id, nth: message.nth };
        let frame = frame(&encode_sent(&sent));
        let (answer, answered) = oneshot::channel();
        let mut stand = self.lock();
        stand.check_line(&self.to)?;
        let messages = stand.waiting.len() + stand.unanswered.len();
        let bytes = stand.bytes.saturating_add(frame.len());
        if messages >= MESSAGES_MAX || (messages > 0 && bytes > BYTES_MAX) {
            return Err(BackplaneError::Busy(self.to.clone()));
        }
        stand.bytes = bytes;
        let is_for_many = epoch.is_none();
        stand.waiting.push_back(Queued { number, since: Instant::now(), frame, answer, is_for_many });
        match &mut stand.line {
            Line::Open(carrier) => {
                let carrier = carrier.take();
                drop(stand);
                carrier.into_iter().for_each(Waker::wake);
            }
            Line::Idle | Line::Resting { .. } => self.wanted.notify_one(),
            Line::Dialling(_) | Line::Closed => {}
        }
        Ok(answered)
    }

    /// Dials when there is something to send, and hears the answers; until the link is closed.
    pub async fn keep(self: Arc<Self>, consensus: Consensus) {
        loop {
            self.wanted.notified().await;
            if !self.lock().begin_dial() {
                if self.is_closed() {
                    return;
                }
                continue;
            }
            match consensus.gateway_stream(&self.node, self.clone().chunks().boxed()).await {
                Ok(frames) => {
                    self.lock().open();
                    let why = self.hear(frames).await;
                    tracing::debug!(node = %self.node, why, "the link to a gateway broke");
                    self.end(&why, Duration::ZERO);
                }
                Err(error) => {
                    tracing::debug!(node = %self.node, %error, "a gateway can't be reached");
                    let rest = self.lock().rest.next(RESTS);
                    self.end(&words(&error), rest);
                }
            }
            if self.is_closed() {
                return;
            }
        }
    }

    /// What waits, in pieces, once the stream is open. It ends with the stream.
    fn chunks(self: Arc<Self>) -> impl Stream<Item = Bytes> + Send {
        stream::poll_fn(move |context| {
            let mut stand = self.lock();
            let stand = &mut *stand;
            match &mut stand.line {
                Line::Dialling(carrier) => {
                    *carrier = Some(context.waker().clone());
                    Poll::Pending
                }
                Line::Open(carrier) => {
                    *carrier = Some(context.waker().clone());
                    let piece = stand.take();
                    if piece.is_empty() {
                        if stand.is_empty() {
                            self.empty.notify_waiters();
                        }
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(piece))
                }
                Line::Idle | Line::Resting { .. } | Line::Closed => Poll::Ready(None),
            }
        })
    }

    /// Answers, until the stream is over; why it is.
    async fn hear(&self, mut frames: Frames) -> String {
        let mut look = Box::pin(time::sleep(ANSWERED_WITHIN));
        loop {
            tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Some(Ok(frame)) => match decode_answered(&frame) {
                        Ok(answered) => self.answered(answered.number, answered.answer),
                        Err(error) => return error.to_string(),
                    },
                    Some(Err(error)) => return error.to_string(),
                    None => return "it has ended the stream".into(),
                },
                () = &mut look => {
                    // Somebody gave up on it long ago: whatever stands in the way is in the way of all others.
                    if self.lock().is_stuck() {
                        return format!("it has not answered for {:?}", ANSWERED_WITHIN * 2);
                    }
                    look = Box::pin(time::sleep(ANSWERED_WITHIN));
                }
                () = self.wanted.notified() => if self.is_closed() {
                    return "this node is about to end".into();
                },
            }
        }
    }

    fn answered(&self, number: u64, answer: Answer) {
        let taken = match answer {
            Answer::Delivered => Taken::Delivered,
            Answer::NotHere { index } => Taken::NotHere { index },
            Answer::Full => Taken::Full,
        };
        let mut stand = self.lock();
        let Some(done) = stand.unanswered.remove(&number) else { return };
        stand.bytes -= done.bytes;
        let is_empty = stand.is_empty();
        drop(stand);
        // Whoever asked may have given up.
        let _ = done.answer.send(Ok(taken));
        if is_empty {
            self.empty.notify_waiters();
        }
    }

    /// The stream is over, or there is none: everything that waits for it learns that.
    fn end(&self, why: &str, rest: Duration) {
        let why: Arc<str> = why.into();
        let mut stand = self.lock();
        if !matches!(stand.line, Line::Closed) {
            stand.line = match rest {
                Duration::ZERO => Line::Idle,
                rest => Line::Resting { until: Instant::now() + rest, why: why.clone() },
            };
        }
        let (unanswered, waiting) =
            (std::mem::take(&mut stand.unanswered), std::mem::take(&mut stand.waiting));
        stand.bytes = 0;
        drop(stand);
        for lost in unanswered.into_values() {
            let _ = lost.answer.send(Err(BackplaneError::Unreachable(self.to.clone(), why.clone())));
        }
        for kept in waiting {
            let _ = kept.answer.send(Err(BackplaneError::NotSent(self.to.clone(), why.clone())));
        }
        self.empty.notify_waiters();
    }

    /// Resolves once everything is answered for.
    pub async fn until_empty(&self) {
        loop {
            let mut emptied = Box::pin(self.empty.notified());
            // Before the look, so that what happens in between is heard.
            emptied.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Nothing is sent any more.
    pub fn close(&self) {
        let carrier = match std::mem::replace(&mut self.lock().line, Line::Closed) {
            Line::Open(carrier) | Line::Dialling(carrier) => carrier,
            Line::Idle | Line::Resting { .. } | Line::Closed => None,
        };
        carrier.into_iter().for_each(Waker::wake);
        self.wanted.notify_one();
    }

    fn is_closed(&self) -> bool {
        matches!(self.lock().line, Line::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stand {
    /// Whether anything may be sent now.
    fn check_line(&self, to: &Arc<str>) -> Result<()> {
        match &self.line {
            Line::Resting { until, why } if Instant::now() < *until => {
                Err(BackplaneError::NotSent(to.clone(), why.clone()))
            }
            Line::Closed => Err(BackplaneError::NotSent(to.clone(), "this node is about to end".into())),
            Line::Idle | Line::Dialling(_) | Line::Open(_) | Line::Resting { .. } => Ok(()),
        }
    }

    fn begin_dial(&mut self) -> bool {
        let may = !self.waiting.is_empty() && matches!(self.line, Line::Idle | Line::Resting { .. });
        if may {
            self.line = Line::Dialling(None);
        }
        may
    }

    fn open(&mut self) {
        self.rest.over();
        if let Line::Dialling(carrier) = &mut self.line {
            carrier.take().into_iter().for_each(Waker::wake);
            self.line = Line::Open(None);
        }
    }

    /// The next piece of what waits, which is on the way from now on. Empty: nothing waits.
    fn take(&mut self) -> Bytes {
        let since = Instant::now();
        let mut piece = BytesMut::new();
        let mut alone = None;
        while let Some(next) = self.waiting.front() {
            if next.is_given_up() {
                self.bytes -= next.frame.len();
                self.waiting.pop_front();
                continue;
            }
            let so_far = alone.as_ref().map_or(piece.len(), Bytes::len);
            if so_far > 0 && so_far + next.frame.len() > CHUNK_BYTES {
                break;
            }
            let Some(Queued { number, frame, answer, .. }) = self.waiting.pop_front() else { break };
            self.unanswered.insert(number, OnTheWay { bytes: frame.len(), since, answer });
            match alone.take() {
                // The only one so far is copied only if there is another one.
                None if piece.is_empty() => alone = Some(frame),
                None => piece.extend_from_slice(&frame),
                Some(first) => {
                    piece.extend_from_slice(&first);
                    piece.extend_from_slice(&frame);
                }
            }
        }
        alone.unwrap_or_else(|| piece.freeze())
    }

    fn is_stuck(&self) -> bool {
        let oldest = self.unanswered.values().next();
        oldest.is_some_and(|oldest| oldest.since.elapsed() > ANSWERED_WITHIN * 2)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.unanswered.is_empty()
    }
}

/// The answer, or that nobody knows.
async fn wait(to: Arc<str>, answered: oneshot::Receiver<Result<Taken>>, within: Duration) -> Result<Taken> {
    let unknown = |why: String| Err(BackplaneError::Unreachable(to, why.into()));
    match time::timeout(within, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => unknown("the link is gone".into()),
        Err(_) => unknown(format!("no answer within {within:?}")),
    }
}

/// What people read of an error.
fn words(error: &CallError) -> String {
    match error {
        CallError::Refused { status, .. } if *status == http::StatusCode::NOT_FOUND => {
            "no gateway runs there, or its version has none".into()
        }
        other => other.to_string(),
    }
}

#[cfg(all(test, not(madsim)))]
mod tests;
