//! What other gateways send comes in here, and is answered.

use super::recipient;
use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, ready},
    stream::FuturesUnordered,
};
use quorate_codec::peer::{Answer, Answered, Sent, To, decode_sent, encode_answered};
use quorate_consensus::{
    Door,
    delivering::{Chunks, Frames, frame},
};
use quorate_gateway::{
    backplane::{Inbox, Message, MessageId, Taken},
    repeats::{Known, Repeat, Repeats},
};
use quorate_model::NodeId;
use quorate_rt::published::Published;
use quorate_state::View;
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

/// Messages of one stream that are not answered. When full the next one is read once one of them is: the sender has a
/// bound of its own, and says that it is busy.
const TAKING_MAX: usize = 4_096;
/// Answers are sent once they are as long as this, or nothing more is there to be read.
const CHUNK_BYTES: usize = 16 << 10;

/// See the module.
pub(super) struct GatewayDoor {
    view: Arc<Published<View>>,
    inbox: Mutex<Option<Arc<dyn Inbox>>>,
    repeats: Arc<Mutex<Repeats>>,
    /// By node, how many streams it has opened.
    opened: Mutex<BTreeMap<NodeId, Arc<AtomicU64>>>,
}

impl GatewayDoor {
    /// Closed: nobody is here.
    pub fn new(view: Arc<Published<View>>) -> Self {
        Self { view, inbox: Mutex::default(), repeats: Arc::default(), opened: Mutex::default() }
    }

    /// What comes goes into `inbox`.
    pub fn open(&self, inbox: Arc<dyn Inbox>) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(inbox);
    }

    /// Nobody is here any more.
    pub fn close(&self) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl GatewayDoor {
    fn take(&self, sent: Sent) -> BoxFuture<'static, Answer> {
        let Sent { epoch, from, to, content, id, nth, number: _ } = sent;
        let Some(inbox) = self.inbox() else {
            return ready(Answer::NotHere { index: self.view.get().index().0 }).boxed();
        };
        let is_for_many = !matches!(to, To::User(_));
        let id = id.map(|(session, name)| MessageId { session, name });
        let known = id.clone().map(|id| Repeat { from: from.clone(), id, epoch });
        if let Some(repeat) = &known {
            match self.repeats.lock().unwrap_or_else(PoisonError::into_inner).begin(repeat) {
                Known::New => {}
                Known::Taken => return ready(Answer::Delivered).boxed(),
                // What becomes of the first one nobody knows yet; it is not put twice.
                Known::UnderWay => return ready(Answer::Full).boxed(),
            }
        }
        let message = Arc::new(Message { from, to: recipient(to), content, id, nth });
        let taken = if is_for_many {
            inbox.take_broadcast(message);
            ready(Taken::Delivered).boxed()
        } else {
            inbox.take(epoch, message)
        };
        let repeats = self.repeats.clone();
        async move {
            let answer = match taken.await {
                Taken::Delivered | Taken::Published => Answer::Delivered,
                Taken::NotHere { index } => Answer::NotHere { index },
                Taken::Full => Answer::Full,
            };
            if let Some(repeat) = known {
                let is_taken = answer == Answer::Delivered;
                repeats.lock().unwrap_or_else(PoisonError::into_inner).end(&repeat, is_taken);
            }
            answer
        }
        .boxed()
    }
}

/// The door as consensus has it: shared, since streams outlive the call.
impl Door for GatewayDoor {
    fn converse(self: Arc<Self>, from: NodeId, frames: Frames) -> Chunks {
        let opened =
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).entry(from).or_default().clone();
        let nth = opened.fetch_add(1, Ordering::AcqRel) + 1;
        let taking = FuturesUnordered::new();
        let (frames, answers) = (Some(frames), BytesMut::new());
        Conversation { door: self, from, opened, nth, frames, taking, answers }.boxed()
    }

    fn asked(&self, question: Bytes) -> BoxFuture<'static, Vec<u8>> {
        match self.inbox() {
            Some(inbox) => inbox.asked(question.into()),
            None => ready(Vec::new()).boxed(),
        }
    }
}

/// One stream. Messages are taken in their order; answers go back as they come.
struct Conversation {
    door: Arc<GatewayDoor>,
    from: NodeId,
    /// How many streams the node has opened, and which of them this is. A newer one was opened after this one had ended
    /// there: what the network still brings of this one was given up, and would come behind what was said since.
    opened: Arc<AtomicU64>,
    nth: u64,
    /// `None`: over.
    frames: Option<Frames>,
    taking: FuturesUnordered<BoxFuture<'static, Answered>>,
    answers: BytesMut,
}

impl Conversation {
    fn answer(&mut self, answered: Answered) {
        self.answers.extend_from_slice(&frame(&encode_answered(answered)));
    }

    /// Takes what is there. Most is answered at once, and never waits in line with what is not.
    fn read(&mut self, context: &mut Context<'_>) {
        while self.taking.len() < TAKING_MAX && self.answers.len() < CHUNK_BYTES {
            let Some(frames) = &mut self.frames else { return };
            let Poll::Ready(next) = frames.poll_next_unpin(context) else { return };
            if self.opened.load(Ordering::Acquire) != self.nth {
                self.frames = None;
                return;
            }
            let sent = match next {
                Some(Ok(frame)) => decode_sent(&frame),
                Some(Err(_)) | None => {
                    self.frames = None;
                    return;
                }
            };
            let sent = match sent {
                Ok(sent) => sent,
                Err(error) => {
                    tracing::warn!(from = %self.from, %error, "a gateway's stream is ended");
                    self.frames = None;
                    return;
                }
            };
            let number = sent.number;
            let mut answer = self.door.take(sent);
            match answer.as_mut().poll(context) {
                Poll::Ready(answer) => self.answer(Answered { number, answer }),
                Poll::Pending => {
                    self.taking.push(async move { Answered { number, answer: answer.await } }.boxed());
                }
            }
        }
    }
}

impl Stream for Conversation {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        this.read(context);
        while let Poll::Ready(Some(answered)) = this.taking.poll_next_unpin(context) {
            this.answer(answered);
        }
        if !this.answers.is_empty() {
            return Poll::Ready(Some(this.answers.split().freeze()));
        }
        if this.frames.is_none() && this.taking.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}
