//! What a client of `quorate.v1` says, parsed once at the edge.
//!
//! The order of the checks is the contract's: JSON, type, registered, fields. A field that nobody knows is passed over,
//! so that a client may be newer than its gateway.

use super::{limit, refusal::Refusal, rooms::Room, token::Token};
use quorate_model::UserId;
use serde::Deserialize;
use std::sync::Arc;

/// One frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// I am new here.
    Register { user: UserId },
    /// I was here before, and have processed everything up to `seq`.
    Resume { user: UserId, token: Token, seq: u64 },
    /// I live.
    Ping,
    /// To one user.
    Message { id: Option<Id>, to: UserId, content: Arc<str> },
    /// To all.
    Broadcast { id: Option<Id>, content: Arc<str> },
    /// Into a room.
    RoomMessage { id: Option<Id>, room: Room, content: Arc<str> },
    /// Let me hear a room.
    Join { id: Option<Id>, room: Room },
    /// No more of it.
    Leave { id: Option<Id>, room: Room },
    /// Who of these is online, and tell me when that changes.
    Subscribe { id: Option<Id>, users: Vec<UserId> },
    /// No more of these.
    Unsubscribe { id: Option<Id>, users: Vec<UserId> },
    /// I have processed everything up to `seq`.
    Ack { seq: u64 },
    /// I go, and don't come back.
    Bye,
}

/// How a client tells its requests apart.
pub type Id = Arc<str>;

/// Whether a client has said who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet.
    Stranger,
    /// Yes.
    Registered,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type", default)]
    kind: String,
    id: Option<String>,
    #[serde(rename = "userId")]
    user: Option<String>,
    to: Option<String>,
    content: Option<String>,
    room: Option<String>,
    users: Option<Vec<String>>,
    token: Option<String>,
    seq: Option<u64>,
}

/// A refusal, and the request that it is about, where it can be told.
pub type Refused = (Option<Id>, Refusal);

/// Reads a text frame.
pub fn read(text: &str, standing: Standing) -> Result<Said, Refused> {
    let raw: Raw = serde_json::from_str(text).map_err(|_| (named(text), Refusal::Format))?;
    let id = match raw.id.as_deref().map(parse_id).transpose() {
        Ok(id) => id,
        Err(refusal) => return Err((None, refusal)),
    };
    raw.said(id.clone(), standing).map_err(|refusal| (id, refusal))
}

/// The name of a request that could not be read: one whose sender waits for an answer under it.
fn named(text: &str) -> Option<Id> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    // A list of one text would be read as this, too.
    let is_object = text.trim_ascii_start().starts_with('{');
    let named: Named = is_object.then(|| serde_json::from_str(text).ok()).flatten()?;
    parse_id(&named.id).ok()
}

fn parse_id(text: &str) -> Result<Id, Refusal> {
    let is_good = (1..=limit::ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    is_good
        .then(|| text.into())
        .ok_or(Refusal::Field { field: "id", allowed: "1 to 64 bytes without control characters".into() })
}

impl Raw {
    fn said(self, id: Option<Id>, standing: Standing) -> Result<Said, Refusal> {
        match self.kind.as_str() {
            "ping" => return Ok(Said::Ping),
            "register" => return Ok(Said::Register { user: self.own_name()? }),
            "resume" => return self.resume(),
            "bye" => return Ok(Said::Bye),
            "message" | "broadcast" | "room_message" | "join" | "leave" | "subscribe" | "unsubscribe"
            | "ack" => {}
            _ => return Err(Refusal::Type),
        }
        if standing == Standing::Stranger {
            return Err(Refusal::NotRegistered);
        }
        Ok(match self.kind.as_str() {
            "message" => Said::Message { id, to: self.recipient()?, content: self.content() },
            "broadcast" => Said::Broadcast { id, content: self.content() },
            "room_message" => Said::RoomMessage { id, room: self.room()?, content: self.content() },
            "join" => Said::Join { id, room: self.room()? },
            "leave" => Said::Leave { id, room: self.room()? },
            "subscribe" => Said::Subscribe { id, users: self.users()? },
            "unsubscribe" => Said::Unsubscribe { id, users: self.users()? },
            _ => Said::Ack { seq: self.seq()? },
        })
    }

    fn own_name(&self) -> Result<UserId, Refusal> {
        match self.user.as_deref() {
            None | Some("") => Err(Refusal::UserRequired),
            Some(user) => parse_user("userId", user),
        }
    }

    fn resume(&self) -> Result<Said, Refusal> {
        let allowed =
            || Refusal::Field { field: "token", allowed: "the token that `registered` told".into() };
        let token = self.token.as_deref().and_then(|text| text.parse().ok()).ok_or_else(allowed)?;
        Ok(Said::Resume { user: self.own_name()?, token, seq: self.seq()? })
    }

    fn recipient(&self) -> Result<UserId, Refusal> {
        match self.to.as_deref() {
            None | Some("") => Err(Refusal::RecipientRequired),
            Some(to) => parse_user("to", to),
        }
    }

    fn content(&self) -> Arc<str> {
        self.content.as_deref().unwrap_or_default().into()
    }

    fn room(&self) -> Result<Room, Refusal> {
        Room::parse(self.room.as_deref().unwrap_or_default())
    }

    fn users(&self) -> Result<Vec<UserId>, Refusal> {
        let users = self.users.as_deref().unwrap_or_default();
        if users.is_empty() || users.len() > limit::WATCHED_MAX {
            let allowed = format!("1 to {} users", limit::WATCHED_MAX);
            return Err(Refusal::Field { field: "users", allowed });
        }
        users.iter().map(|user| parse_user("users", user)).collect()
    }

    fn seq(&self) -> Result<u64, Refusal> {
        self.seq.ok_or_else(|| Refusal::Field { field: "seq", allowed: "a number from 0".into() })
    }
}

fn parse_user(field: &'static str, text: &str) -> Result<UserId, Refusal> {
    let allowed =
        || format!("1 to {} bytes without control characters", quorate_model::limit::USER_ID_BYTES_MAX);
    UserId::parse(text).map_err(|_| Refusal::Field { field, allowed: allowed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, standing: Standing) -> String {
        match read(text, standing) {
            Ok(said) => format!("{said:?}"),
            Err((id, refusal)) => format!("{:?} {}", id.as_deref(), refusal.code()),
        }
    }

    #[test]
    fn the_order_of_the_checks_is_json_type_registered_fields() {
        let strangers = [
            ("", "None invalid_format"),
            ("[]", "None invalid_format"),
            (r#"{"type":5}"#, "None invalid_format"),
            (r#"{"type":5,"id":"1"}"#, r#"Some("1") invalid_format"#),
            (r#"{"type":"message","to":["b"],"id":"1"}"#, r#"Some("1") invalid_format"#),
            (r#"{"type":5,"id":"a\nb"}"#, "None invalid_format"),
            (r#"{"type":5,"id":1}"#, "None invalid_format"),
            (r#"{"type":5,"id":"1""#, "None invalid_format"),
            (r#"["1"]"#, "None invalid_format"),
            ("{}", "None unknown_type"),
            (r#"{"type":"x","id":"1"}"#, r#"Some("1") unknown_type"#),
            (r#"{"type":"message","id":"1"}"#, r#"Some("1") not_registered"#),
            (r#"{"type":"ack"}"#, "None not_registered"),
            (r#"{"type":"ping"}"#, "Ping"),
            (r#"{"type":"register"}"#, "None user_required"),
            (r#"{"type":"register","userId":""}"#, "None user_required"),
            (r#"{"type":"register","userId":"a\nb"}"#, "None invalid_field"),
            (r#"{"type":"register","userId":"a","future":1}"#, r#"Register { user: "a" }"#),
            (r#"{"type":"resume","userId":"a","seq":1,"token":"x"}"#, "None invalid_field"),
        ];
        for (text, expected) in strangers {
            assert_eq!(check(text, Standing::Stranger), expected, "{text}");
        }
        let registered = [
            (r#"{"type":"message","id":"1"}"#, r#"Some("1") recipient_required"#),
            (r#"{"type":"message","id":"1","to":"b"}"#, r#"Message { id: Some("1"), to: "b", content: "" }"#),
            (r#"{"type":"message","id":"","to":"b"}"#, "None invalid_field"),
            (r#"{"type":"join","room":""}"#, "None invalid_field"),
            (r#"{"type":"subscribe","users":[]}"#, "None invalid_field"),
            (r#"{"type":"subscribe","users":["a",""]}"#, "None invalid_field"),
            (r#"{"type":"ack","seq":-1}"#, "None invalid_format"),
            (r#"{"type":"ack"}"#, "None invalid_field"),
            (r#"{"type":"ack","seq":7}"#, "Ack { seq: 7 }"),
            (r#"{"type":"bye"}"#, "Bye"),
        ];
        for (text, expected) in registered {
            assert_eq!(check(text, Standing::Registered), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let text = r#"{"type":"resume","userId":"a","seq":1,"token":"00000000-0000-4000-8000-000000000000.0123456789abcdef0123456789abcdef"}"#;
        let said = check(text, Standing::Stranger);
        assert!(said.starts_with("Resume") && !said.contains("0123456789abcdef"), "{said}");
    }
}
