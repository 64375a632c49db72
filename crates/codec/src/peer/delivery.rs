//! Messages of users on their way between gateways, and what became of them.

use crate::{
    error::DecodeError,
    v1::{VERSION, delivery as frozen},
    wire,
};
use quorate_model::{ConnectionId, Invalid, UserId};
use std::sync::Arc;

const SENT: &str = "a user's message";
const ANSWERED: &str = "what became of a user's message";
/// Longest name of a room, or of a message.
pub const NAME_BYTES_MAX: usize = 1 << 10;

/// A message, and who of the recipient's sessions shall have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By which it is answered.
    pub number: u64,
    /// The session's epoch; `None`: any of the user's.
    pub epoch: Option<u64>,
    /// Who says it.
    pub from: UserId,
    /// To whom.
    pub to: To,
    /// What.
    pub content: Arc<str>,
    /// By which it is told from a repeat: the sender's session, and a name in it.
    pub id: Option<(ConnectionId, Arc<str>)>,
    /// Which one of the sender's session it is; 0: not counted.
    pub nth: u64,
}

/// To whom a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One user.
    User(UserId),
    /// All.
    All,
    /// All in a room.
    Room(Arc<str>),
}

/// What became of the message of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message's.
    pub number: u64,
    /// What.
    pub answer: Answer,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in the recipient's queue.
    Delivered,
    /// No such session is here.
    NotHere {
        /// As of which entry of the log.
        index: u64,
    },
    /// The recipient's queue is full.
    Full,
}

/// Bytes of a message.
pub fn encode_sent(sent: &Sent) -> Vec<u8> {
    let Sent { number, epoch, from, to, content, id, nth } = sent;
    let to = match to {
        To::User(user) => frozen::To::User(user.as_str()),
        To::All => frozen::To::All,
        To::Room(room) => frozen::To::Room(&**room),
    };
    let id = id.as_ref().map(|(session, name)| frozen::MessageId { session: session.bits(), name: &**name });
    let (from, content) = (from.as_str(), &**content);
    wire::encode(VERSION, &frozen::Sent { number: *number, epoch: *epoch, from, to, content, id, nth: *nth })
}

/// See [`encode_sent`].
pub fn decode_sent(bytes: &[u8]) -> Result<Sent, DecodeError> {
    let frozen::Sent::<String> { number, epoch, from, to, content, id, nth } =
        wire::decode(SENT, VERSION, bytes)?;
    let checked = || {
        let to = match to {
            frozen::To::User(user) => To::User(UserId::parse(&user)?),
            frozen::To::All => To::All,
            frozen::To::Room(room) => To::Room(name("room", &room)?),
        };
        let id = id.map(|id| Ok((ConnectionId::from_bits(id.session), name("id", &id.name)?))).transpose()?;
        Ok(Sent { number, epoch, from: UserId::parse(&from)?, to, content: content.into(), id, nth })
    };
    checked().map_err(DecodeError::invalid(SENT))
}

fn name(field: &str, text: &str) -> Result<Arc<str>, Invalid> {
    if (1..=NAME_BYTES_MAX).contains(&text.len()) {
        return Ok(text.into());
    }
    Err(Invalid::new(field, format!("has {} bytes", text.len()), format!("1 to {NAME_BYTES_MAX} bytes")))
}

/// Bytes of what became of a message.
pub fn encode_answered(answered: Answered) -> Vec<u8> {
    let answer = match answered.answer {
        Answer::Delivered => frozen::Answer::Delivered,
        Answer::NotHere { index } => frozen::Answer::NotHere { index },
        Answer::Full => frozen::Answer::Full,
    };
    wire::encode(VERSION, &frozen::Answered { number: answered.number, answer })
}

/// See [`encode_answered`].
pub fn decode_answered(bytes: &[u8]) -> Result<Answered, DecodeError> {
    let frozen::Answered { number, answer } = wire::decode(ANSWERED, VERSION, bytes)?;
    let answer = match answer {
        frozen::Answer::Delivered => Answer::Delivered,
        frozen::Answer::NotHere { index } => Answer::NotHere { index },
        frozen::Answer::Full => Answer::Full,
    };
    Ok(Answered { number, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    fn sent(to: To) -> Sent {
        Sent {
            number: 7, epoch: Some(44), from: user("alice"), to, content: "hé\n".into(), id: None, nth: 0
        }
    }

    #[test]
    fn messages_of_users_and_what_became_of_them_keep_their_bytes() {
        let id = Some((ConnectionId::from_random(5), "m-1".into()));
        let messages = [
            ("to-user", sent(To::User(user("bob")))),
            ("to-all", Sent { epoch: None, ..sent(To::All) }),
            ("to-room", Sent { epoch: None, id, nth: 3, ..sent(To::Room("lobby".into())) }),
        ];
        let answers = [
            ("delivered", Answer::Delivered),
            ("not-here", Answer::NotHere { index: 99 }),
            ("full", Answer::Full),
        ];
        let mut text = String::new();
        let mut note = |name: &str, bytes: &[u8]| {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{name} {hex}").expect("a string takes everything");
        };
        for (name, message) in messages {
            let bytes = encode_sent(&message);
            note(name, &bytes);
            assert!(decode_sent(&bytes[..bytes.len() - 1]).is_err(), "{name} cut short");
            assert_eq!(decode_sent(&bytes), Ok(message));
        }
        for (name, answer) in answers {
            let answered = Answered { number: 7, answer };
            let bytes = encode_answered(answered);
            note(name, &bytes);
            assert!(decode_answered(&[&bytes[..], &[0]].concat()).is_err(), "{name} with a byte more");
            assert_eq!(decode_answered(&bytes), Ok(answered));
        }
        assert_eq!(text, include_str!("../../golden/v1/peer-delivery.txt"));
    }

    #[test]
    fn names_of_rooms_and_messages_are_bounded() {
        let id = |name: &str| Some((ConnectionId::from_random(5), name.into()));
        for bad in [
            sent(To::Room("".into())),
            sent(To::Room("x".repeat(NAME_BYTES_MAX + 1).into())),
            Sent { id: id(""), ..sent(To::All) },
            Sent { id: id(&"x".repeat(NAME_BYTES_MAX + 1)), ..sent(To::All) },
        ] {
            assert!(decode_sent(&encode_sent(&bad)).is_err(), "{bad:?}");
        }
    }
}
