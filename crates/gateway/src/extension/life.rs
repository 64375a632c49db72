//! The life of one session, with a socket or without.
//!
//! One task at a time has it: that of its socket; when that is gone, one of its own until the window is over; then that of
//! the next socket. So nothing of it is shared, and what happens to it happens in one order.

mod moving;
mod place;

use super::{
    extended::{Do, Extended},
    handover::Answer,
    home::{Change, Home},
    refusal::Refusal,
    said::{self, Said, Standing},
    shared::{Ask, Entry},
    told,
    watched::Presence,
};
use crate::{
    backplane::{Message, MessageId},
    cluster::Lost,
    desk::Desk,
    hall::Mailbox,
    lanes::{Decided, LaneLimits, Lanes},
    session::Session,
    wire::{Closing, End, Heard, Wire},
};
use futures_util::FutureExt;
use quorate_model::{NodeName, UserId};
use quorate_rt::{
    rng,
    time::{self, Duration, Instant},
};
use quorate_telemetry::gateway::MessageOutcome;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::mpsc;

/// Messages that are written before anything else is looked at.
const BATCH: usize = 64;
/// What waits for a client that is sent away in order is sent within this time.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);

/// A session.
pub struct Life {
    desk: Arc<Desk>,
    home: Home,
    mailbox: Arc<Mailbox>,
    extended: Extended,
    lanes: Lanes,
    entry: Entry,
    asks: mpsc::Receiver<Ask>,
    /// To which node it may move, since when.
    promised: Option<(NodeName, Instant)>,
}

/// Why a session has no socket any more.
pub enum Finish {
    /// The socket ended. The session goes on.
    Wire(End),
    /// Somebody asks for it who has shown its token.
    Asked(Ask),
    /// The node is about to end.
    Draining,
    /// The session is over.
    Over(End),
}

enum Step {
    Ask(Ask),
    Change(Change),
    Decided(Decided),
    Deliver(Arc<Message>),
    Look(Vec<UserId>),
    Heard(Heard),
}

impl Life {
    /// Of a session that stands in presence.
    pub fn new(
        desk: &Arc<Desk>,
        session: Session,
        extended: Extended,
        (entry, asks): (Entry, mpsc::Receiver<Ask>),
    ) -> Self {
        let lanes = Lanes::new(desk.courier.clone(), LaneLimits::default());
        let mailbox = session.mailbox().clone();
        let home = Home::Held(Box::new(session));
        let mut life =
            Self { desk: desk.clone(), home, mailbox, extended, lanes, entry, asks, promised: None };
        let rooms: Vec<_> = life.extended.rooms().cloned().collect();
        rooms.iter().for_each(|room| life.join(room));
        life.entry.watch(life.extended.watched().users());
        life
    }

    fn join(&self, room: &super::rooms::Room) {
        self.desk.hall.rooms().join(room, self.extended.token().connection, &self.mailbox);
    }

    fn leave_rooms(&self) {
        let mut rooms = self.desk.hall.rooms();
        for room in self.extended.rooms() {
            rooms.leave(room, self.extended.token().connection, &self.mailbox);
        }
    }

    /// The client is back on another socket: what it is sent first.
    pub fn resume(&mut self, seq: u64) -> Result<Vec<Arc<str>>, super::replay::Elsewhere> {
        let refused = self.mailbox.refused.load(Ordering::Relaxed);
        let frames = self.extended.resume(seq, refused, self.home.epoch())?;
        self.mailbox.refused.fetch_sub(refused, Ordering::Relaxed);
        self.stay();
        Ok(frames)
    }

    /// Adds what was refused, and not told, where the session came from.
    pub fn add_refused(&self, refused: u64) {
        self.mailbox.refused.fetch_add(refused, Ordering::Relaxed);
    }

    /// Presence may have changed on the way here.
    pub fn look_at_all(&mut self) -> Vec<Arc<str>> {
        let users: Vec<_> = self.extended.watched().users().cloned().collect();
        self.look(&users)
    }

    /// On a socket, until either ends.
    pub async fn attached(&mut self, wire: &mut Wire) -> Finish {
        let (turn, mailbox) = (self.desk.drain.clone().turn(), self.mailbox.clone());
        tokio::pin!(turn);
        loop {
            let step = tokio::select! {
                biased;
                () = &mut turn => return Finish::Draining,
                () = mailbox.overflowed.notified() => return Finish::Wire(End::Slow),
                step = self.next(Some(wire)) => step,
            };
            let frames = match step.and_then(|step| self.take(step, Some(wire))) {
                Ok(frames) => frames,
                Err(finish) => return finish,
            };
            if let Err(finish) = self.write(wire, frames, &mut turn).await {
                return finish;
            }
        }
    }

    /// A write may stand still for long; whoever asks, and the end of the node, need not. What is given up here is kept.
    async fn write(
        &mut self,
        wire: &mut Wire,
        frames: Vec<Arc<str>>,
        turn: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(), Finish> {
        let (written, mailbox) = (write(wire, frames), self.mailbox.clone());
        tokio::pin!(written);
        loop {
            tokio::select! {
                biased;
                Some(ask) = self.asks.recv() => if let Some(ask) = self.unless_stale(ask) {
                    return Err(Finish::Asked(ask));
                },
                // Not in order: a frame behind one that was given up would be taken for the next one.
                () = &mut *turn => return Err(Finish::Wire(End::Draining)),
                () = mailbox.overflowed.notified() => return Err(Finish::Wire(End::Slow)),
                written = &mut written => return written.map_err(Finish::Wire),
            }
        }
    }

    /// Nothing is lost if nobody waits any more.
    async fn next(&mut self, wire: Option<&mut Wire>) -> Result<Step, Finish> {
        let Self { home, mailbox, extended, lanes, entry, asks, .. } = self;
        let (has_room, may_speak) = (extended.has_room(), lanes.len() < LaneLimits::default().messages);
        tokio::select! {
            biased;
            Some(ask) = asks.recv() => Ok(Step::Ask(ask)),
            change = home.changes() => Ok(Step::Change(change)),
            decided = lanes.next() => Ok(Step::Decided(decided)),
            heard = hear(wire), if may_speak => heard.map(Step::Heard).map_err(Finish::Wire),
            users = entry.changed().next() => Ok(Step::Look(users)),
            message = mailbox.queue.next(), if has_room => Ok(Step::Deliver(message)),
        }
    }

    /// What a client is told of it.
    fn take(&mut self, step: Step, wire: Option<&mut Wire>) -> Result<Vec<Arc<str>>, Finish> {
        Ok(match step {
            Step::Ask(ask) => match self.unless_stale(ask) {
                Some(ask) => return Err(Finish::Asked(ask)),
                None => Vec::new(),
            },
            Step::Change(change) => {
                self.change(change)?;
                Vec::new()
            }
            Step::Decided(decided) => self.decide(&decided).into_iter().collect(),
            Step::Deliver(first) => self.deliver(first),
            Step::Look(users) => self.look(&users),
            Step::Heard(heard) => return self.hear(&heard, wire),
        })
    }

    fn decide(&mut self, decided: &Decided) -> Option<Arc<str>> {
        let outcome =
            if decided.outcome.is_sent() { MessageOutcome::Delivered } else { MessageOutcome::Failed };
        self.desk.counters.count_message(outcome);
        self.extended.ended(&decided.message, decided.outcome)
    }

    /// As much as is there and has room.
    fn deliver(&mut self, first: Arc<Message>) -> Vec<Arc<str>> {
        let (mut frames, mut next) = (Vec::new(), Some(first));
        while let Some(message) = next {
            frames.extend(self.extended.deliver(&message));
            let goes_on = frames.len() < BATCH && self.extended.has_room();
            next = if goes_on { self.mailbox.queue.take() } else { None };
        }
        frames.extend(self.extended.full_notice());
        frames
    }

    fn look(&mut self, users: &[UserId]) -> Vec<Arc<str>> {
        let (index, look) = look(&self.desk, users);
        self.extended.looked(index, &look)
    }

    fn hear(&mut self, heard: &Heard, wire: Option<&mut Wire>) -> Result<Vec<Arc<str>>, Finish> {
        let read = std::str::from_utf8(heard.bytes()).map_err(|_| (None, Refusal::Format));
        let said = match read.and_then(|text| said::read(text, Standing::Registered)) {
            Ok(said) => said,
            Err((id, refusal)) => return Ok(vec![told::error(id.as_ref(), &refusal).into()]),
        };
        if let (Said::Ping, Some(wire)) = (&said, wire) {
            wire.pinged();
        }
        let mut frames = Vec::new();
        for todo in self.extended.hear(said, self.desk.settings.extension.broadcasts) {
            match todo {
                Do::Tell(frame) => frames.push(frame),
                Do::Bring(message) => frames.extend(self.bring(message)),
                Do::Join(room) => self.join(&room),
                Do::Leave(room) => {
                    self.desk.hall.rooms().leave(&room, self.extended.token().connection, &self.mailbox)
                }
                Do::Watch(id, users) => {
                    // Before the look: what changes behind it is told.
                    self.entry.watch(&users);
                    let (index, look) = look(&self.desk, &users);
                    frames.push(self.extended.looked_first(id.as_ref(), index, &look));
                }
                Do::Unwatch(users) => self.entry.unwatch(&users),
                Do::LookAgain => frames.extend(self.look_at_all()),
                Do::End => return Err(Finish::Over(End::Refused(closing(1000, "bye")))),
            }
        }
        Ok(frames)
    }

    fn bring(&mut self, message: Arc<Message>) -> Option<Arc<str>> {
        if !self.home.is_held() {
            return self.extended.ended(&message, crate::delivery::Outcome::Unreachable);
        }
        let message = if message.id.is_none() { self.named(&message) } else { message };
        self.lanes.push(message).err().map(|message| self.extended.not_begun(&message))
    }

    /// What goes to many may come to a session on two ways while it moves, and what goes to one may come late: it has a name
    /// to be told by.
    fn named(&self, message: &Message) -> Arc<Message> {
        let name = format!("{}{:x}{:x}", super::extended::OURS, rng::random_u64(), rng::random_u64());
        let id = MessageId { session: self.extended.token().connection, name: name.into() };
        Arc::new(Message { id: Some(id), ..message.clone() })
    }

    /// Without a socket, until it is asked for or its window is over.
    pub async fn detached(mut self, first: Option<Ask>) {
        let window = self.desk.settings.extension.window;
        let turn = self.desk.drain.clone().turn();
        let over = time::sleep(window);
        tokio::pin!(turn, over);
        let (mut asked, mut room) = (first, None);
        loop {
            match asked.take() {
                Some(Ask::Claim(claim)) => match claim.send(Box::new(self)) {
                    Ok(()) => return,
                    // Whoever claimed it has left.
                    Err(back) => self = *back,
                },
                Some(Ask::Prepare(node, answer)) => self.prepare(node, answer),
                Some(Ask::Give(_, index, answer)) if self.is_back_since(index).await => {
                    self.promised = None;
                    let _ = answer.send(Answer::Unknown);
                }
                Some(Ask::Give(node, index, answer)) => return self.give(node, index, answer).await,
                Some(Ask::Forget(..)) | None => {}
            }
            // Not before: whoever has asked already takes no room here, or not for long.
            if room.is_none() {
                room = self.desk.extension.detach(self.desk.settings.extension.detached_max);
                match (&room, self.promised_now()) {
                    (Some(_), _) => over.set(time::sleep(window)),
                    (None, Some(_)) => over.set(time::sleep(moving::PROMISED_FOR)),
                    (None, None) => return self.end().await,
                }
            }
            let step = tokio::select! {
                biased;
                () = &mut turn => return self.move_away().await,
                step = self.next(None) => step,
                // Whoever is just about to take it must find it.
                () = &mut over => match self.promised_now() {
                    Some(_) => {
                        over.set(time::sleep(moving::PROMISED_FOR));
                        continue;
                    }
                    None => return self.end().await,
                },
            };
            // Whom it would be told to is not there: what is numbered is kept.
            match step.and_then(|step| self.take(step, None)) {
                Ok(_) => {}
                Err(Finish::Asked(ask)) => asked = Some(ask),
                Err(Finish::Wire(_) | Finish::Draining | Finish::Over(_)) => return self.end().await,
            }
        }
    }

    /// What waits is written while the socket still takes it.
    pub async fn flush(&mut self, wire: &mut Wire) {
        let flushed = async {
            while self.extended.has_room() {
                let Some(first) = self.mailbox.queue.take() else { break };
                let frames = self.deliver(first);
                write(wire, frames).await?;
            }
            Ok::<_, End>(())
        };
        let _ = time::timeout(FLUSHED_WITHIN, flushed).await;
    }

    /// The window begins anew with each socket: stale signs of a full queue are not this one's.
    pub fn forget_overflow(&self) {
        let _ = self.mailbox.overflowed.notified().now_or_never();
    }

    /// Ends it: presence knows, as far as it can be asked.
    pub async fn end(mut self) {
        self.home.end().await;
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.leave_rooms();
    }
}

async fn hear(wire: Option<&mut Wire>) -> Result<Heard, End> {
    match wire {
        Some(wire) => wire.hear().await,
        None => std::future::pending().await,
    }
}

/// All of them, and then they are sent on their way at once.
pub async fn write(wire: &mut Wire, frames: Vec<Arc<str>>) -> Result<(), End> {
    if frames.is_empty() {
        return Ok(());
    }
    for frame in frames {
        wire.add(&*frame).await?;
    }
    wire.flush().await
}

/// Who of these is there, as of one entry of the log.
fn look(desk: &Desk, users: &[UserId]) -> (u64, Vec<(UserId, Presence)>) {
    let (index, online) = desk.presence.look(users);
    let presence = |is_online: &bool| if *is_online { Presence::Online } else { Presence::Offline };
    (index, users.iter().cloned().zip(online.iter().map(presence)).collect())
}

/// A goodbye of this dialect's own.
pub fn closing(code: u16, reason: &str) -> Closing {
    Closing { code, reason: reason.to_owned() }
}
