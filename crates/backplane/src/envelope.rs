//! A message as the original gateways write it, with what we add: fields that those don't know, and pass over.

use quorate_gateway::backplane::{Message, MessageId, Recipient};
use quorate_model::{ConnectionId, NodeName, UserId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Longest message that is read, in bytes. A longer one is passed over: no client of ours sends one.
pub const BYTES_MAX: usize = 32 << 20;

const DIRECT: &str = "direct";
const BROADCAST: &str = "broadcast";
/// Ours: the original has no rooms.
const ROOM: &str = "room";

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    from: Cow<'a, str>,
    #[serde(default, borrow)]
    to: Cow<'a, str>,
    #[serde(default, borrow)]
    content: Cow<'a, str>,
    #[serde(default, rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Ours: who published it, so that nobody takes its own.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    gateway: Option<Cow<'a, str>>,
    /// Ours: the message's name and its session.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    session: Option<Cow<'a, str>>,
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What.
    pub message: Message,
    /// Who published it, where it is one of ours.
    pub gateway: Option<String>,
}

/// Why a message is passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// Too long.
    #[error("it has {0} bytes; at most {BYTES_MAX} are read")]
    TooLong(usize),
    /// Something else.
    #[error("{0}")]
    Malformed(String),
}

/// The bytes of a message that `me` publishes.
pub fn encode(message: &Message, me: &NodeName) -> Vec<u8> {
    let (to, kind) = match &message.to {
        Recipient::User(user) => (user.as_str(), DIRECT),
        Recipient::All => ("", BROADCAST),
        Recipient::Room(room) => (&**room, ROOM),
    };
    let id = message.id.as_ref();
    let envelope = Envelope {
        from: message.from.as_str().into(),
        to: to.into(),
        content: (&*message.content).into(),
        kind: kind.into(),
        gateway: Some(me.as_str().into()),
        id: id.map(|id| (&*id.name).into()),
        session: id.map(|id| id.session.to_string().into()),
    };
    serde_json::to_vec(&envelope).expect("strings always serialise into memory")
}

/// See [`encode`].
pub fn decode(bytes: &[u8]) -> Result<Received, NotRead> {
    if bytes.len() > BYTES_MAX {
        return Err(NotRead::TooLong(bytes.len()));
    }
    let malformed = |error: &dyn ToString| NotRead::Malformed(error.to_string());
    let read: Envelope<'_> = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    let to = match &*read.kind {
        BROADCAST => Recipient::All,
        ROOM if !read.to.is_empty() => Recipient::Room(read.to.as_ref().into()),
        // What the original calls a message whose type it does not know is not said; it goes by `to`.
        _ => Recipient::User(UserId::parse(&read.to).map_err(|error| malformed(&error))?),
    };
    let id = match (read.id, read.session) {
        (Some(name), Some(session)) => {
            let session: ConnectionId = session.parse().map_err(|error| malformed(&error))?;
            Some(MessageId { session, name: name.as_ref().into() })
        }
        (Some(_) | None, _) => None,
    };
    let from = UserId::parse(&read.from).map_err(|error| malformed(&error))?;
    let message = Message { from, to, content: read.content.as_ref().into(), id, nth: 0 };
    Ok(Received { message, gateway: read.gateway.map(Cow::into_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    fn message(to: Recipient) -> Message {
        Message { from: user("alice"), to, content: "hi \"bob\"".into(), id: None, nth: 0 }
    }

    fn text(message: &Message) -> String {
        String::from_utf8(encode(message, &NodeName::parse("n1").expect("valid"))).expect("JSON")
    }

    #[test]
    fn messages_are_as_the_original_writes_them_and_name_their_gateway() {
        let direct = message(Recipient::User(user("bob")));
        let expected = r#"{"from":"alice","to":"bob","content":"hi \"bob\"","type":"direct","gateway":"n1"}"#;
        assert_eq!(text(&direct), expected);
        let all = message(Recipient::All);
        let expected = r#"{"from":"alice","to":"","content":"hi \"bob\"","type":"broadcast","gateway":"n1"}"#;
        assert_eq!(text(&all), expected);
        let id = MessageId { session: ConnectionId::from_random(1), name: "m1".into() };
        let room = Message { id: Some(id), ..message(Recipient::Room("lobby".into())) };
        for sent in [direct, all, room] {
            let read = decode(text(&sent).as_bytes()).expect("our own");
            assert_eq!(read, Received { message: sent, gateway: Some("n1".into()) });
        }
    }

    #[test]
    fn the_originals_are_read_with_or_without_a_type() {
        for json in [
            r#"{"from":"alice","to":"bob","content":"hello","type":"direct"}"#,
            r#"{"from":"alice","to":"bob","content":"hello"}"#,
            r#"{"from":"alice","to":"bob","content":"hello","newer":{"field":1}}"#,
        ] {
            let read = decode(json.as_bytes()).expect("it is one");
            assert_eq!((read.message.to, read.gateway), (Recipient::User(user("bob")), None));
        }
    }

    #[test]
    fn what_is_none_is_passed_over() {
        for json in ["", "{}", "[]", r#"{"from":"a","to":"","type":"direct"}"#, r#"{"from":"a\nb","to":"b"}"#]
        {
            assert!(matches!(decode(json.as_bytes()), Err(NotRead::Malformed(_))), "{json}");
        }
        assert_eq!(decode(&vec![b' '; BYTES_MAX + 1]), Err(NotRead::TooLong(BYTES_MAX + 1)));
    }
}
