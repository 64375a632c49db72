//! What a session of `quorate.v1` is beside its socket and its entry in presence: everything that goes with it to
//! another socket or another node.
//!
//! Pure: what is heard becomes a list of things to do, which the gateway carries out.

use super::{
    handover::Handed,
    limit,
    refusal::Refusal,
    replay::{Bounds, Elsewhere, Gap, Replay},
    rooms::Room,
    said::{Id, Said},
    seen::Seen,
    sent::{Begin, Outcome, Sent},
    token::Token,
    told::{self, Told},
    watched::{Presence, Watched},
};
use crate::{
    backplane::{Message, MessageId, Recipient},
    delivery,
};
use quorate_model::UserId;
use quorate_rt::planted::{self, Bug};
use std::{collections::BTreeSet, sync::Arc};

/// The session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    user: UserId,
    token: Token,
    replay: Replay,
    rooms: BTreeSet<Room>,
    watched: Watched,
    sent: Sent,
    /// Messages that were begun.
    begun: u64,
    seen: Seen,
    /// The client was told that its buffer is full, and has made no room since.
    told_full: bool,
    /// There was no room to tell a change of presence: whoever is watched must be looked at again.
    behind: bool,
}

/// How names begin that the gateway gives; a client's have no such letter.
pub const OURS: char = '\u{1}';

fn named_by_client(message: &Message) -> Option<&Id> {
    message.id.as_ref().map(|id| &id.name).filter(|name| !name.starts_with(OURS))
}

/// Who may broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broadcasts {
    /// Nobody.
    #[default]
    Off,
    /// Every registered client of `quorate.v1`.
    Everybody,
}

/// What a gateway does about what it heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// Tell the client.
    Tell(Arc<str>),
    /// Bring a message to its recipient, and say how that [ended](Extended::ended).
    Bring(Arc<Message>),
    /// The room gets a member.
    Join(Room),
    /// The room loses a member.
    Leave(Room),
    /// Look who of these is there, [tell](Extended::looked_first), and keep telling.
    Watch(Option<Id>, Vec<UserId>),
    /// Nobody asks for these any more.
    Unwatch(Vec<UserId>),
    /// Look again at whoever is watched: there is room again.
    LookAgain,
    /// The session is over: its client said so.
    End,
}

impl Extended {
    /// From its beginning.
    pub fn new(user: UserId, token: Token, bounds: Bounds) -> Self {
        Self {
            user,
            token,
            replay: Replay::new(bounds),
            rooms: BTreeSet::new(),
            watched: Watched::default(),
            sent: Sent::default(),
            begun: 0,
            seen: Seen::default(),
            told_full: false,
            behind: false,
        }
    }

    /// Whose it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// What its client shows to have it back.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The rooms that it is in.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter()
    }

    /// Whom it watches.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Something was said.
    pub fn hear(&mut self, said: Said, broadcasts: Broadcasts) -> Vec<Do> {
        match said {
            Said::Register { .. } | Said::Resume { .. } => refuse(None, &Refusal::RegisteredAlready),
            Said::Ping => tell(Told::Pong.text()),
            Said::Message { id, to, content } => self.begin(id, Recipient::User(to), content),
            Said::Broadcast { id, .. } if broadcasts == Broadcasts::Off => {
                refuse(id.as_ref(), &Refusal::BroadcastNotAllowed)
            }
            Said::Broadcast { id, content } => self.begin(id, Recipient::All, content),
            Said::RoomMessage { id, room, .. } if !self.rooms.contains(&room) => {
                refuse(id.as_ref(), &Refusal::NotAMember)
            }
            Said::RoomMessage { id, room, content } => {
                self.begin(id, Recipient::Room(room.text().clone()), content)
            }
            Said::Join { id, room } => self.join(id.as_ref(), room),
            Said::Leave { id, room } => {
                let left = self.rooms.remove(&room).then_some(Do::Leave(room));
                left.into_iter().chain(acked(id.as_ref())).collect()
            }
            Said::Subscribe { id, users } => match self.watched.admit(&users) {
                Ok(()) => vec![Do::Watch(id, users)],
                Err(refusal) => refuse(id.as_ref(), &refusal),
            },
            Said::Unsubscribe { id, users } => {
                users.iter().for_each(|user| self.watched.forget(user));
                [Do::Unwatch(users)].into_iter().chain(acked(id.as_ref())).collect()
            }
            Said::Ack { seq } => self.ack(seq),
            Said::Bye => vec![Do::End],
        }
    }

    fn begin(&mut self, id: Option<Id>, to: Recipient, content: Arc<str>) -> Vec<Do> {
        let begin = id.as_ref().map_or(Begin::New, |id| self.sent.begin(id));
        match begin {
            Begin::New => {
                let session = self.token.connection;
                let id = id.map(|name| MessageId { session, name });
                self.begun += 1;
                vec![Do::Bring(Message { from: self.user.clone(), to, content, id, nth: self.begun }.into())]
            }
            Begin::Underway => Vec::new(),
            Begin::Done => acked(id.as_ref()).into_iter().collect(),
            Begin::Busy => refuse(id.as_ref(), &Refusal::Busy),
        }
    }

    fn join(&mut self, id: Option<&Id>, room: Room) -> Vec<Do> {
        if !self.rooms.contains(&room) && self.rooms.len() >= limit::ROOMS_MAX {
            return refuse(id, &Refusal::TooManyRooms);
        }
        self.rooms.insert(room.clone());
        [Do::Join(room)].into_iter().chain(acked(id)).collect()
    }

    fn ack(&mut self, seq: u64) -> Vec<Do> {
        if self.replay.ack(seq).is_err() {
            return refuse(None, &Refusal::NeverSent);
        }
        self.told_full = false;
        if std::mem::take(&mut self.behind) { vec![Do::LookAgain] } else { Vec::new() }
    }

    /// A message that was to be brought has ended so: what the client is told of it. Success without an id is silence.
    pub fn ended(&mut self, message: &Message, outcome: delivery::Outcome) -> Option<Arc<str>> {
        let id = named_by_client(message);
        let is_sent = outcome.is_sent() || planted::is(Bug::UntakenIsAcked);
        let ended = match outcome {
            _ if is_sent => Outcome::Done,
            delivery::Outcome::Unknown => Outcome::Unknown,
            _ => Outcome::Failed,
        };
        match id.map_or(ended, |id| self.sent.end(id, ended)) {
            Outcome::Done => id.map(|id| Told::Ack { id }.text().into()),
            Outcome::Unknown => Some(told::error(id, &Refusal::Unknown).into()),
            Outcome::Failed => Some(told::error(id, &Refusal::NotDelivered).into()),
        }
    }

    /// A message that could not even begin: there is too much under way.
    pub fn not_begun(&mut self, message: &Message) -> Arc<str> {
        let id = named_by_client(message);
        if let Some(id) = id {
            self.sent.end(id, Outcome::Failed);
        }
        told::error(id, &Refusal::Busy).into()
    }

    /// Whether another message may be [delivered](Self::deliver). Where not, it waits in the session's queue, and when
    /// that is full as well its sender is told.
    pub fn has_room(&self) -> bool {
        self.replay.has_room()
    }

    /// There is no room, and the client has not been told since it made some the last time.
    pub fn full_notice(&mut self) -> Option<Arc<str>> {
        let is_new = !self.has_room() && !std::mem::replace(&mut self.told_full, true);
        is_new.then(|| told::error(None, &Refusal::ReplayFull).into())
    }

    /// A message for this session: the frame that its client is to get. It is kept until the client acknowledges it. Ask
    /// [for room](Self::has_room) first; the last one may be larger than what is left.
    ///
    /// `None`: it has come before.
    pub fn deliver(&mut self, message: &Message) -> Option<Arc<str>> {
        if message.id.as_ref().is_some_and(|id| self.seen.has(id)) {
            return None;
        }
        let (from, content) = (message.from.as_str(), &*message.content);
        let frame = self.replay.keep(|seq| match &message.to {
            Recipient::User(_) => Told::Message { seq, from, content }.text(),
            Recipient::All => Told::Broadcast { seq, from, content }.text(),
            Recipient::Room(room) => Told::RoomMessage { seq, room, from, content }.text(),
        });
        Some(frame)
    }

    /// Answer to a subscription, from a look at presence.
    pub fn looked_first(&mut self, id: Option<&Id>, index: u64, look: &[(UserId, Presence)]) -> Arc<str> {
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for (user, presence) in look {
            match self.watched.set(user.clone(), *presence, index) {
                Presence::Online => online.push(user),
                Presence::Offline => offline.push(user),
            }
        }
        let (online, offline) = (told::names(online), told::names(offline));
        Told::Presence { id: id.map(|id| &**id), index, online, offline }.text().into()
    }

    /// A look at presence, because something changed: the frames that the client is to get.
    pub fn looked(&mut self, index: u64, look: &[(UserId, Presence)]) -> Vec<Arc<str>> {
        let mut frames = Vec::new();
        for (user, presence) in look {
            if !self.watched.differs(user, *presence, index) {
                continue;
            }
            let name = user.as_str();
            if !self.has_room() {
                // What is not told stays a difference, and is told once there is room.
                self.behind = true;
                break;
            }
            frames.push(self.replay.keep(|seq| match presence {
                Presence::Online => Told::Joined { seq, user: name, index }.text(),
                Presence::Offline => Told::Left { seq, user: name, index }.text(),
            }));
            self.watched.set(user.clone(), *presence, index);
        }
        frames
    }

    /// The client is back and has processed everything up to `seq`: what it is sent first. `refused`: how many messages
    /// its queue had no room for meanwhile; `epoch`: its number in the log.
    pub fn resume(&mut self, seq: u64, refused: u64, epoch: Option<u64>) -> Result<Vec<Arc<str>>, Elsewhere> {
        let mut kept = self.replay.resume(seq)?;
        if planted::is(Bug::NothingIsReplayed) {
            kept.clear();
        }
        self.told_full = false;
        let sent = self.replay.sent();
        let resumed = told::resumed(sent, self.token.connection, epoch, refused);
        Ok([resumed.into()].into_iter().chain(kept).chain(self.full_notice()).collect())
    }

    /// For another gateway; with what its queue has refused and the client was not told.
    pub fn hand_over(&self, refused: u64) -> Handed {
        Handed {
            user: self.user.clone(),
            token: self.token,
            next: self.replay.sent() + 1,
            kept: self.replay.kept().cloned().collect(),
            refused,
            rooms: self.rooms.iter().cloned().collect(),
            watched: self.watched.clone(),
            done: self.sent.done(),
            doubtful: self.sent.doubtful(),
            begun: self.begun,
            latest: Vec::new(),
            seen: self.seen.iter().cloned().collect(),
        }
    }

    /// From another gateway.
    pub fn taken_over(handed: Handed, bounds: Bounds) -> Result<Self, Gap> {
        let Handed { user, token, next, kept, rooms, watched, done, doubtful, begun, seen, .. } = handed;
        Ok(Self {
            user,
            token,
            replay: Replay::taken_over(next, kept, bounds)?,
            rooms: rooms.into_iter().collect(),
            watched,
            sent: Sent::taken_over(done, doubtful),
            begun,
            seen: seen.into_iter().collect(),
            told_full: false,
            behind: true,
        })
    }
}

fn tell(text: String) -> Vec<Do> {
    vec![Do::Tell(text.into())]
}

fn refuse(id: Option<&Id>, refusal: &Refusal) -> Vec<Do> {
    tell(told::error(id, refusal))
}

fn acked(id: Option<&Id>) -> Option<Do> {
    id.map(|id| Do::Tell(Told::Ack { id }.text().into()))
}
