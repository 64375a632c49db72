//! What two gateways say to each other about a session that moves.
//!
//! The one that the client came back to asks the one that holds the session, in two steps:
//!
//! 1. *prepare*: is this token good? The holder lets go of the socket that it may still have. The session stays, and
//!    takes messages.
//! 2. The asking node opens the user's session in presence, under the same connection id. From now on it takes messages
//!    too, and keeps them back.
//! 3. *give*, with the log index of that: once the holder has applied as far it hands the session over, and answers
//!    `NotHere` from then on, with an index at which presence names the new holder. So a message comes to the one or to
//!    the other, and none to neither.
//!
//! What the holder hands over goes first, what was kept back behind it: for one sender that is the order in which it
//! said them.
//!
//! Answers get lost, so each question may be asked again and is answered as before. A holder keeps what it has given,
//! unchanged, until the new one says that it has it (*forget*), or for longer than that one asks; and the node that has
//! begun to take a session goes on asking, whether or not the client still waits, and though it is about to end itself:
//! the session would be nowhere.
//!
//! A node that ends asks another one to *adopt* each of its sessions, which that one does by the same two steps.

use super::{
    replay::Kept,
    rooms::Room,
    said::Id,
    token::Token,
    watched::{Presence, Watched},
};
use crate::backplane::MessageId;
use quorate_model::{ConnectionId, NodeName, UserId};
use quorate_rt::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Of these documents. A gateway that does not know it says so, and the session can't move.
const VERSION: u32 = 1;

/// A holder is asked for what it gives for so long. A message that it has said still may be undecided for
/// [`DECIDED_WITHIN`] first.
pub const ASKED_FOR: Duration = Duration::from_secs(10);
/// What was said is decided within this time before a session moves.
pub const DECIDED_WITHIN: Duration = Duration::from_secs(5);
/// What was given is given again for so long.
pub const GIVEN_FOR: Duration = Duration::from_secs(15);
const _: () = assert!(ASKED_FOR.as_secs() > DECIDED_WITHIN.as_secs(), "else a slow one is never had");
const _: () = assert!(GIVEN_FOR.as_secs() > ASKED_FOR.as_secs(), "whoever asks again must find it still");

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether the session may move to this node.
    Prepare(Token, NodeName),
    /// Give it to this node, once the log is applied as far as this. Node and index tell one hand-over from another: whoever
    /// says the same again is answered the same.
    Give(Token, NodeName, u64),
    /// This node has what it was given as of this index.
    Forget(Token, NodeName, u64),
    /// Take it from that node, which ends.
    Adopt(UserId, Token, NodeName),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may; these are its rooms.
    Prepared(Vec<Room>),
    /// It is yours.
    Given(Box<Handed>),
    /// It is mine.
    Adopted,
    /// What was given is forgotten.
    Forgotten,
    /// There is no such session, or the token is somebody else's.
    Unknown,
    /// It can't be had now.
    Not(String),
}

/// A session, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Whose.
    pub user: UserId,
    /// What its client shows.
    pub token: Token,
    /// What the next delivery is numbered.
    pub next: u64,
    /// What is not acknowledged.
    pub kept: VecDeque<Kept>,
    /// How many messages were refused, and the client was not told.
    pub refused: u64,
    /// Rooms that it is in.
    pub rooms: Vec<Room>,
    /// Whom it watches, and what it was told.
    pub watched: Watched,
    /// Requests that were done.
    pub done: Vec<Id>,
    /// Requests of which nobody knows whether they were done.
    pub doubtful: Vec<Id>,
    /// How many messages were begun.
    pub begun: u64,
    /// By each session that spoke to it, the latest that came.
    pub latest: Vec<(ConnectionId, u64)>,
    /// Messages that it has taken.
    pub seen: Vec<MessageId>,
}

/// It is no such document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no question or answer about a session: {0}")]
pub struct Unreadable(String);

fn unreadable(why: impl ToString) -> Unreadable {
    Unreadable(why.to_string())
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    says: T,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum AskWire {
    Prepare { token: String, by: String },
    Give { token: String, by: String, index: u64 },
    Forget { token: String, by: String, index: u64 },
    Adopt { user: String, token: String, from: String },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum AnswerWire {
    Prepared { rooms: Vec<String> },
    Given(Box<HandedWire>),
    Adopted,
    Forgotten,
    Unknown,
    Not { why: String },
}

#[derive(Serialize, Deserialize)]
struct HandedWire {
    user: String,
    token: String,
    next: u64,
    kept: Vec<(u64, String)>,
    refused: u64,
    rooms: Vec<String>,
    watched: Vec<(String, bool, u64)>,
    done: Vec<String>,
    doubtful: Vec<String>,
    begun: u64,
    latest: Vec<(String, u64)>,
    seen: Vec<(String, String)>,
}

fn write(says: impl Serialize) -> Vec<u8> {
    serde_json::to_vec(&Envelope { v: VERSION, says }).expect("a document has only strings for keys")
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if v != VERSION {
        return Err(unreadable(format!("version {v}; known: {VERSION}")));
    }
    serde_json::from_slice::<Envelope<T>>(bytes).map(|envelope| envelope.says).map_err(unreadable)
}

impl Question {
    /// For the backplane.
    pub fn write(&self) -> Vec<u8> {
        write(match self {
            Self::Prepare(token, by) => AskWire::Prepare { token: token.reveal(), by: by.to_string() },
            Self::Give(token, by, index) => {
                AskWire::Give { token: token.reveal(), by: by.to_string(), index: *index }
            }
            Self::Forget(token, by, index) => {
                AskWire::Forget { token: token.reveal(), by: by.to_string(), index: *index }
            }
            Self::Adopt(user, token, from) => {
                AskWire::Adopt { user: user.to_string(), token: token.reveal(), from: from.to_string() }
            }
        })
    }

    /// From the backplane.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(match read(bytes)? {
            AskWire::Prepare { token, by } => Self::Prepare(parse_token(&token)?, parse_node(&by)?),
            AskWire::Give { token, by, index } => Self::Give(parse_token(&token)?, parse_node(&by)?, index),
            AskWire::Forget { token, by, index } => {
                Self::Forget(parse_token(&token)?, parse_node(&by)?, index)
            }
            AskWire::Adopt { user, token, from } => {
                Self::Adopt(parse_user(&user)?, parse_token(&token)?, parse_node(&from)?)
            }
        })
    }
}

impl Answer {
    /// For the backplane.
    pub fn write(self) -> Vec<u8> {
        let texts = |rooms: &[Room]| rooms.iter().map(|room| room.text().to_string()).collect();
        write(match self {
            Self::Prepared(rooms) => AnswerWire::Prepared { rooms: texts(&rooms) },
            Self::Given(handed) => AnswerWire::Given(Box::new(HandedWire {
                user: handed.user.to_string(),
                token: handed.token.reveal(),
                next: handed.next,
                kept: handed.kept.iter().map(|one| (one.seq, one.frame.to_string())).collect(),
                refused: handed.refused,
                rooms: texts(&handed.rooms),
                watched: watched_out(&handed.watched),
                done: handed.done.iter().map(ToString::to_string).collect(),
                doubtful: handed.doubtful.iter().map(ToString::to_string).collect(),
                begun: handed.begun,
                latest: handed.latest.iter().map(|(session, nth)| (session.to_string(), *nth)).collect(),
                seen: handed.seen.iter().map(|id| (id.session.to_string(), id.name.to_string())).collect(),
            })),
            Self::Adopted => AnswerWire::Adopted,
            Self::Forgotten => AnswerWire::Forgotten,
            Self::Unknown => AnswerWire::Unknown,
            Self::Not(why) => AnswerWire::Not { why },
        })
    }

    /// From the backplane.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(match read(bytes)? {
            AnswerWire::Prepared { rooms } => Self::Prepared(parse_rooms(&rooms)?),
            AnswerWire::Given(handed) => Self::Given(Box::new(handed.parse()?)),
            AnswerWire::Adopted => Self::Adopted,
            AnswerWire::Forgotten => Self::Forgotten,
            AnswerWire::Unknown => Self::Unknown,
            AnswerWire::Not { why } => Self::Not(why),
        })
    }
}

impl HandedWire {
    fn parse(self) -> Result<Handed, Unreadable> {
        let kept = self.kept.into_iter().map(|(seq, frame)| Kept { seq, frame: frame.into() }).collect();
        Ok(Handed {
            user: parse_user(&self.user)?,
            token: parse_token(&self.token)?,
            next: self.next,
            kept,
            refused: self.refused,
            rooms: parse_rooms(&self.rooms)?,
            watched: watched_in(self.watched)?,
            done: self.done.into_iter().map(Id::from).collect(),
            doubtful: self.doubtful.into_iter().map(Id::from).collect(),
            begun: self.begun,
            latest: self.latest.into_iter().map(parse_latest).collect::<Result<_, _>>()?,
            seen: self.seen.into_iter().map(parse_id).collect::<Result<_, _>>()?,
        })
    }
}

fn watched_out(watched: &Watched) -> Vec<(String, bool, u64)> {
    let out = |(user, presence, index): (&UserId, Presence, u64)| {
        (user.to_string(), presence == Presence::Online, index)
    };
    watched.iter().map(out).collect()
}

fn watched_in(users: Vec<(String, bool, u64)>) -> Result<Watched, Unreadable> {
    let mut watched = Watched::default();
    for (user, is_online, index) in users {
        let presence = if is_online { Presence::Online } else { Presence::Offline };
        watched.set(parse_user(&user)?, presence, index);
    }
    Ok(watched)
}

fn parse_user(text: &str) -> Result<UserId, Unreadable> {
    UserId::parse(text).map_err(unreadable)
}

fn parse_id((session, name): (String, String)) -> Result<MessageId, Unreadable> {
    Ok(MessageId { session: session.parse().map_err(unreadable)?, name: name.into() })
}

fn parse_latest((session, nth): (String, u64)) -> Result<(ConnectionId, u64), Unreadable> {
    Ok((session.parse().map_err(unreadable)?, nth))
}

fn parse_token(text: &str) -> Result<Token, Unreadable> {
    text.parse().map_err(unreadable)
}

fn parse_node(text: &str) -> Result<NodeName, Unreadable> {
    NodeName::parse(text).map_err(unreadable)
}

fn parse_rooms(texts: &[String]) -> Result<Vec<Room>, Unreadable> {
    texts.iter().map(|text| Room::parse(text).map_err(|refusal| unreadable(refusal.text()))).collect()
}
