//! What a client of `quorate.v1` is told: one text frame each.

use super::{refusal::Refusal, said::Id};
use quorate_model::{ConnectionId, UserId};
use serde::Serialize;
use std::time::Duration;

/// One frame.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told<'a> {
    /// A session of its own, from its beginning.
    Registered {
        content: &'static str,
        connection: String,
        epoch: u64,
        token: String,
        #[serde(rename = "windowMs")]
        window_ms: u64,
    },
    /// The session goes on, or why it can't.
    Resumed {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        /// The last delivery that the session was sent; those behind the client's own number follow.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// The session's name in presence: that of the socket that it began on.
        #[serde(skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        /// Its number in the log, where it has one now: another one behind each move.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        /// How many messages were refused to their senders meanwhile.
        #[serde(skip_serializing_if = "is_zero")]
        refused: u64,
    },
    /// Answer to a ping.
    Pong,
    /// A request was done.
    Ack { id: &'a str },
    /// A request was refused.
    Error {
        error: String,
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// From one user to this one.
    Message { seq: u64, from: &'a str, content: &'a str },
    /// From one user to all.
    Broadcast { seq: u64, from: &'a str, content: &'a str },
    /// From one user to a room.
    RoomMessage { seq: u64, room: &'a str, from: &'a str, content: &'a str },
    /// Who of those that were asked for is there.
    Presence {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        index: u64,
        online: Vec<&'a str>,
        offline: Vec<&'a str>,
    },
    /// Somebody who is watched came.
    Joined { seq: u64, user: &'a str, index: u64 },
    /// Somebody who is watched went.
    Left { seq: u64, user: &'a str, index: u64 },
    /// The user has logged in elsewhere; the socket closes.
    Replaced,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a session can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResumed {
    /// There is no such session: its window is over, it was replaced or said bye, or the token is somebody else's.
    Unknown,
    /// It is there, but what follows the client's number is let go of, or was never sent.
    Elsewhere,
    /// The node that holds it can't be asked.
    Unreachable,
}

impl NotResumed {
    /// For programs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Elsewhere => "seq",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Told<'_> {
    /// As JSON.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a frame has only strings for keys")
    }
}

/// A session of its own.
pub fn registered(connection: ConnectionId, epoch: u64, token: String, window: Duration) -> String {
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let content = "Successfully registered";
    Told::Registered { content, connection: connection.to_string(), epoch, token, window_ms }.text()
}

/// A request was refused.
pub fn error(id: Option<&Id>, refusal: &Refusal) -> String {
    Told::Error { error: refusal.text(), code: refusal.code(), id: id.map(|id| &**id) }.text()
}

/// A session can't go on.
pub fn not_resumed(why: NotResumed) -> String {
    let reason = Some(why.reason());
    Told::Resumed { ok: false, reason, seq: None, connection: None, epoch: None, refused: 0 }.text()
}

/// A session goes on: up to where it was sent, and what it is called in presence.
pub fn resumed(seq: u64, connection: ConnectionId, epoch: Option<u64>, refused: u64) -> String {
    let (seq, connection) = (Some(seq), Some(connection.to_string()));
    Told::Resumed { ok: true, reason: None, seq, connection, epoch, refused }.text()
}

/// The names of users.
pub fn names<'a>(users: impl IntoIterator<Item = &'a UserId>) -> Vec<&'a str> {
    users.into_iter().map(UserId::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_page_of_the_protocol_shows_them() {
        let frames = [
            registered(ConnectionId::from_random(0), 7, "t".into(), Duration::from_secs(30)),
            resumed(9, ConnectionId::from_random(0), Some(7), 0),
            not_resumed(NotResumed::Unknown),
            Told::Pong.text(),
            Told::Ack { id: "a" }.text(),
            error(Some(&"a".into()), &Refusal::NotDelivered),
            error(None, &Refusal::Format),
            Told::Message { seq: 1, from: "bob", content: "a \"b\"" }.text(),
            Told::RoomMessage { seq: 2, room: "r", from: "bob", content: "" }.text(),
            Told::Presence { id: None, index: 5, online: vec!["a"], offline: vec![] }.text(),
            Told::Joined { seq: 3, user: "bob", index: 6 }.text(),
            Told::Replaced.text(),
        ];
        expect_test::expect![[r#"
            {"type":"registered","content":"Successfully registered","connection":"00000000-0000-4000-8000-000000000000","epoch":7,"token":"t","windowMs":30000}
            {"type":"resumed","ok":true,"seq":9,"connection":"00000000-0000-4000-8000-000000000000","epoch":7}
            {"type":"resumed","ok":false,"reason":"unknown"}
            {"type":"pong"}
            {"type":"ack","id":"a"}
            {"type":"error","error":"Failed to send message","code":"not_delivered","id":"a"}
            {"type":"error","error":"Invalid message format","code":"invalid_format"}
            {"type":"message","seq":1,"from":"bob","content":"a \"b\""}
            {"type":"room_message","seq":2,"room":"r","from":"bob","content":""}
            {"type":"presence","index":5,"online":["a"],"offline":[]}
            {"type":"joined","seq":3,"user":"bob","index":6}
            {"type":"replaced"}"#]]
        .assert_eq(&frames.join("\n"));
    }
}
